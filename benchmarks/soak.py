"""Does an engine that works for hours keep its memory and its file handles?

    python benchmarks/soak.py [--minutes 60] [--think 1.5] [--model FOLDER] [--json FILE]

Two clients open cases, click, undo, save drafts, confirm and correct without end, with a pause before every
click, while listeners follow the events; episodes start by themselves as new cases come in (one a minute).
Every quarter of a minute the engine's memory, threads and open files are noted. After a warm-up of a quarter
of the time a straight line is fitted to each. Flat means: the line rises by less than 5 % of its level in an
hour, or not significantly (its 95 % interval includes no rise), and at the end there are at most two files
more than after the warm-up. The trainer is a process of its own and not counted; it is new for each episode.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

import bench
import numpy as np
import numpy.typing as npt
import psutil

from clopa_annotator.campaign.composition import Campaign
from clopa_annotator.client.http_client import HttpEngineClient
from clopa_annotator.config import CampaignConfig
from clopa_annotator.datasets.phantoms import PhantomSpec, make_phantom
from clopa_annotator.errors import ClopaError
from clopa_annotator.types import Confirmation, Event, PointPrompt
from clopa_annotator.wire.messages import Draft
from clopa_annotator.wire.tokens import first_token

SERVE = (
    "import sys; from pathlib import Path; from clopa_annotator.server.serve import run_engine; "
    "run_engine(Path(sys.argv[1]), parent_stdin=True)"
)
NEW_CASE_S = 120.0
"""Each of the two comes upon a new case this often."""


class Annotator(threading.Thread):
    """Works on new cases, one a minute, and corrects the old ones meanwhile."""

    def __init__(
        self, name: str, line: tuple[str, str], spool: Path, stop: threading.Event, think_s: float
    ) -> None:
        super().__init__(name=name, daemon=True)
        self.client = HttpEngineClient(*line, spool)
        self.events = 0
        self.client.listen(self.heard)
        self.stop, self.think_s, self.rng = stop, think_s, random.Random(name)
        self.clicks, self.refused, self.confirmed = 0, 0, 0

    def heard(self, _: Event) -> None:
        """Count the events."""
        self.events += 1

    def ask(self, call: object) -> object:
        """Wait for a call."""
        box: dict[str, object] = {}
        call.then(lambda r: box.update(result=r), lambda e: box.update(error=e))
        while not box:
            self.client.poll(0.1)
        if "error" in box:
            raise box["error"]
        return box["result"]

    def run(self) -> None:
        """Annotate until told to stop."""
        began = time.monotonic()
        while not self.stop.is_set():
            known = 1 + int((time.monotonic() - began) / NEW_CASE_S)
            number = known if self.rng.random() < 0.5 else self.rng.randrange(1, known + 1)
            try:
                self.annotate(f"{self.name} {number}", number)
            except ClopaError:
                self.refused += 1
        self.client.close()

    def annotate(self, case: str, seed: int) -> None:
        """One case."""
        image, mask = make_phantom(PhantomSpec(shape_kji=(32, 40, 40)), seed)
        self.ask(self.client.open_case(case, image))
        for _ in range(3):
            self.stop.wait(self.rng.expovariate(1 / self.think_s) if self.think_s else 0)
            answer = self.ask(self.client.add_prompts([PointPrompt((16, 20, 20))]))
            self.clicks += 1
        self.ask(self.client.undo())
        self.ask(self.client.save_draft(Draft(answer.proposal.mask)))
        self.ask(self.client.confirm(Confirmation(uuid.uuid4().hex, case, mask)))
        self.confirmed += 1
        self.ask(self.client.learning())
        self.ask(self.client.cases())


def sample(process: psutil.Process) -> tuple[float, int, int]:
    """Memory in MB, threads, open files and sockets."""
    files = process.num_fds() if hasattr(process, "num_fds") else process.num_handles()
    return process.memory_info().rss / 2**20, process.num_threads(), files


def measure(given: bench.Options, folder: Path) -> bench.Figures:
    """The engine's samples, and what was done meanwhile."""
    path = folder / "campaign"
    Campaign.create(path, CampaignConfig("Soak", 40, model=given.model)).close()
    engine = subprocess.Popen(
        [sys.executable, "-c", SERVE, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    line = json.loads(engine.stdout.readline())["url"], first_token(path / "tokens.json")
    stop, spool = threading.Event(), folder / "spool"
    people = [Annotator(name, line, spool, stop, given.think) for name in ("Ada", "Bob")]
    for person in people:
        person.start()
    samples = watch(psutil.Process(engine.pid), given)
    stop.set()
    for person in people:
        person.join(120)
    episodes = len(list((path / "episodes").glob("[0-9]*/result.json")))
    engine.stdin.close()
    code = engine.wait(120)
    if code:
        for log in ("engine-stuck.log", "engine.log"):
            print((path / "logs" / log).read_text()[-6000:])
    counts = {n: sum(getattr(p, n) for p in people) for n in ("clicks", "refused", "confirmed")}
    return {"minutes": given.minutes, **counts, "episodes": episodes, "code": code, **judged(samples)}


def watch(process: psutil.Process, given: bench.Options) -> list[tuple[float, ...]]:
    """Minutes, memory, threads and files, at least 24 times; kept as they come."""
    seconds, began = given.minutes * 60, time.monotonic()
    pause_s = min(15.0, seconds / 24)
    samples: list[tuple[float, ...]] = []
    while time.monotonic() - began < seconds:
        time.sleep(pause_s)
        samples.append(((time.monotonic() - began) / 60, *sample(process)))
        if given.json:
            bench.write(given.json, {"samples": samples})
    return samples


@dataclass(frozen=True)
class Line:
    """A straight line through samples.

    Attributes:
        level: mean of the samples.
        per_hour: slope.
        margin: half width of the slope's 95 % interval.
    """

    level: float
    per_hour: float
    margin: float


def fit(minutes: npt.NDArray[np.float64], values: npt.NDArray[np.float64]) -> Line:
    """Least squares. The interval allows for neighbouring samples being alike (effective sample size)."""
    hours = minutes / 60
    slope, start = np.polyfit(hours, values, 1)
    rest = values - (slope * hours + start)
    spread = float(rest.var())
    alike = float((rest[1:] * rest[:-1]).mean() / spread) if spread > 0 else 0.0
    n = max(3.0, len(values) * (1 - max(alike, 0.0)) / (1 + max(alike, 0.0)))
    error = np.sqrt(spread * len(values) / (n - 2) / ((hours - hours.mean()) ** 2).sum())
    return Line(float(values.mean()), float(slope), 1.96 * float(error))


def judged(samples: list[tuple[float, ...]]) -> bench.Figures:
    """The lines after the warm-up, and whether they are flat."""
    table = np.array(samples)
    warm = table[len(table) // 4 :]
    rows, lines = {}, {}
    for column, name in enumerate(("memory MB", "threads", "files"), start=1):
        line = lines[name] = fit(warm[:, 0], warm[:, column])
        first, last = (float(np.median(part)) for part in (warm[:8, column], warm[-8:, column]))
        rows[name] = {"warm": first, "end": last, "per hour": line.per_hour, "95 % +-": line.margin}
    memory = lines["memory MB"]
    grows = memory.per_hour > 0.05 * memory.level and memory.per_hour > memory.margin
    flat = not grows and rows["files"]["end"] <= rows["files"]["warm"] + 2
    return {"flat": flat, "lines": rows, "samples": samples}


if __name__ == "__main__":
    pause = (1.5, "mean pause before a click, seconds")
    found = bench.main(__doc__, measure, {"--minutes": 60.0, "--think": pause, "--model": "bundled"})
    raise SystemExit(0 if found["flat"] and found["code"] == 0 else 1)
