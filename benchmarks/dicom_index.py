"""How long a DICOM folder takes to list the first time and the second, and a series to open.

    python benchmarks/dicom_index.py --series 1000 --slices 12
    python benchmarks/dicom_index.py --series 1 --slices 300 --size 512

Generates CT series in a folder of its own, lists them with an empty index and then with the one that this
made, and opens one series with a warm index and with SimpleITK alone (its own search for the series' files
included), alternating. The files are in the operating system's cache.
"""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path

import bench
import SimpleITK as sitk

sys.path[:0] = [str(bench.REPOSITORY / "Testing"), str(bench.REPOSITORY / "CLoPAAnnotator")]


def generate(folder: Path, series: int, slices: int, size: int) -> None:
    """One folder per series, ten series per patient."""
    from dicom_files import write_series

    for number in range(series):
        place = folder / f"patient {number // 10:04d}" / f"series {number:05d}"
        write_series(place, number=number, shape=(slices, size, size), name="IM{:05d}")


def list_series(folder: Path, index_file: Path) -> int:
    """Bring the index up to date; answers how many series there are."""
    from clopa_annotator.datasets.dicom_index import DicomIndex

    with DicomIndex.of_folder(folder, index_file) as index:
        for _ in index.scan():
            pass
        return len(index.series())


def open_warm(folder: Path, index_file: Path) -> None:
    """Read the first series' voxels, its place known from the index."""
    from clopa_annotator.datasets.dicom_index import DicomIndex
    from clopa_annotator.datasets.dicom_pixels import read_volume

    with DicomIndex.of_folder(folder, index_file) as index:
        read_volume(index.volume(index.series()[0].key))


def open_alone(folder: Path) -> None:
    """The same as SimpleITK's documentation does it."""
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    sitk.GetArrayFromImage(reader.Execute())


def measure(given: bench.Options, folder: Path) -> bench.Figures:
    """All figures of one run."""
    data, index_file = folder / "data", folder / "index.sqlite"
    generate(data, given.series, given.slices, given.size)
    time.sleep(2.5)  # a folder that has just changed is looked through again
    first = bench.timed(lambda: list_series(data, index_file))
    again = [bench.timed(lambda: list_series(data, index_file)) for _ in range(given.repeats)]
    place = data / "patient 0000" / "series 00000"
    ways = {"ours": lambda: open_warm(data, index_file), "alone": lambda: open_alone(place)}
    ours, alone = map(statistics.median, bench.rounds(ways, given.repeats, 0).values())
    return {
        "series": given.series,
        "files": given.series * given.slices,
        "slice": given.size,
        "first_listing_s": round(first, 3),
        "second_listing_s": round(statistics.median(again), 4),
        "second_is_faster_by": round(first / statistics.median(again), 1),
        "open_with_warm_index_s": round(ours, 3),
        "open_with_simpleitk_alone_s": round(alone, 3),
        "ratio": round(ours / alone, 2),
    }


if __name__ == "__main__":
    bench.main(__doc__, measure, {"--series": 20, "--slices": 12, "--size": 64, "--repeats": 5})
