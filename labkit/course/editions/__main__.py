"""`python -m labkit.course.editions site FOLDER` and `… print FILE` (`make site`, `make print`)."""

import argparse
import shutil
import sys

from labkit.course.editions import book
from labkit.errors import LabkitError


def main() -> int:
    """Build an edition, and print its path."""
    parser = argparse.ArgumentParser(prog="labkit.course.editions")
    parser.add_argument("edition", choices=["site", "print"])
    parser.add_argument("target", help="the folder of the site, or the PDF file")
    parser.add_argument("--python", default=sys.executable, help="a Python that has Sphinx")
    parser.add_argument("--browser", default="chromium", help="the command of a Chromium")
    asked = parser.parse_args()
    try:
        if asked.edition == "site":
            print(book.site(asked.target, asked.python))
        elif shutil.which(asked.browser) is None:
            raise LabkitError(f"{asked.browser} prints the pages and is not installed: install it")
        else:
            print(book.printed(asked.target, asked.python, asked.browser))
    except LabkitError as error:
        print(f"editions: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
