"""A click in a real Slicer: until its mask is drawn, and how long the window stood still meanwhile.

python scripts/test_in_slicer.py --slicer SLICER --script benchmarks/slicer_real.py DATASET [--clicks N]

DATASET is a folder with images (Task04_Hippocampus). The module is opened, a campaign of its own made with
the bundled model, the first case opened and clicked at with real mouse events. The longest stall is the
longest gap between two ticks of a 5 ms timer in Slicer's own loop.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(REPOSITORY / "Testing" / "slicer"), str(REPOSITORY / "Testing" / "slicer" / "real")]
sys.path.append(str(REPOSITORY / "Testing" / "host"))  # behind: ``qt`` is Slicer's own
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


def open_module(host: Any, folder: Path, options: argparse.Namespace) -> tuple[Any, dict[str, float]]:
    """The panel, connected, with its first case open; what each step took."""
    from driving import Driver

    start = time.perf_counter()
    panel = host.showModule(host.loadModule(REPOSITORY / "CLoPAAnnotator" / "CLoPAAnnotator.py"))
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


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Everything, as one table."""
    from real_host import Host

    host = Host()
    with tempfile.TemporaryDirectory(prefix="clopa-slicer-real-") as folder:
        os.environ["HOME"] = os.environ["USERPROFILE"] = folder
        os.environ.setdefault("CLOPA_ENGINE_PYTHON", os.environ.get("CLOPA_TEST_PYTHON", sys.executable))
        driver, took = open_module(host, Path(folder), options)
        stalls, seconds, longest = Stalls(), [], []
        for number in range(options.clicks + 1):
            stalls.take_s()
            seconds.append(click(driver, number))
            longest.append(stalls.take_s())
        host.closeModule(driver.widget)
    warm, gaps = sorted(seconds[1:]), sorted(longest[1:])
    return {
        **{name: round(value, 2) for name, value in took.items()},
        "clicks": len(warm),
        "first_click_s": round(seconds[0], 3),
        "click_to_mask_median_s": round(statistics.median(warm), 3),
        "click_to_mask_p95_s": round(warm[min(len(warm) - 1, int(0.95 * len(warm)))], 3),
        "stall_median_ms": round(1000 * statistics.median(gaps)),
        "stall_longest_ms": round(1000 * gaps[-1]),
    }


def main() -> None:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dataset", type=Path, help="folder with images")
    parser.add_argument("--clicks", type=int, default=30, help="measured clicks, after one to warm up")
    parser.add_argument("--model", type=Path, help="model folder; default: the bundled one")
    print(json.dumps(measure(parser.parse_args()), indent=2))


if __name__ == "__main__":
    main()
