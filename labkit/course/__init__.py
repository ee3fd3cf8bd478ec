"""The tools of the chapters: the `%docker` magic, predictions, experiments, figures, live panels.

`%load_ext labkit.course` in a notebook loads the magics, and records which cells of a chapter have
run (`labkit.course.start`).  Nothing heavy is imported here: the experiments also run from a
terminal, where neither IPython nor matplotlib is needed.
"""

from typing import Any


def load_ipython_extension(shell: Any) -> None:
    """Register the magics and the progress; IPython calls this for `%load_ext labkit.course`."""
    from labkit.course.page.magics import DockerMagics  # noqa: PLC0415 it needs IPython
    from labkit.course.start.hook import watch  # noqa: PLC0415

    shell.register_magics(DockerMagics)
    watch(shell)
