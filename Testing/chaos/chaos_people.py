"""The people of a chaos run: two annotate, a lead swaps weights and starts episodes; all keep a tally."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from engine_support import an_image

from clopa_annotator.cache.format.chunked import mask_hash
from clopa_annotator.client.http_client import HttpEngineClient
from clopa_annotator.client.transport import TransportSettings
from clopa_annotator.errors import ClopaError, EngineUnreachable
from clopa_annotator.types import CaseRef, Confirmation, Mask, PointPrompt, Proposal, Slot, Target, Targets
from clopa_annotator.types.targets import FIRST

CLICK = PointPrompt((15, 18, 14))
CAMPAIGNS = {
    1: (Targets.named(["target"]), (FIRST,)),
    3: (
        Targets([*Targets.named(["liver", "spleen"]), Target("lesion", "lesion", instances=True)]),
        (FIRST, Slot("spleen"), Slot("lesion"), Slot("lesion", 2)),
    ),
}
"""Targets of a campaign, and what is confirmed of each case, by number of targets."""


def part_of(mask: Mask, slot: Slot, slots: tuple[Slot, ...]) -> Mask:
    """A mask in the planes that are a slot's, since targets exclude each other: all where there is one."""
    part, planes = np.zeros_like(mask), mask.shape[0] // len(slots)
    own = slice(slots.index(slot) * planes, (slots.index(slot) + 1) * planes)
    part[own] = mask[own]
    return part


@dataclass
class Tally:
    """What happened, from the annotators' side; ``start_s`` is what the last start of an engine took."""

    acknowledged: dict[str, tuple[CaseRef, str]] = field(default_factory=dict)
    kept: dict[str, str] = field(default_factory=dict)
    first: Counter[tuple[Slot, int, int, str]] = field(default_factory=Counter)
    swaps: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    clicks: int = 0
    injuries: Counter[str] = field(default_factory=Counter)
    start_s: float = 5.0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def engines(self) -> int:
        """Engines that were killed."""
        return self.injuries["engine"] + self.injuries["both"]

    @property
    def killed(self) -> int:
        """Processes that were killed."""
        return self.engines + self.injuries["trainer"] + self.injuries["both"]


class Person(threading.Thread):
    """Opens cases, clicks, confirms; tries again after every failure."""

    def __init__(
        self,
        name: str,
        url: str,
        token: str,
        spool: Path,
        tally: Tally,
        stop: threading.Event,
        targets: int = 1,
    ) -> None:
        super().__init__(name=name, daemon=True)
        self.client = HttpEngineClient(
            url, token, spool, TransportSettings(patience_s=3.0, quick_s=20.0, work_s=60.0)
        )
        self.tally, self.stop = tally, stop
        self.targets, self.slots = CAMPAIGNS[targets]
        self.rng = random.Random(name)

    def ask(self, call: object) -> object:
        box: dict[str, object] = {}
        call.then(lambda r: box.update(result=r), lambda e: box.update(error=e))
        while not box:
            self.client.poll(0.05)
        if "error" in box:
            raise box["error"]
        return box["result"]

    def run(self) -> None:
        number = 0
        while not self.stop.is_set():
            number += 1
            case, left = f"{self.name} {number}", list(self.slots)
            # While somebody waits for an answer the trainer stands back; it would never come to an end.
            self.stop.wait(self.rng.uniform(0.0, 1.0))
            while left and not self.stop.is_set():
                try:
                    self.annotate(case, number, left)
                except ClopaError as error:
                    with self.tally.lock:
                        self.tally.errors[type(error).__name__] += 1
                    time.sleep(0.2)
        self.settle()

    def annotate(self, case: str, number: int, left: list[Slot]) -> None:
        """Confirm what is left of a case, one slot after the other; what is decided goes from ``left``."""
        self.ask(self.client.open_case(case, an_image(number % 7), slot=left[0]))
        while left:
            slot = left[0]
            if len(self.slots) > 1:
                self.ask(self.client.choose(slot))
            for turn in range(self.rng.randrange(1, 4)):
                proposal = self.ask(self.client.add_prompts([CLICK])).proposal
                self.tally.clicks += 1
                if turn == 0:
                    self.note(proposal, number % 7, slot)
            self.confirm(case, number, slot, proposal)
            left.remove(slot)

    def confirm(self, case: str, number: int, slot: Slot, proposal: Proposal) -> None:
        """Confirm a proposal with a mark of its own in it; kept for later where the engine is away."""
        mask = proposal.mask.copy()
        mask[self.slots.index(slot) * (len(mask) // len(self.slots)), 0, number % 30] = 1
        mask = part_of(mask, slot, self.slots)
        named = "" if slot == FIRST else f" {slot.target} {slot.instance}"
        confirmation = Confirmation(f"id {case}{named}", case, mask, weights_version=proposal.weights_version)
        digest = mask_hash(mask)
        try:
            ref = self.ask(self.client.confirm(replace(confirmation, slot=slot)))
        except EngineUnreachable:
            with self.tally.lock:
                self.tally.kept[confirmation.confirmation_id] = digest
            return
        with self.tally.lock:
            self.tally.acknowledged[confirmation.confirmation_id] = (ref, digest)

    def note(self, proposal: Proposal, image: int, slot: Slot = FIRST) -> None:
        """Remember the first mask of a slot, to be compared with its version's own at the end."""
        digest = mask_hash(part_of(proposal.mask, slot, self.slots))
        with self.tally.lock:
            self.tally.first[slot, proposal.weights_version, image, digest] += 1

    def settle(self) -> None:
        """Deliver what is still on the spool."""
        for _ in range(60):
            try:
                self.ask(self.client.connect())
                break
            except ClopaError:
                time.sleep(0.5)
        self.client.close()


class Lead(Person):
    """Swaps the weights of one target and the other back and forth, and starts episodes."""

    def run(self) -> None:
        while not self.stop.is_set():
            self.stop.wait(self.rng.uniform(0.5, 3.0))
            try:
                key = self.rng.choice(self.targets).key
                versions = self.ask(self.client.weights(key))
                self.ask(self.client.roll_back(self.rng.choice(versions).number, key))
                self.tally.swaps += 1
                if self.rng.random() < 0.7:
                    self.ask(self.client.train_now(key))
            except ClopaError as error:
                with self.tally.lock:
                    self.tally.errors[f"lead: {type(error).__name__}"] += 1
        self.client.close()
