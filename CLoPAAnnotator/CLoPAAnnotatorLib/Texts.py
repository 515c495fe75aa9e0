"""Translation: every sentence that a user sees goes through `tr`."""

from __future__ import annotations

from typing import Literal

try:
    from slicer.i18n import translate as _translate
except ImportError:  # Slicer before 5.4, and the pure parts of the shell outside Slicer
    _translate = None

Mood = Literal["calm", "good", "warning", "error"]
"""How a sentence is meant; the panel colours it."""


def tr(text: str) -> str:
    """The text in the user's language."""
    return text if _translate is None else str(_translate("CLoPAAnnotator", text))
