"""Section 6's list of what is confirmed, and the filters above it."""

from __future__ import annotations

import math
from typing import Any

import qt
from clopa_annotator.types.review import PairAgreement, ReviewFilter, ReviewRow, Verdict
from CLoPAAnnotatorLib.annotation.Workspace import Workspace
from CLoPAAnnotatorLib.review.Reviewing import Reviewing
from CLoPAAnnotatorLib.Texts import tr

COLUMNS = ("Case", "Target", "State", "Annotator", "Expected", "First mask", "Comment")
TARGET, STATE = 1, 2
COLOURS = {Verdict.NONE: "#1f6fb2", Verdict.ACCEPTED: "#2e9e5b", Verdict.RETURNED: "#d99a1c"}
WORDS = {Verdict.NONE: "waits", Verdict.ACCEPTED: "accepted", Verdict.RETURNED: "returned"}
CHOICES = (
    ("Waits for a verdict", Verdict.NONE),
    ("Accepted", Verdict.ACCEPTED),
    ("Returned", Verdict.RETURNED),
    ("All", None),
)


class ReviewList:
    """Shows the rows of a `Reviewing`; a double click looks at one."""

    def __init__(self, ui: Any, workspace: Workspace, reviewing: Reviewing) -> None:
        self.ui, self._workspace, self.reviewing = ui, workspace, reviewing
        self._isFilling = False
        for words, verdict in CHOICES:
            ui.reviewVerdictBox.addItem(tr(words), verdict.value if verdict is not None else "")
        table = ui.reviewTable
        table.setColumnCount(len(COLUMNS))
        table.setHorizontalHeaderLabels([tr(c) for c in COLUMNS])
        table.horizontalHeader().setStretchLastSection(True)
        table.verticalHeader().setVisible(False)
        table.connect("cellDoubleClicked(int,int)", self._onDoubleClick)
        for box in (ui.reviewVerdictBox, ui.reviewAnnotatorBox, ui.reviewTargetBox):
            box.connect("currentIndexChanged(int)", lambda _index: self._onFilter())
        for spin in (ui.reviewExpectedSpin, ui.reviewMeasuredSpin):
            spin.connect("valueChanged(double)", lambda _value: self._onFilter())

    def _onDoubleClick(self, row: int, _column: int) -> None:
        if 0 <= row < len(self.reviewing.rows):
            found = self.reviewing.rows[row]
            self._workspace.attempt(lambda: self.reviewing.open(found))

    # -- the filter ----------------------------------------------------------------------------------------

    def _onFilter(self) -> None:
        if self._isFilling:
            return
        ui = self.ui
        verdict = str(ui.reviewVerdictBox.itemData(ui.reviewVerdictBox.currentIndex) or "")
        annotator, target = (
            str(box.itemData(box.currentIndex) or "") for box in (ui.reviewAnnotatorBox, ui.reviewTargetBox)
        )
        expected, measured = (float(s.value) or None for s in (ui.reviewExpectedSpin, ui.reviewMeasuredSpin))
        key = target[1:] if target else None  # the first target's key is empty
        self.reviewing.choose(
            ReviewFilter(
                Verdict(verdict) if verdict else None, annotator, key,
                expected_below=expected, measured_below=measured,
            )
        )  # fmt: skip

    def _fillBoxes(self) -> None:
        """Annotators and targets to choose from; what is chosen stays."""
        ui, workspace = self.ui, self._workspace
        people = sorted({row.annotator for row in self.reviewing.rows if row.annotator})
        known = [str(ui.reviewAnnotatorBox.itemData(n)) for n in range(ui.reviewAnnotatorBox.count)]
        people = list(dict.fromkeys([name for name in known if name] + people))
        targets = [(target.name, "=" + target.key) for target in workspace.targets.targets]
        self._isFilling = True
        for box, first, entries in (
            (ui.reviewAnnotatorBox, tr("Anybody"), [(name, name) for name in people]),
            (ui.reviewTargetBox, tr("Every target"), targets),
        ):
            wanted = [(first, ""), *entries]
            if [(str(box.itemText(n)), str(box.itemData(n))) for n in range(box.count)] != wanted:
                chosen = str(box.itemData(box.currentIndex) or "")
                box.clear()
                for words, data in wanted:
                    box.addItem(words, data)
                box.setCurrentIndex(next((n for n, w in enumerate(wanted) if w[1] == chosen), 0))
        self._isFilling = False
        ui.reviewTargetBox.setVisible(not workspace.targets.isSingle)

    # -- showing -------------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Write the list."""
        self._fillBoxes()
        self._writeAgreement()
        table, rows = self.ui.reviewTable, self.reviewing.rows
        table.setRowCount(len(rows))
        table.setColumnHidden(TARGET, self._workspace.targets.isSingle)
        now = self.reviewing.current
        for number, row in enumerate(rows):
            isNow = now is not None and (row.case_id, row.slot) == (now.case_id, now.slot)
            for column, text in enumerate(self._texts(row)):
                item = qt.QTableWidgetItem(text)
                if column == STATE:
                    item.setForeground(qt.QBrush(qt.QColor(COLOURS[row.verdict])))
                font = item.font()
                font.setBold(isNow)
                item.setFont(font)
                table.setItem(number, column, item)
            if isNow:
                table.selectRow(number)
        for column in range(len(COLUMNS) - 1):
            table.resizeColumnToContents(column)

    def _writeAgreement(self) -> None:
        """A line for each pair of people and target, the lowest agreement first."""
        pairs = sorted(self.reviewing.agreement, key=lambda pair: pair.dice)
        label = self.ui.agreementLabel
        label.setVisible(bool(pairs))
        label.text = "\n".join([tr("Read by two people, blind to each other:"), *map(self._agreed, pairs)])

    def _agreed(self, pair: PairAgreement) -> str:
        target = "" if self._workspace.targets.isSingle else self._workspace.targets.target(pair.target).name
        who = tr("{one} and {two}").format(one=pair.one, two=pair.two) + (f", {target}" if target else "")
        count = tr("1 case") if pair.readings == 1 else tr("{n} cases").format(n=pair.readings)
        said = tr("{who}: {count}, Dice {dice} (lowest {low}), NSD {nsd}, volumes differ by {volume} %")
        shown = {"dice": pair.dice, "low": pair.lowest_dice, "nsd": pair.nsd}
        words = {name: "–" if math.isnan(value) else f"{value:.2f}" for name, value in shown.items()}
        volume = "–" if math.isnan(pair.volume_difference) else f"{100 * pair.volume_difference:.0f}"
        return said.format(who=who, count=count, volume=volume, **words)

    def _texts(self, row: ReviewRow) -> tuple[str, ...]:
        words = tr(WORDS[row.verdict])
        if row.case_version > 1:
            words += f" (v{row.case_version})"
        quality = (tr("not known") if math.isnan(q) else f"{q:.2f}" for q in (row.expected, row.measured))
        name = self._workspace.targets.nameOf(row.slot)
        return (row.case_id, name, words, row.annotator, *quality, row.comment)
