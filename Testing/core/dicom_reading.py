"""Reading generated DICOM folders through their index."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from clopa_annotator.datasets.dicom_index import DicomIndex
from clopa_annotator.datasets.dicom_pixels import read_volume
from clopa_annotator.datasets.dicom_series import DicomSeries
from clopa_annotator.errors import ImageError
from clopa_annotator.types import Image

HOUNSFIELD = -1000


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An index folder of its own for every test."""
    monkeypatch.setenv("CLOPA_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "exported by a PACS"


def scan(folder: Path) -> tuple[list[DicomSeries], int]:
    """The series of a folder, and how many files were read for it."""
    with DicomIndex.of_folder(folder) as index:
        read = max(step.done for step in index.scan())
        return index.series(), read


def read_all(folder: Path) -> dict[str, Image]:
    """Every volume that can be annotated, by its part."""
    with DicomIndex.of_folder(folder) as index:
        list(index.scan())
        return {s.part: read_volume(index.volume(s.key)) for s in index.series() if not s.refusal}


def refusal(folder: Path) -> str:
    (series,) = scan(folder)[0]
    with DicomIndex.of_folder(folder) as index, pytest.raises(ImageError) as refused:
        read_volume(index.volume(series.key))
    return str(refused.value)


def put(**values: Any) -> Any:
    def change(made: Any, k: int) -> None:
        for name, value in values.items():
            setattr(made, name, value(k) if callable(value) else value)

    return change


def reading(folder: Path) -> str:
    """What is said when the only series is read."""
    with pytest.raises(ImageError) as refused:
        read_all(folder)
    return str(refused.value)
