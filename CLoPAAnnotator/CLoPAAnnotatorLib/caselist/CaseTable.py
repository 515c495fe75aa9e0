"""The table of cases: writes what has changed, keeps the selection, sorts by the column that was clicked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt
from CLoPAAnnotatorLib.caselist.CaseColumns import (
    ANNOTATOR,
    AS_ADDED,
    DATE,
    EXPECTED,
    HIDDEN_WHEN_EMPTY,
    NAME,
    SHOWN_FROM_LEFT,
    SORTABLE,
    STATE,
    TARGETS,
    TITLES,
    CaseLine,
    sortedLines,
)
from CLoPAAnnotatorLib.Texts import tr

FITTED = (NAME, STATE, TARGETS, EXPECTED, ANNOTATOR, DATE)


class CaseTable:
    """A table widget, and the box that sorts it by keyboard. Sorting is a view: what comes next stays."""

    def __init__(self, table: Any, sortBox: Any, onSorted: Callable[[], None]) -> None:
        """Set the widgets up; ``onSorted`` is told that the lines shall be shown anew."""
        self._table, self._box, self._onSorted = table, sortBox, onSorted
        self._lines: list[CaseLine] = []
        self._longest: dict[int, int] = {}
        self.column, self.isDescending = AS_ADDED, False
        table.setColumnCount(len(TITLES))
        table.setHorizontalHeaderLabels([tr(title) for title in TITLES])
        header = table.horizontalHeader()
        for place, column in enumerate(SHOWN_FROM_LEFT):
            header.moveSection(header.visualIndex(column), place)
        header.setStretchLastSection(True)
        header.connect("sectionClicked(int)", self.sortBy)
        header.setToolTip(tr("Click a title to sort the list by it; again for the other way round."))
        table.verticalHeader().setVisible(False)
        table.verticalHeader().setDefaultSectionSize(22)
        for column in (AS_ADDED, *SORTABLE):
            sortBox.addItem(tr("as added") if column == AS_ADDED else tr(TITLES[column]), column)
        sortBox.connect("activated(int)", lambda place: self.sortBy(int(sortBox.itemData(place))))

    def sortBy(self, column: int) -> None:
        """Sort by a column, or the other way round if it is sorted by it; nothing for those without a use."""
        if column not in (AS_ADDED, *SORTABLE):
            return
        again = column == self.column != AS_ADDED
        self.column, self.isDescending = column, again and not self.isDescending
        header = self._table.horizontalHeader()
        header.setSortIndicatorShown(column != AS_ADDED)
        if column != AS_ADDED:
            order = qt.Qt.DescendingOrder if self.isDescending else qt.Qt.AscendingOrder
            header.setSortIndicator(column, order)
        self._box.setCurrentIndex((AS_ADDED, *SORTABLE).index(column))
        self._onSorted()

    def show(self, added: list[CaseLine], caseId: str) -> None:
        """Write what has changed: a list of a thousand cases must not be written for each confirmation.

        Args:
            added: the lines in the order in which the cases were added.
            caseId: the case to select if no other is.
        """
        table = self._table
        lines = sortedLines(added, self.column, self.isDescending)
        selected, several = self.selectedCase, self._selectedCases()
        isMoved = [line.caseId for line in lines] != [line.caseId for line in self._lines]
        table.blockSignals(True)
        if table.rowCount != len(lines):
            table.setRowCount(len(lines))
        old, had = self._lines, len(self._lines)
        changed = [
            row for row, line in enumerate(lines) if row >= had or (old[row] is not line and old[row] != line)
        ]
        for row in changed:
            self._fillRow(row, lines[row])
        self._lines = lines
        for column in HIDDEN_WHEN_EMPTY:
            table.setColumnHidden(column, not any(line.texts[column] for line in lines))
        self._select(selected or caseId, several, isMoved)
        table.blockSignals(False)
        self._widen([lines[row].texts for row in changed])

    def _fillRow(self, row: int, line: CaseLine) -> None:
        before = self._lines[row] if row < len(self._lines) else None
        for column, text in enumerate(line.texts):
            if before is not None and before.looksAs(line, column):
                continue
            item = qt.QTableWidgetItem(text)
            if column == STATE:
                item.setForeground(qt.QBrush(qt.QColor(line.colour)))
            elif column == EXPECTED and line.tip:
                item.setToolTip(line.tip)
            if line.isOpen:
                font = item.font()
                font.setBold(True)
                item.setFont(font)
            self._table.setItem(row, column, item)

    def _widen(self, texts: list[tuple[str, ...]]) -> None:
        """Fit columns with a longer text than ever; measuring 1,000 rows takes longer than writing one."""
        for column in FITTED:
            longest = max((len(text[column]) for text in texts), default=0)
            if longest > self._longest.get(column, 0):
                self._longest[column] = longest
                self._table.resizeColumnToContents(column)

    # -- selection -----------------------------------------------------------------------------------------

    @property
    def selectedCase(self) -> str:
        """The current line's case; empty if there is none."""
        row = self._table.currentRow()
        return self._lines[row].caseId if 0 <= row < len(self._lines) else ""

    def _selectedCases(self) -> set[str]:
        rows = {index.row() for index in self._table.selectionModel().selectedRows()}
        return {line.caseId for row, line in enumerate(self._lines) if row in rows}

    def caseOf(self, row: int) -> str:
        """The case in a line."""
        return self._lines[row].caseId if 0 <= row < len(self._lines) else ""

    def select(self, caseId: str) -> None:
        """Make a case's line the only selected one, in sight."""
        row = next((row for row, line in enumerate(self._lines) if line.caseId == caseId), None)
        if row is not None:
            self._table.clearSelection()  # where several rows may be selected, a row is added
            self._table.selectRow(row)

    def _select(self, caseId: str, several: set[str], isMoved: bool) -> None:
        """Keep what was selected where it went; a selection of several, for an export, stays as it is."""
        if caseId not in several:
            self.select(caseId)
        elif isMoved:
            self.select(caseId)
            for row, line in enumerate(self._lines):
                if line.caseId in several and line.caseId != caseId:
                    whole = qt.QTableWidgetSelectionRange(row, 0, row, len(TITLES) - 1)
                    self._table.setRangeSelected(whole, True)
