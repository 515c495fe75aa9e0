"""How each target learns, a line each; the one that is chosen is shown in full below and in the plots."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt
from clopa_annotator.wire.learning_messages import LearningState
from CLoPAAnnotatorLib.annotation.Workspace import Workspace
from CLoPAAnnotatorLib.panels.Style import PHASE_COLOURS, swatch
from CLoPAAnnotatorLib.scene.SegmentLook import colourOf
from CLoPAAnnotatorLib.Texts import tr

COLUMNS = ("Target", "Weights", "Learning", "Confirmed")
ROW_HEIGHT, MOST_ROWS = 22, 5


class LearningLines:
    """The table of targets in section 4, and the choice of one; both hidden in a campaign with one."""

    def __init__(self, ui: Any, workspace: Workspace, onChosen: Callable[[], None]) -> None:
        """Make it; ``onChosen`` is told that another target is to be shown."""
        self._ui, self._workspace, self._onChosen = ui, workspace, onChosen
        self.target = ""
        self.states: dict[str, LearningState] = {}
        self._shown: object = None
        table = ui.linesTable
        table.setColumnCount(len(COLUMNS))
        table.setHorizontalHeaderLabels([tr(c) for c in COLUMNS])
        table.horizontalHeader().setStretchLastSection(True)
        table.verticalHeader().setVisible(False)
        table.verticalHeader().setDefaultSectionSize(ROW_HEIGHT)
        table.connect("cellClicked(int,int)", lambda row, _column: self._choose(row))
        ui.lineBox.connect("currentIndexChanged(int)", self._choose)
        self.refresh()

    def _choose(self, row: int) -> None:
        targets = self._workspace.targets.targets
        if 0 <= row < len(targets) and targets[row].key != self.target:
            self.target = targets[row].key
            self.refresh()
            self._onChosen()

    @property
    def subject(self) -> str:
        """Name of the chosen target, for the plots; empty in a campaign with one."""
        targets = self._workspace.targets
        return targets.target(self.target).name if len(targets.targets) > 1 else ""

    @property
    def keys(self) -> tuple[str, ...]:
        """Keys of the campaign's targets."""
        return tuple(target.key for target in self._workspace.targets.targets)

    @property
    def training(self) -> str:
        """Name of the target that is trained now; empty if none is, or in a campaign with one."""
        states = ((target, self.states.get(target.key)) for target in self._workspace.targets.targets)
        running = [t.name for t, s in states if s is not None and s.phase in ("training", "checking")]
        return running[0] if running and len(self.keys) > 1 else ""

    def take(self, state: LearningState) -> None:
        """A target's newest state."""
        self.states[state.target] = state
        versions = self._workspace.targets.versions
        if versions.get(state.target) != state.weights_version:
            versions[state.target] = state.weights_version
            self._workspace.tell(self._workspace.listeners.targets)
        self.refresh()

    def forget(self) -> None:
        """No engine is connected."""
        self.states.clear()
        self.refresh()

    def refresh(self) -> None:
        """Write what has changed."""
        ui, targets = self._ui, self._workspace.targets.targets
        if self.target not in self.keys:
            self.target = targets[0].key
        lines = [(t.name, t.colour, *self._cells(self.states.get(t.key))) for t in targets]
        if (lines, self.target) == self._shown:
            return
        self._shown = (lines, self.target)
        ui.linesBox.setVisible(len(targets) > 1)
        self._fillBox([target.name for target in targets])
        table = ui.linesTable
        table.setRowCount(len(lines))
        for row, (target, line) in enumerate(zip(targets, lines, strict=True)):
            for column, text in enumerate((line[0], *line[2:])):
                item = qt.QTableWidgetItem(text)
                if column == 0:
                    item.setIcon(swatch(colourOf(target)))
                state = self.states.get(target.key)
                if column == 2 and state is not None:
                    item.setForeground(qt.QBrush(qt.QColor(PHASE_COLOURS.get(state.phase, "#8a8a8a"))))
                table.setItem(row, column, item)
        table.selectRow(self.keys.index(self.target))
        for column in range(len(COLUMNS) - 1):
            table.resizeColumnToContents(column)
        height = ROW_HEIGHT * min(len(lines), MOST_ROWS) + table.horizontalHeader().sizeHint.height() + 6
        table.setMinimumHeight(height)
        table.setMaximumHeight(height)

    def _fillBox(self, names: list[str]) -> None:
        box = self._ui.lineBox
        box.blockSignals(True)
        box.clear()
        for name in names:
            box.addItem(name)
        box.setCurrentIndex(self.keys.index(self.target))
        box.blockSignals(False)

    @staticmethod
    def _cells(state: LearningState | None) -> tuple[str, str, str]:
        if state is None:
            return "–", "–", "–"
        weights = tr("version {v}").format(v=state.weights_version)
        if state.waiting_version is not None:
            weights += f" → {state.waiting_version}"
        phase = tr(state.phase)
        if state.phase == "training" and state.epochs:
            phase += f" {state.epoch}/{state.epochs}"
        elif state.phase == "waiting":
            phase += f" {state.gathered}/{state.needed}"
        return weights, phase, str(state.confirmed)
