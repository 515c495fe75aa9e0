"""The list of targets in section 3: what is worked on, where each stands, one more of a kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt
from CLoPAAnnotatorLib.annotation.TargetList import TargetLine
from CLoPAAnnotatorLib.annotation.Workspace import Workspace
from CLoPAAnnotatorLib.panels.Style import TARGET_STATE_COLOURS, swatch
from CLoPAAnnotatorLib.Texts import tr

COLUMNS = ("", "Target", "State", "Weights", "Note")
ROW_HEIGHT, MOST_ROWS = 22, 7


class TargetsPanel:
    """Shows the open case's targets; hidden in a campaign with one."""

    def __init__(self, ui: Any, workspace: Workspace) -> None:
        self.ui, self._workspace = ui, workspace
        self._lines: tuple[TargetLine, ...] = ()
        table = ui.targetsTable
        table.setColumnCount(len(COLUMNS))
        table.setHorizontalHeaderLabels([tr(c) for c in COLUMNS])
        table.horizontalHeader().setStretchLastSection(True)
        table.verticalHeader().setVisible(False)
        table.verticalHeader().setDefaultSectionSize(ROW_HEIGHT)
        table.connect("currentCellChanged(int,int,int,int)", self._onCell)
        ui.anotherButton.connect("clicked(bool)", lambda _=False: workspace.attempt(self.another))
        for listeners in (workspace.listeners.targets, workspace.listeners.busy, workspace.listeners.opened):
            listeners.append(self.refresh)
        self.refresh()

    def _onCell(self, row: int, _column: int, _before: int, _columnBefore: int) -> None:
        if 0 <= row < len(self._lines) and not self._lines[row].isChosen:
            slot = self._lines[row].slot
            self._workspace.attempt(lambda: self._workspace.session.select(slot))
            self.refresh()  # a refusal leaves the chosen one marked

    def keys(self) -> list[tuple[str, Callable[[], object]]]:
        """What its keys do."""
        choose = self._workspace.selectNumber
        numbers = [(str(n), lambda n=n: choose(n)) for n in range(1, 10)]
        return [*numbers, ("A", self.another)]

    def another(self) -> None:
        """Begin one more of the chosen kind."""
        workspace = self._workspace
        if workspace.session.isOpen and workspace.targets.target(workspace.session.slot.target).instances:
            workspace.session.select(workspace.targets.another())

    def refresh(self) -> None:
        """Write what has changed."""
        ui, workspace = self.ui, self._workspace
        isShown = not workspace.targets.isSingle and workspace.session.image is not None
        if bool(ui.targetsBox.visible) != isShown:
            ui.targetsBox.setVisible(isShown)
        session = workspace.session
        isReady = session.isOpen and workspace.isConnected and session.isSettled
        ui.absentButton.enabled = isReady and not workspace.targets.isSingle
        kind = workspace.targets.target(session.slot.target)
        ui.anotherButton.setVisible(any(target.instances for target in workspace.targets.targets))
        ui.anotherButton.enabled = session.isOpen and workspace.isConnected and kind.instances
        another = tr("Another {kind}").format(kind=kind.name)
        ui.anotherButton.text = another if kind.instances else tr("Another one")
        lines = workspace.targets.lines() if isShown else ()
        if lines != self._lines:
            self._lines = lines
            self._write(lines)

    def _write(self, lines: tuple[TargetLine, ...]) -> None:
        table = self.ui.targetsTable
        table.blockSignals(True)
        table.setRowCount(len(lines))
        for row, line in enumerate(lines):
            weights = "–" if line.version is None else tr("version {v}").format(v=line.version)
            number = str(row + 1) if row < 9 else ""
            for column, text in enumerate((number, line.name, tr(line.state), weights, line.note)):
                table.setItem(row, column, self._cell(column, text, line))
        chosen = next((row for row, line in enumerate(lines) if line.isChosen), -1)
        if chosen >= 0:
            table.setCurrentCell(chosen, 1)
            table.scrollToItem(table.item(chosen, 1))
        table.blockSignals(False)
        for column in range(len(COLUMNS) - 1):
            table.resizeColumnToContents(column)
        rows = min(max(len(lines), 1), MOST_ROWS)
        height = ROW_HEIGHT * rows + table.horizontalHeader().sizeHint.height() + 6
        table.setMinimumHeight(height)
        table.setMaximumHeight(height)

    @staticmethod
    def _cell(column: int, text: str, line: TargetLine) -> Any:
        item = qt.QTableWidgetItem(text)
        if column == 1:
            item.setIcon(swatch(line.colour))
        elif column == 2:
            item.setForeground(qt.QBrush(qt.QColor(TARGET_STATE_COLOURS[line.state])))
        if line.isChosen:
            font = item.font()
            font.setBold(True)
            item.setFont(font)
        return item
