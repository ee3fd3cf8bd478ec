"""The holder of a sandbox: what an engine without root asks for ports (`labkit.rootless.holder`).

    python -m labkit.course.grading.holder RUN

A sandbox has one network, which is the machine's for everything in it.
"""

import sys

from labkit.rootless import holder

if __name__ == "__main__":
    holder.be_here(sys.argv[1])
