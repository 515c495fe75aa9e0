"""Do clicks stay fast while the engine learns, and is every mask that of one weights version?

    python benchmarks/load.py [--model FOLDER] [--clients 4] [--clicks 30] [--think 1.0] [--to-the-end]

One engine process serves a campaign of generated volumes. Clients click, each in a thread and a session of
its own, with a pause for thought between clicks: while nothing else happens, then while a real episode trains
in the background and the weights are swapped three times, then again while nothing else happens. Idle is
both, so that a machine that gets busier or quieter meanwhile does not decide the result. With --to-the-end
the clients go on until the episode has been checked and registered. Every mask is compared with the one that
its version gives alone. Goals: the 95th percentile while the engine learns is at most 1.5 times the idle one
on a CPU, 1.2 times on a GPU. Latencies are the clients', with the way there and back and the wait for others.
Ends with 1 if a goal was missed or a mask was no version's.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import bench
import numpy as np

from clopa_annotator.campaign.composition import Campaign
from clopa_annotator.client.remote_session import RemoteSession
from clopa_annotator.client.transport import Transport
from clopa_annotator.config import CampaignConfig
from clopa_annotator.datasets.phantoms import PhantomSpec, make_phantom
from clopa_annotator.episode.progress import read_progress
from clopa_annotator.types import Confirmation, GateDecision, Image, Mask, PointPrompt, Proposal
from clopa_annotator.wire.tokens import first_token

SCALES = (1.05, 0.95)
"""The versions that are swapped in: the base with its norms scaled, so that their masks can be told apart."""
UNDER_WAY = ("training", "checking")
SERVE = """
import sys
from pathlib import Path
from clopa_annotator.campaign.engine import EngineSettings
from clopa_annotator.server.serve import run_engine
from clopa_annotator.training.supervisor import SupervisorSettings
settings = EngineSettings(supervisor=SupervisorSettings(niceness=int(sys.argv[3])))
run_engine(Path(sys.argv[1]), device=sys.argv[2], parent_stdin=True, settings=settings)
"""


@dataclass
class Phase:
    """What the clients saw.

    Attributes:
        seconds: latency of every click.
        versions: how many masks came from which version.
        mixed: masks that are no version's.
        wall_s: how long it lasted.
    """

    seconds: list[float] = field(default_factory=list)
    versions: dict[int, int] = field(default_factory=dict)
    mixed: int = 0
    wall_s: float = 0.0

    def note(self, seconds: float, version: int, pure: bool) -> None:
        """One click."""
        self.seconds.append(seconds)
        self.versions[version] = self.versions.get(version, 0) + 1
        self.mixed += not pure

    def __add__(self, other: Phase) -> Phase:
        both = {v: self.versions.get(v, 0) + other.versions.get(v, 0) for v in self.versions | other.versions}
        return Phase(self.seconds + other.seconds, both, self.mixed + other.mixed, self.wall_s + other.wall_s)

    def percentiles(self) -> tuple[float, float, float]:
        """50th, 95th and 99th percentile in milliseconds."""
        p50, p95, p99 = np.percentile(self.seconds, [50, 95, 99]) * 1e3
        return float(p50), float(p95), float(p99)


def prepare(folder: Path, model: str, device: str, volumes: list[tuple[Image, Mask]]) -> tuple[Path, dict]:
    """A campaign with confirmed cases and three versions; the pure mask of each version and volume."""
    path = folder / "campaign"
    config = CampaignConfig("Load test", len(volumes), model=model, strategy="clopa-cn")
    pure: dict[tuple[int, int], Mask] = {}
    with Campaign.create(path, config, device=device) as campaign:
        for number, (image, mask) in enumerate(volumes):
            campaign.store.add_case(f"case {number}", image)
            campaign.confirm(Confirmation(f"id {number}", f"case {number}", mask))
        base = campaign.model.base_state()
        for scale in SCALES:
            tensors = {n: p * scale for n, p in base.items() if p.ndim == 1}
            campaign.registry.add_tensors(tensors, parent=0, parameter_group="in")
        for version in range(len(SCALES) + 1):
            with campaign.line().using(version):
                for number, (image, mask) in enumerate(volumes):
                    session = campaign.new_session()
                    session.set_image(image)
                    pure[version, number] = session.add_prompt(click_in(mask)).mask
                    session.close()
        decision = GateDecision(False, "Kept for the load test.")
        for version in range(1, len(SCALES) + 1):
            campaign.registry.reject(version, decision)
    return path, pure


def click_in(mask: Mask) -> PointPrompt:
    """A click in the middle of the target."""
    inside = np.argwhere(mask)
    k, j, i = (int(x) for x in inside[len(inside) // 2])
    return PointPrompt((k, j, i))


class Clients:
    """Annotators: each the same click again and again, on a session that is reset before it."""

    def __init__(self, url: str, token: str, volumes: list, pure: dict, given: bench.Options) -> None:
        self.url, self.token, self.volumes, self.pure, self.given = url, token, volumes, pure, given
        self.lock = threading.Lock()

    def run(self, phase: Phase, meanwhile: Callable[[], None], more: Callable[[], bool]) -> Phase:
        """All at once; ``meanwhile`` runs beside them, and they go on while there is ``more``."""
        began = time.perf_counter()
        threads = [
            threading.Thread(target=self.one, args=(n, phase, more)) for n in range(self.given.clients)
        ]
        for thread in threads:
            thread.start()
        meanwhile()
        for thread in threads:
            thread.join()
        phase.wall_s += time.perf_counter() - began
        return phase

    def one(self, number: int, phase: Phase, more: Callable[[], bool]) -> None:
        """One annotator."""
        rng = random.Random(number)
        image, mask = self.volumes[number]
        line = Transport(self.url, self.token)
        session = RemoteSession(line)
        session.open_case(f"case {number}", image.geometry.shape_kji)
        session.add_prompt(click_in(mask))
        done = 0
        while done < self.given.clicks or more():
            done += 1
            time.sleep(rng.expovariate(1 / self.given.think) if self.given.think else 0)
            session.reset()
            began = time.perf_counter()
            proposal = session.add_prompt(click_in(mask))
            took = time.perf_counter() - began
            version = proposal.weights_version
            with self.lock:
                phase.note(took, version, self.is_pure(proposal, version, number))
        session.close()
        line.close()

    def is_pure(self, proposal: Proposal, version: int, number: int) -> bool:
        """Whether a mask is that of its version alone; those that were learned meanwhile are not compared."""
        known = self.pure.get((version, number))
        return known is None or np.array_equal(proposal.mask, known)


def swapping(line: Transport, versions: int, pause_s: float) -> Callable[[], None]:
    """Three swaps, spread over the phase."""

    def swap() -> None:
        for turn in range(3):
            time.sleep(pause_s)
            line.exchange("weights/rollback", {"version": (turn + 1) % versions})

    return swap


def measure(given: bench.Options, folder: Path) -> bench.Figures:
    """The engine's start and end, and the phases between."""
    volumes = [make_phantom(PhantomSpec(), seed) for seed in range(max(8, given.clients))]
    path, pure = prepare(folder, given.model, given.device, volumes)
    engine = subprocess.Popen(
        [sys.executable, "-c", SERVE, str(path), given.device, str(given.niceness)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    url = json.loads(engine.stdout.readline())["url"]
    token = first_token(path / "tokens.json")
    measured = phases(Clients(url, token, volumes, pure, given), Transport(url, token), path)
    engine.stdin.close()
    ending_s = bench.timed(lambda: engine.wait(300))
    return judged(given, measured) | {"engine_ended_with": engine.returncode, "ending_s": ending_s}


def phases(clients: Clients, line: Transport, path: Path) -> dict:
    """The three phases, and what the episode did meanwhile."""
    idle = clients.run(Phase(), lambda: None, lambda: False)
    line.exchange("episodes/start", {})
    alone = wait_until_training(line, path)
    before, pause_s = progress(path), idle.wall_s / 4
    swap = swapping(line, len(SCALES) + 1, pause_s)
    more = (lambda: learning(line) in UNDER_WAY) if clients.given.to_the_end else (lambda: False)
    training = clients.run(Phase(), swap, more)
    updates, state = progress(path) - before, learning(line)
    if state in UNDER_WAY:
        line.exchange("episodes/cancel", {})
        while learning(line) in UNDER_WAY:
            time.sleep(0.2)
    # The idle phases are of the same length and on the same weights as the first.
    line.exchange("weights/rollback", {"version": 0})
    idle += clients.run(Phase(), lambda: None, lambda: False)
    line.close()
    return {"idle": idle, "learning": training, "updates": updates, "state": state, "alone": alone}


def learning(line: Transport) -> str:
    """What the engine says it is doing."""
    return str(line.exchange("state", {})[0]["learning"]["phase"])


def wait_until_training(line: Transport, path: Path, seconds: float = 10.0) -> float:
    """Let the trainer load everything, then train alone for a while; its updates per second."""
    while progress(path) < 1 and learning(line) in UNDER_WAY:
        time.sleep(0.1)
    began, before = time.perf_counter(), progress(path)
    time.sleep(seconds)
    return (progress(path) - before) / (time.perf_counter() - began)


def progress(campaign: Path) -> int:
    """Updates done by the newest episode."""
    jobs = sorted((campaign / "episodes").glob("[0-9]*"))
    lines = read_progress(jobs[-1] / "progress.jsonl") if jobs else ()
    return lines[-1].update if lines else 0


def judged(given: bench.Options, measured: dict) -> bench.Figures:
    """The phases as a table, and whether the goals were met."""
    idle, training = measured["idle"], measured["learning"]
    ratio = training.percentiles()[1] / idle.percentiles()[1]
    goal = 1.2 if given.device.startswith("cuda") else 1.5
    rows = {
        name: dict(zip(("p50_ms", "p95_ms", "p99_ms"), phase.percentiles(), strict=True))
        | {"clicks": len(phase.seconds), "masks_per_version": phase.versions, "mixed": phase.mixed}
        for name, phase in (("idle", idle), ("learning", training))
    }
    return {
        "clients": given.clients,
        "think_s": given.think,
        "device": given.device,
        "p95_learning_over_idle": ratio,
        "goal": goal,
        "updates_per_s": measured["updates"] / training.wall_s,
        "updates_per_s_alone": measured["alone"],
        "state": measured["state"],
        "missed": bool(idle.mixed or training.mixed or ratio > goal),
        "phases": rows,
        "seconds": {"idle": idle.seconds, "learning": training.seconds},
    }


if __name__ == "__main__":
    found = bench.main(
        __doc__,
        measure,
        {
            "--model": "bundled",
            "--clients": 4,
            "--clicks": 30,
            "--think": (1.0, "mean pause between a client's clicks, seconds"),
            "--device": "cpu",
            "--niceness": (5, "of the trainer"),
            "--to-the-end": (False, "click until the episode is registered"),
        },
    )
    raise SystemExit(1 if found["missed"] or found["engine_ended_with"] else 0)
