"""A second person's verdicts in the cache: accepted and returned versions, as marks beside them.

A verdict is a mark like every other: durable before it is called done, never changed, and made again from the
files. Programs of before there were reviews read the same marks: "accept" changes nothing for them, "return"
is a withdrawal with its reason, so that what was returned trains there neither (docs/formats/campaign.md).
"""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from clopa_annotator.cache.changing import CaseChanges
from clopa_annotator.cache.format.mark import Mark, Reviewed
from clopa_annotator.cache.reader import CampaignReader
from clopa_annotator.cache.summaries import slot_of
from clopa_annotator.errors import AcceptedCase, CacheError, InputError, OwnCase, ReviewConflict
from clopa_annotator.types import CaseState, Confirmation, Slot
from clopa_annotator.types.review import (
    OWN_CASES,
    Judgement,
    ReviewRow,
    Verdict,
    is_double_read,
    place_from,
)

_ROWS = """
SELECT v.*, s.verdict, s.reviewer, s.judged, s.comment, s.place, s.is_absent, c.number
FROM slots s JOIN cases c USING (case_id) JOIN versions v ON v.sequence = coalesce(s.current,
    (SELECT max(w.sequence) FROM versions w WHERE w.reading = 1
     AND w.case_id = s.case_id AND w.target = s.target AND w.instance = s.instance))
WHERE (s.current IS NOT NULL OR s.verdict = 'RETURNED')
"""
_WORDS = {Verdict.ACCEPTED: "accepted", Verdict.RETURNED: "returned"}


def review_rows(store: CampaignReader) -> tuple[ReviewRow, ...]:
    """Every slot that a second person may look at: with a current version, or with a returned one.

    In the order of the cases, and in each of the campaign's targets. What a second person has yet to read,
    without having seen the first's, is not shown.
    """
    places = {target.key: place for place, target in enumerate(store.targets)}
    found = [row for row in store._index.rows(_ROWS) if row["target"] in places]
    rows = [(row["number"], _row(row)) for row in found]
    rows = [pair for pair in rows if not is_being_read(store, pair[1].case_id, pair[1].slot)]
    rows.sort(key=lambda pair: (pair[0], places[pair[1].slot.target], pair[1].slot.instance))
    return tuple(row for _, row in rows)


def review_row(store: CampaignReader, case_id: str, slot: Slot) -> ReviewRow:
    """One slot, as a review shows it.

    Raises:
        UnknownCase: there is no such case.
        CacheError: nothing of it is confirmed.
    """
    store.case(case_id)
    query = f"{_ROWS} AND s.case_id = ? AND s.target = ? AND s.instance = ?"
    found = store._index.rows(query, case_id, slot.target, slot.instance)
    if not found:
        named = _named(store, case_id, slot)
        raise CacheError(f"{named} has no confirmed version, so there is nothing to review.")
    return _row(found[0])


def _row(row: sqlite3.Row) -> ReviewRow:
    first_shown = row["first_shown_dice"]
    return ReviewRow(
        case_id=row["case_id"],
        slot=slot_of(row["target"], row["instance"]),
        verdict=Verdict[row["verdict"]],
        annotator=row["annotator"],
        case_version=row["case_version"],
        sequence=row["sequence"],
        seen=row["judged"] or row["sequence"],
        reviewer=row["reviewer"],
        comment=row["comment"],
        place_lps_mm=place_from(json.loads(row["place"])) if row["place"] else None,
        measured=math.nan if first_shown is None else first_shown,
        confirmed_at=row["confirmed_at"],
        is_absent=bool(row["is_absent"]),
    )


def judge(store: CaseChanges, judgement: Judgement) -> ReviewRow:
    """Accept a slot's version, or return it; when this answers, the mark is durable.

    A returned version trains no more; the state of its slot is `CaseState.NEEDS_REVIEW` until it is confirmed
    anew. An accepted one may still be returned, by somebody who has seen that it was accepted. The same
    judgement once more changes nothing.

    Returns:
        The slot as it stands now.

    Raises:
        UnknownCase: there is no such case.
        CacheError: nothing of it is confirmed.
        OwnCase: the reviewer confirmed it, and no setting allows that.
        ReviewConflict: it has changed since the reviewer looked, or was judged by somebody else.
        InputError: the marked place lies outside the image.
    """
    case_id, slot = judgement.case_id, store._meant(judgement.slot)
    _require_inside(store, judgement)
    with store._change(f"store the verdict on {store._named(case_id, slot)}") as writer:
        row = _chosen(store, review_row(store, case_id, slot), judgement)
        if _is_repeated(row, judgement):
            return row
        if is_being_read(store, case_id, slot):
            raise ReviewConflict(
                f"{_named(store, case_id, slot)} is to be read by a second person first, who must not know "
                "what was said about it."
            )
        _require_current(store, row, judgement)
        writer.mark(_mark(row, judgement, _allowed_by(store, row, judgement)))
    return review_row(store, case_id, slot)


def is_being_read(store: CampaignReader, case_id: str, slot: Slot) -> bool:
    """Whether a slot is confirmed, and a second person is to annotate it without having seen that."""
    if not is_double_read(store.manifest.settings, case_id):
        return False
    return store.newest(case_id, slot) is not None and not store.second_readings(case_id, slot)


def _chosen(store: CampaignReader, row: ReviewRow, judgement: Judgement) -> ReviewRow:
    """The row, of the reading that is to be accepted where that is not the one that trains."""
    if judgement.version is None or judgement.version == row.case_version:
        return row
    for version in store.second_readings(row.case_id, row.slot):
        if version.ref.case_version == judgement.version and judgement.verdict is Verdict.ACCEPTED:
            return replace(row, case_version=judgement.version, annotator=version.annotator)
    raise InputError(
        f"{_named(store, row.case_id, row.slot)}: Version {judgement.version} is neither the one that trains "
        "nor a second person's reading, which could be accepted instead."
    )


def _mark(row: ReviewRow, judgement: Judgement, allowed_by: str) -> Mark:
    returned = judgement.verdict is Verdict.RETURNED
    return Mark(
        0,
        judgement.case_id,
        "return" if returned else "accept",
        CaseState.NEEDS_REVIEW if returned else CaseState.CONFIRMED,
        row.case_version if returned else None,
        judgement.reviewer,
        judgement.comment,
        slot=row.slot,
        review=Reviewed(row.case_version, judgement.place_lps_mm, allowed_by),
    )


def _is_repeated(row: ReviewRow, judgement: Judgement) -> bool:
    """Whether this is there already: an answer may get lost, and the question is asked again."""
    said = (row.verdict, row.reviewer, row.comment, row.place_lps_mm)
    return said == (judgement.verdict, judgement.reviewer, judgement.comment, judgement.place_lps_mm)


def _require_current(store: CampaignReader, row: ReviewRow, judgement: Judgement) -> None:
    """Refuse a verdict on what is not as the reviewer saw it; raises `ReviewConflict`."""
    named = _named(store, row.case_id, row.slot)
    changed = judgement.seen is not None and judgement.seen != row.seen
    if row.verdict is not Verdict.NONE and (changed or row.verdict is not Verdict.ACCEPTED):
        after = "It can be judged again when it is confirmed anew."
        if row.verdict is Verdict.ACCEPTED:
            after = "Look at it again before you judge it."
        raise ReviewConflict(f"{named} was {_WORDS[row.verdict]} by {row.reviewer} meanwhile. {after}")
    if changed:
        raise ReviewConflict(
            f"{row.annotator or 'Somebody'} has confirmed {named[:1].lower()}{named[1:]} anew meanwhile "
            f"(version {row.case_version}). Look at it before you judge it."
        )
    if row.verdict is judgement.verdict:
        raise ReviewConflict(f"{named} was {_WORDS[row.verdict]} by {row.reviewer} already.")


def _allowed_by(store: CampaignReader, row: ReviewRow, judgement: Judgement) -> str:
    """The setting that lets a person review their own case; empty for a second person. Raises `OwnCase`."""
    if row.annotator.strip().casefold() != judgement.reviewer.strip().casefold():
        return ""
    if may_review_own(store.manifest.settings):
        return OWN_CASES
    named = _named(store, row.case_id, row.slot)
    raise OwnCase(
        f"{judgement.reviewer} confirmed {named[:1].lower()}{named[1:]}, and a second person has to "
        "review it. The campaign's lead can allow it with: clopa review settings DIR --own-cases"
    )


def may_review_own(settings: Mapping[str, Any]) -> bool:
    """Whether a campaign lets people review what they confirmed themselves."""
    return settings.get(OWN_CASES) is True


def _require_inside(store: CampaignReader, judgement: Judgement) -> None:
    """Refuse a place outside the image; raises `InputError`."""
    if judgement.place_lps_mm is None:
        return
    geometry = store.geometry(store.image_hash(judgement.case_id))
    if not geometry.contains(geometry.index_kji(judgement.place_lps_mm)):
        raise InputError("The marked place lies outside the image. Mark a place inside it.")


def replaced_verdict(store: CampaignReader, confirmation: Confirmation) -> int | None:
    """The mark that accepted what a confirmation replaces; None if nothing accepted is replaced.

    Raises:
        AcceptedCase: the confirmation does not say that it is meant to.
    """
    known = store.slot(confirmation.case_id, confirmation.slot)
    if known.verdict is not Verdict.ACCEPTED:
        return None
    if not confirmation.replaces_accepted:
        named = _named(store, confirmation.case_id, confirmation.slot)
        raise AcceptedCase(
            f"{named} was accepted by {known.reviewer}. Confirm once more to replace what was accepted; the "
            "new version says so, and has to be reviewed again."
        )
    return known.judged


def _named(store: CampaignReader, case_id: str, slot: Slot) -> str:
    """A slot of a case at the beginning of a sentence."""
    if len(store.targets) == 1 and slot.instance == 1:
        return f"The case {case_id!r}"
    name = store.targets.name_of(slot)
    return f"{name[:1].upper()}{name[1:]} in the case {case_id!r}"
