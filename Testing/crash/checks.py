"""What must hold after every blow: the promises of the annotation cache, checked one by one."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from scenario import AckLog, a_confirmation, mask_hash_of, open_or_create, slot_of

from clopa_annotator.cache.campaign_store import CampaignStore, Disk
from clopa_annotator.cache.format.layout import Layout
from clopa_annotator.cache.reviewing import review_rows
from clopa_annotator.cache.verify import check_version


class BrokenPromise(AssertionError):
    """The cache did not do what it says."""


@dataclass
class Tally:
    """What the harness did and saw."""

    kills: int = 0
    power_cuts: int = 0
    errors: int = 0
    campaigns: int = 0
    acknowledged: int = 0
    finished_by_recovery: int = 0
    steps: int = 0
    seconds: float = 0.0
    by_error: dict[str, int] = field(default_factory=dict)


def require(condition: bool, promise: str) -> None:
    """Complain about a promise that was not kept."""
    if not condition:
        raise BrokenPromise(promise)


def check(folder: Path, log: AckLog, tally: Tally) -> None:
    """Open the campaign after a blow and check every promise that concerns what was acknowledged."""
    acknowledged, attempted = log.confirmed(), log.attempted()
    with open_or_create(folder, Disk()) as store:
        layout = Layout(folder, Disk())
        require(not layout.entries("staging"), "unfinished work is cleared")
        found = {}
        for case in store.cases():
            slots = [shown.slot for shown in case.slots]
            for version in (v for slot in slots for v in store.versions(case.case_id, slot)):
                record, record_hash = check_version(layout, version.ref.folder)
                require(record_hash == version.ref.record_hash, "the index agrees with the record")
                require(
                    attempted.get(record.confirmation_id) == record.case_id, "only what was sent is there"
                )
                require(record.mask_hash == mask_hash_of(record.confirmation_id), "nothing torn is accepted")
                of = slot_of(record.confirmation_id)
                require(record.slot == version.ref.slot == of, "a mask stays with its target")
                found[record.confirmation_id] = version.ref
        for ack in acknowledged:
            ref = found.get(ack.confirmation_id)
            require(ref is not None, f"acknowledged {ack.confirmation_id} is present")
            require(ref.record_hash == ack.record_hash, "an acknowledged record is what was acknowledged")
            require(ref.sequence == ack.sequence, "a sequence number stays with its confirmation")
        sequences = [ref.sequence for ref in found.values()]
        require(len(set(sequences)) == len(sequences), "no sequence number is used twice")
        tally.finished_by_recovery += len(found) - len({a.confirmation_id for a in acknowledged})
        _deliver_again(store, log, found)
        require(not layout.entries("quarantine"), "a crash leads to no damage")


def _deliver_again(store: CampaignStore, log: AckLog, found: dict[str, object]) -> None:
    """Send the newest acknowledged and the newest unacknowledged confirmation once more."""
    for confirmation_id, case_id in list(log.attempted().items())[-2:]:
        if case_id not in {case.case_id for case in store.cases()}:
            continue
        ref = store.confirm(a_confirmation(confirmation_id, case_id))
        require(found.get(confirmation_id, ref) == ref, "a repeated delivery gives the same answer")
        require(store.confirm(a_confirmation(confirmation_id, case_id)) == ref, "and again")
        if confirmation_id not in {a.confirmation_id for a in log.confirmed()}:
            log.note(
                what="confirmed",
                id=confirmation_id,
                case=case_id,
                sequence=ref.sequence,
                record_hash=ref.record_hash,
            )


def final_check(folder: Path) -> None:
    """Every file against its hash, and the index against one made from the files."""
    with CampaignStore.open(folder, writer=True) as store:
        before = _lists(store)
        report = store.verify()
        require(report.ok, f"nothing is damaged: {report.findings}")
        require(_lists(store) == before, "the index is what the files say")
    (folder / "index.sqlite").unlink()
    with CampaignStore.open(folder, writer=True) as store:
        require(_lists(store) == before, "an index made again is what the lost one was")


def _lists(store: CampaignStore) -> object:
    """What every list of a campaign shows."""
    return store.cases(), [store.confirmed(target.key) for target in store.targets], review_rows(store)
