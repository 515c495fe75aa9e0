"""Do clicks stay fast while the engine learns, and is every mask that of one weights version?

    python benchmarks/load.py [--model FOLDER] [--clients 4] [--clicks 30] [--think 1.0] [--json FILE]

One engine process serves a campaign of generated volumes. Clients click, each in a thread and a session of
its own, with a pause for thought between clicks; first while nothing else happens, then while a real episode
trains in the background and the weights are swapped three times. Every mask is compared with the one that its
version gives alone. Goals: the 95th percentile while training is at most 1.5 times the idle one on a CPU, 1.2
times on a GPU. Latencies are the clients', with the way there and back and the wait for other clients.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import psutil
import torch

from clopa_annotator.config import CampaignConfig
from clopa_annotator.datasets.phantoms import PhantomSpec, make_phantom
from clopa_annotator.engine.tokens import first_token
from clopa_annotator.engine.transport import Transport
from clopa_annotator.pipeline import Campaign
from clopa_annotator.session.remote import RemoteSession
from clopa_annotator.types import Confirmation, GateDecision, Image, Mask, PointPrompt

SCALES = (1.05, 0.95)
"""The versions that are swapped in: the base with its norms scaled, so that their masks can be told apart."""
SERVE = """
import sys
from pathlib import Path
from clopa_annotator.engine.host import EngineSettings
from clopa_annotator.engine.serve import run_engine
from clopa_annotator.engine.supervisor import SupervisorSettings
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
    """

    seconds: list[float] = field(default_factory=list)
    versions: dict[int, int] = field(default_factory=dict)
    mixed: int = 0

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
            with campaign.using(version):
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


def client(
    url: str,
    token: str,
    number: int,
    volume: tuple[Image, Mask],
    pure: dict,
    given: argparse.Namespace,
    phase: Phase,
    lock: threading.Lock,
) -> None:
    """One annotator: the same click again and again, on a session that is reset before it."""
    rng = random.Random(number)
    line = Transport(url, token)
    session = RemoteSession(line)
    session.open_case(f"case {number}", volume[0].geometry.shape_kji)
    session.add_prompt(click_in(volume[1]))
    for _ in range(given.clicks):
        time.sleep(rng.expovariate(1 / given.think) if given.think else 0)
        session.reset()
        began = time.perf_counter()
        proposal = session.add_prompt(click_in(volume[1]))
        took = time.perf_counter() - began
        with lock:
            phase.seconds.append(took)
            version = proposal.weights_version
            phase.versions[version] = phase.versions.get(version, 0) + 1
            phase.mixed += not np.array_equal(proposal.mask, pure[version, number])
    session.close()
    line.close()


def run_phase(url: str, token: str, volumes: list, pure: dict, given: argparse.Namespace,
              meanwhile: Callable[[], None]) -> Phase:  # fmt: skip
    """All clients at once; ``meanwhile`` runs beside them."""
    phase, lock = Phase(), threading.Lock()
    threads = [
        threading.Thread(target=client, args=(url, token, n, volumes[n], pure, given, phase, lock))
        for n in range(given.clients)
    ]
    for thread in threads:
        thread.start()
    meanwhile()
    for thread in threads:
        thread.join()
    return phase


def swapping(line: Transport, versions: int, pause_s: float) -> Callable[[], None]:
    """Three swaps, spread over the phase."""

    def swap() -> None:
        for turn in range(3):
            time.sleep(pause_s)
            line.exchange("weights/rollback", {"version": (turn + 1) % versions})

    return swap


def arguments() -> argparse.Namespace:
    """What the command was asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--clicks", type=int, default=30)
    parser.add_argument(
        "--think", type=float, default=1.0, help="mean pause between a client's clicks, seconds"
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--niceness", type=int, default=5, help="of the trainer")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def main() -> int:
    """The command."""
    given = arguments()
    volumes = [make_phantom(PhantomSpec(), seed) for seed in range(max(8, given.clients))]
    with tempfile.TemporaryDirectory() as folder:
        path, pure = prepare(Path(folder), given.model, given.device, volumes)
        engine = subprocess.Popen(
            [sys.executable, "-c", SERVE, str(path), given.device, str(given.niceness)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        url = json.loads(engine.stdout.readline())["url"]
        token = first_token(path / "tokens.json")
        line = Transport(url, token)
        load_before = psutil.getloadavg()[0]
        idle = run_phase(url, token, volumes, pure, given, lambda: None)
        line.exchange("episodes/start", {})
        wait_until_training(line)
        updates = progress(path)
        pause_s = given.clicks * (given.think + statistics.median(idle.seconds)) / 4
        training = run_phase(url, token, volumes, pure, given, swapping(line, len(SCALES) + 1, pause_s))
        updates = progress(path) - updates
        still = line.exchange("state", {})[0]["learning"]["phase"]
        if still in ("training", "checking"):
            line.exchange("episodes/cancel", {})
        line.close()
        judgement = report(given, idle, training, updates, still, load_before)
        engine.stdin.close()
        engine.wait(300)
    return judgement


def wait_until_training(line: Transport) -> None:
    """The trainer has loaded everything and made its first update."""
    for _ in range(3000):
        state = line.exchange("state", {})[0]["learning"]
        if state["phase"] != "training" or (state["loss"] is not None):
            return
        time.sleep(0.2)


def progress(campaign: Path) -> int:
    """Updates done by the newest episode."""
    jobs = sorted((campaign / "episodes").glob("[0-9]*"))
    lines = (jobs[-1] / "progress.jsonl").read_text().splitlines() if jobs else []
    return int(json.loads(lines[-1]).get("update", 0)) if lines else 0


def report(
    given: argparse.Namespace, idle: Phase, training: Phase, updates: int, still: str, load: float
) -> int:
    """Print, write, and judge."""
    ratio = training.percentiles()[1] / idle.percentiles()[1]
    goal = 1.2 if given.device.startswith("cuda") else 1.5
    machine = (
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} CPUs, torch {torch.__version__}"
    )
    print(f"{given.clients} clients, {given.clicks} clicks each, {given.think} s between")
    print(f"{given.device}; {machine}")
    print(f"load average before the first phase: {load:.1f} (above 1: the machine was busy already)")
    print(f"{'':10}{'p50 ms':>10}{'p95 ms':>10}{'p99 ms':>10}   masks per version   mixed")
    for name, phase in (("idle", idle), ("training", training)):
        p50, p95, p99 = phase.percentiles()
        print(f"{name:10}{p50:10.0f}{p95:10.0f}{p99:10.0f}   {phase.versions}   {phase.mixed}")
    print(f"p95 while training / idle: {ratio:.2f} (goal {goal})")
    print(f"meanwhile the episode made {updates} updates; at the end: {still}")
    if given.json:
        rows = {
            "idle": vars(idle),
            "training": vars(training),
            "ratio": ratio,
            "updates": updates,
            "load": load,
        }
        date = datetime.now(timezone.utc).date().isoformat()
        given.json.write_text(json.dumps({"machine": machine, "date": date, **rows}))
    return 1 if idle.mixed or training.mixed else 0


if __name__ == "__main__":
    raise SystemExit(main())
