"""A finished run made up of known numbers, for the tests of reports and comparisons."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np

from clopa_annotator.evaluation import pictures, tables
from clopa_annotator.evaluation.case_rows import case_row, click_rows
from clopa_annotator.evaluation.curves import CaseCurve, summarise_versions
from clopa_annotator.evaluation.rows import EpisodeSummary, RunSummary, TargetSummary, summarise_stream
from clopa_annotator.geometry import Geometry
from clopa_annotator.types import Image

SHAPE = (10, 14, 16)


def reference_mask():
    reference = np.zeros(SHAPE, np.uint8)
    reference[3:7, 4:10, 5:12] = 1
    return reference


def test_curve(number, version, level, clicks=3):
    """Dice rises from ``level`` (a little more for later cases) by 0.1 per correction."""
    dice = tuple(min(1.0, level + 0.01 * number + 0.1 * click) for click in range(clicks + 1))
    mask = reference_mask()
    mask[3 : 3 + number % 3] = 0
    case = f"case {number}"
    return CaseCurve(
        case, 0, version, dice, dice, (0.1,) * len(dice), clicks, proposals={0: mask, clicks: mask}
    )


def write_run(
    out: Path,
    levels=(0.2, 0.6),
    strategy="clopa-cn",
    n_test=9,
    n_stream=6,
    with_pictures=True,
    reason="Better: 0.60 instead of 0.20.",
    **summary,
):
    """Write a run whose weights version ``v`` starts at ``levels[v]``; an episode made each later one."""
    stream = [test_curve(n, 0, levels[0]) for n in range(n_stream)]
    test = [test_curve(n, v, level) for v, level in enumerate(levels) for n in range(n_test)]
    episodes = tuple(
        EpisodeSummary(v, 2 * v, 2 * v - 1, 1, 3.0, 10, 0.2, 0.6, True, reason, (1.0, 0.5), (0.2, 0.4, 0.6))
        for v in range(1, len(levels))
    )
    rows = [case_row(c, "stream", n + 1) for n, c in enumerate(stream)]
    rows += [case_row(c, "test", n % n_test + 1) for n, c in enumerate(test)]
    threshold = summary.get("threshold", 0.855)
    values = {
        "episodes": episodes,
        "test": summarise_versions(test, None if math.isnan(threshold) else threshold) if test else (),
        "stream": summarise_stream(rows),
        "dataset": "Blocks",
        "threshold": threshold,
        "tolerance_mm": 1.0,
        "seconds": 65.0,
    } | summary
    clicks = [r for c in stream for r in click_rows(c, "stream")]
    clicks += [r for c in test for r in click_rows(c, "test")]
    tables.write_run(out, RunSummary(strategy, "tiny", 0, "quick", 3, **values), rows, clicks)
    if with_pictures:
        voxels = np.random.default_rng(0).normal(size=SHAPE) + 3 * reference_mask()
        image = Image(voxels.astype(np.float32), Geometry(SHAPE, (1.0, 1.0, 2.5)))
        for number, curve in enumerate(test):
            pictures.record(out, curve, image, reference_mask(), number=number % n_test)
    return out


def write_run_with_targets(out: Path, targets: dict[str, tuple[float, ...]], strategy="clopa-cn", n_test=9):
    """A run whose targets have the levels of `write_run` each, with pictures."""
    of_targets, rows, clicks, stream_rows = {}, [], [], []
    voxels = np.random.default_rng(0).normal(size=SHAPE) + 3 * reference_mask()
    image = Image(voxels.astype(np.float32), Geometry(SHAPE, (1.0, 1.0, 2.5)))
    for name, levels in targets.items():
        stream = [replace(test_curve(n, 0, levels[0]), target=name) for n in range(6)]
        test = [
            replace(test_curve(n, v, level), target=name)
            for v, level in enumerate(levels)
            for n in range(n_test)
        ]
        episodes = tuple(
            EpisodeSummary(v, 2 * v, 2 * v - 1, 1, 3.0, 10, 0.2, 0.6, True, f"Better {name}.", (1.0, 0.5))
            for v in range(1, len(levels))
        )
        own = [case_row(c, "stream", n + 1) for n, c in enumerate(stream)]
        stream_rows += own
        rows += own + [case_row(c, "test", n % n_test + 1) for n, c in enumerate(test)]
        clicks += [r for c in stream for r in click_rows(c, "stream")]
        clicks += [r for c in test for r in click_rows(c, "test")]
        of_targets[name] = TargetSummary(episodes, summarise_versions(test, 0.855), summarise_stream(own))
        for number, curve in enumerate(test):
            pictures.record(out, curve, image, reference_mask(), number=number % n_test)
    summary = RunSummary(
        strategy, "tiny", 0, "quick", 3, stream=summarise_stream(stream_rows), dataset="Blocks",
        threshold=0.855, targets=of_targets,
    )  # fmt: skip
    tables.write_run(out, summary, rows, clicks)
    return out


NAN = math.nan
test_curve.__test__ = False
