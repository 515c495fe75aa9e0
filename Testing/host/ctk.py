"""Stand-ins for the CTK widgets that the module uses, with CTK's documented interface."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import Property, Signal

import qt

HEADER_HEIGHT = 26


class ctkCollapsibleButton(qt.QWidget):
    """A titled section that opens and closes."""

    contentsCollapsed = Signal(bool)
    toggled = Signal(bool)
    clicked = Signal(bool)

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._text, self._collapsed = "", False
        self._hidden: list[Any] = []
        self._forcing = False
        self.setContentsMargins(4, HEADER_HEIGHT + 4, 4, 4)
        self.setSizePolicy(qt.QSizePolicy.Minimum, qt.QSizePolicy.Preferred)

    def _get_text(self) -> str:
        return self._text

    def setText(self, text: str) -> None:
        self._text = text
        self.update()

    def _get_collapsed(self) -> bool:
        return self._collapsed

    def setCollapsed(self, collapsed: bool) -> None:
        if collapsed == self._collapsed:
            return
        self._collapsed = collapsed
        for child in self.children():
            if isinstance(child, qt.QWidget):
                self._show(child)
        self.setMaximumHeight(HEADER_HEIGHT if collapsed else 16777215)
        self.contentsCollapsed.emit(collapsed)
        self.toggled.emit(not collapsed)

    def _show(self, child: Any) -> None:
        self._forcing = True
        wanted = child not in self._hidden
        child.setVisible(wanted and not self._collapsed)
        if wanted:  # or a later hide() would be taken for one that was made already
            child.setAttribute(qt.Qt.WA_WState_ExplicitShowHide, False)
        self._forcing = False

    def childEvent(self, event: Any) -> None:
        if event.added():
            event.child().installEventFilter(self)

    def eventFilter(self, child: Any, event: Any) -> bool:
        """As in CTK: what is shown in a closed section stays hidden, and appears when it is opened."""
        kind = event.type()
        if kind in (qt.QEvent.ShowToParent, qt.QEvent.HideToParent) and not self._forcing:
            self._hidden = [known for known in self._hidden if known is not child]
            if kind == qt.QEvent.HideToParent:
                self._hidden.append(child)
            elif self._collapsed:
                self._show(child)
        return False

    def mouseReleaseEvent(self, event: Any) -> None:
        if event.position().y() < HEADER_HEIGHT:
            self.setCollapsed(not self._collapsed)
            self.clicked.emit(not self._collapsed)

    def paintEvent(self, _event: Any) -> None:
        painter = qt.QPainter(self)
        painter.fillRect(0, 0, self.width, HEADER_HEIGHT, qt.QColor(214, 219, 226))
        painter.drawText(8, 18, ("▸  " if self._collapsed else "▾  ") + self._text)
        painter.end()

    text = Property(str, _get_text, setText)
    collapsed = Property(bool, _get_collapsed, setCollapsed)


class ctkPathLineEdit(qt.QWidget):
    """A path with a browse button."""

    currentPathChanged = Signal(str)
    Dirs, Files, Drives, Readable, NoDotAndDotDot = 0x1, 0x2, 0x4, 0x10, 0x1000

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._edit = qt.QLineEdit(self)
        self._filters = self.Dirs | self.Files | self.Drives | self.Readable | self.NoDotAndDotDot
        browse = qt.QToolButton(self)
        browse.setText("…")
        layout = qt.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._edit)
        layout.addWidget(browse)
        self._edit.textChanged.connect(self.currentPathChanged.emit)

    def _get_path(self) -> str:
        return self._edit.text

    def setCurrentPath(self, path: str) -> None:
        self._edit.setText(path.split("\0")[0])  # PythonQt hands text on up to a NUL

    def _get_filters(self) -> int:
        return self._filters

    def setFilters(self, filters: int) -> None:
        self._filters = filters

    def addCurrentPathToHistory(self) -> None:
        """Slicer keeps a list of recent paths; the host does not."""

    currentPath = Property(str, _get_path, setCurrentPath)
    filters = Property(int, _get_filters, setFilters)


for _widget in (ctkCollapsibleButton, ctkPathLineEdit):
    qt.QUiLoader.custom[_widget.__name__] = _widget
