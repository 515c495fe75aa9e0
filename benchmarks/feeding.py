"""What a sample costs before the network sees it: two ways to augment, one and several threads.

    python benchmarks/feeding.py [--side 96] [--samples 24] [--threads 1,2]

Every row takes the same samples in turn with the others, so that a machine that grows busier favours none.
"CPU" is batchgeneratorsv2 behind its lock, "device" is `episode.device_augmentation`, here on the CPU too.
It is why episodes on a CPU keep the first and one thread, and why those on CUDA take the second.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import mean

import bench
import torch
from torch import Tensor

from clopa_annotator.episode.augmentation import augment
from clopa_annotator.episode.hardware.device_augmentation import augment_here

Way = Callable[[Tensor, Tensor, int, float], tuple[Tensor, Tensor]]


def measure(given: bench.Options, _scratch: Path) -> bench.Figures:
    """Milliseconds per sample, by way and number of threads."""
    torch.set_num_threads(1)
    image = torch.randn([given.side] * 3, generator=torch.Generator().manual_seed(0))
    target = image > 1
    ways: dict[str, Way] = {"CPU": augment, "device": augment_here}
    batch = max(given.at_once)
    pools = {n: ThreadPoolExecutor(n) for n in given.at_once}

    def feed(way: Way, threads: int) -> None:
        list(pools[threads].map(lambda n: way(image, target, n, given.strength), range(batch)))

    feeds = {f"{w}, {n}": (lambda w=w, n=n: feed(ways[w], n)) for w in ways for n in pools}
    seconds = bench.rounds(feeds, max(1, given.samples // batch))
    rows = [{"way, threads": name, "ms_per_sample": 1e3 * mean(s) / batch} for name, s in seconds.items()]
    return {"side": given.side, "samples": given.samples, "rows": rows}


if __name__ == "__main__":
    at_once = {"dest": "at_once", "type": bench.listed(int), "default": [1, 2]}
    bench.main(__doc__, measure, {"--side": 96, "--samples": 24, "--threads": at_once, "--strength": 1.0})
