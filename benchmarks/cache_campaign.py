"""How long a campaign with 10,000 cases takes to open and to list, and to make its index again.

    python benchmarks/cache_campaign.py [--cases 10000] [--folder DIR] [--json FILE]

The cases are tiny; what counts here is their number. They are made on the quick way, without flushing.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

import numpy as np

from clopa_annotator.cache.campaign_store import CampaignManifest, CampaignStore, Disk, rebuild_index
from clopa_annotator.geometry import Geometry
from clopa_annotator.types import Confirmation, Image

SHAPE = (4, 4, 4)
ASK_A_NEW_PROCESS = """
import time; started = time.perf_counter()
from pathlib import Path; from clopa_annotator.cache.campaign_store import CampaignStore
with CampaignStore.open(Path({folder!r}), writer=True) as store: cases = store.cases()
print(time.perf_counter() - started, len(cases))
"""


class HastyDisk(Disk):
    """A disk that flushes nothing: for making many cases, not for keeping them."""

    @staticmethod
    def _flush(descriptor: int) -> None:
        """Trust the operating system."""


def fill(folder: Path, cases: int) -> float:
    """Make the campaign; returns the seconds per case."""
    started = time.perf_counter()
    with CampaignStore.create(folder, CampaignManifest("benchmark", cases), HastyDisk()) as store:
        for number in range(cases):
            case_id = f"patient {number:05d}"
            voxels = np.full(SHAPE, number, np.int32)
            store.add_case(case_id, Image(voxels, Geometry(SHAPE)), source=f"/data/{case_id}.nii.gz")
            store.confirm(
                Confirmation(case_id, case_id, (voxels % 2).astype(np.uint8), annotator="benchmark")
            )
    return (time.perf_counter() - started) / cases


def median_s(action: Callable[[], object], repeats: int = 5) -> float:
    """Median seconds of an action."""
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        action()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def new_process_s(folder: Path) -> float:
    """Seconds from the first import to the list, in a new process."""
    command = [sys.executable, "-c", ASK_A_NEW_PROCESS.format(folder=str(folder))]
    answer = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ)
    return float(answer.stdout.split()[0])


def measure(folder: Path, cases: int) -> dict[str, object]:
    """Times in seconds, sizes in MB."""
    per_case = fill(folder, cases)
    with CampaignStore.open(folder, writer=True) as store:
        values: dict[str, object] = {
            "cases": cases,
            "list_s": median_s(store.cases),
            "confirmed_s": median_s(store.confirmed),
        }
    return values | {
        "open_for_writing_s": median_s(lambda: CampaignStore.open(folder, writer=True).close()),
        "open_for_reading_s": median_s(lambda: CampaignStore.open(folder).close()),
        "new_process_to_list_s": new_process_s(folder),
        "rebuild_index_s": median_s(lambda: rebuild_index(folder), 1),
        "index_mb": (folder / "index.sqlite").stat().st_size / 1e6,
        "unflushed_add_and_confirm_s": per_case,
    }


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--folder", type=Path, help="a folder on the disk to be measured")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        values = measure(Path(folder) / "campaign", given.cases)
    values |= {"machine": platform.platform(), "date": datetime.now(timezone.utc).date().isoformat()}
    print(json.dumps(values, indent=1))
    if given.json:
        given.json.write_text(json.dumps(values, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
