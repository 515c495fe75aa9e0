"""What the training process does with a job folder: train, then check the candidate on the held-out cases.

Both halves resume: a job that was killed while it trained goes on from its last epoch, one that was killed
while it checked checks again. ``result.json`` holds the gate's decision once there is one. A job that was
cancelled or failed has ended: an engine never takes it up again by itself, a person may (``again``).
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from safetensors.torch import load_file

from clopa_annotator.cache.campaign_store import CampaignStore
from clopa_annotator.config import CampaignConfig
from clopa_annotator.episode.folder import PROGRESS, EpisodeJob, read_job, read_result, write_result
from clopa_annotator.episode.hardware.aside import Aside
from clopa_annotator.episode.job import run_job
from clopa_annotator.episode.progress import Progress, ProgressFile
from clopa_annotator.episode.window_sample import WindowSample
from clopa_annotator.errors import ClopaError, EpisodeCancelled
from clopa_annotator.registry.gate import GateSettings
from clopa_annotator.session.exclusion import union_of
from clopa_annotator.session.model import load_model
from clopa_annotator.strategies import get_strategy
from clopa_annotator.training.candidate_evaluation import Comparing, HeldOutCase, check_candidate
from clopa_annotator.types import CaseRef, EpisodeResult, GateDecision, Image, Mask

logger = logging.getLogger(__name__)

OnProgress = Callable[[Progress], None]


def _ignore(_: Progress) -> None:
    """Nobody watches."""


def _never() -> bool:
    return False


def run_episode_job(
    folder: Path,
    *,
    device: str = "auto",
    should_stop: Callable[[], bool] = _never,
    yield_to: Callable[[], None] | None = None,
    on_progress: OnProgress | None = None,
    again: bool = False,
    aside: Aside | None = None,
) -> tuple[EpisodeResult, GateDecision]:
    """Train and check; an ended job is left as it is.

    Args:
        folder: job folder.
        device: where to compute.
        should_stop: asked between micro-steps and between held-out cases.
        yield_to: called there too; may wait while a click is being answered.
        on_progress: told what happens.
        again: go on with a job that was cancelled or failed, from its last epoch, or from its check.
        aside: asks for the memory of the device when a click is short of it.

    Returns:
        How training ended, and the decision; a result that is not "finished" is never promoted.

    Raises:
        EpisodeError: the folder holds no readable order.
    """
    ended = read_result(folder)
    if ended is not None and again:
        ended = _taken_up(ended)
    if ended is not None and (ended[1] is not None or ended[0].status != "finished"):
        return ended[0], ended[1] or GateDecision(False, ended[0].reason)
    tell = on_progress or _ignore
    result = ended[0] if ended else _train(folder, device, should_stop, yield_to, tell, aside)
    if result.status != "finished":
        return result, GateDecision(False, result.reason)
    with closing(ProgressFile(folder / PROGRESS)) as lines:
        result, decision = _check(folder, result, device, _Between(should_stop, yield_to, lines, tell))
    write_result(folder, result, decision if result.status == "finished" else None)
    return result, decision


def _taken_up(
    ended: tuple[EpisodeResult, GateDecision | None],
) -> tuple[EpisodeResult, GateDecision | None] | None:
    """Where to go on with an ended job: at its check if it was trained to the end, else in its training."""
    result, _ = ended
    if result.status == "finished":
        return ended
    if result.delta_path is None or not result.delta_path.exists():
        return None
    return replace(result, status="finished", reason=""), None


@dataclass(frozen=True)
class _Between:
    """What happens between two held-out cases: tell, stop if asked, wait for a click."""

    should_stop: Callable[[], bool]
    yield_to: Callable[[], None] | None
    lines: ProgressFile
    tell: OnProgress

    def cases(self, order: EpisodeJob, trained: EpisodeResult, done: int, total: int) -> None:
        """``done`` of ``total`` scores are known, the first half of them for the weights in use."""
        cases, settings = total // 2, order.settings
        whose = "in use" if done < cases else "that were learned"
        note = (
            f"Held-out case {done % cases + 1} of {cases} with the weights {whose}." if done < total else ""
        )
        line = Progress(
            "checking",
            settings.epochs,
            settings.epochs,
            trained.updates,
            trained.updates,
            seconds=trained.seconds,
            note=note,
        )
        self.lines.write(line)
        self.tell(line)
        if self.should_stop():
            raise EpisodeCancelled("The episode was stopped while its candidate was being checked.")
        if self.yield_to is not None:
            self.yield_to()


def _train(
    folder: Path,
    device: str,
    should_stop: Callable[[], bool],
    yield_to: Callable[[], None] | None,
    on_progress: OnProgress,
    aside: Aside | None,
) -> EpisodeResult:
    order = read_job(folder)
    with CampaignStore.open(order.campaign, writer=False) as store:
        return run_job(
            folder,
            reader=store,
            device=device,
            should_stop=should_stop,
            yield_to=yield_to,
            on_progress=on_progress,
            replay=generated_sample,
            aside=aside,
        )


def generated_sample(seed: tuple[int, ...]) -> WindowSample:
    """A volume as the bundled base model was trained on, for episodes that replay some."""
    from clopa_annotator.pretrain.generator import GeneratorSettings, draw_volume

    return draw_volume(seed, GeneratorSettings()).sample()


def _check(
    folder: Path, result: EpisodeResult, device: str, between: _Between
) -> tuple[EpisodeResult, GateDecision]:
    """The gate's decision; a check that fails or is stopped ends the episode without a promotion."""
    order = read_job(folder)
    # Epoch 0 holds the weights that training began with: the ones in use, unless the order says otherwise.
    if (result.best_epoch == 0 and not order.has_start) or result.delta_path is None:
        return result, GateDecision(False, "Not promoted: no epoch was better than the weights in use.")

    def between_cases(done: int, total: int) -> None:
        between.cases(order, result, done, total)

    try:
        return result, _decide(order, result.delta_path, device, between_cases)
    except EpisodeCancelled as error:
        return replace(result, status="cancelled", reason=str(error)), GateDecision(False, str(error))
    except ClopaError as error:
        logger.exception("The candidate could not be checked")
        reason = f"The candidate could not be checked. {error}"
        return replace(result, status="failed", reason=reason), GateDecision(False, reason)


def _decide(
    order: EpisodeJob, delta: Path, device: str, between_cases: Callable[[int, int], None]
) -> GateDecision:
    model = load_model(order.model_folder, device)
    with CampaignStore.open(order.campaign, writer=False) as store:
        config = CampaignConfig.from_dict(store.manifest.settings)
        return check_candidate(
            model,
            held_out_cases(store, order.val, config, order.others),
            before=load_file(order.parent_path) if order.parent_path else {},
            after=load_file(delta),
            gate=gate_settings(config),
            how=Comparing(config.gate_clicks, config.gate_runs, order.request.seed),
            first=order.request.parent_version == 0,
            on_case=between_cases,
        )


def gate_settings(config: CampaignConfig) -> GateSettings:
    """What a campaign asks of a candidate."""
    return GateSettings(config.gate_min_gain, config.gate_worst_drop)


def held_out_cases(
    store: CampaignStore,
    refs: Iterable[CaseRef],
    config: CampaignConfig,
    others: Mapping[str, Sequence[CaseRef]] | None = None,
) -> list[HeldOutCase]:
    """Confirmed cases, to be read and annotated as the campaign's strategy begins them.

    Where a case comes with several masks, each has a name, and so clicks, of its own. ``others`` has, by
    record hash, the masks of other targets that the network is told it is not.
    """
    box_first, known_others = get_strategy(config.strategy).box_first, others or {}

    def read(ref: CaseRef) -> tuple[Image, Mask]:
        return store.read_image(ref.image_hash), store.read_mask(ref)

    def read_others(ref: CaseRef) -> Mask | None:
        union = union_of(store.read_mask(other) for other in known_others.get(ref.record_hash, ()))
        return None if union is None else union.astype(np.uint8)

    every = tuple(refs)
    known = Counter(ref.case_id for ref in every)
    names = (ref.case_id if known[ref.case_id] == 1 else ref.name for ref in every)
    return [
        HeldOutCase(name, partial(read, ref), box_first, partial(read_others, ref))
        for name, ref in zip(names, every, strict=True)
    ]
