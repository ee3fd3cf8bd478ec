"""The settings of Sphinx for both editions; `book` copies this file to `conf.py`."""

from typing import Any

from docutils.nodes import SkipNode
from latex2mathml.converter import convert

project = "labkit, the course"
html_title = "labkit, the course"
author = "labkit"
language = "en"
extensions = ["myst_nb"]
nb_execution_mode = "off"
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
# `--rm` outside of code stays as it is typed.
smartquotes = False
html_math_renderer = "mathml"
html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["style.css"]
html_js_files = ["page.js"]
html_show_sphinx = False
html_show_copyright = False
html_copy_source = False
# The lines below a magic are not Python; a chapter's headings may begin after a fold.
suppress_warnings = ["misc.highlighting_failure", "myst.header", "mystnb.unknown_mime_type"]
pygments_style = "a11y-high-contrast-light"
pygments_dark_style = "a11y-high-contrast-dark"


def _inline(writer: Any, node: Any) -> None:
    writer.body.append(convert(node.astext()))
    raise SkipNode


def _block(writer: Any, node: Any) -> None:
    writer.body.append(convert(node.astext(), display="block"))
    raise SkipNode


def setup(app: Any) -> None:
    """Show formulas as MathML: every browser has it, and nothing is fetched."""
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
