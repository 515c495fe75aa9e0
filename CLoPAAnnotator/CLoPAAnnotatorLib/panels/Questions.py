"""What the panels ask in a dialog of its own: a line of text, one of the targets of a case."""

from __future__ import annotations

from typing import Any

import qt
from clopa_annotator.types import Slot
from clopa_annotator.types.targets import FIRST
from CLoPAAnnotatorLib.annotation.Workspace import Workspace


def askForText(parent: Any, title: str, question: str) -> str:
    """A line from the user; empty if the question was dismissed."""
    dialog = qt.QInputDialog(parent)
    dialog.setWindowTitle(title)
    dialog.setLabelText(question)
    return str(dialog.textValue()).strip() if dialog.exec_() else ""


def askForSlot(parent: Any, workspace: Workspace, case: str, title: str, question: str) -> Slot | None:
    """One of the decided targets of a case; None if the question was dismissed. One alone is taken."""
    row = workspace.cases.rows.get(case)
    decided = [slot.slot for slot in row.slots if slot.is_decided] if row is not None else []
    if workspace.targets.isSingle or len(decided) < 2:
        return decided[0] if decided else FIRST
    names = [workspace.targets.nameOf(slot) for slot in decided]
    dialog = qt.QInputDialog(parent)
    dialog.setWindowTitle(title)
    dialog.setLabelText(question)
    dialog.setComboBoxItems(names)
    return decided[names.index(str(dialog.textValue()))] if dialog.exec_() else None
