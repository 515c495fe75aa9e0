"""The index of a campaign's job folders: which case has which role, and what the gate decided so far.

What was learned between clicks goes through the same door as an episode: `write_online_result` puts it into a
job folder as a trained candidate that waits for its check.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from clopa_annotator import __version__
from clopa_annotator.delta import DeltaInfo, changed, pack_delta
from clopa_annotator.durable import write_bytes
from clopa_annotator.episode.folder import DELTA, REQUEST, read_job, read_result, write_result
from clopa_annotator.online.strategy import OnlineStrategy
from clopa_annotator.session.model import LoadedModel
from clopa_annotator.strategies import PastEpisode
from clopa_annotator.training.roles import Role
from clopa_annotator.types import CaseRef, EpisodeRequest, EpisodeResult, Split


def job_folders(folder: Path) -> tuple[Path, ...]:
    """The job folders below ``folder``, oldest first."""
    return tuple(sorted(p for p in folder.glob("[0-9]*") if (p / REQUEST).is_file()))


def current_split(jobs: Sequence[Path], confirmed: Iterable[CaseRef]) -> Split:
    """Who trains, who validates and who waits for the next episode.

    A case that was in the last episode stays on its side: a corrected case with its new version. A withdrawn
    case leaves. Everything confirmed since waits, with the role that `training.roles` gave it. What counts
    are masks: a case has several where there may be several of the target in it.

    Args:
        jobs: job folders, oldest first.
        confirmed: the current version of every confirmed case.
    """
    now = {(ref.case_id, ref.slot): ref.sequence for ref in confirmed}
    train: tuple[CaseRef, ...] = ()
    val: tuple[CaseRef, ...] = ()
    if jobs:
        last = read_job(jobs[-1])
        train, val = last.train, last.val
    assigned = {(ref.case_id, ref.slot) for ref in (*train, *val)}

    def still_there(side: tuple[CaseRef, ...]) -> tuple[int, ...]:
        return tuple(now[ref.case_id, ref.slot] for ref in side if (ref.case_id, ref.slot) in now)

    waiting = tuple(sorted(n for mask, n in now.items() if mask not in assigned))
    return Split(still_there(train), still_there(val), waiting)


def roles_in(jobs: Iterable[Path]) -> dict[str, tuple[str, Role]]:
    """Image and role of each case that an episode ever had, for campaigns that have no book of roles yet.

    A case that was once on both sides counts as one to train on: weights may have learned from it.
    """
    roles: dict[str, tuple[str, Role]] = {}
    for job in jobs:
        order = read_job(job)
        for ref in order.val:
            roles.setdefault(ref.case_id, (ref.image_hash, "held out"))
        for ref in order.train:
            roles[ref.case_id] = (ref.image_hash, "train")
    return roles


def past_episodes(jobs: Iterable[Path]) -> tuple[PastEpisode, ...]:
    """How training went in the episodes so far, oldest first; a curriculum decides by it.

    Nothing of the held-out cases is in it: they judge what the curriculum chooses.
    """
    past = []
    for job in jobs:
        ended = read_result(job)
        if ended is not None and ended[0].status == "finished":
            order = read_job(job)
            past.append(PastEpisode.of(order.settings.group, len(order.train), ended[0].train_loss))
    return tuple(past)


def hold_back_if_overtaken(job: Path, current: int) -> None:
    """Turn a promotion around if it rests on a comparison with other weights than those now in use.

    A roll-back while an episode trains, or a job that was taken up again long after, would else bring in
    weights that were never compared with what they replace.

    Args:
        job: folder of an ended job that is not registered yet.
        current: version in use.
    """
    result, decision = read_result(job) or (None, None)
    parent = read_job(job).request.parent_version
    if result is None or decision is None or not decision.promoted or parent == current:
        return
    reason = (
        f"Not promoted: it was compared with version {parent}, and meanwhile version {current} was put into "
        "use. It is kept in the list and can be restored."
    )
    write_result(job, result, replace(decision, promoted=False, reason=reason))


def write_online_result(folder: Path, online: OnlineStrategy, learned: bytes) -> EpisodeResult:
    """Put what an online strategy has learned into a prepared job folder, as an episode's result.

    Args:
        folder: written by ``write_job``; names the parent version.
        online: what learned, for the record of its cost.
        learned: the candidate, see `pack_online`.
    """
    write_bytes(folder / DELTA, learned)
    result = EpisodeResult(
        read_job(folder).request.number,
        "finished",
        delta_path=folder / DELTA,
        seconds=sum(update.seconds for update in online.history),
        updates=sum(update.backward_passes for update in online.history),
        best_epoch=1 if online.history else 0,
    )
    write_result(folder, result)
    return result


def pack_online(
    online: OnlineStrategy,
    model: LoadedModel,
    parent: Mapping[str, Tensor],
    request: EpisodeRequest,
    group: str,
) -> bytes:
    """What an online strategy has learned as a delta's content, on top of the parent version's."""
    info = DeltaInfo(
        model_hash=model.model_hash,
        licence=model.licence,
        parameter_group=group,
        parent_version=request.parent_version,
        episode=request.number,
        seed=request.seed,
        code_version=__version__,
    )
    return pack_delta(changed({**parent, **online.persisted()}, model.base), info)
