"""A campaign's job folders taken together: who has which role, and what the gate said so far."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from clopa_annotator.episode.folder import REQUEST, read_job, read_result
from clopa_annotator.strategies import PastEpisode
from clopa_annotator.types import CaseRef, Split


def job_folders(folder: Path) -> tuple[Path, ...]:
    """The job folders below ``folder``, oldest first."""
    return tuple(sorted(p for p in folder.glob("[0-9]*") if (p / REQUEST).is_file()))


def current_split(jobs: Sequence[Path], confirmed: Iterable[CaseRef]) -> Split:
    """Who trains, who validates and who waits.

    A case that had a role in the last episode keeps it: a corrected case with its new version, so that
    nothing that was held out ever trains. A withdrawn case leaves. Everything confirmed since waits.

    Args:
        jobs: job folders, oldest first.
        confirmed: the current version of every confirmed case.
    """
    now = {ref.case_id: ref.sequence for ref in confirmed}
    train: tuple[CaseRef, ...] = ()
    val: tuple[CaseRef, ...] = ()
    if jobs:
        last = read_job(jobs[-1])
        train, val = last.train, last.val
    assigned = {ref.case_id for ref in (*train, *val)}
    return Split(
        train=tuple(now[ref.case_id] for ref in train if ref.case_id in now),
        val=tuple(now[ref.case_id] for ref in val if ref.case_id in now),
        unassigned=tuple(sorted(n for case, n in now.items() if case not in assigned)),
    )


def past_episodes(jobs: Iterable[Path]) -> tuple[PastEpisode, ...]:
    """What the gate said of the episodes so far, oldest first; a curriculum decides by it."""
    past = []
    for job in jobs:
        ended = read_result(job)
        if ended is not None and ended[1] is not None:
            order = read_job(job)
            past.append(PastEpisode.of(order.settings.group, len(order.train), ended[1]))
    return tuple(past)
