"""A promoted version proves itself: newly confirmed cases are replayed, then it is confirmed or taken back.

The gate lets a candidate in on few held-out cases, where luck plays a part. While it is in use cases go on
being confirmed that neither it nor the version before has learned from; each is annotated with both
(`training.replay`), and `registry.gate.settle` says when that is enough. A person's choice ends a probation.

Everything is derived from files: killed between a replay and its verdict, or between verdict and pointer, a
campaign comes to the same verdict when it is opened again.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from clopa_annotator import models
from clopa_annotator.episode.folder import read_job
from clopa_annotator.registry.gate import settle
from clopa_annotator.training.job_runner import gate_settings
from clopa_annotator.training.replay import (
    REPLAYS,
    ReplayOrder,
    curves_so_far,
    read_replay,
    read_replay_result,
    replay_folders,
    write_replay,
)
from clopa_annotator.types import CaseRef, GateDecision, PairedCurves

if TYPE_CHECKING:
    from clopa_annotator.campaign.lines import LearningLine

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Verdict:
    """How a probation ended.

    Attributes:
        version: whose.
        in_use: the version in use from now on.
        decision: the numbers and the sentence; ``promoted`` if it stays.
    """

    version: int
    in_use: int
    decision: GateDecision


class Probation:
    """The probation of a target's version in use, if it is on one."""

    def __init__(self, line: LearningLine) -> None:
        self._line = line

    def next_replay(self) -> Path | None:
        """The replay that is due: one that was interrupted, or of the cases confirmed since; else None."""
        probation = self._line.registry.probation()
        if probation is None:
            return None
        folders = replay_folders(self._line.folder)
        for folder in folders:
            order = read_replay(folder)
            if (order.version, order.reference) == probation and read_replay_result(folder) is None:
                return folder
        _, tried = self._seen(*probation)
        cases = tuple(ref for ref in self._unseen(probation[0]) if ref.record_hash not in tried)
        if not cases:
            return None
        number = 1 + max((int(folder.name) for folder in folders), default=0)
        model = models.resolve(self._line.config.model)
        seed, key = self._line.config.seed * 1000 + number, self._line.key
        order = ReplayOrder(*probation, cases, model, seed, key, self._line.others_of(cases))
        return write_replay(self._line.folder / REPLAYS / f"{number:04d}", order)

    def settle(self) -> Verdict | None:
        """Confirm the version in use or take it back, if its cases say so; None if that is open.

        After a take-back the version before is in the live network again.

        Raises:
            CacheError: the verdict could not be written; nothing was changed.
        """
        registry = self._line.registry
        probation = registry.probation()
        if probation is None:
            return None
        version, reference = probation
        held_out = registry.version(version).decision
        pairs, _ = self._seen(version, reference)
        if held_out is None:
            return None
        decision = settle(held_out, pairs, gate_settings(self._line.config))
        if decision is None:
            return None
        if decision.promoted:
            registry.confirm(version, decision)
            self._line.events.publish(
                "version_confirmed", version=version, reason=decision.reason, **self._line.named
            )
            return Verdict(version, version, decision)
        registry.take_back(version, decision)
        self._line.activate(reference)
        self._line.events.publish(
            "taken_back", version=version, in_use=reference, reason=decision.reason, **self._line.named
        )
        return Verdict(version, reference, decision)

    def in_words(self) -> str:
        """Where it stands, as a sentence; empty if nothing is on probation."""
        probation = self._line.registry.probation()
        if probation is None:
            return ""
        total = gate_settings(self._line.config).rule.probation
        seen = len(self._seen(*probation)[0])
        return f"Version {probation[0]} is on probation: {seen} of {total} newly confirmed cases compared."

    def _seen(self, version: int, reference: int) -> tuple[tuple[PairedCurves, ...], frozenset[str]]:
        return curves_so_far(self._line.folder, version, reference, self._line.cases.confirmed())

    def _unseen(self, version: int) -> list[CaseRef]:
        """Confirmed cases that the version and those before it have not learned from nor been judged by."""
        episode = self._line.registry.version(version).episode
        known: set[str] = set()
        for job in self._line.jobs():
            if episode is not None and int(job.name) <= episode:
                order = read_job(job)
                known |= {
                    name for ref in (*order.train, *order.val) for name in (ref.case_id, ref.image_hash)
                }
        confirmed = sorted(self._line.cases.confirmed(), key=lambda ref: ref.sequence)
        return [ref for ref in confirmed if known.isdisjoint((ref.case_id, ref.image_hash))]
