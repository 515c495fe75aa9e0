"""Section 5's list of what is exported: which targets, and in which order shared voxels go to them."""

from __future__ import annotations

from typing import Any

import qt
from clopa_annotator.errors import ConfigError
from clopa_annotator.types import Target
from clopa_annotator.types.exports import ExportKind
from CLoPAAnnotatorLib.annotation.Workspace import Workspace
from CLoPAAnnotatorLib.panels.Style import swatch
from CLoPAAnnotatorLib.Texts import tr

ROW_PX, MOST_ROWS = 22, 7


class ExportedTargets:
    """A ticked, ordered list of the campaign's targets; there is nothing to see of a campaign of one."""

    def __init__(self, ui: Any, workspace: Workspace) -> None:
        self.ui, self._workspace = ui, workspace
        self._order: list[str] = []
        self._left: set[str] = set()
        table = ui.exportTargetsTable
        table.setColumnCount(1)
        table.horizontalHeader().setVisible(False)
        table.horizontalHeader().setStretchLastSection(True)
        table.verticalHeader().setVisible(False)
        table.verticalHeader().setDefaultSectionSize(ROW_PX)
        table.connect("cellChanged(int,int)", self._ticked)
        table.connect("itemSelectionChanged()", self._refreshButtons)
        for button, by in ((ui.exportTargetUpButton, -1), (ui.exportTargetDownButton, 1)):
            button.connect("clicked(bool)", lambda _=False, by=by: self.move(by))

    def chosen(self, kind: ExportKind) -> tuple[str, ...]:
        """Names of the ticked targets in the list's order; none where the export takes all.

        Raises:
            ConfigError: none is ticked, or several where a format holds one.
        """
        if self._workspace.targets.isSingle:
            return ()
        names = tuple(t.name for t in self._shown() if t.key not in self._left)
        if not names:
            raise ConfigError(tr("Tick at least one segment to export."))
        if kind.name == "model" and len(names) > 1:
            raise ConfigError(
                tr(
                    "A model folder holds the weights of one segment, and {names} are ticked. Tick one."
                ).format(names=", ".join(names))
            )
        return names

    def priority(self, kind: ExportKind) -> tuple[str, ...]:
        """To whom shared voxels go, the first before the others; none if they are to be refused."""
        isAsked = kind.holds_labels and bool(self.ui.exportSharedBox.checked)
        return self.chosen(kind) if isAsked else ()

    def move(self, by: int) -> None:
        """Move the selected target up or down."""
        row = int(self.ui.exportTargetsTable.currentRow())
        if 0 <= row < len(self._order) and 0 <= row + by < len(self._order):
            order = self._order
            order[row], order[row + by] = order[row + by], order[row]
            self._write()
            self.ui.exportTargetsTable.setCurrentCell(row + by, 0)

    def refresh(self, kind: ExportKind) -> None:
        """Show what can be chosen of this format."""
        ui, targets = self.ui, self._workspace.targets
        isShown = not targets.isSingle and kind.takes_targets
        ui.exportTargetsLabel.setVisible(isShown)
        ui.exportTargetsBox.setVisible(isShown)
        ui.exportSharedBox.setVisible(kind.holds_labels)
        keys = [target.key for target in targets.targets]
        self._order = [k for k in self._order if k in keys] + [k for k in keys if k not in self._order]
        self._left &= set(keys)
        self._write()

    def _shown(self) -> list[Target]:
        known = {target.key: target for target in self._workspace.targets.targets}
        return [known[key] for key in self._order if key in known]

    def _write(self) -> None:
        table, shown = self.ui.exportTargetsTable, self._shown()
        row = int(table.currentRow())
        table.blockSignals(True)
        table.setRowCount(len(shown))
        for number, target in enumerate(shown):
            item = qt.QTableWidgetItem(target.name)
            item.setFlags(qt.Qt.ItemIsSelectable | qt.Qt.ItemIsEnabled | qt.Qt.ItemIsUserCheckable)
            item.setCheckState(qt.Qt.Unchecked if target.key in self._left else qt.Qt.Checked)
            red, green, blue = target.colour
            item.setIcon(swatch((red / 255, green / 255, blue / 255)))
            table.setItem(number, 0, item)
        table.blockSignals(False)
        table.setFixedHeight(ROW_PX * min(len(shown), MOST_ROWS) + 6)
        if 0 <= row < len(shown):
            table.setCurrentCell(row, 0)
        self._refreshButtons()

    def _ticked(self, row: int, column: int) -> None:
        key = self._order[row]
        isOn = self.ui.exportTargetsTable.item(row, column).checkState() == qt.Qt.Checked
        self._left = self._left - {key} if isOn else self._left | {key}

    def _refreshButtons(self) -> None:
        row = int(self.ui.exportTargetsTable.currentRow())
        self.ui.exportTargetUpButton.enabled = row > 0
        self.ui.exportTargetDownButton.enabled = 0 <= row < len(self._order) - 1
