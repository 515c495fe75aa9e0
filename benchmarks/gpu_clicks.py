"""Parts d and h of `gpu`: clicks beside an episode in another process, and clicks while memory is short."""

from __future__ import annotations

import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from gpu import Bench, Row
from training_speed import CASES, GeneratedCases

from clopa_annotator.campaign.prediction import PredictionThread
from clopa_annotator.episode.episode_settings import EpisodeSettings
from clopa_annotator.episode.folder import PROGRESS, read_job, write_job
from clopa_annotator.episode.job import run_job
from clopa_annotator.episode.progress import read_progress
from clopa_annotator.errors import ClopaError
from clopa_annotator.geometry import Geometry
from clopa_annotator.session.local import LocalSession
from clopa_annotator.session.logits import best_cpu_precision
from clopa_annotator.session.model import LoadedModel, load_model
from clopa_annotator.session.suggesting import LocalSuggester
from clopa_annotator.training.supervisor import Supervisor, SupervisorSettings
from clopa_annotator.training.trainer_process import Leash
from clopa_annotator.training.yielding import between_layers
from clopa_annotator.types import EpisodeRequest, Image, PointPrompt, Split

TIGHT_GIB = 11.0
"""What engine and trainer are left together in part h: a card of 12 GB without its share for the screen."""


class OneVersion:
    """Weights that never change; fulfils `prediction.LiveWeights`."""

    current = 0

    def use(self, version: int) -> None:
        """They are in place."""

    def held(self) -> nullcontext[None]:
        """Nobody else wants them."""
        return nullcontext()


class Desk:
    """A session whose clicks are timed and whose trainer is a process of its own."""

    def __init__(self, bench: Bench, model: LoadedModel, scratch: Path) -> None:
        self.bench, self.model, self.job = bench, model, scratch / "campaign" / "episodes" / "0001"
        self.rng, side = np.random.default_rng(0), model.patch_size_kji[0]
        shape = (side + 16,) * 3
        voxels = self.rng.normal(100, 20, shape).astype(np.float32)
        self.session = LocalSession(model)
        self.image = Image(voxels, Geometry(shape))
        self.session.set_image(self.image)
        command = [sys.executable, __file__, str(bench.device)]
        settings = SupervisorSettings(command=lambda job: [*command, str(job)], niceness=0, restarts=1)
        self.ended = threading.Event()
        self.supervisor = Supervisor(settings, lambda *_: None, lambda *_: self.ended.set())
        self.thread = PredictionThread(OneVersion(), self.supervisor)
        self.failures: list[str] = []
        self._shape = shape

    def start_training(self) -> None:
        """An episode that lasts longer than the measurement; returns once it has made an update."""
        self.job.mkdir(parents=True)
        settings = replace(EpisodeSettings.paper("in"), val_samples=0, threads=1)
        if self.bench.small:
            settings = replace(settings, steps=2, batch=1)
        request = EpisodeRequest(1, CASES, Split(tuple(range(1, CASES + 1))))
        refs = GeneratedCases(self._shape).refs
        write_job(self.job, request, settings, refs, self.model.folder, campaign=self.job.parent.parent)
        self.supervisor.run(self.job)
        while self.updates() < 1 and not self.ended.is_set() and self.bench.left() > 0:
            time.sleep(0.1)

    def updates(self) -> int:
        """Updates that the episode has made."""
        path = self.job / PROGRESS
        return max((p.update for p in read_progress(path)), default=0) if path.exists() else 0

    def click(self) -> float:
        """Seconds until a click was answered; a failure is counted."""
        k, j, i = (int(x) for x in self.rng.integers(8, self._shape[0] - 8, 3))
        prompt, started = PointPrompt((k, j, i), bool(self.rng.random() < 0.5)), time.perf_counter()
        try:
            self.thread.predict(0, lambda: self.session.add_prompt(prompt))
        except ClopaError as error:
            self.failures.append(str(error))
        return time.perf_counter() - started

    def clicks(self, seconds: float) -> Row:
        """Clicks for so long, with pauses for thought."""
        times, end = [], time.monotonic() + seconds
        before = self.updates()
        while not times or (time.monotonic() < end and not self.bench.small) or len(times) < 3:
            times.append(self.click())
            time.sleep(0.0 if self.bench.small else 0.25)
            if len(times) % 8 == 0:
                self.session.reset()
        p50, p95 = (float(1e3 * x) for x in np.percentile(times, [50, 95]))
        row: Row = {"clicks": len(times), "p50_ms": p50, "p95_ms": p95, "failed": len(self.failures)}
        return row | {"updates_meanwhile": self.updates() - before}

    def close(self) -> None:
        """End the trainer and the thread."""
        self.supervisor.close()
        self.thread.shutdown()


@contextmanager
def a_desk(bench: Bench) -> Iterator[Desk]:
    """A desk, cleared up afterwards."""
    with tempfile.TemporaryDirectory() as scratch:
        desk = Desk(bench, load_model(bench.model, str(bench.device)), Path(scratch))
        try:
            desk.thread.predict(0, lambda: desk.session.add_prompt(PointPrompt((20, 20, 20))))
            yield desk
        finally:
            desk.close()


def clicks(bench: Bench) -> Iterator[Row]:
    """(d) Idle, and while an episode runs in another process."""
    with a_desk(bench) as desk:
        idle = desk.clicks(bench.left(0.3))
        yield {"while": "idle", **idle}
        desk.start_training()
        learning = desk.clicks(bench.left(0.7))
        yield {"while": "learning", **learning, "p95_over_idle": learning["p95_ms"] / idle["p95_ms"]}
    yield from suggesting(bench, idle)


def suggesting(bench: Bench, idle: Row) -> Iterator[Row]:
    """(d) While suggestions are made: each pass is a job of its own, between the clicks."""
    with a_desk(bench) as desk, _suggestions(desk) as steps:
        row = desk.clicks(bench.left(0.9))
        made: Row = {"suggestion_passes": len(steps), "p95_over_idle": row["p95_ms"] / idle["p95_ms"]}
        yield {"while": "suggesting", **row, **made}


@contextmanager
def _suggestions(desk: Desk) -> Iterator[list[float]]:
    """Suggest for an image again and again; gives the seconds of each pass, waiting included."""
    suggester, stop = LocalSuggester(desk.model, best_cpu_precision()), threading.Event()
    steps: list[float] = []

    def work() -> None:
        while not stop.is_set():
            suggesting = suggester.begin(desk.image)
            while not stop.is_set():
                started = time.perf_counter()
                ended = desk.thread.predict(0, suggesting.step)
                steps.append(time.perf_counter() - started)
                if ended:
                    break

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield steps
    finally:
        stop.set()
        thread.join()


def shortage(bench: Bench) -> Iterator[Row]:
    """(h) Clicks on a device that is nearly full (CUDA), or whose allocator refuses every third pass once."""
    with a_desk(bench) as desk:
        with _full(bench), _refusing(bench, desk):
            desk.start_training()
            row = desk.clicks(bench.left(0.7))
        yield {"while": "memory is short", **row, "survived": not desk.failures, "reasons": desk.failures[:2]}


@contextmanager
def _full(bench: Bench) -> Iterator[None]:
    """Take what a card has beyond `TIGHT_GIB`."""
    ballast = None
    if bench.device.type == "cuda":
        free, _ = torch.cuda.mem_get_info()
        ours = torch.cuda.memory_reserved()
        extra = int(free + ours - TIGHT_GIB * 2**30)
        ballast = torch.empty(max(extra, 0), dtype=torch.uint8, device=bench.device)
    yield
    del ballast


@contextmanager
def _refusing(bench: Bench, desk: Desk) -> Iterator[None]:
    """Away from CUDA: every third prediction runs out of memory twice, so that the trainer must give way."""
    network = desk.model.network
    if bench.device.type == "cuda":
        yield
        return
    forward, calls = network.forward, {"n": 0}

    def short(x: torch.Tensor) -> torch.Tensor:
        calls["n"] += 1
        if calls["n"] % 3:
            raise torch.OutOfMemoryError("The allocator of this dry run is short of memory.")
        answer: torch.Tensor = forward(x)
        return answer

    network.forward = short
    try:
        yield
    finally:
        network.forward = forward


def train(device: str, job: Path) -> None:
    """The other process: an episode on generated cases, on the engine's leash."""
    order = read_job(job)
    side = load_model(order.model_folder, "cpu").patch_size_kji[0] + 16
    with Leash(job) as leash, between_layers(leash.yield_to):
        run_job(
            job,
            GeneratedCases((side,) * 3),
            device=device,
            should_stop=leash.should_stop,
            yield_to=leash.yield_to,
            aside=leash,
        )


if __name__ == "__main__":
    train(sys.argv[1], Path(sys.argv[2]))
