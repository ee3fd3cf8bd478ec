"""The base of every live panel: it shows widgets, or a sentence if there are no widgets."""

from typing import Any, Protocol


class View(Protocol):
    """A panel's widgets on the page."""

    def bundle(self) -> dict[str, Any]:
        """The part of the MIME bundle that shows the widgets."""


class Panel:
    """A panel has one view, made when Jupyter first shows it."""

    _view: Any = None
    """The panel's `View`, which also receives its updates; None until the panel is shown."""

    def _make_view(self) -> View:
        """Make the view; ImportError if there are no widgets."""
        raise NotImplementedError

    def _repr_html_(self) -> str:
        raise NotImplementedError

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        bundle = {"text/plain": repr(self), "text/html": self._repr_html_()}
        try:
            if self._view is None:
                self._view = self._make_view()
        except ImportError:
            return bundle
        return {**bundle, **self._view.bundle()}
