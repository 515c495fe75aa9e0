"""How one target of a campaign learns: its versions, its roles, its episodes, its place in the live network.

    confirmed masks -> scheduler -> episode -> registry (gate) -> swap

A campaign has one `LearningLine` per target, or a single one for all of them where its strategy is a joint
one. Each lies in a folder of its own: the first target's is the campaign's, as it was before there were
several; another's is ``targets/<key>``. Versions count per line, so a number means weights only together
with the line's key.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

from clopa_annotator import models
from clopa_annotator.campaign.live_line import LiveLine, Surroundings
from clopa_annotator.episode.episode_settings import EpisodeSettings
from clopa_annotator.episode.folder import read_job, read_result, write_job
from clopa_annotator.errors import EpisodeError
from clopa_annotator.online.adapting_session import AdaptingSession
from clopa_annotator.scheduler import Due, due, final, scheduler_settings
from clopa_annotator.session.protocol import Session
from clopa_annotator.training import job_index as job_files
from clopa_annotator.training.other_masks import others_before
from clopa_annotator.training.roles import ROLES, CaseRoles, ConfirmedCases
from clopa_annotator.types import CaseRef, EpisodeRequest, Mask, Split, WeightsVersion

logger = logging.getLogger(__name__)

EPISODES = "episodes"


class LearningLine(LiveLine):
    """The learning of one target; used from the thread that uses the campaign.

    Args:
        campaign: whose line it is.
        key: of the target; "" for the first, and for a line of all targets.
        cases: the confirmed masks that it learns from.
        writes: whether the campaign was opened for writing.
        targets: gives how many targets it learns from.
    """

    def __init__(
        self,
        campaign: Surroundings,
        key: str,
        cases: ConfirmedCases,
        writes: bool,
        targets: Callable[[], int] = lambda: 1,
    ) -> None:
        super().__init__(campaign, key)
        self.cases = cases
        self.scheduler = scheduler_settings(campaign.config)
        self._writes, self._targets = writes, targets
        self._mutex = threading.Lock()
        self._roles: CaseRoles | None = None

    def jobs(self) -> tuple[Path, ...]:
        """The line's job folders, oldest first."""
        return job_files.job_folders(self.folder / EPISODES)

    def split(self) -> Split:
        """Who trains, who validates, who waits: the last episode's sides, with what was confirmed since."""
        return job_files.current_split(self.jobs(), self.cases.confirmed())

    @property
    def roles(self) -> CaseRoles:
        """Which cases train and which are held out; the one place that says so."""
        with self._mutex:  # two books on one file would write over each other
            if self._roles is None:
                path, past = self.folder / EPISODES / ROLES, lambda: job_files.roles_in(self.jobs())
                self._roles = CaseRoles(path, self.scheduler, self.cases, past, self._writes)
            return self._roles

    def learn_from(self, session: Session, case_id: str, confirmed: Mask) -> None:
        """Let an online strategy learn from a confirmation or a correction, unless the case is held out."""
        if isinstance(session, AdaptingSession) and self.roles.of(case_id) == "train":
            session.after_confirm(confirmed)

    def next_episode(self, *, final_one: bool = False) -> EpisodeRequest | None:
        """The episode that is due, or None.

        Args:
            final_one: do not wait for the scheduler; train with whatever is there.
        """
        if not self.strategy.learns:
            return None
        split, held_out = self.split(), self.roles.held_out()
        waiting, seen = self.cases_in(split.unassigned), self.cases_in(split.train + split.val)
        assigned = (
            final(split, held_out) if final_one else due(self.scheduler, split, held_out, waiting, seen)
        )
        if assigned is None:
            return None
        number = len(self.jobs()) + 1
        return EpisodeRequest(
            number=number,
            at_case=self.cases_in(),
            split=assigned,
            parent_version=self.registry.current().number,
            strategy=self.config.strategy,
            seed=self.config.seed * 1000 + number,
            target=self.key,
        )

    def due(self, request: EpisodeRequest, passed_over: int) -> Due:
        """What the queue of all targets needs to know about this one's next episode.

        Args:
            request: what `next_episode` gave.
            passed_over: episodes of other targets since it was due.
        """
        split, jobs = self.split(), self.jobs()
        ended = read_result(jobs[-1]) if jobs else None
        decision = ended[1] if ended is not None else None
        score = None
        if decision is not None and decision.before:
            score = decision.mean_after if decision.promoted else decision.mean_before
        return Due(
            request.target, score, self.cases_in(split.train), self.cases_in(split.unassigned), passed_over
        )

    def cases_in(self, sequences: Iterable[int] | None = None) -> int:
        """How many cases some of the confirmed masks are, however many of a kind each case has.

        For a line of all targets, as many as are there with all of them.

        Args:
            sequences: numbers of the confirmations, for instance ``split().unassigned``; None for all.
        """
        wanted = None if sequences is None else set(sequences)
        masks = (ref for ref in self.cases.confirmed() if wanted is None or ref.sequence in wanted)
        return len({(ref.case_id, ref.slot.target) for ref in masks}) // self._targets()

    def others_of(
        self, refs: Iterable[CaseRef], sequences: Collection[int] | None = None
    ) -> dict[str, tuple[CaseRef, ...]]:
        """What the network is told that each of these masks is not; nothing unless the campaign says so.

        Args:
            refs: confirmed masks.
            sequences: numbers of those that are meant; None for all.
        """
        if not self.config.others_as_background:
            return {}
        wanted = [ref for ref in refs if sequences is None or ref.sequence in sequences]
        return others_before(self._campaign.store, wanted)

    def prepare_job(self, request: EpisodeRequest) -> Path:
        """Write an episode's job folder, ready for the trainer."""
        past, train = job_files.past_episodes(self.jobs()), len(request.split.train)
        settings = self.strategy.episode_settings(self.config.schedule, past, train, self.config.unprompted)
        group = self.strategy.online_group
        learned = b""
        if self.online is not None:
            self.bring_in()
            parent = self.registry.delta_tensors(request.parent_version)
            learned = job_files.pack_online(self.online, self._campaign.model, parent, request, group)
        folder = write_job(
            self.folder / EPISODES / f"{request.number:04d}",
            request,
            settings or EpisodeSettings(group=group),
            tuple(self.cases.confirmed()),
            models.resolve(self.config.model),
            self.registry.delta_path(request.parent_version),
            campaign=self._campaign.folder,
            start_delta=learned if settings and self.online and self.online.history else None,
            others=self.others_of(self.cases.confirmed(), {*request.split.train, *request.split.val}),
        )
        if self.online is not None and settings is None:
            job_files.write_online_result(folder, self.online, learned)
        self.events.publish("episode_started", episode=request.number, at_case=request.at_case, **self.named)
        return folder

    def adopt(self, job: Path) -> WeightsVersion | None:
        """Register what an episode made and, if the gate promoted it, put it into use.

        Returns:
            The version, promoted or not; None if the episode failed, was cancelled or changed nothing.

        Raises:
            EpisodeError: the job has not ended.
        """
        ended = read_result(job)
        if ended is None:
            raise EpisodeError(f"The episode in {job} has not ended yet.")
        result, decision = ended
        if result.status == "finished" and decision is None:
            raise EpisodeError(f"The candidate in {job} has not been checked yet; run the episode again.")
        if result.status != "finished" or result.delta_path is None or decision is None:
            self.events.publish("episode_failed", episode=result.number, reason=result.reason, **self.named)
            return None
        order = read_job(job)
        version = self.registry.add_candidate(
            result,
            parent=order.request.parent_version,
            parameter_group=order.settings.group,
            case_hashes=tuple(ref.record_hash for ref in order.train),
            seed=order.request.seed,
        )
        if not decision.promoted:
            if self.online is not None:
                self.bring_in()
                self.online.rollback()
            self.events.publish("rejected", version=version.number, reason=decision.reason, **self.named)
            return self.registry.reject(version.number, decision)
        promoted = self.registry.promote(version.number, decision)
        if self.online is not None:
            self.bring_in()
        self.activate(promoted.number)
        if self.online is not None and self.strategy.group is None:
            self.online.registered(promoted.number)
        self.events.publish("promoted", version=promoted.number, reason=decision.reason, **self.named)
        return promoted
