"""What a sample costs before the network sees it: two ways to augment, one and several threads.

    python benchmarks/feeding.py [--side 96] [--samples 24] [--threads 1,2]

Every row takes the same samples in turn with the others, so that a machine that grows busier favours none.
"CPU" is batchgeneratorsv2 behind its lock, "device" is `episode.device_augmentation`, here on the CPU too.
It is why episodes on a CPU keep the first and one thread, and why those on CUDA take the second.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from statistics import mean

import torch
from torch import Tensor

from clopa_annotator.episode.augmentation import augment
from clopa_annotator.episode.hardware.device_augmentation import augment_here

Way = Callable[[Tensor, Tensor, int, float], tuple[Tensor, Tensor]]


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--side", type=int, default=96)
    parser.add_argument("--samples", type=int, default=24)
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--strength", type=float, default=1.0)
    given = parser.parse_args()
    torch.set_num_threads(1)
    image = torch.randn([given.side] * 3, generator=torch.Generator().manual_seed(0))
    target = image > 1
    ways: dict[str, Way] = {"CPU": augment, "device": augment_here}
    pools = {n: ThreadPoolExecutor(n) for n in (int(x) for x in given.threads.split(","))}
    seconds: dict[tuple[str, int], list[float]] = {(w, n): [] for w in ways for n in pools}
    for number in range(0, given.samples + 1, max(pools)):
        for (name, threads), times in seconds.items():
            way = ways[name]
            batch = range(number, number + max(pools))
            started = time.perf_counter()
            list(pools[threads].map(lambda n, way=way: way(image, target, n, given.strength), batch))
            if number:  # the first batch warms up
                times.append((time.perf_counter() - started) / len(batch))
    print(f"{given.side}^3, {given.samples} samples each, torch {torch.__version__}; milliseconds per sample")
    for (name, threads), times in seconds.items():
        print(f"  {name:7s} {threads} thread(s)  {1e3 * mean(times):8.1f}")


if __name__ == "__main__":
    main()
