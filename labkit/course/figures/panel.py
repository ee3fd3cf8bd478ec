"""What every live panel is to Jupyter: widgets where there are some, a sentence where not."""

from typing import Any, Protocol


class View(Protocol):
    """A panel's widgets on the page."""

    def bundle(self) -> dict[str, Any]:
        """The part of the MIME bundle that shows the widgets."""


class Panel:
    """A panel has one view, made when Jupyter first shows it."""

    _view: Any = None
    """Its `View`, which also has what the panel tells it; None until it is shown."""

    def _make_view(self) -> View:
        """ImportError where there are no widgets."""
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
