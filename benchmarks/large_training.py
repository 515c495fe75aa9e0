"""What it brings to train large structures as the session looks at them: one episode with and one without.

    python benchmarks/large_training.py [--dataset DIR --label 4] [--cases 5] [--updates 24] [--test 4]
                                        [--clicks 2] [--shares 0,0.75] [--seed 0] [--json FILE]

Each share of such samples (`EpisodeSettings.zoomed`) trains one episode of ``clopa-all`` as the trainer does,
on the first cases of a shuffled dataset, a fifth of them held out, and is then tested on others through the
real session, without a gate. Without ``--dataset`` the cases are generated organs (``generated:organ``). The
base is tested first. ``looked_further`` is the share of predictions in which the session zoomed out; seconds
are the processor's.
"""

from __future__ import annotations

import time
from pathlib import Path
from statistics import fmean

import bench
import numpy as np
from tuning_trial import Arm, Stream, Weights, train

from clopa_annotator.datasets.generated import open_dataset
from clopa_annotator.datasets.msd import LabelledCase
from clopa_annotator.evaluation.annotator import SimulatedAnnotator, case_rng
from clopa_annotator.evaluation.interaction_protocol import ProtocolSettings, run_case
from clopa_annotator.session.local import LocalSession
from clopa_annotator.session.logits import best_cpu_precision
from clopa_annotator.session.model import LoadedModel
from clopa_annotator.session.upstream import Core
from clopa_annotator.strategies import ALL_PARAMETERS
from clopa_annotator.swap import apply_version


class Looking:
    """Counts the predictions that looked from further away."""

    def __init__(self) -> None:
        self.predictions = self.further = 0

    def __enter__(self) -> Looking:
        self._refine, self._predict = Core._refine_coarse, Core._predict

        def refine(core: Core, *arguments: object) -> object:
            self.further += 1
            return self._refine(core, *arguments)

        def predict(core: Core, *arguments: object) -> object:
            self.predictions += 1
            return self._predict(core, *arguments)

        Core._refine_coarse, Core._predict = refine, predict
        return self

    def __exit__(self, *_: object) -> None:
        Core._refine_coarse, Core._predict = self._refine, self._predict


def test(model: LoadedModel, delta: Weights, cases: list[LabelledCase], clicks: int) -> bench.Figures:
    """Mean Dice at the initial prompt and after the last correction."""
    apply_version(model, model.base_state(), delta or None, int(bool(delta)))
    session, started, curves = (
        LocalSession(model, cpu_precision=best_cpu_precision()),
        time.process_time(),
        [],
    )
    with Looking() as looking:
        for case in cases:
            image, mask = case.read()
            annotator = SimulatedAnnotator(case_rng(1, 0, case.case_id))
            curves.append(
                run_case(session, image, mask, annotator, ProtocolSettings(clicks, None, keep=())).dice
            )
    return {
        "dice_first": fmean(c[0] for c in curves),
        "dice_last": fmean(c[-1] for c in curves),
        "lowest_last": min(c[-1] for c in curves),
        "looked_further": looking.further / max(1, looking.predictions),
        "test_s": time.process_time() - started,
    }


def measure(given: bench.Options, scratch: Path) -> bench.Figures:
    """The base, then an episode for each share."""
    model, about = bench.a_model(given.model, "cpu", scratch, (16, 32, 64, 128, 160))
    cases = list(open_dataset(given.dataset, given.label, scratch / "volumes"))
    order = [cases[int(n)] for n in np.random.default_rng(given.seed).permutation(len(cases))]
    if len(order) < given.cases + given.test:
        raise SystemExit(
            f"{given.dataset} holds {len(order)} cases; {given.cases + given.test} are asked for."
        )
    unseen, stream = order[given.cases : given.cases + given.test], Stream(order[: given.cases])
    rows = [{"share": "base", "train_s": 0.0, **test(model, {}, unseen, given.clicks)}]
    changes = [f"{name}={value}" for name, value in ALL_PARAMETERS]
    for share in given.shares:
        arm = Arm(
            given.cases,
            "base",
            "all",
            3e-3,
            given.updates,
            ",".join([*changes, f"zoomed={share}"]),
            given.seed,
        )
        apply_version(model, model.base_state(), None, 0)
        delta, _, seconds = train(arm, model, stream, scratch / str(share))
        rows.append({"share": share, "train_s": seconds, **test(model, delta, unseen, given.clicks)})
        print(rows[-1], flush=True)
    sizes = {
        "dataset": Path(given.dataset).name,
        "label": given.label,
        "cases": given.cases,
        "test": given.test,
    }
    return {**about, **sizes, "updates": given.updates, "clicks": given.clicks, "episodes": rows}


if __name__ == "__main__":
    where = {"--dataset": "generated:organ:16", "--label": int, "--model": (str, "name or folder")}
    sizes = {"--cases": 5, "--updates": 24, "--test": 4, "--clicks": 2, "--shares": [0.0, 0.75]}
    bench.main(__doc__, measure, {**where, **sizes, "--seed": 0, "--threads": 2})
