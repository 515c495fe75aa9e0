"""Flip every single bit of every file of a small campaign, and look whether the check finds it.

    python Testing/crash/bits.py [--every 1] [--folder DIR]

The index and the lock are left out: they hold nothing that the files do not say.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent.parent / "CLoPAAnnotator")]

import blosc2  # noqa: E402
from scenario import MANIFEST, THREE, a_confirmation, an_image  # noqa: E402

from clopa_annotator.cache.campaign_store import CampaignStore, CaseDraft  # noqa: E402
from clopa_annotator.cache.repair import check_campaign  # noqa: E402

blosc2.set_nthreads(1)


def make_campaign(folder: Path) -> None:
    """One case with an image; of its first target and of a second lesion a confirmation, mark and draft."""
    with CampaignStore.create(folder, MANIFEST) as store:
        store.add_case("Fall Ä", an_image("a"))
        store.confirm(a_confirmation("one", "Fall Ä"))
        store.reopen("Fall Ä", "harness", "once more")
        store.save_draft(CaseDraft("Fall Ä", a_confirmation("two", "Fall Ä").mask))
        store.set_targets(THREE)
        store.confirm(a_confirmation("one@", "Fall Ä"))
        second = a_confirmation("three@lesion#2", "Fall Ä")
        store.confirm(second)
        store.reopen("Fall Ä", "harness", "once more", second.slot)
        store.save_draft(CaseDraft("Fall Ä", second.mask, slot=second.slot))


def unnoticed(store: CampaignStore, path: Path, every: int) -> tuple[int, list[int]]:
    """How many bits of a file were flipped, and which of them nobody noticed."""
    content = path.read_bytes()
    missed = []
    flips = range(0, 8 * len(content), every)
    for bit in flips:
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(bytes(damaged))
        if check_campaign(store._layout, store._index, repair=False).ok:
            missed.append(bit)
    path.write_bytes(content)
    return len(flips), missed


def run(folder: Path, every: int) -> dict[str, object]:
    """Flip every ``every``-th bit of each file, one at a time."""
    started = time.monotonic()
    make_campaign(folder)
    flips, missed = 0, {}
    with CampaignStore.open(folder) as store:
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            if path.suffix not in (".sqlite", ".lock"):
                count, bits = unnoticed(store, path, every)
                flips += count
                if bits:
                    missed[path.relative_to(folder).as_posix()] = bits
    return {"flips": flips, "unnoticed": missed, "seconds": round(time.monotonic() - started, 1)}


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--every", type=int, default=1, help="take every n-th bit")
    parser.add_argument("--folder", type=Path, help="where to work; a temporary folder by default")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        result = run(Path(folder) / "campaign", given.every)
    print(json.dumps(result, indent=1))
    return 1 if result["unnoticed"] else 0


if __name__ == "__main__":
    sys.exit(main())
