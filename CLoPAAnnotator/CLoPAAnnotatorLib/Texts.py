"""Translation: every sentence that a user sees goes through `tr`."""

from __future__ import annotations

try:
    from slicer.i18n import translate as _translate
except ImportError:  # Slicer before 5.4, and the pure parts of the shell outside Slicer
    _translate = None


def tr(text: str) -> str:
    """The text in the user's language."""
    return text if _translate is None else str(_translate("CLoPAAnnotator", text))
