"""Kills an engine and its trainer while people click, confirm and learn; counts what is lost.

``python Testing/chaos/chaos.py --kills 200`` runs on a campaign of its own with a small random network and
the scripted trainer; ``--targets 3`` on one of three targets, one of them with several instances, each with
its own line of learning. Two people annotate, a lead swaps weights back and forth and starts episodes. Engine
and trainer are killed with SIGKILL at random moments, singly or together; besides, connections are cut in the
middle of uploads and the disk fills up, which does not count as a kill. About two kills in five are the
engine's, the rest the trainer's, most of them while it works on its job. It ends with 1 unless

* every acknowledged confirmation is there, intact, once, and of the target that it was made for;
* what could not be delivered at once was delivered later, once;
* no episode trained on anything that was not confirmed, or that is another target's;
* no process is left over;
* the first click on every case and target gave exactly the mask of the weights version that it named, where
  no other target has voxels.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from chaos_network import CuttingProxy
from chaos_people import CAMPAIGNS, CLICK, Lead, Person, Tally, part_of
from engine_process import DISK_FULL, EngineProcess
from engine_support import a_model, an_image, make_campaign

from clopa_annotator.cache.campaign_store import CampaignStore
from clopa_annotator.cache.format.chunked import mask_hash
from clopa_annotator.campaign.composition import Campaign
from clopa_annotator.episode.folder import read_job
from clopa_annotator.training.processes import with_patience
from clopa_annotator.training.signals import TRAINER, read_process
from clopa_annotator.types import Slot

WORKING, STARTING, AWAY = "working", "starting", "away"
CHANCES = {
    WORKING: {"engine": 1.0, "trainer": 4.0, "both": 2.0, "network": 0.5},
    STARTING: {"engine": 3.0, "trainer": 1.0, "network": 0.5, "disk": 0.5},
    AWAY: {"engine": 3.0, "network": 0.5, "disk": 0.5},
}
"""How often each injury is chosen, by what the trainer is doing."""
ENGINES = 0.4
"""Above this share of the kills a trainer is waited for before the next engine is killed: that costs more."""
EPISODE_S = 1.0


def lines_of(campaign: Path) -> list[Path]:
    """Where each target's learning lies, the first one's first."""
    return [campaign, *sorted(path for path in campaign.glob("targets/*") if path.is_dir())]


def jobs_of(line: Path) -> list[Path]:
    """Its job folders, the oldest first."""
    return sorted((line / "episodes").glob("[0-9]*"))


def find_trainer(engine: EngineProcess) -> tuple[str, psutil.Process | None]:
    """The trainer, and whether it has its job in hands or is still starting."""
    for line in lines_of(engine.campaign):
        jobs = jobs_of(line)
        known = read_process(jobs[-1] / TRAINER) if jobs else None
        working = known.process() if known else None
        if working is not None:
            return WORKING, working
    with contextlib.suppress(psutil.Error):
        for child in psutil.Process(engine.process.pid).children():
            if any(part.endswith("scripted_trainer.py") for part in child.cmdline()):
                return STARTING, child
    return AWAY, None


def injure(engine: EngineProcess, proxy: CuttingProxy, rng: random.Random, tally: Tally) -> None:
    """One random injury; most fall on a trainer at work, at any moment of it."""
    if tally.engines > ENGINES * tally.killed and wait_for_a_trainer(engine, 2 * tally.start_s):
        # Longer than it trains: some get as far as their result, and their weights come into use.
        time.sleep(rng.uniform(0.0, 3 * EPISODE_S))
    state, trainer = find_trainer(engine)
    kind = rng.choices([*CHANCES[state]], weights=[*CHANCES[state].values()])[0]
    if kind in ("trainer", "both"):
        with_patience(trainer.kill)
    if kind in ("engine", "both"):
        engine.kill()
        began = time.monotonic()
        engine.start()
        tally.start_s = time.monotonic() - began
    elif kind == "network":
        proxy.cut_after(rng.choice([0, 200, 5_000, 60_000]))
    elif kind == "disk":
        flag = engine.campaign.parent / DISK_FULL
        flag.touch()
        time.sleep(rng.uniform(0.1, 1.0))
        flag.unlink()
    tally.injuries[kind] += 1


def run(
    folder: Path, kills: int, seed: int, minutes: float = 600.0, targets: int = 1
) -> tuple[Tally, list[str]]:
    """Injure until ``kills`` processes were killed or time is up; the tally, and what was found wrong."""
    rng, tally, stop = random.Random(seed), Tally(), threading.Event()
    campaign = make_campaign(folder / "campaign", a_model(folder / "model"), targets=CAMPAIGNS[targets][0])
    engine = EngineProcess(campaign, episode_s=EPISODE_S).start()
    proxy = CuttingProxy(engine.port)

    def somebody(kind: type[Person], name: str, url: str) -> Person:
        return kind(name, url, engine.token, folder / "spool" / name, tally, stop, targets)

    people = [somebody(Person, name, proxy.url) for name in ("Ada", "Bob")]
    people.append(somebody(Lead, "Lea", proxy.url))
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
    last = somebody(Person, "Eve", engine.url)
    last.ask(last.client.open_case("last", an_image(0)))
    last.note(last.ask(last.client.add_prompts([CLICK])).proposal, 0)
    last.client.close()
    code = engine.close_stdin()
    proxy.close()
    wrong = [] if code == 0 else [f"the engine ended with {code}"]
    found = examine(campaign, folder, tally) + impure(campaign, tally, CAMPAIGNS[targets][1])
    return tally, wrong + found


def wait_for_a_click(tally: Tally, patience_s: float = 120.0) -> None:
    """Injuries hit an engine at work, not one that is still starting."""
    seen, end = tally.clicks, time.monotonic() + patience_s
    while tally.clicks == seen and time.monotonic() < end:
        time.sleep(0.02)


def wait_for_a_trainer(engine: EngineProcess, patience_s: float) -> bool:
    """Whether one gets to work in time; it starts about as quickly as an engine."""
    end = time.monotonic() + patience_s
    while time.monotonic() < end:
        if find_trainer(engine)[0] == WORKING:
            return True
        time.sleep(0.05)
    return False


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
        slots = [(row.case_id, shown.slot) for row in store.cases() for shown in row.slots]
        stored = {v.ref.record_hash: v.ref for where in slots for v in store.versions(*where)}
        ids = Counter(store.record(ref).confirmation_id for ref in stored.values())
        wrong += [f"{name} is stored {count} times" for name, count in ids.items() if count > 1]
        wrong += [f"{name} was kept and never delivered" for name in tally.kept if name not in ids]
        for name, (ref, digest) in tally.acknowledged.items():
            if ref.record_hash not in stored:
                wrong.append(f"acknowledged and lost: {name}")
            elif mask_hash(store.read_mask(ref)) != digest:
                wrong.append(f"another mask is stored for {name}")
            elif stored[ref.record_hash].slot != ref.slot:
                wrong.append(f"{name} is stored as another target's")
    return wrong + untrue_lessons(campaign, {name: ref.slot.target for name, ref in stored.items()})


def untrue_lessons(campaign: Path, targets: dict[str, str]) -> list[str]:
    """Episodes that trained on what was not confirmed, or is another target's; ``targets`` by record."""
    wrong = []
    for line in lines_of(campaign):
        own = "" if line == campaign else line.name
        for job in jobs_of(line):
            order = read_job(job)
            if any(targets.get(ref.record_hash) != own for ref in (*order.train, *order.val)):
                wrong.append(f"{own} {job.name} trained on something that was not confirmed for it")
    return wrong


def impure(campaign: Path, tally: Tally, slots: tuple[Slot, ...]) -> list[str]:
    """First clicks whose mask is not that of the version that they named."""
    wrong = []
    with Campaign.open(campaign, device="cpu", writer=False) as opened:
        for slot, version, image, digest in sorted(tally.first, key=repr):
            with opened.line(slot.target).using(version):
                session = opened.new_session()
                session.set_image(an_image(image))
                if mask_hash(part_of(session.add_prompt(CLICK).mask, slot, slots)) != digest:
                    of = f" of {slot.target}" if slot.target else ""
                    wrong.append(f"a mask on image {image} is not that of version {version}{of}")
                session.close()
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--minutes", type=float, default=600.0, help="stop injuring after this long")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--targets", type=int, choices=sorted(CAMPAIGNS), default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        tally, wrong = run(Path(folder), given.kills, given.seed, given.minutes, given.targets)
        print(
            f"{tally.killed} processes killed, {tally.engines} of them engines, {dict(tally.injuries)}, "
            f"in {time.monotonic() - began:.0f} s; "
            f"{tally.clicks} clicks, {tally.swaps} swaps, first masks of "
            f"{len({(slot.target, v) for slot, v, *_ in tally.first})} "
            f"versions compared ({tally.first.total()}), "
            f"{len(tally.acknowledged)} confirmations acknowledged at once, {len(tally.kept)} kept and "
            f"delivered later, failures told {dict(tally.errors)}"
        )
    for line in wrong:
        print("WRONG:", line)
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
