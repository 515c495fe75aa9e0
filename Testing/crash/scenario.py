"""What the harness has a writer do: operations that can be told to have happened, and can be repeated.

Two scenarios: a campaign of one target, which stays one of format version 1; and one that begins as such and
becomes a campaign of three targets, one of them with several instances. A confirmation's id says what it is
of: ``two@spleen``, ``four@lesion#2``, ``one@`` for the first target.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from clopa_annotator.cache.campaign_store import CampaignManifest, CampaignStore, CaseDraft, Disk
from clopa_annotator.cache.reviewing import judge
from clopa_annotator.cache.together import confirm_together, save_drafts_together
from clopa_annotator.errors import CacheError
from clopa_annotator.geometry import Geometry
from clopa_annotator.types import Confirmation, Image, PointPrompt, Slot, Target, Targets, TimedPrompt
from clopa_annotator.types.review import Judgement, Verdict
from clopa_annotator.types.targets import FIRST

SHAPE = (6, 8, 10)
MANIFEST = CampaignManifest("crash harness", 10, model_hash="0" * 64)
THREE = Targets([*Targets.named(["liver", "spleen"]), Target("lesion", "lesion", instances=True)])
SLOTS = (FIRST, Slot("spleen"), Slot("lesion"), Slot("lesion", 2))
PLANES = {FIRST: (0, 2), Slot("spleen"): (2, 4), Slot("lesion"): (4, 5), Slot("lesion", 2): (5, 6)}
"""Where each slot's masks lie, since they exclude each other."""


def an_image(case_id: str) -> Image:
    """The image of a case: always the same."""
    seed = int.from_bytes(hashlib.sha256(case_id.encode()).digest()[:4], "little")
    voxels = np.random.default_rng(seed).integers(-1000, 1000, SHAPE).astype(np.int16)
    return Image(voxels, Geometry(SHAPE, (1.0, 1.5, 2.0)))


def a_confirmation(confirmation_id: str, case_id: str) -> Confirmation:
    """The confirmation with an id: always the same; one with "!" replaces what was accepted."""
    seed = int.from_bytes(hashlib.sha256(confirmation_id.encode()).digest()[:4], "little")
    mask = (np.random.default_rng(seed).random(SHAPE) < 0.3).astype(np.uint8)
    slot = slot_of(confirmation_id)
    if "@" in confirmation_id:
        first, last = PLANES[slot]
        mask[:first], mask[last:] = 0, 0
    prompts = (TimedPrompt(PointPrompt((1, 2, 3)), 0.5),)
    meant = "!" in confirmation_id
    return Confirmation(
        confirmation_id, case_id, mask, prompts, "harness", 1.0, 0, 0.5, slot=slot, replaces_accepted=meant
    )


def slot_of(confirmation_id: str) -> Slot:
    """What a confirmation's id says that it is of; the first slot if it says nothing."""
    target, _, instance = confirmation_id.partition("@")[2].partition("#")
    return Slot(target, int(instance or 1))


def tag_of(slot: Slot) -> str:
    """The end of an id that says what it is of."""
    return f"@{slot.target}" + (f"#{slot.instance}" if slot.instance > 1 else "")


def mask_hash_of(confirmation_id: str) -> str:
    """The hash of that confirmation's mask, computed without the cache."""
    return hashlib.sha256(a_confirmation(confirmation_id, "any").mask.tobytes()).hexdigest()


@dataclass(frozen=True)
class Acknowledgement:
    """A confirmation of which the writer was told that it is durable."""

    confirmation_id: str
    case_id: str
    sequence: int
    record_hash: str


class AckLog:
    """Where the writer notes what it was told, in a way that its own death cannot undo."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def note(self, **values: object) -> None:
        """Append a line in one write."""
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        os.write(descriptor, (json.dumps(values) + "\n").encode())
        os.close(descriptor)

    def size(self) -> int:
        """Bytes so far."""
        return self._path.stat().st_size if self._path.exists() else 0

    def lines(self) -> list[dict[str, object]]:
        """Every line so far."""
        if not self._path.exists():
            return []
        return [json.loads(line) for line in self._path.read_text(encoding="utf-8").splitlines()]

    def confirmed(self) -> list[Acknowledgement]:
        """Every acknowledged confirmation."""
        return [
            Acknowledgement(x["id"], x["case"], x["sequence"], x["record_hash"])
            for x in self.lines()
            if x["what"] == "confirmed"
        ]

    def attempted(self) -> dict[str, str]:
        """Case by confirmation id of everything that was ever sent."""
        return {str(x["id"]): str(x["case"]) for x in self.lines() if x["what"] == "sent"}


def confirm(store: CampaignStore, log: AckLog, confirmation_id: str, case_id: str) -> None:
    """Send a confirmation and note the acknowledgement."""
    log.note(what="sent", id=confirmation_id, case=case_id)
    ref = store.confirm(a_confirmation(confirmation_id, case_id), based_on_version=None)
    log.note(
        what="confirmed", id=confirmation_id, case=case_id, sequence=ref.sequence, record_hash=ref.record_hash
    )


def confirm_several(store: CampaignStore, log: AckLog, sent: dict[str, str]) -> None:
    """Send confirmations (case by id) together and note the acknowledgements."""
    for confirmation_id, case_id in sent.items():
        log.note(what="sent", id=confirmation_id, case=case_id)
    refs = confirm_together(store, [a_confirmation(*pair) for pair in sent.items()])
    for (confirmation_id, case_id), ref in zip(sent.items(), refs, strict=True):
        log.note(
            what="confirmed",
            id=confirmation_id,
            case=case_id,
            sequence=ref.sequence,
            record_hash=ref.record_hash,
        )


def _withdraw(store: CampaignStore, case_id: str, slot: Slot = FIRST) -> None:
    """Withdraw, unless an earlier attempt that could not be taken back has done so."""
    try:
        store.withdraw(case_id, "harness", "not good", slot)
    except CacheError:
        if store.newest(case_id, slot) is not None:
            raise


def _judge(store: CampaignStore, case_id: str, verdict: Verdict, slot: Slot = FIRST) -> None:
    """A second person's verdict; asked for again after a blow it changes nothing."""
    accepted = verdict is Verdict.ACCEPTED
    judge(store, Judgement(case_id, verdict, "reviewer", None, "" if accepted else "border", slot=slot))


def _a_draft(confirmation_id: str, case_id: str) -> CaseDraft:
    sent = a_confirmation(confirmation_id, case_id)
    return CaseDraft(case_id, sent.mask, slot=sent.slot)


def _draft(store: CampaignStore, confirmation_id: str, case_id: str) -> None:
    store.save_draft(_a_draft(confirmation_id, case_id))


Operation = Callable[[CampaignStore, AckLog], None]

ONE_TARGET: tuple[Operation, ...] = (
    lambda store, log: store.add_case("Fall A", an_image("a")) and None,
    lambda store, log: _draft(store, "d", "Fall A"),
    lambda store, log: confirm(store, log, "one", "Fall A"),
    lambda store, log: store.add_case("fall a", an_image("b")) and None,
    lambda store, log: confirm(store, log, "two", "Fall A"),
    lambda store, log: _withdraw(store, "Fall A"),
    lambda store, log: store.reopen("Fall A", "harness"),
    lambda store, log: confirm(store, log, "three", "Fall A"),
    lambda store, log: store.skip("fall a", "harness", "no target"),
    lambda store, log: store.add_case("Fall B", an_image("c")) and None,
    lambda store, log: confirm_several(store, log, {"four": "Fall B", "five": "Fall A"}),
    lambda store, log: _judge(store, "Fall B", Verdict.RETURNED),
    lambda store, log: confirm(store, log, "six", "Fall B"),
    lambda store, log: _judge(store, "Fall B", Verdict.ACCEPTED),
    lambda store, log: _judge(store, "Fall A", Verdict.ACCEPTED),
    lambda store, log: confirm(store, log, "seven!", "Fall A"),
    lambda store, log: save_drafts_together(
        store, [CaseDraft(c, a_confirmation("d", c).mask) for c in ("Fall A", "Fall B")]
    ),
    lambda store, log: store.update_manifest(MANIFEST),
)
THREE_TARGETS: tuple[Operation, ...] = (
    lambda store, log: store.add_case("Fall A", an_image("a")) and None,
    lambda store, log: confirm(store, log, "one@", "Fall A"),
    lambda store, log: store.set_targets(THREE),
    lambda store, log: _draft(store, "d@lesion#2", "Fall A"),
    lambda store, log: confirm(store, log, "two@spleen", "Fall A"),
    lambda store, log: confirm(store, log, "three@lesion", "Fall A"),
    lambda store, log: confirm(store, log, "four@lesion#2", "Fall A"),
    lambda store, log: store.add_case("fall a", an_image("b")) and None,
    lambda store, log: _withdraw(store, "Fall A", Slot("spleen")),
    lambda store, log: store.skip("fall a", "harness", "no target", Slot("spleen")),
    lambda store, log: confirm(store, log, "five@spleen", "Fall A"),
    lambda store, log: store.reopen("Fall A", "harness", slot=Slot("lesion", 2)),
    lambda store, log: confirm(store, log, "six@lesion#2", "Fall A"),
    lambda store, log: confirm_several(
        store, log, {"seven@lesion": "Fall A", "eight@": "fall a", "nine@lesion#2": "fall a"}
    ),
    lambda store, log: _judge(store, "fall a", Verdict.RETURNED, Slot("lesion", 2)),
    lambda store, log: _judge(store, "Fall A", Verdict.ACCEPTED, Slot("spleen")),
    lambda store, log: save_drafts_together(store, [_a_draft(i, "fall a") for i in ("e@spleen", "f@lesion")]),
    lambda store, log: store.set_targets(Targets([THREE[1], THREE[0], THREE[2]])),
    lambda store, log: store.update_manifest(MANIFEST),
)
SCENARIOS = {1: ONE_TARGET, 3: THREE_TARGETS}
"""By number of targets in the end."""


def open_or_create(folder: Path, disk: Disk) -> CampaignStore:
    """Open the campaign for writing, or make it where its making was interrupted."""
    if (folder / "campaign.json").exists():
        return CampaignStore.open(folder, writer=True, disk=disk)
    return CampaignStore.create(folder, MANIFEST, disk=disk)


def play(folder: Path, log: AckLog, disk: Disk, first: int = 0, targets: int = 1) -> None:
    """Do the operations from the ``first`` on, noting each that is done."""
    operations = SCENARIOS[targets]
    with open_or_create(folder, disk) as store:
        log.note(what="open")
        for number in range(first, len(operations)):
            operations[number](store, log)
            log.note(what="done", number=number)


def outcome(store: CampaignStore) -> object:
    """What a finished scenario must have led to, however often it was interrupted."""
    return {
        case.case_id: (
            case.state.name,
            case.has_draft,
            {
                shown.slot: (
                    shown.verdict.value,
                    shown.reviewer,
                    [
                        (v.ref.mask_hash, v.withdrawn, v.current)
                        for v in store.versions(case.case_id, shown.slot)
                    ],
                    [
                        (m.action, m.review and m.review.case_version)
                        for m in store.marks(case.case_id, shown.slot)
                    ][-1:],
                )
                for shown in case.slots
            },
        )
        for case in store.cases()
    }


def write_at_random(folder: Path, log: AckLog, disk: Disk, cases: int, tag: str, targets: int = 1) -> None:
    """Confirm small cases one after the other until somebody ends the process."""
    with open_or_create(folder, disk) as store:
        if targets > 1:
            store.set_targets(THREE)
        for number in range(1_000_000):
            case_id = f"Fall {number % cases}"
            if number < cases:
                store.add_case(case_id, an_image(case_id))
            end = tag_of(SLOTS[number // cases % len(SLOTS)]) if targets > 1 else ""
            confirm(store, log, f"{tag}-{number}{end}", case_id)
            if number % 5 == 4:
                _draft(store, f"d{end}", case_id)
