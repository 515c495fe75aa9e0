"""Reviews of the in-process engine, on its campaign in memory."""

from __future__ import annotations

import math

from clopa_annotator.client.calls import Call
from clopa_annotator.errors import CacheError, CaseTaken, InputError, OwnCase, ReviewConflict
from clopa_annotator.testing.fake_campaign import FakeCampaign
from clopa_annotator.testing.fake_cases import FakeVersion, SlotWork
from clopa_annotator.testing.fake_transfers import FakeTransfers
from clopa_annotator.types import CaseState, Slot
from clopa_annotator.types.review import (
    Comparison,
    Judgement,
    Lps,
    PairAgreement,
    ReviewFilter,
    ReviewRow,
    Verdict,
)
from clopa_annotator.types.targets import FIRST

MARKS = 1_000_000
"""Numbers of verdicts begin here, so that they never are those of confirmations."""


def review_row(campaign: FakeCampaign, case_id: str, slot: Slot) -> ReviewRow:
    """One slot as a review shows it; raises `CacheError` if there is nothing to review."""
    work = campaign.case(case_id).slot(slot)
    version = _judged(work)
    if version is None:
        raise CacheError(f"{case_id} has no confirmed version, so there is nothing to review.")
    verdict = work.verdict
    first, sequence = version.statistics.first_shown_dice, version.ref.sequence
    return ReviewRow(
        case_id, slot, verdict, version.statistics.annotator, version.ref.case_version, sequence,
        work.judged or sequence, work.reviewer, work.comment, work.place_lps_mm,
        math.nan if first is None else first,
    )  # fmt: skip


def returned_row(campaign: FakeCampaign, case_id: str, slot: Slot) -> ReviewRow | None:
    """What a reviewer said of a slot that was returned and not confirmed anew; None if there is nothing."""
    is_back = campaign.case(case_id).slot(slot).verdict is Verdict.RETURNED
    return review_row(campaign, case_id, slot) if is_back else None


def _judged(work: SlotWork) -> FakeVersion | None:
    """The version that a verdict would be about."""
    return work.versions[-1] if work.versions and work.verdict is Verdict.RETURNED else work.newest


def judge(campaign: FakeCampaign, judgement: Judgement) -> ReviewRow:
    """Accept or return; see `cache.reviewing.judge`."""
    case_id, slot = judgement.case_id, judgement.slot
    case = campaign.case(case_id)
    work, row = case.slot(slot), review_row(campaign, case_id, slot)
    place = judgement.place_lps_mm
    if work.owner not in ("", judgement.reviewer):
        raise CaseTaken(f"{work.owner} is working on {case_id}; judge it afterwards.")
    grid = case.image.geometry
    if place is not None and not grid.contains(grid.index_kji(place)):
        raise InputError("The marked place lies outside the image. Mark a place inside it.")
    if (work.verdict, work.reviewer, work.comment) == (
        judgement.verdict, judgement.reviewer, judgement.comment,
    ):  # fmt: skip
        return row
    _refuse_stale(row, judgement)
    if row.annotator == judgement.reviewer and not campaign.own_reviews:
        raise OwnCase(f"{row.annotator} confirmed {case_id}, and a second person has to review it.")
    work.verdict, work.reviewer, work.comment = judgement.verdict, judgement.reviewer, judgement.comment
    work.place_lps_mm = place
    campaign.verdicts += 1
    work.judged = MARKS + campaign.verdicts
    if judgement.verdict is Verdict.RETURNED:
        work.versions[-1].withdrawn = True
    returned = judgement.verdict is Verdict.RETURNED
    work.state = CaseState.NEEDS_REVIEW if returned else CaseState.CONFIRMED
    work.note = judgement.comment if returned else ""
    campaign.events.publish(
        "reviewed", case_id=case_id, verdict=judgement.verdict.value, target=slot.target,
        instance=slot.instance,
    )  # fmt: skip
    campaign.changed(case_id)
    return review_row(campaign, case_id, slot)


def _refuse_stale(row: ReviewRow, judgement: Judgement) -> None:
    changed = judgement.seen is not None and judgement.seen != row.seen
    same = row.verdict is judgement.verdict or row.verdict is Verdict.RETURNED
    if row.verdict is not Verdict.NONE and (changed or same):
        raise ReviewConflict(f"{row.case_id} was {row.verdict.value} by {row.reviewer} meanwhile.")
    if changed:
        raise ReviewConflict(f"{row.annotator} has confirmed {row.case_id} anew meanwhile.")


class FakeReviews(FakeTransfers):
    """A second person's questions and verdicts; mixed into `FakeEngineClient`."""

    def reviews(self, chosen: ReviewFilter | None = None) -> Call[tuple[ReviewRow, ...]]:
        """What is confirmed and who has judged it."""
        return self._do("list the reviews", lambda: self._listed(chosen or ReviewFilter()))

    def _listed(self, chosen: ReviewFilter) -> tuple[ReviewRow, ...]:
        campaign = self.campaign
        slots = ((case, slot) for case in campaign.cases.values() for slot in case.in_order)
        rows = (
            review_row(campaign, case.case_id, slot)
            for case, slot in slots
            if _judged(case.slot(slot)) is not None
        )
        return tuple(row for row in rows if chosen.shows(row))

    def accept(
        self, case_id: str, slot: Slot = FIRST, seen: int | None = None, comment: str = ""
    ) -> Call[ReviewRow]:
        """Accept a target's confirmed version."""
        return self._judge(Verdict.ACCEPTED, case_id, slot, seen, comment, None)

    def send_back(
        self,
        case_id: str,
        comment: str,
        slot: Slot = FIRST,
        seen: int | None = None,
        place_lps_mm: Lps | None = None,
    ) -> Call[ReviewRow]:
        """Return a target's confirmed version."""
        return self._judge(Verdict.RETURNED, case_id, slot, seen, comment, place_lps_mm)

    def _judge(
        self, verdict: Verdict, case_id: str, slot: Slot, seen: int | None, comment: str, place: Lps | None
    ) -> Call[ReviewRow]:
        who = self._annotator
        return self._do(
            "store the verdict",
            lambda: judge(self.campaign, Judgement(case_id, verdict, who, seen, comment, place, slot)),
        )

    def compare(self, case_id: str, slot: Slot = FIRST) -> Call[Comparison]:
        """The version before a target's newest."""
        return self._do("compare the versions", lambda: self._compared(case_id, slot))

    def agreement(self) -> Call[tuple[PairAgreement, ...]]:
        """What a test has put into the campaign."""
        return self._do("say how well people agree", lambda: tuple(self.campaign.agreement))

    def _compared(self, case_id: str, slot: Slot) -> Comparison:
        row, case = review_row(self.campaign, case_id, slot), self.campaign.case(case_id)
        before = [v for v in case.slot(slot).versions if v.ref.sequence < row.sequence]
        shape = case.image.geometry.shape_kji
        if not before:
            return Comparison(shape)
        return Comparison(shape, before[-1].ref.case_version, before[-1].mask)
