"""What suggestions change, for the lead: figures apart for each use of them, and the share withheld."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import qt
from clopa_annotator.errors import ClopaError
from clopa_annotator.types import SuggestionUse
from clopa_annotator.types.uses import (
    ALL_SHOWN,
    IN_WORDS,
    Mean,
    UseFigures,
    anchoring,
    anchoring_in_words,
    by_use,
    figures_by_use,
)
from clopa_annotator.wire.messages import CaseStatistics
from CLoPAAnnotatorLib.annotation.Workspace import Workspace
from CLoPAAnnotatorLib.panels.Style import USE_COLOURS
from CLoPAAnnotatorLib.Texts import tr

COLUMNS = ("Suggestion", "Cases", "First Dice", "Suggested", "Prompts", "s")
ROW_HEIGHT = 22
SETTLED_MS = 600
"""So long the share stays as it was typed or turned before the campaign is asked to take it."""


class SuggestionUses:
    """A table of the uses, a sentence about those that were withheld, and the box with their share."""

    def __init__(self, ui: Any, workspace: Workspace) -> None:
        self._ui, self._workspace = ui, workspace
        table = ui.usesTable
        table.setColumnCount(len(COLUMNS))
        table.setHorizontalHeaderLabels([tr(column) for column in COLUMNS])
        table.horizontalHeader().setStretchLastSection(True)
        table.horizontalHeader().setDefaultAlignment(qt.Qt.AlignLeft | qt.Qt.AlignVCenter)
        table.setHorizontalScrollBarPolicy(qt.Qt.ScrollBarAlwaysOff)
        table.setVerticalScrollBarPolicy(qt.Qt.ScrollBarAlwaysOff)
        table.verticalHeader().setVisible(False)
        table.verticalHeader().setDefaultSectionSize(ROW_HEIGHT)
        self._timer = qt.QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(SETTLED_MS)
        self._timer.connect("timeout()", self._ask)
        ui.withheldBox.connect("valueChanged(int)", lambda _value: self._timer.start())
        workspace.listeners.engine.append(self.refresh)
        workspace.listeners.cases.append(self.refresh)
        self.setStatistics(())
        self.refresh()

    def refresh(self) -> None:
        """Show what the campaign says, unless the lead is choosing another share."""
        workspace, box = self._workspace, self._ui.withheldBox
        owner = workspace.info is not None and workspace.info.is_owner
        box.enabled = workspace.isConnected and owner
        percent = round(100 * workspace.cases.settings.without_suggestion)
        if box.value != percent and not self._timer.isActive():
            box.blockSignals(True)
            box.value = percent
            box.blockSignals(False)

    def _ask(self) -> None:
        workspace = self._workspace
        settings = replace(workspace.cases.settings, without_suggestion=self._ui.withheldBox.value / 100)
        if workspace.isConnected and settings != workspace.cases.settings:
            workspace.link.client.set_case_settings(settings).then(workspace.infoIs, self._refused)

    def _refused(self, error: ClopaError) -> None:
        self._workspace.say(str(error), "error")
        self.refresh()

    def setStatistics(self, statistics: tuple[CaseStatistics, ...]) -> None:
        """New confirmations; without a suggestion in any of them there is nothing to tell apart."""
        apart = by_use(statistics)
        isApart = bool(apart.keys() - {SuggestionUse.NONE})
        self._ui.usesTable.setVisible(isApart)
        if isApart:
            self._fill(figures_by_use(statistics))
        isWithheld = SuggestionUse.WITHHELD in apart
        self._ui.anchoringLabel.setVisible(isWithheld)
        if isWithheld:
            self._ui.anchoringLabel.text = tr(anchoring_in_words(anchoring(statistics)))

    def _fill(self, lines: tuple[UseFigures, ...]) -> None:
        table = self._ui.usesTable
        colours = {IN_WORDS[use]: colour for use, colour in USE_COLOURS.items()}
        table.setRowCount(len(lines))
        for row, line in enumerate(lines):
            costs = (_number(line.prompts.value, 1), _number(line.seconds.value, 0))
            texts = (tr(_short(line.name)), str(line.cases), _dice(line.first), _dice(line.suggested), *costs)
            errors = {4: _number(line.prompts.error, 1), 5: _number(line.seconds.error, 0)}
            for column, text in enumerate(texts):
                item = qt.QTableWidgetItem(text)
                if column in errors:
                    item.setToolTip(tr("Standard error: {error}").format(error=errors[column]))
                if column == 0 and line.name in colours:
                    item.setForeground(qt.QBrush(qt.QColor(colours[line.name])))
                table.setItem(row, column, item)
        table.resizeColumnsToContents()
        height = ROW_HEIGHT * len(lines) + table.horizontalHeader().sizeHint.height() + 6
        table.setMinimumHeight(height)
        table.setMaximumHeight(height)


def _short(name: str) -> str:
    """A use's name below the title "Suggestion"."""
    short = {IN_WORDS[SuggestionUse.NONE]: "none", ALL_SHOWN: "all shown"}
    return short.get(name, name.removeprefix("suggestion "))


def _dice(mean: Mean) -> str:
    """A mean Dice with its standard error, as narrow as it can be said."""
    if math.isnan(mean.value):
        return "–"
    error = "" if math.isnan(mean.error) else f" ± {mean.error:.2f}".replace(" 0.", " .")
    return f"{mean.value:.2f}{error}"


def _number(value: float, digits: int) -> str:
    return "–" if math.isnan(value) else f"{value:.{digits}f}"
