"""Kills an engine and its trainer while people click, confirm and learn; counts what is lost.

``python Testing/chaos/chaos.py --kills 200`` runs on a campaign of its own with a small random network and
the scripted trainer. Two people annotate, a lead swaps weights back and forth and starts episodes. Engine and
trainer are killed with SIGKILL at random moments, singly or together; besides, connections are cut in the
middle of uploads and the disk fills up, which does not count as a kill. It ends with 1 unless

* every acknowledged confirmation is there, intact, once;
* what could not be delivered at once was delivered later, once;
* no episode trained on anything that was not confirmed;
* no process is left over;
* the first click on every case gave exactly the mask of the weights version that it named.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from chaos_network import CuttingProxy
from engine_process import DISK_FULL, EngineProcess
from engine_support import a_model, an_image, make_campaign

from clopa_annotator.cache.chunked import mask_hash
from clopa_annotator.cache.store import CampaignStore
from clopa_annotator.engine.client import HttpEngineClient
from clopa_annotator.engine.processes import with_patience
from clopa_annotator.engine.signals import TRAINER, read_process
from clopa_annotator.engine.transport import TransportSettings
from clopa_annotator.episode.folder import read_job
from clopa_annotator.errors import ClopaError, EngineUnreachable
from clopa_annotator.pipeline import Campaign
from clopa_annotator.types import CaseRef, Confirmation, PointPrompt, Proposal

CLICK = PointPrompt((15, 18, 14))


@dataclass
class Tally:
    """What happened, from the annotators' side."""

    acknowledged: dict[str, tuple[CaseRef, str]] = field(default_factory=dict)
    kept: dict[str, str] = field(default_factory=dict)
    first: Counter[tuple[int, int, str]] = field(default_factory=Counter)
    swaps: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    clicks: int = 0
    injuries: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def killed(self) -> int:
        """Processes that were killed."""
        return self.injuries["engine"] + self.injuries["trainer"] + 2 * self.injuries["both"]


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
                if self.rng.random() < 0.3:
                    self.ask(self.client.train_now())
            except ClopaError as error:
                with self.tally.lock:
                    self.tally.errors[f"lead: {type(error).__name__}"] += 1
        self.client.close()


def injure(engine: EngineProcess, proxy: CuttingProxy, rng: random.Random, tally: Tally) -> None:
    """One random injury."""
    jobs = sorted((engine.campaign / "episodes").glob("[0-9]*"))
    known = read_process(jobs[-1] / TRAINER) if jobs else None
    trainer = known.process() if known else None
    kinds = ["engine", "network", "disk"] if trainer is None else ["engine", "trainer", "both", "network"]
    kind = rng.choice(kinds)
    if kind in ("trainer", "both") and trainer is not None:
        with_patience(trainer.kill)
    if kind in ("engine", "both"):
        engine.kill()
        engine.start()
    elif kind == "network":
        proxy.cut_after(rng.choice([0, 200, 5_000, 60_000]))
    elif kind == "disk":
        flag = engine.campaign.parent / DISK_FULL
        flag.touch()
        time.sleep(rng.uniform(0.1, 1.0))
        flag.unlink()
    tally.injuries[kind] += 1


def run(folder: Path, kills: int, seed: int, minutes: float = 600.0) -> tuple[Tally, list[str]]:
    """Injure until ``kills`` processes were killed or time is up; the tally, and what was found wrong."""
    rng, tally, stop = random.Random(seed), Tally(), threading.Event()
    campaign = make_campaign(folder / "campaign", a_model(folder / "model"))
    engine = EngineProcess(campaign, episode_s=3.0).start()
    proxy = CuttingProxy(engine.port)
    people = [
        Person(name, proxy.url, engine.token, folder / "spool" / name, tally, stop) for name in ("Ada", "Bob")
    ]
    people.append(Lead("Lea", proxy.url, engine.token, folder / "spool" / "Lea", tally, stop))
    for person in people:
        person.start()
    end = time.monotonic() + 60 * minutes
    while tally.killed < kills and time.monotonic() < end:
        wait_for_a_click(tally)
        time.sleep(rng.uniform(0.0, 1.0))
        injure(engine, proxy, rng, tally)
        print(f"{tally.killed} killed, {dict(tally.injuries)}, {tally.clicks} clicks", flush=True)
    wait_for_a_click(tally)
    stop.set()
    for person in people:
        person.join(300)
    last = Person("Eve", engine.url, engine.token, folder / "spool" / "Eve", tally, stop)
    last.ask(last.client.open_case("last", an_image(0)))
    last.note(last.ask(last.client.add_prompts([CLICK])).proposal, 0)
    last.client.close()
    code = engine.close_stdin()
    proxy.close()
    wrong = [] if code == 0 else [f"the engine ended with {code}"]
    return tally, wrong + examine(campaign, folder, tally) + impure(campaign, tally)


def wait_for_a_click(tally: Tally, patience_s: float = 120.0) -> None:
    """Injuries hit an engine at work, not one that is still starting."""
    seen, end = tally.clicks, time.monotonic() + patience_s
    while tally.clicks == seen and time.monotonic() < end:
        time.sleep(0.02)


def examine(campaign: Path, folder: Path, tally: Tally) -> list[str]:
    """What is wrong with a campaign after all that."""
    wrong = []
    time.sleep(4.0)
    left = [
        p.pid for p in psutil.process_iter(["cmdline"]) if str(folder) in " ".join(p.info["cmdline"] or [])
    ]
    if left:
        wrong.append(f"processes left over: {left}")
    with CampaignStore.open(campaign, writer=True) as store:
        report = store.verify()
        if not report.ok:
            wrong.append(f"verify found {report.findings[:3]}")
        stored = {v.ref.record_hash: v.ref for row in store.cases() for v in store.versions(row.case_id)}
        ids = Counter(store.record(ref).confirmation_id for ref in stored.values())
        wrong += [f"{name} is stored {count} times" for name, count in ids.items() if count > 1]
        wrong += [f"{name} was kept and never delivered" for name in tally.kept if name not in ids]
        for name, (ref, digest) in tally.acknowledged.items():
            if ref.record_hash not in stored:
                wrong.append(f"acknowledged and lost: {name}")
            elif mask_hash(store.read_mask(ref)) != digest:
                wrong.append(f"another mask is stored for {name}")
        confirmed = set(stored)
        for job in sorted((campaign / "episodes").glob("[0-9]*")):
            order = read_job(job)
            if not {ref.record_hash for ref in (*order.train, *order.val)} <= confirmed:
                wrong.append(f"{job.name} trained on something that was not confirmed")
    return wrong


def impure(campaign: Path, tally: Tally) -> list[str]:
    """First clicks whose mask is not that of the version that they named."""
    wrong = []
    with Campaign.open(campaign, device="cpu", writer=False) as opened:
        for version, image, digest in sorted(tally.first):
            with opened.using(version):
                session = opened.new_session()
                session.set_image(an_image(image))
                if mask_hash(session.add_prompt(CLICK).mask) != digest:
                    wrong.append(f"a mask on image {image} is not that of version {version}")
                session.close()
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--minutes", type=float, default=600.0, help="stop injuring after this long")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        tally, wrong = run(Path(folder), given.kills, given.seed, given.minutes)
        print(
            f"{tally.killed} processes killed, {dict(tally.injuries)}, in {time.monotonic() - began:.0f} s; "
            f"{tally.clicks} clicks, {tally.swaps} swaps, first masks of {len({v for v, *_ in tally.first})} "
            f"versions compared ({tally.first.total()}), "
            f"{len(tally.acknowledged)} confirmations acknowledged at once, {len(tally.kept)} kept and "
            f"delivered later, failures told {dict(tally.errors)}"
        )
    for line in wrong:
        print("WRONG:", line)
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
