"""A click in a real Slicer: until its mask is drawn, and how long the window stood still meanwhile.

python scripts/test_in_slicer.py --slicer SLICER --script benchmarks/slicer_real.py DATASET [--clicks N]

DATASET is a folder with images (Task04_Hippocampus). The module is opened, a campaign of its own made with
the bundled model, the first case opened and clicked at with real mouse events. The longest stall is the
longest gap between two ticks of a 5 ms timer in Slicer's own loop.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bench

sys.path[:0] = [
    str(bench.REPOSITORY / "Testing" / "slicer"),
    str(bench.REPOSITORY / "Testing" / "slicer" / "real"),
]
sys.path.append(str(bench.REPOSITORY / "Testing" / "host"))  # behind: ``qt`` is Slicer's own
TICK_MS = 5
PATIENCE_S = 300


class Stalls:
    """How long Qt's loop did not come round."""

    def __init__(self) -> None:
        import qt

        self._last, self._longest = time.perf_counter(), 0.0
        self._timer = qt.QTimer()
        self._timer.setInterval(TICK_MS)
        self._timer.connect("timeout()", self._tick)
        self._timer.start()

    def _tick(self) -> None:
        now = time.perf_counter()
        self._longest, self._last = max(self._longest, now - self._last), now

    def take_s(self) -> float:
        """The longest gap since the last call."""
        self._tick()
        longest, self._longest = self._longest, 0.0
        return longest


def waiting(driver: Any, condition: Callable[[], object], what: str) -> float:
    """Seconds until a condition holds; Qt's loop runs without pauses of ours."""
    import slicer

    start = time.perf_counter()
    while not condition():
        slicer.app.processEvents()
        if time.perf_counter() - start > PATIENCE_S:
            raise RuntimeError(f"waited for {what}; the panel says: {driver.said}")
    return time.perf_counter() - start


def open_module(host: Any, folder: Path, options: bench.Options) -> tuple[Any, dict[str, float]]:
    """The panel, connected, with its first case open; what each step took."""
    from driving import Driver

    start = time.perf_counter()
    panel = host.showModule(host.loadModule(bench.REPOSITORY / "CLoPAAnnotator" / "CLoPAAnnotator.py"))
    driver, took = Driver(host, panel), {"panel_s": time.perf_counter() - start}
    driver.ui.campaignPath.currentPath = str(folder / "campaign")
    if options.model:
        driver.ui.modelBox.addItem("given", str(options.model))
        driver.ui.modelBox.setCurrentIndex(driver.ui.modelBox.count - 1)
    driver.ui.connectButton.click()
    took["engine_s"] = waiting(driver, lambda: driver.workspace.isConnected, "the engine")
    driver.ui.casesPath.currentPath = str(options.dataset)
    driver.ui.addCasesButton.click()
    driver.ui.nextCaseButton.click()
    took["case_s"] = waiting(driver, lambda: driver.session.isOpen, "the case")
    took["module_to_first_click_s"] = time.perf_counter() - start
    return driver, took


def click(driver: Any, number: int) -> float:
    """Seconds from the press until the view has drawn the answer."""
    drawn: list[int] = []
    view = driver.host.views["Red"]
    shape = driver.workspace.case.grid.shape
    place = [int(n * (0.4 + 0.02 * ((number * step) % 11))) for n, step in zip(shape, (3, 5, 7), strict=True)]
    view.jumpTo(driver.world(None, place))
    driver.host.spin(0.3)
    window = view.renderWindow()
    start = time.perf_counter()
    view.clickRAS(driver.world(None, place), "Left" if number % 3 != 2 else "Right")
    waiting(driver, lambda: not driver.session.isBusy, "the answer")
    tag = window.AddObserver("EndEvent", lambda *_args: drawn.append(1))
    waiting(driver, lambda: drawn or time.perf_counter() - start > 10, "the drawing")
    window.RemoveObserver(tag)
    return time.perf_counter() - start


def measure(options: bench.Options, folder: Path) -> bench.Figures:
    """Opening, and click by click."""
    from real_host import Host

    host = Host()
    os.environ["HOME"] = os.environ["USERPROFILE"] = str(folder)
    os.environ.setdefault("CLOPA_ENGINE_PYTHON", os.environ.get("CLOPA_TEST_PYTHON", sys.executable))
    driver, took = open_module(host, folder, options)
    stalls, seconds, longest = Stalls(), [], []
    for number in range(options.clicks + 1):
        stalls.take_s()
        seconds.append(click(driver, number))
        longest.append(stalls.take_s())
    host.closeModule(driver.widget)
    ways = {"click to mask": bench.spread_ms(seconds[1:]), "longest stall": bench.spread_ms(longest[1:])}
    return {**took, "clicks": options.clicks, "first_click_s": seconds[0], "ways": ways}


if __name__ == "__main__":
    bench.main(
        __doc__,
        measure,
        {
            "dataset": (Path, "folder with images"),
            "--clicks": (30, "measured clicks, after one to warm up"),
            "--model": (Path, "model folder; default: the bundled one"),
        },
    )
