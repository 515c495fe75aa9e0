"""A day's work in a real Slicer: how long its window stands still, and what its memory does over many cases.

python scripts/test_in_slicer.py --slicer SLICER --script benchmarks/slicer_day.py DATASET [--opens N]

DATASET is a folder with images (Task04_Hippocampus). The panel makes a campaign with the bundled model; some
cases are clicked at with real mouse events and confirmed; an episode is started and clicks go on while it
trains; then cases are opened and left, one after another. A stall is the longest gap between two ticks of a
5 ms timer in Slicer's own loop. The memory is Slicer's alone (Linux: resident pages), read when a case
has been left; its growth counts from a tenth of the way on, when caches are full.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bench
from slicer_real import Stalls, click, open_module, waiting

LEAST_TO_TRAIN = 4


def resident_mb() -> float:
    """Resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def settled(driver: Any) -> None:
    """Until nothing is awaited any more."""
    waiting(driver, lambda: driver.session.isSettled and not driver.session.isBusy, "the engine")


def step(driver: Any, stalls: Stalls, action: Callable[[], object], until: Callable[[], object]) -> float:
    """The longest stall from an action until what it leads to is there, and for a fifth of a second after."""
    settled(driver)
    stalls.take_s()
    action()
    waiting(driver, until, "the panel")
    driver.host.spin(0.2)
    return stalls.take_s()


def next_case(driver: Any) -> None:
    """Leave the open case for the next one."""
    driver.ui.nextCaseButton.click()


def confirm_cases(driver: Any, stalls: Stalls, cases: int, clicks: int) -> dict[str, list[float]]:
    """Click at cases and confirm them: seconds to a mask, and stalls by what is done."""
    found: dict[str, list[float]] = {"seconds": [], "clicking": [], "confirming": [], "opening": []}
    for _ in range(cases):
        before = driver.session.caseId
        for number in range(clicks):
            stalls.take_s()
            found["seconds"].append(click(driver, 3 * number))
            found["clicking"].append(stalls.take_s())
        press = driver.ui.confirmButton.click
        found["confirming"].append(step(driver, stalls, press, lambda: driver.session.isConfirmed))
        found["opening"].append(
            step(
                driver,
                stalls,
                lambda: next_case(driver),
                lambda case=before: driver.session.caseId != case and driver.session.isOpen,
            )
        )
    return found


def click_while_training(driver: Any, stalls: Stalls, clicks: int) -> dict[str, list[float]]:
    """Start an episode and click until the clicks are used up or it has ended."""
    driver.ui.trainButton.click()
    panel = driver.widget.learningPanel
    waiting(driver, lambda: panel.state.phase == "training", "the episode")
    found: dict[str, list[float]] = {"seconds": [], "training": []}
    for number in range(clicks):
        stalls.take_s()
        took = click(driver, number)
        if panel.state.phase != "training":
            break
        found["seconds"].append(took)
        found["training"].append(stalls.take_s())
    return found


def open_and_leave(driver: Any, opens: int) -> list[float]:
    """Memory in MiB after each of so many openings; the list of cases is gone through again and again."""
    names = [source.caseId for source in driver.workspace.state.sources]
    memory = []
    for number in range(opens):
        name = names[number % len(names)]
        driver.workspace.attempt(lambda name=name: driver.workspace.openCase(name))
        waiting(
            driver,
            lambda name=name: driver.session.isOpen and driver.session.caseId == name,
            f"case {name}",
        )
        settled(driver)
        gc.collect()
        memory.append(resident_mb())
    return memory


def growth(memory: list[float]) -> bench.Figures:
    """Where the memory began, where it ended, and by how much it grew from a tenth of the way on."""
    if not memory:
        return {}
    start = memory[len(memory) // 10]
    return {
        "cases opened": len(memory),
        "first MiB": memory[0],
        "at a tenth MiB": start,
        "last MiB": memory[-1],
        "growth %": 100 * (memory[-1] / start - 1),
    }


def measure(options: bench.Options, folder: Path) -> bench.Figures:
    """The whole day."""
    from real_host import Host

    host = Host()
    os.environ["HOME"] = os.environ["USERPROFILE"] = str(folder)
    os.environ.setdefault("CLOPA_ENGINE_PYTHON", os.environ.get("CLOPA_TEST_PYTHON", sys.executable))
    driver, took = open_module(host, folder, options)
    stalls = Stalls()
    click(driver, 0)
    calm = confirm_cases(driver, stalls, max(options.cases, LEAST_TO_TRAIN), options.clicks)
    busy = click_while_training(driver, stalls, options.training_clicks) if options.training_clicks else {}
    driver.ui.cancelEpisodeButton.click()
    memory = open_and_leave(driver, options.opens)
    host.closeModule(driver.widget)
    ways = {"click to mask": bench.spread_ms(calm["seconds"])}
    if busy.get("seconds"):
        ways["click to mask, an episode running"] = bench.spread_ms(busy["seconds"])
    stood = {
        f"longest stall, {name}": bench.spread_ms(values)
        for name, values in {**calm, **busy}.items()
        if name != "seconds" and values
    }
    return {**took, "ways": {**ways, **stood}, "memory": growth(memory)}


if __name__ == "__main__":
    bench.main(
        __doc__,
        measure,
        {
            "dataset": (Path, "folder with images"),
            "--model": (Path, "model folder; default: the bundled one"),
            "--cases": (6, "cases that are confirmed, four at least"),
            "--clicks": (3, "clicks in each of them"),
            "--training-clicks": (12, "clicks while an episode trains"),
            "--opens": (200, "cases opened and left for the memory"),
        },
    )
