"""How long a mask before the first click takes, and how much memory: a stream case, and a CT.

    python benchmarks/suggestion_speed.py [--model bundled] [--repeats 3] [--json FILE]
                                          [--only "64 cube" "CT with a liver"]

Two images: 64x64x64, one look of four passes; and 150x256x256 (k, j, i), coarse looks and then close ones
where the coarse mask has voxels. How many close looks that makes depends on the weights and the image, so the
CT is timed three times: as it comes, with a target as large as a liver, and with close looks everywhere, the
most that there can be. Each runs in a process of its own, whose peak memory is that of the whole program:
interpreter, torch, model and image. ``pass`` is one pass of the network: what a click waits for at
most.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

CASES = ("64 cube", "CT as it comes", "CT with a liver", "CT everywhere")


def image_of(case: str) -> Any:
    """A noisy volume with a bright ellipsoid; the CT's is about 1.6 l at 1.5 mm."""
    from clopa_annotator.geometry import Geometry
    from clopa_annotator.types import Image

    shape = (64, 64, 64) if case == CASES[0] else (150, 256, 256)
    voxels = np.random.default_rng(0).normal(0, 20, shape).astype(np.float32)
    voxels[liver(shape)] += 80
    return Image(voxels, Geometry(shape, (1.5, 1.5, 1.5)))


def liver(shape: tuple[int, ...]) -> Any:
    """An ellipsoid left of the middle."""
    grids = np.ogrid[tuple(slice(n) for n in shape)]
    centre, radii = [0.5, 0.5, 0.35], [0.3, 0.22, 0.25]
    return sum(((g / n - c) / r) ** 2 for g, n, c, r in zip(grids, shape, centre, radii, strict=True)) < 1


def measure(case: str, model_name: str, repeats: int) -> dict[str, float]:
    """Seconds and memory of one case, in this process."""
    from clopa_annotator import models
    from clopa_annotator.session import suggesting
    from clopa_annotator.session.logits import best_cpu_precision
    from clopa_annotator.session.model import load_model

    loaded = load_model(models.resolve(model_name), "auto")
    suggester, image = suggesting.LocalSuggester(loaded, best_cpu_precision()), image_of(case)
    where = {CASES[2]: liver(image.voxels.shape), CASES[3]: np.ones(image.voxels.shape, bool)}.get(case)
    if where is not None:
        choose = suggesting.close_looks
        suggesting.close_looks = lambda _, patch: choose(where, patch)
    whole, each, processor = [], [], time.process_time()
    for _ in range(repeats):
        started = time.perf_counter()
        work = suggester.begin(image)
        done = False
        while not done:
            before = time.perf_counter()
            done = work.step()
            each.append(time.perf_counter() - before)
        whole.append(time.perf_counter() - started)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    answer = work.answer()
    return {
        "seconds": median(whole),
        "passes": answer.passes,
        "processor_s": (time.process_time() - processor) / repeats,
        "pass": median(each),
        "longest_pass": max(each),
        "peak_gib": peak / 2**30,
    }


def main(arguments: Iterable[str] | None = None) -> None:
    """Each case in a process of its own; a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--only", nargs="*", choices=CASES)
    parser.add_argument("--case", choices=CASES, help=argparse.SUPPRESS)
    options = parser.parse_args(None if arguments is None else list(arguments))
    if options.case:
        print(json.dumps(measure(options.case, options.model, options.repeats)))
        return
    print(f"{platform.processor() or platform.machine()}, {sys.platform}")
    print("| image | s | of processor time | passes | s per pass | longest | peak GiB |")
    print("|---|---|---|---|---|---|---|")
    rows = {}
    for case in options.only or CASES:
        repeats = options.repeats if case == CASES[0] else 1
        command = [
            sys.executable,
            __file__,
            "--case",
            case,
            "--model",
            options.model,
            "--repeats",
            str(repeats),
        ]
        ended = subprocess.run(command, capture_output=True, text=True, check=True)
        row = rows[case] = json.loads(ended.stdout.splitlines()[-1])
        print(
            f"| {case} | {row['seconds']:.2f} | {row['processor_s']:.1f} | {row['passes']} | "
            f"{row['pass']:.3f} | {row['longest_pass']:.3f} | {row['peak_gib']:.2f} |",
            flush=True,
        )
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
