"""What a reviewer said of the chosen target: a line in section 3, and the marked place in the slice views."""

from __future__ import annotations

from typing import Any

from clopa_annotator.types.review import ReviewRow
from CLoPAAnnotatorLib.annotation.Workspace import Workspace
from CLoPAAnnotatorLib.panels.Style import MOODS
from CLoPAAnnotatorLib.scene.ReviewMarks import ReviewMarks, worldOfPlace
from CLoPAAnnotatorLib.Texts import tr


class ReturnedNote:
    """Shown as long as the chosen target of the open case is one that was returned."""

    def __init__(self, ui: Any, workspace: Workspace, marks: ReviewMarks) -> None:
        self.ui, self._workspace, self._marks = ui, workspace, marks
        self._shown: ReviewRow | None = None
        ui.returnedLabel.setStyleSheet(MOODS["warning"])
        ui.returnedLabel.setVisible(False)
        for listeners in (workspace.listeners.targets, workspace.listeners.opened, workspace.listeners.busy):
            listeners.append(self.refresh)

    def refresh(self) -> None:
        """Show the chosen target's comment and place, or nothing."""
        workspace = self._workspace
        isOpen = workspace.session.isOpen and workspace.case.grid is not None
        row = workspace.view.returned.get(workspace.session.slot) if isOpen else None
        if row is self._shown:
            return
        self._shown = row
        self.ui.returnedLabel.setVisible(row is not None)
        self._marks.showPlace(None, jump=False)
        if row is None:
            return
        said = tr("Returned by {who}: {comment}").format(who=row.reviewer, comment=row.comment)
        if row.place_lps_mm is not None:
            said += " " + tr("The marked place is in the slice views.")
            self._marks.showPlace(worldOfPlace(workspace.case.grid, row.place_lps_mm), jump=True)
        self.ui.returnedLabel.text = said
