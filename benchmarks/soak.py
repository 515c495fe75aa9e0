"""Does an engine that works for hours keep its memory and its file handles?

    python benchmarks/soak.py [--minutes 60] [--model FOLDER] [--json FILE]

Two clients open cases, click, undo, save drafts and confirm without end, while a listener follows the events;
episodes start by themselves. Every half minute the engine's memory, threads and open files are noted. After a
warm-up of a quarter of the time they must not grow by more than 5 % (files: not at all, beyond two).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from pathlib import Path

import psutil

from clopa_annotator.config import CampaignConfig
from clopa_annotator.datasets.phantoms import PhantomSpec, make_phantom
from clopa_annotator.engine.client import HttpEngineClient
from clopa_annotator.engine.messages import Draft
from clopa_annotator.engine.tokens import first_token
from clopa_annotator.errors import ClopaError
from clopa_annotator.pipeline import Campaign
from clopa_annotator.types import Confirmation, PointPrompt

SERVE = (
    "import sys; from pathlib import Path; from clopa_annotator.engine.serve import run_engine; "
    "run_engine(Path(sys.argv[1]), parent_stdin=True)"
)
CASES = 12


class Annotator(threading.Thread):
    """Works on the same dozen cases again and again."""

    def __init__(self, name: str, url: str, token: str, spool: Path, stop: threading.Event) -> None:
        super().__init__(name=name, daemon=True)
        self.client = HttpEngineClient(url, token, spool)
        self.client.listen(lambda _: None)
        self.stop, self.clicks, self.refused = stop, 0, 0

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
        number = 0
        while not self.stop.is_set():
            number += 1
            try:
                self.annotate(f"{self.name} {number % CASES}", number % CASES)
            except ClopaError:
                self.refused += 1
        self.client.close()

    def annotate(self, case: str, seed: int) -> None:
        """One case."""
        image, mask = make_phantom(PhantomSpec(shape_kji=(32, 40, 40)), seed)
        self.ask(self.client.open_case(case, image))
        for _ in range(3):
            answer = self.ask(self.client.add_prompts([PointPrompt((16, 20, 20))]))
            self.clicks += 1
        self.ask(self.client.undo())
        self.ask(self.client.save_draft(Draft(answer.proposal.mask)))
        self.ask(self.client.confirm(Confirmation(uuid.uuid4().hex, case, mask)))
        self.ask(self.client.learning())
        self.ask(self.client.cases())


def sample(process: psutil.Process) -> tuple[float, int, int]:
    """Memory in MB, threads, open files and sockets."""
    files = process.num_fds() if hasattr(process, "num_fds") else process.num_handles()
    return process.memory_info().rss / 2**20, process.num_threads(), files


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "campaign"
        Campaign.create(path, CampaignConfig("Soak", 40, model=given.model)).close()
        engine = subprocess.Popen(
            [sys.executable, "-c", SERVE, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        url, token = json.loads(engine.stdout.readline())["url"], first_token(path / "tokens.json")
        stop = threading.Event()
        people = [Annotator(name, url, token, Path(folder) / "spool", stop) for name in ("Ada", "Bob")]
        for person in people:
            person.start()
        samples = watch(psutil.Process(engine.pid), given.minutes * 60)
        stop.set()
        for person in people:
            person.join(120)
        engine.stdin.close()
        code = engine.wait(120)
    clicks, refused = sum(p.clicks for p in people), sum(p.refused for p in people)
    return report(given, samples, clicks, refused, code)


def watch(process: psutil.Process, seconds: float) -> list[tuple[float, int, int]]:
    """Samples over time, at least eight."""
    pause_s = min(30.0, seconds / 8)
    samples = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(pause_s)
        samples.append(sample(process))
    return samples


def report(given: argparse.Namespace, samples: list, clicks: int, refused: int, code: int) -> int:
    """Print, write, judge."""
    warm = samples[len(samples) // 4 :]
    first, last = warm[0], warm[-1]
    print(f"{given.minutes} minutes, {clicks} clicks, {refused} refused calls, engine ended with {code}")
    for name, before, after in zip(("memory MB", "threads", "files"), first, last, strict=True):
        print(f"{name:10} {before:8.0f} -> {after:8.0f}")
    if given.json:
        given.json.write_text(json.dumps({"samples": samples, "clicks": clicks, "refused": refused}))
    flat = last[0] <= 1.05 * first[0] and last[2] <= first[2] + 2
    print("flat" if flat else "NOT flat")
    return 0 if flat and code == 0 else 1


if __name__ == "__main__":
    raise SystemExit(main())
