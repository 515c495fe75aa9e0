"""How long a campaign with 10,000 cases takes to open and to list, and to make its index again.

    python benchmarks/cache_campaign.py [--cases 10000] [--targets 1] [--folder DIR] [--json FILE]
    python benchmarks/cache_campaign.py --cases 1000 --targets 20

Of several targets every one is confirmed in every case, but for the last, of which there is a suggestion.

The cases are tiny; what counts here is their number. They are made on the quick way, without flushing.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import bench
import numpy as np

from clopa_annotator.cache.campaign_store import (
    CampaignManifest,
    CampaignStore,
    CaseDraft,
    Disk,
    rebuild_index,
)
from clopa_annotator.cache.together import confirm_together
from clopa_annotator.geometry import Geometry
from clopa_annotator.types import Confirmation, Image, Imported, Mask, Slot, Targets

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


def fill(folder: Path, cases: int, targets: int) -> None:
    """Make the campaign."""
    named = Targets.named([f"structure {number}" for number in range(targets)])
    manifest = CampaignManifest("benchmark", cases, targets=named)
    with CampaignStore.create(folder, manifest, HastyDisk()) as store:
        for number in range(cases):
            case_id = f"patient {number:05d}"
            voxels = np.full(SHAPE, number, np.int32)
            store.add_case(case_id, Image(voxels, Geometry(SHAPE)), source=f"/data/{case_id}.nii.gz")
            slots = [Slot(target.key) for target in named]
            if targets > 1:
                last = a_mask(targets - 1)
                given = Imported(f"{case_id} suggested", "x.nii.gz", "labelmap", "0" * 64, "1")
                store.save_draft(CaseDraft(case_id, last, imported=given, slot=slots.pop()))
            sent = [
                Confirmation(f"{case_id} {at}", case_id, a_mask(at), annotator="benchmark", slot=slot)
                for at, slot in enumerate(slots)
            ]
            confirm_together(store, sent)


def a_mask(place: int) -> Mask:
    """One voxel, since targets exclude each other."""
    mask: Mask = np.zeros(SHAPE, np.uint8)
    mask.ravel()[place] = 1
    return mask


def median_s(action: Callable[[], object], repeats: int = 5) -> float:
    """Median seconds of an action."""
    return statistics.median(bench.timed(action) for _ in range(repeats))


def new_process_s(folder: Path) -> float:
    """Seconds from the first import to the list, in a new process."""
    command = [sys.executable, "-c", ASK_A_NEW_PROCESS.format(folder=str(folder))]
    answer = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ)
    return float(answer.stdout.split()[0])


def measure(given: bench.Options, scratch: Path) -> bench.Figures:
    """Times in seconds, sizes in MB."""
    folder, cases = scratch / "campaign", given.cases
    per_case = bench.timed(lambda: fill(folder, cases, given.targets)) / cases
    with CampaignStore.open(folder, writer=True) as store:
        values: bench.Figures = {
            "cases": cases,
            "targets": given.targets,
            "first_list_s": median_s(store.cases, 1),
            "list_s": median_s(store.cases),
            "one_case_s": median_s(lambda: store.case("patient 00000")),
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


if __name__ == "__main__":
    bench.main(
        __doc__,
        measure,
        {"--cases": 10_000, "--targets": 1, "--folder": (Path, "a folder on the disk to be measured")},
    )
