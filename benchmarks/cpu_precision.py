"""What bf16 on the CPU changes: the time of a click, and how far its masks agree with those of fp32.

    python benchmarks/cpu_precision.py --dataset DIR [--model M] [--cases 8] [--clicks 4] [--json FILE]

Both sessions get the same points on real cases (MSD layout, the target is label > 0): the initial pair of a
simulated annotator, then corrections of what the fp32 session got wrong. Reported per prediction: the Dice of
the two masks with each other, the share of voxels that differ, and the Dice of each with the reference.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path

import torch

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


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--dataset", type=Path, required=True)
    parser.add_argument("--model", default="bundled", help="a name or a folder")
    parser.add_argument("--cases", type=int, default=8)
    parser.add_argument("--clicks", type=int, default=4)
    parser.add_argument("--threads", type=int, default=0, help="PyTorch threads; 0 leaves PyTorch's choice")
    parser.add_argument("--json", type=Path, help="write all rows there")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    model = load_model(resolve(arguments.model), "cpu")
    cases = list(MsdDataset(arguments.dataset))[: arguments.cases]
    rows = [row for case in cases for row in compare(model, case, arguments.clicks)]
    agreement = column(rows, "agreement")
    print(f"{len(rows)} predictions on {len(cases)} cases; this CPU is faster with {best_cpu_precision()}")
    print(f"Dice of bf16 with fp32: mean {statistics.fmean(agreement):.4f}, lowest {min(agreement):.4f}")
    print(f"differing voxels: mean {100 * statistics.fmean(column(rows, 'differing')):.3f} %")
    for precision in ("fp32", "bf16"):
        quality = statistics.fmean(column(rows, f"dice_{precision}"))
        median = statistics.median(column(rows, f"seconds_{precision}"))
        print(f"{precision}: Dice with the reference {quality:.4f}, median {1000 * median:.0f} ms each")
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
