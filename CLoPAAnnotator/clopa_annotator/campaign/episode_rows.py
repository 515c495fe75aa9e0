"""What a job folder says, as the lead's table shows it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clopa_annotator.episode.folder import PROGRESS, REQUEST, read_job, read_result
from clopa_annotator.episode.progress import read_progress
from clopa_annotator.scheduler import needed
from clopa_annotator.training.replay import is_replay, read_replay_result
from clopa_annotator.training.supervisor import has_result
from clopa_annotator.types import GateDecision, WeightsVersion
from clopa_annotator.wire.learning_messages import EpisodeRow, LearningPhase, LearningState

if TYPE_CHECKING:
    from clopa_annotator.campaign.lines import LearningLine


def job_number(job: Path) -> int:
    """The episode's number, from its folder's name."""
    return int(job.name)


def job_has_ended(job: Path) -> bool:
    """Whether nothing is left to do in a job: a finished training still needs the gate's decision."""
    if is_replay(job):
        return read_replay_result(job) is not None
    ended = read_result(job)
    if ended is None:
        return False
    result, decision = ended
    return result.status != "finished" or result.delta_path is None or decision is not None


def episode_row(job: Path, version: WeightsVersion | None) -> EpisodeRow:
    """One episode.

    Args:
        job: its folder.
        version: what the registry made of it, if it did.

    Raises:
        EpisodeError: the folder is damaged.
    """
    order = read_job(job)
    lines = read_progress(job / PROGRESS)
    ended = read_result(job)
    result, decision = ended if ended is not None else (None, None)
    started = datetime.fromtimestamp((job / REQUEST).stat().st_mtime, timezone.utc)
    losses = {line.epoch: line.loss for line in lines if line.loss is not None}
    scores = {line.epoch: line.val for line in lines if line.val is not None}
    scored = decision if decision is not None and decision.before else None
    return EpisodeRow(
        number=order.request.number,
        at_case=order.request.at_case,
        train=len(order.train),
        val=len(order.val),
        status=result.status if result is not None else "running",
        promoted=_promoted(decision, version),
        reason=decision.reason if decision is not None else result.reason if result is not None else "",
        version=version.number if version is not None else None,
        started=started.isoformat(timespec="seconds"),
        seconds=result.seconds if result is not None else lines[-1].seconds if lines else 0.0,
        mean_before=scored.mean_before if scored else None,
        mean_after=scored.mean_after if scored else None,
        worst_change=scored.worst_change if scored else None,
        standing=version.standing if version is not None else "",
        verdict=version.verdict.reason if version is not None and version.verdict is not None else "",
        train_loss=tuple(losses[epoch] for epoch in sorted(losses)),
        val_score=tuple(scores[epoch] for epoch in sorted(scores)),
        target=order.request.target,
    )


def _promoted(decision: GateDecision | None, version: WeightsVersion | None) -> bool | None:
    if version is not None and version.decision is not None:
        return version.decision.promoted
    return decision.promoted if decision is not None else None


def progress_in_words(number: int, row: Mapping[str, Any]) -> str:
    """A line of ``progress.jsonl`` as a sentence."""
    if row.get("phase") == "checking":
        return f"Episode {number} is being checked. {row.get('note') or ''}".strip()
    text = f"Episode {number} is training, epoch {row.get('epoch', 0)} of {row.get('epochs', '?')}"
    if isinstance(row.get("loss"), float):
        text += f", loss {row['loss']:.3f}"
    if isinstance(row.get("eta_s"), (int, float)):
        text += f", about {max(1, round(row['eta_s'] / 60))} min left"
    return f"{text}. {row.get('note') or ''}".strip()


def learning_state(
    line: LearningLine,
    job: Path | None,
    phase: LearningPhase,
    row: Mapping[str, Any],
    in_words: Callable[[LearningPhase, int, int], str],
    known: LearningState,
) -> LearningState:
    """What the learning panel shows.

    Args:
        line: whose learning it is.
        job: what the supervisor is at of it.
        phase: what happened last.
        row: newest line of ``progress.jsonl``.
        in_words: the sentence for a phase, the number of waiting cases and how many start an episode.
        known: the version in use for whoever asks, and the person's choices.
    """
    split, jobs = line.split(), line.jobs()
    gathered, confirmed = line.cases_in(split.unassigned), line.cases_in()
    wanted = needed(line.scheduler, line.cases_in(split.train + split.val))
    if phase in ("idle", "waiting", "paused"):
        phase = "paused" if known.paused else "waiting" if confirmed else "idle"
    if job is not None and has_result(job) and not is_replay(job):
        # Training is over; what the trainer still does is to compare on the held-out cases.
        phase = "checking"
    current = line.registry.current().number
    return replace(
        known,
        phase=phase,
        sentence=in_words(phase, gathered, wanted),
        waiting_version=current if current != known.weights_version else None,
        confirmed=confirmed,
        gathered=gathered,
        needed=wanted,
        episode=job_number(jobs[-1]) if jobs else 0,
        epoch=int(row.get("epoch") or 0),
        epochs=int(row.get("epochs") or 0),
        loss=row.get("loss"),
        seconds_left=row.get("eta_s"),
    )


def phase_in_words(phase: LearningPhase, gathered: int, needed: int, row: Mapping[str, Any]) -> str:
    """What the engine is doing, as a sentence; empty while the episode itself has more to say.

    Args:
        phase: see `LearningState`.
        gathered: confirmed cases that no episode has seen.
        needed: how many of them the next episode wants.
        row: newest line of ``progress.jsonl``.
    """
    if phase == "paused":
        return "Learning is paused; confirmed cases are kept for later."
    if phase == "waiting":
        return f"{gathered} of {needed} confirmed cases until the next episode."
    if phase == "checking":
        note = row.get("note") if row.get("phase") == "checking" else ""
        return f"The new weights are compared with the current ones on held-out cases. {note or ''}".strip()
    if phase == "idle":
        return "Nothing to learn from yet: confirm a case."
    return ""
