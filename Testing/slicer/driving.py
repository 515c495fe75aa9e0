"""A hand on the module: opens it with an in-process engine, clicks, waits, takes pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from surroundings import inside_slicer


class Driver:
    """The module's panel with an engine; everything a test does goes through widgets and mouse events."""

    def __init__(self, host, widget, client=None):
        self.host, self.widget = host, widget
        self.ui, self.workspace, self.client = widget.ui, widget.workspace, client

    @property
    def session(self):
        return self.workspace.session

    @property
    def said(self):
        return str(self.ui.statusLabel.text)

    def connect(self, client=None):
        self.client = client or self.client
        for section in (self.ui.casesSection, self.ui.annotateSection):
            section.collapsed = False  # as the panel does when its own button has connected
        self.workspace.connectTo(self.client)
        self.until(lambda: self.workspace.isConnected, "the engine")
        self.until(lambda: self.widget.learningPanel.state is not None, "what is being learned")

    def until(self, condition, what="that", seconds=20):
        assert self.host.spin(seconds, until=condition), f"waited for {what}; said: {self.said}"

    def settle(self):
        """Until nothing is awaited any more."""
        self.until(lambda: self.session.isSettled, "the answer")

    def add_volume(self, array=None, matrix=None, name="case"):
        import slicer

        array = a_ball() if array is None else array
        return slicer.util.addVolumeFromArray(array, ijkToRAS=matrix, name=name)

    def open_volume(self, volume):
        """List the scene's volumes and open one."""
        self.ui.addSceneButton.click()
        self.workspace.attempt(lambda: self.workspace.openCase(volume.GetName()))
        self.until(lambda: self.session.isOpen, "the case")
        self.host.spin(0.02)

    def world(self, volume, kji):
        return self.workspace.case.grid.worldOf(np.array([kji], float))[0]

    def click(self, ras, view="Red", button="Left", **modifiers):
        self.host.views[view].jumpTo(ras)
        self.host.views[view].clickRAS(ras, button, **modifiers)

    def press(self, keys):
        self.host.press(keys)

    def panelPicture(self, folder: Path, name: str, *, isWhole=False):
        """The panel alone, as small as it gets or as high as it needs to be."""
        if inside_slicer():
            self.host.grabPanel(self.widget.parent, str(folder / f"{name}.png"))
            return
        window = self.host.mainWindow
        for _ in range(3 if isWhole else 1):  # a wrapped line's height is known once its width is
            window.resize(440, window.centralWidget().heightForWidth(440) if isWhole else 420)
            self.host.spin(0.05)
        window.grab().save(str(folder / f"{name}.png"))

    def picture(self, folder: Path, name: str):
        """The panel and the slice views side by side, as one picture; in Slicer its main window."""
        import qt

        if inside_slicer():
            self.host.grab(str(folder / f"{name}.png"))
            return

        window = self.host.mainWindow
        panel = window.centralWidget()  # in Slicer a scroll area gives wrapped lines their height
        window.resize(440, max(680, panel.sizeHint.height(), panel.heightForWidth(440)))
        self.host.spin(0.05)
        panel = window.grab().toImage()
        views = []
        side = panel.height() // 2
        for view, pixels in zip(self.host.views.values(), (2 * side, side - 4, side - 4), strict=True):
            path = str(Path(self.host.temporaryPath) / f"{view.name}.png")
            view.sharpScreenshot(path, pixels)
            views.append(qt.QImage(path))
        sheet = qt.QImage(panel.width() + 3 * side + 24, panel.height(), qt.QImage.Format_RGB32)
        sheet.fill(qt.QColor(32, 34, 38))
        painter = qt.QPainter(sheet)
        painter.drawImage(0, 0, panel)
        places = ((0, 0, 2 * side), (2 * side + 8, 0, side - 4), (2 * side + 8, side + 4, side - 4))
        for image, (x, y, size) in zip(views, places, strict=True):
            scaled = image.scaled(size, size, qt.Qt.KeepAspectRatio, qt.Qt.SmoothTransformation)
            painter.drawImage(panel.width() + 8 + x, y, scaled)
        painter.end()
        sheet.save(str(folder / f"{name}.png"))


def a_ball(shape=(30, 40, 50), radius=7.0, centre=None, seed=0):
    """A noisy volume with a bright ball; (k, j, i), float32."""
    centre = centre or tuple(n // 2 for n in shape)
    distance = np.sqrt(sum((g - c) ** 2 for g, c in zip(np.indices(shape), centre, strict=True)))
    noise = np.random.default_rng(seed).normal(0, 0.05, shape)
    return (noise + 1.0 * (distance < radius)).astype(np.float32)
