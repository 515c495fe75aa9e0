"""Small experiments of the arena: OAIMS' own protocol, and what EvoSAM's statistics promise.

A study adapts the base model along a stream, one confirmation after another, without a gate (the paper has
none). It is measured on the stream itself, each case before it is learned from (*prequential*, as the paper
does), and then on unseen cases, with one localisation click and one corrective click per step in the largest
connected error. A click is wrong where the study says so, in the stream and in the test alike.
Its topic says what is asked: wrong clicks, a stream with its worst cases first, 50 clicks, two domains that
alternate or follow one another.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import zip_longest
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

from arena_ridge import ridge_study

from clopa_annotator import __version__
from clopa_annotator.datasets import LabelledCase
from clopa_annotator.evaluation.annotator import AnnotatorOptions, SimulatedAnnotator, case_rng
from clopa_annotator.evaluation.curves import CaseCurve, nauc
from clopa_annotator.evaluation.interaction_protocol import ProtocolSettings, run_case
from clopa_annotator.evaluation.tables import replace_text, to_json
from clopa_annotator.experiments.permutations import StreamPlan
from clopa_annotator.experiments.result_cache import ResultCache, case_id_of
from clopa_annotator.models import resolve
from clopa_annotator.online.adapting_session import AdaptingSession
from clopa_annotator.online.online_settings import LossSettings, OaimsSettings, SparseSettings
from clopa_annotator.online.strategy import OnlineStrategy
from clopa_annotator.session.local import LocalSession
from clopa_annotator.session.logits import best_cpu_precision
from clopa_annotator.session.model import LoadedModel, load_model
from clopa_annotator.strategies import OAIMS_OURS, OnlineSettings, StrategySpec

Order = Literal["given", "worst first", "in turn"]

OAIMS = OaimsSettings()
METHODS: dict[str, OnlineSettings | None] = {
    "static": None,
    "PI": replace(OAIMS, mid=False),
    "MI": replace(OAIMS, post=False),
    "PI + MI": OAIMS,
    "PI, ours": replace(OAIMS_OURS, mid=False),
    "PI + MI, ours": OAIMS_OURS,
    "PI + MI, no CCG": replace(OAIMS, loss=LossSettings(beta=0.0)),
    "IA+SA": SparseSettings("ia-sa"),
    "TSCA": SparseSettings("tsca"),
}
CLICKING = {
    "right": AnnotatorOptions(),
    "40 % wrong": AnnotatorOptions(wrong_click_probability=0.4),
    "first four wrong": AnnotatorOptions(wrong_first=4),
}


@dataclass(frozen=True)
class Topic:
    """A question, and the studies that answer it: one for each method.

    Attributes:
        methods: of `METHODS`, or "ridge".
        clicking: one of `CLICKING`.
        order: how the stream is put in order, see `stages`.
        domains: how many domains the stream is made of.
        clicks: corrections per unseen case; None leaves it to the arena's option.
    """

    methods: tuple[str, ...]
    clicking: str = "right"
    order: Order = "given"
    domains: int = 1
    clicks: int | None = None


TOPICS = {
    "clicks": Topic(
        ("static", "PI", "MI", "PI + MI", "PI + MI, no CCG", "PI, ours", "PI + MI, ours"),
    ),
    "40-percent-wrong": Topic(("static", "PI + MI"), clicking="40 % wrong"),
    "first-four-wrong": Topic(("static", "PI + MI"), clicking="first four wrong"),
    # Static learns nothing, so an order of the stream cannot change it: "clicks" has its curve.
    "worst-first": Topic(("PI", "PI + MI"), order="worst first"),
    "50-clicks": Topic(("static", "PI + MI"), clicks=49),
    "mixed-domains": Topic(("static", "PI", "PI + MI"), domains=2),
    "return": Topic(("static", "PI"), order="in turn", domains=2),
    "ridge": Topic(("ridge",)),
    "baselines": Topic(("IA+SA", "TSCA")),
}
"""The most telling first. The localisation is a click too: 49 corrections make the paper's 50 clicks."""


@dataclass(frozen=True)
class Domain:
    """Where a domain's cases come from; ``name`` is what the report calls it."""

    name: str
    plan: StreamPlan

    def draw(self, cases: int, tests: int) -> tuple[list[LabelledCase], list[LabelledCase]]:
        """The first cases of its stream and of its unseen cases."""
        stream, unseen = self.plan.draw()
        return stream[:cases], unseen[:tests]


@dataclass(frozen=True)
class Study:
    """One study: a method of a topic.

    Attributes:
        topic: the question, a name of `TOPICS`.
        method: what learns, of `METHODS`, or "ridge".
        clicking: how it is clicked, of `CLICKING`.
        order: how the stream is put in order, see `stages`.
        model: base model.
        domains: one, or two whose cases alternate or follow one another.
        cases: of each domain, to learn from.
        tests: unseen cases of each domain.
        clicks: corrections per unseen case.
        stream_clicks: corrections per case of the stream.
        out: file of the result.
        seed: of the clicks.
        recall: folder of the base's curves, which studies share.
    """

    topic: str
    method: str
    clicking: str
    order: Order
    model: str
    domains: tuple[Domain, ...]
    cases: int
    tests: int
    clicks: int
    stream_clicks: int
    out: str
    seed: int
    recall: str

    @property
    def finished(self) -> bool:
        """Whether its result is there, from these very settings."""
        try:
            return bool(json.loads(Path(self.out).read_text(encoding="utf-8"))["study"] == self.about())
        except (OSError, ValueError, KeyError):
            return False

    def about(self) -> dict[str, Any]:
        """What decides about the result; where folders lie does not."""
        content = {k: v for k, v in asdict(self).items() if k not in ("out", "recall")}
        for domain in content["domains"]:
            del domain["plan"]["volumes"]
        return dict(json.loads(json.dumps(content)))


def run_study(study: Study, device: str) -> None:
    """Run a study and write its result."""
    started = time.perf_counter()
    model = load_model(resolve(study.model), device)
    if study.method == "ridge":
        stream, _ = study.domains[0].draw(study.cases, 0)
        found = ridge_study(model, stream, study.seed)
    else:
        found = _online(model, study)
    content = {"study": study.about(), **found, "seconds": time.perf_counter() - started}
    replace_text(Path(study.out), json.dumps(to_json(content), indent=1) + "\n")


def stages(
    order: Order, streams: Sequence[Sequence[LabelledCase]], score: Callable[[LabelledCase], float]
) -> list[list[LabelledCase]]:
    """Cases to learn from, in parts; the study is measured after each part.

    Args:
        order: "given" takes the streams' cases by turns, "worst first" puts those in the order of their
            score, the lowest first, and "in turn" takes one stream after the other, each a part of its own.
        streams: of each domain.
        score: how well the base does on a case; asked for "worst first" only.
    """
    if order == "in turn":
        return [list(stream) for stream in streams]
    cases = [case for group in zip_longest(*streams) for case in group if case is not None]
    return [sorted(cases, key=score) if order == "worst first" else cases]


def _online(model: LoadedModel, study: Study) -> dict[str, Any]:
    """Dice per click on the unseen cases of each domain met so far, after each part of the stream."""
    drawn = [domain.draw(study.cases, study.tests) for domain in study.domains]
    names = {
        case: domain.name for domain, (stream, _) in zip(study.domains, drawn, strict=True) for case in stream
    }
    base = _Annotating(model, study, None)
    parts = stages(study.order, [stream for stream, _ in drawn], lambda case: nauc(base.in_stream(case).dice))
    # Only now: the order is the base's, and from here on the weights move.
    online = _Annotating(
        model, study, StrategySpec("study", "", online=METHODS[study.method]).start_online(model)
    )
    received: list[LabelledCase] = []
    measured, stream_curves = [], []
    for part in parts:
        stream_curves += [online.learn(case) for case in part]
        received += part
        counts = {d.name: sum(names[case] == d.name for case in received) for d in study.domains}
        for domain, (_, unseen) in zip(study.domains, drawn, strict=True):
            if counts[domain.name]:
                curves = [online.unseen(case) for case in unseen]
                measured.append(_measured(domain.name, counts, curves))
    return {
        "stream": [case.case_id for case in received],
        "prequential": {
            "dice": [fmean(values) for values in zip(*(c.dice for c in stream_curves), strict=True)],
            "cases": {c.case_id: c.dice for c in stream_curves},
        },
        "measured": measured,
        "seconds_per_click": fmean(s for m in measured for s in m.pop("seconds")),
        "backward_passes": online.backward_passes,
    }


def _measured(domain: str, counts: dict[str, int], curves: Sequence[CaseCurve]) -> dict[str, Any]:
    """One set of unseen cases; ``received`` says what the stream had brought until then."""
    return {
        "domain": domain,
        "received": {name: count for name, count in counts.items() if count},
        "dice": [fmean(values) for values in zip(*(c.dice for c in curves), strict=True)],
        "cases": {c.case_id: c.dice for c in curves},
        "seconds": [s for c in curves for s in c.seconds if s > 0],
    }


class _Annotating:
    """Annotates a study's cases, with a strategy that learns or, with None, with the base as it is."""

    def __init__(self, model: LoadedModel, study: Study, strategy: OnlineStrategy | None) -> None:
        self._model = model
        self._study = study
        self._strategy = strategy
        self._recall = ResultCache(Path(study.recall))

    @property
    def backward_passes(self) -> int:
        """So far, over stream and unseen cases."""
        return 0 if self._strategy is None else sum(u.backward_passes for u in self._strategy.history)

    def in_stream(self, case: LabelledCase) -> CaseCurve:
        """A case of the stream with the base."""
        return self._base(case, self._study.stream_clicks, self._study.seed)

    def learn(self, case: LabelledCase) -> CaseCurve:
        """Annotate and confirm a case of the stream: its curve is from before it was learned from."""
        if self._strategy is None:
            return self.in_stream(case)
        session = AdaptingSession(self._plain(), self._strategy)
        curve = self._curve(session, case, self._study.stream_clicks, self._study.seed)
        session.after_confirm(case.read()[1])
        session.close()
        return curve

    def unseen(self, case: LabelledCase) -> CaseCurve:
        """An unseen case; it is not confirmed."""
        clicks, seed = self._study.clicks, self._study.seed + 1
        if self._strategy is None:
            return self._base(case, clicks, seed)
        return self._curve(AdaptingSession(self._plain(), self._strategy), case, clicks, seed)

    def _base(self, case: LabelledCase, clicks: int, seed: int) -> CaseCurve:
        """The base's curve is the same in every study with these clicks: it is computed once."""
        key = {
            "code": __version__,
            "weights": f"{self._model.model_hash} on {self._model.device.type}, {best_cpu_precision()}",
            "case": case_id_of(case),
            "clicking": ["oaims", seed, asdict(CLICKING[self._study.clicking])],
            "clicks": clicks,
        }
        return self._recall.curve(key, lambda: self._curve(self._plain(), case, clicks, seed))

    def _plain(self) -> LocalSession:
        return LocalSession(self._model, cpu_precision=best_cpu_precision())

    def _curve(
        self, session: LocalSession | AdaptingSession, case: LabelledCase, clicks: int, seed: int
    ) -> CaseCurve:
        image, mask = case.read()
        annotator = SimulatedAnnotator(
            case_rng(seed, 0, case.case_id), "oaims", CLICKING[self._study.clicking]
        )
        protocol = ProtocolSettings(clicks=clicks, keep=())
        return run_case(session, image, mask, annotator, protocol, case_id=case.case_id)
