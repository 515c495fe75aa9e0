"""The few colours of the panel, readable on Slicer's light and dark theme."""

from __future__ import annotations

from typing import Any

import qt
from clopa_annotator.types.uses import COLOURS
from CLoPAAnnotatorLib.Texts import Mood

MOODS: dict[Mood, str] = {
    "calm": "padding: 4px; border-left: 3px solid #8aa0b4;",
    "good": "padding: 4px; border-left: 3px solid #2e9e5b; background: rgba(46, 158, 91, 28);",
    "warning": "padding: 4px; border-left: 3px solid #d99a1c; background: rgba(217, 154, 28, 36);",
    "error": "padding: 4px; border-left: 3px solid #cc3b3b; background: rgba(204, 59, 59, 36);",
}
PRIMARY = (
    "QPushButton { background: #1f6fb2; color: white; font-weight: bold; padding: 7px; border: none; "
    "border-radius: 4px; } "
    "QPushButton:hover { background: #2a83cd; } "
    "QPushButton:disabled { background: rgba(128, 128, 128, 60); color: rgba(128, 128, 128, 200); }"
)
SUGGESTION = "QWidget#suggestionBox { border-left: 3px solid #b873fa; background: rgba(122, 79, 181, 36); }"
TITLE = "font-weight: bold;"
POSITIVE_ON = "QToolButton:checked { background: #2e9e5b; color: white; font-weight: bold; }"
NEGATIVE_ON = "QToolButton:checked { background: #cc3b3b; color: white; font-weight: bold; }"
TOOL_ON = "QToolButton:checked { background: #1f6fb2; color: white; font-weight: bold; }"
STATE_COLOURS = {
    "to do": "#8a8a8a",
    "in progress": "#1f6fb2",
    "confirmed": "#2e9e5b",
    "skipped": "#8a8a8a",
    "needs another look": "#d99a1c",
}
TARGET_STATE_COLOURS = {
    "open": "#8a8a8a",
    "suggested": "#7a4fb5",
    "draft": "#1f6fb2",
    "confirmed": "#2e9e5b",
    "not present": "#2e9e5b",
    "skipped": "#8a8a8a",
    "needs another look": "#d99a1c",
}

PHASE_COLOURS = {
    "training": "#1f6fb2",
    "checking": "#1f6fb2",
    "promoted": "#2e9e5b",
    "confirmed": "#2e9e5b",
    "rejected": "#d99a1c",
    "taken back": "#d99a1c",
    "cancelled": "#d99a1c",
    "failed": "#cc3b3b",
}

USE_COLOURS = {
    use: "#" + "".join(f"{round(255 * part):02x}" for part in colour) for use, colour in COLOURS.items()
}


def swatch(colour: tuple[float, float, float]) -> Any:
    """A small square of a colour (red, green, blue, 0 to 1), for a list."""
    image = qt.QPixmap(14, 14)
    image.fill(qt.QColor(*(round(255 * part) for part in colour)))
    icon = qt.QIcon(image)
    icon.addPixmap(image, qt.QIcon.Selected)  # or Qt would tint it in the chosen line
    return icon
