"""What bf16 on the CPU changes: the time of a click, and how far its masks agree with those of fp32.

    python benchmarks/cpu_precision.py --dataset DIR [--model M] [--cases 8] [--clicks 4] [--json FILE]

Both sessions get the same points on real cases (MSD layout, the target is label > 0): the initial pair of a
simulated annotator, then corrections of what the fp32 session got wrong. Reported per prediction: the Dice of
the two masks with each other, the share of voxels that differ, and the Dice of each with the reference.
"""

from __future__ import annotations

import statistics
from pathlib import Path

import bench

from clopa_annotator.datasets import LabelledCase, MsdDataset
from clopa_annotator.evaluation.annotator import SimulatedAnnotator, case_rng
from clopa_annotator.evaluation.metrics import dice
from clopa_annotator.models import resolve
from clopa_annotator.session.local import LocalSession
from clopa_annotator.session.logits import best_cpu_precision
from clopa_annotator.session.model import LoadedModel, load_model

Row = dict[str, float | str | int]


def compare(model: LoadedModel, case: LabelledCase, clicks: int) -> list[Row]:
    """One row per prediction on one case."""
    image, reference = case.read()
    annotator = SimulatedAnnotator(case_rng(0, 0, case.case_id))
    plain, fast = LocalSession(model), LocalSession(model, cpu_precision="bf16")
    for session in (plain, fast):
        session.set_image(image)
    rows: list[Row] = []
    prompts = annotator.initial(reference)
    for click in range(clicks + 1):
        if not prompts:
            break
        exact, rounded = plain.add_prompts(prompts), fast.add_prompts(prompts)
        rows.append(
            {
                "case": case.case_id,
                "click": click,
                "agreement": dice(exact.mask, rounded.mask),
                "differing": float((exact.mask != rounded.mask).mean()),
                "dice_fp32": dice(exact.mask, reference),
                "dice_bf16": dice(rounded.mask, reference),
                "seconds_fp32": exact.seconds,
                "seconds_bf16": rounded.seconds,
            }
        )
        prompts = annotator.correct(exact.mask, reference)
    return rows


def column(rows: list[Row], name: str) -> list[float]:
    """One column of the rows as numbers."""
    return [float(row[name]) for row in rows]


def measure(given: bench.Options, _scratch: Path) -> bench.Figures:
    """Every prediction, and what they say together."""
    model = load_model(resolve(given.model), "cpu")
    cases = list(MsdDataset(given.dataset))[: given.cases]
    rows = [row for case in cases for row in compare(model, case, given.clicks)]
    agreement = column(rows, "agreement")
    found: bench.Figures = {
        "predictions": len(rows),
        "faster_here": best_cpu_precision(),
        "agreement_mean": statistics.fmean(agreement),
        "agreement_lowest": min(agreement),
        "differing_percent": 100 * statistics.fmean(column(rows, "differing")),
    }
    for precision in ("fp32", "bf16"):
        found[f"dice_{precision}"] = statistics.fmean(column(rows, f"dice_{precision}"))
        found[f"median_{precision}_ms"] = 1000 * statistics.median(column(rows, f"seconds_{precision}"))
    return {**found, "rows": rows}


if __name__ == "__main__":
    sizes = {"--model": ("bundled", "a name or a folder"), "--cases": 8, "--clicks": 4, "--threads": 0}
    bench.main(__doc__, measure, {"--dataset": {"type": Path, "required": True}, **sizes})
