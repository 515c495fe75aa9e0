"""Two pictures of one simulated campaign: Dice by corrections for each weights version, and proposals.

    python benchmarks/run_figures.py RUN --out FOLDER

``RUN`` is what ``clopa simulate --out RUN`` wrote. The proposals are those of the unseen case with the median
first Dice, so that none is chosen for its looks.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import bench
from arena_figures import dice_figure, picture_figure

from clopa_annotator.evaluation.case_rows import curves_from_clicks
from clopa_annotator.evaluation.compare import Run
from clopa_annotator.evaluation.curves import CaseCurve
from clopa_annotator.evaluation.tables import read_clicks, read_summary


def draw(folder: Path, out: Path) -> None:
    """Write ``dice-by-corrections.png`` and ``proposals.png``.

    Args:
        folder: a run of ``clopa simulate``.
        out: made if it is not there.

    Raises:
        ClopaError: the folder holds no run, or a damaged one.
    """
    run = Run(folder, read_summary(folder), curves_from_clicks(read_clicks(folder)))
    versions: dict[str, list[CaseCurve]] = defaultdict(list)
    for curve in run.curves:
        versions[f"version {curve.version}" if curve.version else "static: the base"].append(curve)
    out.mkdir(parents=True, exist_ok=True)
    dice_figure(out / "dice-by-corrections.png", {run.summary.dataset: versions})
    picture_figure(out / "proposals.png", [(run.summary.dataset, run)])


def main(arguments: Iterable[str] | None = None) -> None:
    """Read the options and draw."""
    out = {"type": Path, "required": True}
    options = bench.options(__doc__, {"run": {"type": Path, "metavar": "RUN"}, "--out": out}, arguments)
    draw(options.run, options.out)


if __name__ == "__main__":
    main()
