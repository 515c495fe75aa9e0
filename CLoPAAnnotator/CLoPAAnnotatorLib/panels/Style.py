"""The few colours of the panel, readable on Slicer's light and dark theme."""

from __future__ import annotations

from CLoPAAnnotatorLib.annotation.AnnotationView import Mood

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
