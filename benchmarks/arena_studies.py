"""Small experiments of the arena: OAIMS' own protocol, and what EvoSAM's statistics promise.

A study adapts the base model along a stream, one confirmation after another, without a gate (the paper has
none), and is then measured on unseen cases with one localisation click and one corrective click per step in
the largest connected error. A click is wrong where the study says so, in the stream and in the test alike.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from clopa_annotator.datasets import LabelledCase
from clopa_annotator.evaluation.annotator import AnnotatorOptions, SimulatedAnnotator, case_rng
from clopa_annotator.evaluation.protocol import ProtocolSettings, run_case
from clopa_annotator.evaluation.tables import replace_text, to_json
from clopa_annotator.experts.head import RidgeHead, solve_head
from clopa_annotator.experts.library import ExpertLibrary
from clopa_annotator.models import resolve
from clopa_annotator.online.inputs import CanvasEncoder, rules_of
from clopa_annotator.online.session import AdaptingSession
from clopa_annotator.online.settings import LossSettings, OaimsSettings, SparseSettings
from clopa_annotator.permutations import StreamPlan
from clopa_annotator.session.local import LocalSession
from clopa_annotator.session.logits import best_cpu_precision
from clopa_annotator.session.model import LoadedModel, load_model
from clopa_annotator.strategies import OnlineSettings, StrategySpec, get_strategy
from clopa_annotator.swap import apply_version

OAIMS = OaimsSettings()
METHODS: dict[str, OnlineSettings | None] = {
    "static": None,
    "PI": replace(OAIMS, mid=False),
    "MI": replace(OAIMS, post=False),
    "PI + MI": OAIMS,
    "PI + MI, no CCG": replace(OAIMS, loss=LossSettings(beta=0.0)),
    "IA+SA": SparseSettings("ia-sa"),
    "TSCA": SparseSettings("tsca"),
}
CLICKING = {
    "right": AnnotatorOptions(),
    "40 % wrong": AnnotatorOptions(wrong_click_probability=0.4),
    "first four wrong": AnnotatorOptions(wrong_first=4),
}
STUDIES: tuple[tuple[str, str], ...] = (
    *((method, "right") for method in list(METHODS)[:5]),
    ("static", "40 % wrong"),
    ("PI + MI", "40 % wrong"),
    ("static", "first four wrong"),
    ("PI + MI", "first four wrong"),
    ("IA+SA", "right"),
    ("TSCA", "right"),
)
"""Method and clicking of every study, the most telling first."""


@dataclass(frozen=True)
class Study:
    """One study: a method of `METHODS` with a way of clicking of `CLICKING`, or "ridge".

    Attributes:
        method: what learns.
        clicking: how it is clicked.
        model: base model.
        plan: stream and unseen cases.
        cases: length of the stream.
        tests: unseen cases.
        clicks: corrections per unseen case.
        stream_clicks: corrections per case of the stream.
        out: file of the result.
        seed: of the clicks.
    """

    method: str
    clicking: str
    model: str
    plan: StreamPlan
    cases: int
    tests: int
    clicks: int
    stream_clicks: int
    out: str
    seed: int = 0

    @property
    def finished(self) -> bool:
        """Whether its result is there, from these very settings."""
        try:
            return bool(json.loads(Path(self.out).read_text(encoding="utf-8"))["study"] == self.about())
        except (OSError, ValueError, KeyError):
            return False

    def about(self) -> dict[str, Any]:
        """What decides about the result."""
        content = {k: v for k, v in asdict(self).items() if k != "out"}
        content["plan"] = {k: v for k, v in content["plan"].items() if k != "volumes"}
        return dict(json.loads(json.dumps(content)))


def run_study(study: Study, device: str) -> None:
    """Run a study and write its result."""
    started = time.perf_counter()
    model = load_model(resolve(study.model), device)
    stream, unseen = study.plan.draw()
    stream, unseen = stream[: study.cases], unseen[: study.tests]
    found = _ridge(model, stream, study) if study.method == "ridge" else _online(model, stream, unseen, study)
    content = {"study": study.about(), **found, "seconds": time.perf_counter() - started}
    replace_text(Path(study.out), json.dumps(to_json(content), indent=1) + "\n")


def _online(
    model: LoadedModel, stream: Sequence[LabelledCase], unseen: Sequence[LabelledCase], study: Study
) -> dict[str, Any]:
    """Dice per click on the unseen cases, after one pass over the stream."""
    settings = METHODS[study.method]
    strategy = StrategySpec("study", "", online=settings).start_online(model)

    def session() -> LocalSession | AdaptingSession:
        plain = LocalSession(model, cpu_precision=best_cpu_precision())
        return plain if strategy is None else AdaptingSession(plain, strategy)

    learned = ProtocolSettings(clicks=study.stream_clicks, keep=())
    for case in stream if strategy is not None else ():
        annotating = session()
        _one(annotating, case, learned, study, study.seed)
        annotating.after_confirm(case.read()[1])  # type: ignore[union-attr]
        annotating.close()
    measured = ProtocolSettings(clicks=study.clicks, keep=())
    curves, seconds = [], []
    for case in unseen:
        curve = _one(session(), case, measured, study, study.seed + 1)
        curves.append(curve.dice)
        seconds += [s for s in curve.seconds if s > 0]
    mean = [fmean(values) for values in zip(*curves, strict=True)]
    passes = 0 if strategy is None else sum(u.backward_passes for u in strategy.history)
    return {"dice": mean, "cases": curves, "seconds_per_click": fmean(seconds), "backward_passes": passes}


def _one(
    session: LocalSession | AdaptingSession,
    case: LabelledCase,
    protocol: ProtocolSettings,
    study: Study,
    seed: int,
) -> Any:
    image, mask = case.read()
    rng = case_rng(seed, 0, case.case_id)
    annotator = SimulatedAnnotator(rng, "oaims", CLICKING[study.clicking])
    return run_case(session, image, mask, annotator, protocol, case_id=case.case_id)


def _ridge(model: LoadedModel, stream: Sequence[LabelledCase], study: Study) -> dict[str, Any]:
    """Does the head forget, and does a tenth expert change the nine?"""
    forward, backward = _head(model, stream, study), _head(model, list(reversed(stream)), study)
    settings = get_strategy("evosam").online
    one, _ = solve_head(forward.ridge, settings)  # type: ignore[arg-type]
    other, _ = solve_head(backward.ridge, settings)  # type: ignore[arg-type]
    largest = float(np.abs(one.weights).max())
    library = Path(study.out).with_suffix("")
    return {
        "cases": len(stream),
        "order_changes_weights_by": float(np.abs(one.weights - other.weights).max()) / largest,
        "experts_changed_by_a_tenth": _changed_experts(model, stream[0], library, study.seed),
    }


def _head(model: LoadedModel, stream: Sequence[LabelledCase], study: Study) -> RidgeHead:
    """A head that saw the stream in this order, on the base's features."""
    apply_version(model, model.base_state(), None, 0)
    encoder = CanvasEncoder(rules_of(model.artifacts, model.patch_size_kji))
    # Without corrections the inputs do not depend on what was learned before: order alone is compared.
    settings = replace(get_strategy("evosam").online, corrections=0)  # type: ignore[type-var]
    head = RidgeHead(model, encoder, settings)  # type: ignore[arg-type]
    for case in stream:
        image, mask = case.read()
        first = SimulatedAnnotator(case_rng(study.seed, 0, case.case_id), "oaims").initial(mask)
        head.start_case()
        head.after_confirm(image, first, mask, len(first))
    return head


def _changed_experts(model: LoadedModel, case: LabelledCase, folder: Path, seed: int) -> int:
    """How many of nine experts answer with other voxels after a tenth was added."""
    import shutil

    shutil.rmtree(folder, ignore_errors=True)
    library = ExpertLibrary.create(folder, model.model_hash)
    rng = np.random.default_rng(seed)
    base = model.base_state()
    norms = [name for name in base if "norm" in name or base[name].ndim == 1]

    def add(number: int) -> str:
        scale = 1 + 0.2 * rng.standard_normal()
        delta = {name: base[name] * scale for name in norms}
        return library.add(f"expert {number}", delta, licence=model.licence).expert_id

    names = [add(number) for number in range(9)]
    before = [_answer(model, library, name, case) for name in names]
    add(9)
    after = [_answer(model, ExpertLibrary.open(folder), name, case) for name in names]
    return sum(not np.array_equal(a, b) for a, b in zip(before, after, strict=True))


def _answer(model: LoadedModel, library: ExpertLibrary, name: str, case: LabelledCase) -> Any:
    apply_version(model, model.base_state(), library.delta(name), 1)
    image, mask = case.read()
    session = LocalSession(model, cpu_precision=best_cpu_precision())
    session.set_image(image)
    first = SimulatedAnnotator(case_rng(0, 0, case.case_id), "oaims").initial(mask)
    return session.add_prompts(first).mask.copy()
