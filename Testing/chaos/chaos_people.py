"""The people of a chaos run: two annotate, a lead swaps weights and starts episodes; all keep a tally."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from engine_support import an_image

from clopa_annotator.cache.format.chunked import mask_hash
from clopa_annotator.client.http_client import HttpEngineClient
from clopa_annotator.client.transport import TransportSettings
from clopa_annotator.errors import ClopaError, EngineUnreachable
from clopa_annotator.types import CaseRef, Confirmation, PointPrompt, Proposal

CLICK = PointPrompt((15, 18, 14))


@dataclass
class Tally:
    """What happened, from the annotators' side; ``start_s`` is what the last start of an engine took."""

    acknowledged: dict[str, tuple[CaseRef, str]] = field(default_factory=dict)
    kept: dict[str, str] = field(default_factory=dict)
    first: Counter[tuple[int, int, str]] = field(default_factory=Counter)
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
        self, name: str, url: str, token: str, spool: Path, tally: Tally, stop: threading.Event
    ) -> None:
        super().__init__(name=name, daemon=True)
        self.client = HttpEngineClient(
            url, token, spool, TransportSettings(patience_s=3.0, quick_s=20.0, work_s=60.0)
        )
        self.tally, self.stop = tally, stop
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
            case = f"{self.name} {number}"
            # While somebody waits for an answer the trainer stands back; it would never come to an end.
            self.stop.wait(self.rng.uniform(0.0, 1.0))
            while not self.stop.is_set():
                try:
                    self.annotate(case, number)
                    break
                except ClopaError as error:
                    with self.tally.lock:
                        self.tally.errors[type(error).__name__] += 1
                    time.sleep(0.2)
        self.settle()

    def annotate(self, case: str, number: int) -> None:
        self.ask(self.client.open_case(case, an_image(number % 7)))
        for turn in range(self.rng.randrange(1, 4)):
            answer = self.ask(self.client.add_prompts([CLICK]))
            self.tally.clicks += 1
            if turn == 0:
                self.note(answer.proposal, number % 7)
        mask = answer.proposal.mask.copy()
        mask[0, 0, number % 30] = 1
        confirmation = Confirmation(f"id {case}", case, mask, weights_version=answer.proposal.weights_version)
        digest = mask_hash(mask)
        try:
            ref = self.ask(self.client.confirm(confirmation))
        except EngineUnreachable:
            with self.tally.lock:
                self.tally.kept[confirmation.confirmation_id] = digest
            return
        with self.tally.lock:
            self.tally.acknowledged[confirmation.confirmation_id] = (ref, digest)

    def note(self, proposal: Proposal, image: int) -> None:
        """Remember the first mask of a case, to be compared with its version's own at the end."""
        with self.tally.lock:
            self.tally.first[proposal.weights_version, image, mask_hash(proposal.mask)] += 1

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
    """Swaps weights back and forth, and starts episodes."""

    def run(self) -> None:
        while not self.stop.is_set():
            self.stop.wait(self.rng.uniform(0.5, 3.0))
            try:
                versions = self.ask(self.client.weights())
                self.ask(self.client.roll_back(self.rng.choice(versions).number))
                self.tally.swaps += 1
                if self.rng.random() < 0.7:
                    self.ask(self.client.train_now())
            except ClopaError as error:
                with self.tally.lock:
                    self.tally.errors[f"lead: {type(error).__name__}"] += 1
        self.client.close()
