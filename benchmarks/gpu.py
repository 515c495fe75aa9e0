"""What there is to know about a GPU, in at most nine minutes; each result is written when it is there.

    python benchmarks/gpu.py --out results.jsonl                     an H100-class card
    python benchmarks/gpu.py --out results.jsonl --device cpu --small    a dry run of every part, for CI
    python benchmarks/gpu.py --show results.jsonl                    a table of a file

Parts: (a) rate of multiplying matrices and of copying, the card's limits; (b) forward and backward passes of
the official-size network, eager, channels last and compiled, with their peak memory beside the plan's;
(c) an episode of 60 windows for each of in, cn and all, and for in channels last and compiled; (d) clicks
while nothing else happens and while an episode runs in another process; (e) swapping a delta; (f) pretraining
with generation on the device; (g) the same episode on the CPU and on the device; (h) clicks while memory is
short. The weights are random.

Each part runs in a process of its own within its time slot; a part that is killed keeps the rows it has
written, and so does the file when the whole run is. With --small they run in this process.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bench
import torch

from clopa_annotator.episode.hardware.footprint import OFFICIAL_PATCH, RESENC_L
from clopa_annotator.testing.random_model import write_random_model

SLOTS_S = {"a": 25.0, "b": 110.0, "c": 120.0, "d": 80.0, "e": 25.0, "f": 60.0, "g": 45.0, "h": 45.0}
"""Their sum, and the time for writing the random model, stay below nine minutes."""
Row = dict[str, Any]
Part = Callable[["Bench"], Iterator[Row]]


@dataclass(frozen=True)
class Bench:
    """What a part works with.

    Attributes:
        device: where to measure.
        small: a dry run: small sizes, few repeats.
        model: folder of a model of the size that is measured.
        ends: when the part's time is over, on the clock of `time.monotonic`.
    """

    device: torch.device
    small: bool
    model: Path
    ends: float

    def left(self, share: float = 1.0) -> float:
        """Seconds until a share of what is left of the slot has gone."""
        return share * max(self.ends - time.monotonic(), 0.0)

    def wait(self) -> None:
        """Until the device has done what it was given."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def repeat(self, work: Callable[[], object], seconds: float, most: int = 1000) -> list[float]:
        """Seconds of each repeat after one that warms up, for about so long and at least once.

        A dry run neither warms up nor repeats.
        """
        if not self.small:
            work()
            self.wait()
        times: list[float] = []
        end = time.monotonic() + (0.0 if self.small else seconds)
        while not times or (time.monotonic() < end and len(times) < most):
            started = time.perf_counter()
            work()
            self.wait()
            times.append(time.perf_counter() - started)
        return times


def about(device: torch.device, small: bool) -> Row:
    """Machine, versions, date."""
    row: Row = {"part": "about", "small": small, "device": str(device), **bench.stamp()}
    if device.type == "cuda":
        card = torch.cuda.get_device_properties(device)
        row |= {"card": card.name, "gib": round(card.total_memory / 2**30, 1)}
        row |= {"cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version()}
    return row


def write(path: Path, row: Row) -> None:
    """Append a row so that it survives whatever comes next."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
        file.flush()
        os.fsync(file.fileno())
    print(
        " ".join(f"{k}={v:.4g}" if isinstance(v, float) else f"{k}={v}" for k, v in row.items()), flush=True
    )


def parts() -> dict[str, Part]:
    """The parts by letter; imported late, because a part's process needs only its own."""
    import gpu_clicks
    import gpu_network
    import gpu_training

    return {
        "a": gpu_network.limits,
        "b": gpu_network.passes,
        "c": gpu_training.episodes,
        "d": gpu_clicks.clicks,
        "e": gpu_network.swaps,
        "f": gpu_training.pretraining,
        "g": gpu_training.same_on_both,
        "h": gpu_clicks.shortage,
    }


def run_part(letter: str, bench: Bench, out: Path) -> None:
    """Run one part here; whatever it raises becomes its last row."""
    started = time.monotonic()
    try:
        for row in parts()[letter](bench):
            write(out, {"part": letter, **row})
        end: Row = {"ended": "finished"}
    except Exception as error:  # noqa: BLE001 - the other parts still have their time
        end = {"ended": "failed", "reason": f"{type(error).__name__}: {error}"[:300]}
    write(out, {"part": letter, **end, "seconds": round(time.monotonic() - started, 1)})


def run_apart(letter: str, given: bench.Options, model: Path, slot_s: float) -> None:
    """Run one part in a process of its own and end it when its time is over."""
    command = [sys.executable, __file__, "--out", str(given.out), "--device", given.device]
    command += ["--parts", letter, "--model", str(model), "--slot", str(slot_s), "--here"]
    try:
        subprocess.run(command + ["--small"] * given.small, timeout=slot_s + 10, check=False)
    except subprocess.TimeoutExpired:
        write(given.out, {"part": letter, "ended": "out of time", "seconds": slot_s + 10})


def write_model(folder: Path, small: bool) -> Path:
    """A model with random weights: the official size, or the smallest that a session takes."""
    if small:
        return write_random_model(folder, patch_size_kji=(64, 64, 64), features=(4, 6, 8))
    return write_random_model(
        folder, patch_size_kji=OFFICIAL_PATCH, features=RESENC_L.features, blocks=RESENC_L.blocks
    )


def run(given: bench.Options) -> None:
    """All parts that were asked for."""
    device, letters = torch.device(given.device), [p for p in given.parts.split(",") if p]
    unknown = sorted(set(letters) - set(SLOTS_S))
    if unknown:
        raise SystemExit(f"There is no part {unknown[0]}; choose from {','.join(SLOTS_S)}.")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise SystemExit("PyTorch finds no CUDA device here; --device cpu --small tries every part out.")
    if given.model is not None and given.here:
        for letter in letters:
            run_part(
                letter, Bench(device, given.small, given.model, time.monotonic() + given.slot), given.out
            )
        return
    write(given.out, about(device, given.small))
    with tempfile.TemporaryDirectory() as scratch:
        model = given.model or write_model(Path(scratch) / "model", given.small)
        ends = time.monotonic() + 60 * given.minutes
        for letter in letters:
            slot_s = min(SLOTS_S[letter], ends - time.monotonic())
            if slot_s < 1:
                write(given.out, {"part": letter, "ended": "no time was left"})
            elif given.small:
                run_part(letter, Bench(device, True, model, time.monotonic() + slot_s), given.out)
            else:
                run_apart(letter, given, model, slot_s)


def main() -> None:
    """The command."""
    declared = {
        "--out": (Path("gpu.jsonl"), "rows are appended here"),
        "--device": "cuda",
        "--small": (False, "small sizes, to try every part out"),
        "--parts": ",".join(SLOTS_S),
        "--minutes": (8.8, "for all parts together"),
        "--model": (Path, "a model folder; default: random weights"),
        "--here": (False, "run the parts in this process"),
        "--slot": (60.0, "seconds for a part that runs here"),
        "--show": (Path, "print a results file instead of measuring"),
    }
    given = bench.options(__doc__, declared)
    if given.show:
        for line in given.show.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            print(f"({row.pop('part')}) " + ", ".join(f"{k} {v}" for k, v in row.items()))
        return
    run(given)


if __name__ == "__main__":
    main()
