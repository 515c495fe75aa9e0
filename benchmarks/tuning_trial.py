"""One trial of ``benchmarks/tuning.py``: the cases, an arm's episode, and its test."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

import numpy as np
import torch

from clopa_annotator.datasets.msd import LabelledCase
from clopa_annotator.delta import DeltaInfo, changed, pack_delta, unpack_delta
from clopa_annotator.episode.episode_settings import EpisodeSettings
from clopa_annotator.episode.folder import write_job
from clopa_annotator.episode.hardware.precision import autocast_dtype
from clopa_annotator.episode.job import rules_of, run_job
from clopa_annotator.episode.loop import WindowSettings, run_window
from clopa_annotator.episode.prompting import PointPrompter
from clopa_annotator.evaluation.annotator import SimulatedAnnotator, case_rng
from clopa_annotator.evaluation.interaction_protocol import ProtocolSettings, run_case
from clopa_annotator.evaluation.metrics import dice
from clopa_annotator.geometry import BoundsKji, box_slices
from clopa_annotator.online.online_settings import OaimsSettings
from clopa_annotator.session.local import LocalSession
from clopa_annotator.session.logits import best_cpu_precision
from clopa_annotator.session.model import LoadedModel
from clopa_annotator.session.suggesting import LocalSuggester, suggest
from clopa_annotator.strategies import ALL_PARAMETERS, StrategySpec
from clopa_annotator.swap import apply_version
from clopa_annotator.training.job_runner import generated_sample
from clopa_annotator.types import CaseRef, EpisodeRequest, Image, Mask, PointPrompt, Split

PUBLISHED_STREAM, PUBLISHED_TEST = 48, 24
GENERATED = 16
"""Volumes for ``general``."""
Weights = dict[str, torch.Tensor]


def development_split(
    cases: Sequence[LabelledCase], limit: int, test_limit: int, seed: int
) -> tuple[list[LabelledCase], list[LabelledCase]]:
    """A stream and test cases that leave the published test cases alone.

    Cases are drawn as ``split_stream`` draws them. Tests come from the end; the stream takes what nobody else
    uses, then the published stream.
    """
    order = [cases[int(i)] for i in np.random.default_rng(seed).permutation(len(cases))]
    used = PUBLISHED_STREAM + PUBLISHED_TEST
    stream = order[used : len(order) - test_limit] + order[:PUBLISHED_STREAM]
    if len(stream) < limit or len(order) < used + test_limit:
        raise SystemExit(f"The dataset is too small for {limit} cases and {test_limit} tests beside {used}.")
    return stream[:limit], order[len(order) - test_limit :]


def parse_options(text: str) -> dict[str, object]:
    """ "anchor=20,patience=2" as settings; values are JSON, or text where they are not."""
    found: dict[str, object] = {}
    for part in filter(None, text.split(",")):
        name, _, value = part.partition("=")
        try:
            found[name.strip()] = json.loads(value)
        except ValueError:
            found[name.strip()] = value
    return found


@dataclass(frozen=True)
class Arm:
    """One combination of settings."""

    cases: int
    start: str
    group: str
    rate: float
    updates: int
    options: str
    seed: int

    @property
    def name(self) -> str:
        """A folder name."""
        options = "".join(c if c.isalnum() or c in ".=-" else "_" for c in self.options)
        return (
            f"{self.cases}-{self.start}-{self.group}-{self.rate:g}-{self.updates}-{options or 'plain'}"
            f"-{self.seed}"
        )

    @property
    def settings(self) -> EpisodeSettings:
        """Settings of its episode: the quick schedule with what this arm changes."""
        plain = replace(
            EpisodeSettings.quick(self.group),
            learning_rate=self.rate,
            epochs=4,
            updates=max(1, self.updates // 4),
            threads=torch.get_num_threads(),
        )
        return EpisodeSettings.from_dict({**plain.to_dict(), **parse_options(self.options)})

    def key(self, mix: float) -> tuple[str, ...]:
        """What tells its row from others."""
        return (
            str(self.cases), self.start, self.group, f"{self.rate:g}", str(self.updates), self.options,
            f"{mix:g}", str(self.seed),
        )  # fmt: skip


class Stream:
    """Labelled cases in memory, read as the trainer reads a campaign."""

    def __init__(self, cases: Sequence[LabelledCase]) -> None:
        self.pairs = [case.read() for case in cases]
        self.refs = [
            CaseRef(case.case_id, 1, n, str(n), str(n), str(n), "") for n, case in enumerate(cases, start=1)
        ]

    def read_image(self, image_hash: str) -> Image:
        """An image."""
        return self.pairs[int(image_hash) - 1][0]

    def read_mask(self, ref: CaseRef) -> Mask:
        """A mask."""
        return self.pairs[ref.sequence - 1][1]

    def read_patch(self, image_hash: str, bounds_kji: BoundsKji) -> object:
        """A part of an image."""
        return self.read_image(image_hash).voxels[box_slices(bounds_kji)]

    def read_mask_patch(self, ref: CaseRef, bounds_kji: BoundsKji) -> Mask:
        """A part of a mask."""
        return self.read_mask(ref)[box_slices(bounds_kji)]


def learn_pi(model: LoadedModel, stream: Stream, count: int, seed: int) -> Weights:
    """One pass of PI over the first cases; the delta that it leaves."""
    apply_version(model, model.base_state(), None, 0)
    strategy = StrategySpec("pi", "", online=OaimsSettings(mid=False)).start_online(model)
    if strategy is None:
        raise RuntimeError("PI did not start.")
    for (image, mask), ref in zip(stream.pairs[:count], stream.refs, strict=False):
        first = SimulatedAnnotator(case_rng(seed, 0, ref.case_id)).initial(mask)
        strategy.start_case()
        strategy.after_confirm(image, [p for p in first if isinstance(p, PointPrompt)], mask, len(first))
    learned = {n: v.cpu() for n, v in strategy.persisted().items()}
    apply_version(model, model.base_state(), None, 0)
    return changed(learned, model.base_state())


def train(arm: Arm, model: LoadedModel, stream: Stream, out: Path) -> tuple[Weights, int, float]:
    """One episode: its delta, the epoch that it is from, and the processor's seconds with PI's."""
    started = time.process_time()
    folder = out / "jobs" / arm.name
    folder.mkdir(parents=True, exist_ok=True)
    parent, held_out = _start(arm, model, stream, out), max(1, arm.cases // 5)
    split = Split(
        tuple(range(1, arm.cases - held_out + 1)), tuple(range(arm.cases - held_out + 1, arm.cases + 1))
    )
    request = EpisodeRequest(1, arm.cases, split, parent_version=int(parent is not None), seed=arm.seed)
    write_job(folder, request, arm.settings, stream.refs, model.folder, parent, campaign=out)
    result = run_job(folder, stream, model=model, replay=generated_sample)  # type: ignore[arg-type]
    if result.status != "finished":
        raise RuntimeError(f"{arm.name}: {result.reason}")
    best = result.delta_path or parent
    weights = {} if best is None else unpack_delta(best.read_bytes())[1]
    return weights, result.best_epoch, time.process_time() - started


def _start(arm: Arm, model: LoadedModel, stream: Stream, out: Path) -> Path | None:
    """The delta that an arm trains on from; None for the base. Learned once for arms that share it."""
    if arm.start == "base":
        return None
    if arm.start == "pi":
        path = out / f"pi-{arm.cases}-{arm.seed}.safetensors"
    elif arm.start == "episode":
        path = out / f"episode-{arm.cases}-{arm.updates}-{arm.seed}.safetensors"
    else:
        raise SystemExit(f'There is no start "{arm.start}"; there are base, pi, episode.')
    if not path.exists():
        if arm.start == "pi":
            learned = learn_pi(model, stream, arm.cases - max(1, arm.cases // 5), arm.seed)
        else:
            learned, _, _ = train(_first(arm), model, stream, out)
        path.write_bytes(
            pack_delta(learned, DeltaInfo(model.model_hash, model.licence, "all", 0, seed=arm.seed))
        )
    return path


def _first(arm: Arm) -> Arm:
    """The episode before: on half of the cases, as `clopa-all` trains."""
    changes = ",".join(f"{name}={value}" for name, value in ALL_PARAMETERS)
    return replace(arm, cases=arm.cases // 2, start="base", group="all", options=changes)


def test(
    model: LoadedModel, delta: Weights, mix: float, cases: Sequence[LabelledCase], clicks: int
) -> tuple[float, ...]:
    """Mean Dice without a prompt, at the initial prompt, over all clicks, at the last; then `general`'s."""
    base = model.base_state()
    mixed = {n: torch.lerp(base[n].float(), v.float(), mix) for n, v in delta.items()}
    apply_version(model, base, mixed, 1)
    session = LocalSession(model, cpu_precision=best_cpu_precision())
    suggester = LocalSuggester(model, best_cpu_precision())
    protocol = ProtocolSettings(clicks=clicks, keep=())
    curves, zero = [], []
    for case in cases:
        image, mask = case.read()
        zero.append(dice(suggest(suggester, image).mask, mask))
        annotator = SimulatedAnnotator(case_rng(1, 0, case.case_id))
        curves.append(run_case(session, image, mask, annotator, protocol).dice)
    means = [fmean(values) for values in zip(*curves, strict=True)]
    kept = general(model)
    apply_version(model, base, None, 0)
    return fmean(zero), means[0], fmean(means), means[-1], kept


def general(model: LoadedModel) -> float:
    """Mean Dice over an initial prompt and two corrections on generated volumes, with the live weights."""
    dtype = autocast_dtype("auto", model.device)
    settings = WindowSettings(3, rules_of(model), dtype)
    scores = []
    for number in range(GENERATED):
        drawn = generated_sample((987_654_321, number))
        sample = replace(drawn, image=drawn.image.to(model.device), target=drawn.target.to(model.device))
        rng = np.random.default_rng(number)
        found = run_window(model.network, [sample], PointPrompter(), rng, settings, backward=False)
        curve = [dice[0] for dice in found.dice]
        scores.append(fmean([*curve, *[curve[-1]] * (3 - len(curve))]))
    return fmean(scores)
