"""What many targets cost the panel: 20 targets in the list of a case, 1,000 cases in the list of cases.

    python benchmarks/many_targets.py

Needs slicer-core, PySide6-Essentials==6.8.3 and numpy. "cpu" is the processor's time alone. The goal for
scrolling the list of cases is no stall over 16 ms: its longest.
"""

from __future__ import annotations

import statistics
import sys
import time
from dataclasses import replace
from pathlib import Path

import bench
import numpy as np

for folder in ("CLoPAAnnotator", "Testing/host", "Testing/slicer"):
    sys.path.insert(0, str(bench.REPOSITORY / folder))

TARGETS, CASES = 20, 1000
LARGE = (300, 512, 512)


def timed(name, action, repeats):
    """Median and longest of some runs in milliseconds, and the median of the processor's time alone."""
    wall, cpu = [], []
    for _ in range(repeats):
        used = time.process_time()
        wall.append(bench.timed(action))
        cpu.append((time.process_time() - used) * 1000)
    spread = bench.spread_ms(wall)
    return {
        f"{name}, median ms": round(spread["median_ms"], 1),
        f"{name}, longest ms": round(spread["longest_ms"], 1),
        f"{name}, cpu ms": round(statistics.median(cpu), 1),
    }


def resident_mb():
    """Memory of this process."""
    text = Path("/proc/self/status").read_text(encoding="ascii")
    return int(text.split("VmRSS:")[1].split()[0]) / 1024


def connect(driver, targets):
    """An in-process engine whose campaign has the targets."""
    from clopa_annotator.testing.fake_campaign import FakeCampaign
    from clopa_annotator.testing.fake_engine import FakeEngineClient

    driver.connect(FakeEngineClient(FakeCampaign(targets=targets)))


def rows_of(targets):
    """The engine's rows of 1,000 cases, with suggestions that differ from case to case."""
    from clopa_annotator.types import CaseState, Slot
    from clopa_annotator.wire.messages import CaseRow, SlotRow
    from clopa_annotator.wire.suggestion_messages import SuggestionMark

    def row_of(number):
        sure = 0.3 + 0.6 * (number * 37 % CASES) / CASES
        mark = SuggestionMark(1, sure, sure, sure - 0.1, sure + 0.05, 20)
        slots = tuple(SlotRow(Slot(target.key), suggestion=mark) for target in targets)
        return CaseRow(f"case {number}", CaseState.TODO, slots=slots)

    return {row.case_id: row for row in map(row_of, range(CASES))}


def cases_list(driver, targets, repeats):
    """One row of 1,000 changes, as after a confirmation; and all are written for the first time."""
    from clopa_annotator.types import CaseState
    from CLoPAAnnotatorLib.caselist.CaseColumns import EXPECTED, NAME, STATE
    from CLoPAAnnotatorLib.scene.CaseSources import CaseSource

    workspace, panel = driver.workspace, driver.widget.casesPanel
    workspace.cases.rows = rows_of(targets)
    start = time.perf_counter()
    workspace.addSources(tuple(CaseSource(f"case {n}", None, "none") for n in range(CASES)))
    first = round((time.perf_counter() - start) * 1000, 1)
    number = iter(range(10**6))

    def one_changes():
        case = f"case {next(number) % CASES}"
        row = workspace.cases.rows[case]
        confirmed = replace(row.slots[0], state=CaseState.CONFIRMED)
        workspace.cases.rows[case] = replace(row, slots=(confirmed, *row.slots[1:]))
        panel.refresh()

    changed = timed("one case of the list changed", one_changes, repeats)
    table = driver.ui.casesTable
    rows = iter(range(0, 10**6, 25))

    def scroll():
        table.verticalScrollBar().setValue(next(rows) % CASES)
        driver.host.mainWindow.repaint()

    columns = iter([EXPECTED, EXPECTED, NAME, STATE] * repeats)
    return {
        "list of cases written first, ms": first,
        **changed,
        **timed("list of cases sorted by a column", lambda: panel.table.sortBy(next(columns)), repeats),
        **timed("the next of all cases found", workspace.nextSource, repeats),
        **timed("list of cases scrolled", scroll, repeats),
    }


def targets_list(driver, targets, repeats):
    """What every answer costs: the look of 20 segments and the list; and choosing another target."""
    volume = driver.add_volume()
    driver.workspace.state.sources = ()
    driver.open_volume(volume)
    found = timed("list and looks after an answer", driver.workspace.view.showBusy, repeats)
    keys = iter(range(10**6))

    def choose():
        driver.workspace.selectNumber(1 + next(keys) % len(targets))
        driver.settle()

    return {**found, **timed("a target chosen", choose, repeats)}


def segments(repeats):
    """Large volume, 20 segments: going from one to another, and the memory that they hold."""
    import slicer

    from CLoPAAnnotatorLib.scene.ProposalSegment import ProposalSegment

    volume = slicer.util.addVolumeFromArray(np.zeros(LARGE, np.int16))
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    before = resident_mb()
    every = [ProposalSegment(node, volume, f"s{n}", isResting=n > 0) for n in range(TARGETS)]
    organ = np.ones((80, 120, 120), np.uint8)
    for number, segment in enumerate(every):
        k = 10 * number
        segment.show((organ, ((k, k + 80), (100, 220), (100, 220))))
    grown, at = resident_mb() - before, iter(range(10**6))

    def switch():
        number = next(at)
        left, chosen = every[number % TARGETS], every[(number + 1) % TARGETS]
        chosen.wake(left.rest())

    switched = timed("one segment rests, another wakes", switch, repeats)
    return {"shape_kji": list(LARGE), "memory of 20 segments, MB": round(grown), **switched}


def measure(given, _scratch):
    """The panel with an in-process engine, then the segments of a large volume."""
    from driving import Driver

    from clopa_annotator.types import Targets
    from host import Host

    host = Host()
    targets = Targets.named(f"structure {n + 1}" for n in range(TARGETS))
    module = host.loadModule(bench.REPOSITORY / "CLoPAAnnotator" / "CLoPAAnnotator.py")
    driver = Driver(host, host.showModule(module))
    connect(driver, targets)
    result = {
        "targets": TARGETS,
        "cases": CASES,
        **cases_list(driver, targets, given.repeats),
        **targets_list(driver, targets, given.repeats),
        **segments(given.repeats),
    }
    host.closeModule(driver.widget)
    host.close()
    return result


if __name__ == "__main__":
    bench.main(__doc__, measure, {"--repeats": 40})
