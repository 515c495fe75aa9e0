"""The index of a DICOM folder reads each header once, notices every change, and can be thrown away."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import numpy as np
import pytest
from dicom_files import put_pixels, resave, voxels, write_series

from clopa_annotator.datasets import dicom_index
from clopa_annotator.datasets.dicom_index import DicomIndex
from clopa_annotator.datasets.dicom_pixels import read_volume
from clopa_annotator.datasets.dicom_store import cache_folder, index_file
from clopa_annotator.errors import DatasetError, ImageError


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CLOPA_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_series(tmp_path / "export" / "one", number=1)
    write_series(tmp_path / "export" / "two", number=2)
    settle(tmp_path / "export")
    return tmp_path / "export"


def settle(folder: Path) -> None:
    """Let folders look as if nothing had happened in them for a while."""
    for path in [folder, *(p for p in folder.rglob("*") if p.is_dir())]:
        then_ns = path.stat().st_mtime_ns - 10**10
        os.utime(path, ns=(then_ns, then_ns))


def scan(folder: Path) -> tuple[int, list[str]]:
    """How many headers were read, and the numbers of the series that can be annotated."""
    with DicomIndex.of_folder(folder) as index:
        read = max(step.done for step in index.scan())
        return read, [s.title.number for s in index.series() if not s.refusal]


def test_the_second_time_no_header_is_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert scan(folder) == (12, ["1", "2"])
    monkeypatch.setattr(dicom_index, "read_header", lambda _: pytest.fail("a header was read"))
    monkeypatch.setattr(os, "scandir", lambda _: pytest.fail("a folder was listed"))
    assert scan(folder) == (0, ["1", "2"])


def test_a_new_series_costs_its_own_headers_only(folder: Path) -> None:
    scan(folder)
    write_series(folder / "one" / "deep", number=3)
    assert scan(folder) == (6, ["1", "2", "3"])


def test_a_folder_that_has_just_changed_is_looked_at_again(folder: Path) -> None:
    write_series(folder / "late", number=3)
    assert scan(folder)[0] == 18
    before = (folder / "late").stat().st_mtime_ns
    (folder / "late" / "IM0002").unlink()
    os.utime(folder / "late", ns=(before, before))  # the clock of some file systems ticks in seconds
    with DicomIndex.of_folder(folder) as index:
        list(index.scan())
        assert [s.images for s in index.series()] == [6, 6, 5]


def test_deleted_files_and_folders_are_forgotten(folder: Path) -> None:
    scan(folder)
    for path in (folder / "two").iterdir():
        path.unlink()
    (folder / "two").rmdir()
    assert scan(folder) == (0, ["1"])


def test_a_file_changed_in_place_is_noticed_when_its_series_is_opened(folder: Path) -> None:
    scan(folder)
    path = sorted((folder / "one").iterdir())[0]
    resave(path, lambda made: put_pixels(made, voxels()[0][:4]))
    with DicomIndex.of_folder(folder) as index:
        assert max(step.done for step in index.scan()) == 0
        key = index.series()[0].key
        with pytest.raises(ImageError, match="several sizes"):
            index.volume(key)


def test_a_series_whose_files_are_gone_is_refused(folder: Path) -> None:
    scan(folder)
    with DicomIndex.of_folder(folder) as index:
        key = index.series()[0].key
        for path in (folder / "one").iterdir():
            path.unlink()
        with pytest.raises(DatasetError, match="not where it was"):
            index.volume(key)


def test_a_cancelled_scan_keeps_what_it_has_read(folder: Path) -> None:
    with DicomIndex.of_folder(folder) as index:
        steps = index.scan()
        while next(steps).done < 7:
            pass
        steps.close()
    assert scan(folder) == (5, ["1", "2"])


def test_progress_says_how_many_there_are(folder: Path) -> None:
    with DicomIndex.of_folder(folder) as index:
        assert {step.total for step in index.scan() if step.done} == {12}


def test_forgetting_reads_every_header_again(folder: Path) -> None:
    scan(folder)
    with DicomIndex.of_folder(folder) as index:
        index.forget()
    assert scan(folder)[0] == 12


@pytest.mark.parametrize("damage", [b"", b"not a database", b"SQLite format 3\0" + bytes(500)])
def test_a_damaged_index_is_made_again(folder: Path, damage: bytes) -> None:
    scan(folder)
    index_file(str(folder.resolve())).write_bytes(damage)
    assert scan(folder) == (12, ["1", "2"])
    assert scan(folder)[0] == 0


def test_an_index_that_another_program_writes_is_waited_for_and_then_said(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sqlite3

    from clopa_annotator.datasets import dicom_store

    scan(folder)
    monkeypatch.setattr(dicom_store, "WAIT_S", 0.05)
    other = sqlite3.connect(index_file(str(folder.resolve())))
    other.execute("BEGIN IMMEDIATE")
    write_series(folder / "three", number=3)
    with DicomIndex.of_folder(folder) as index, pytest.raises(DatasetError, match="Try again"):
        list(index.scan())
    other.rollback()
    other.close()
    assert scan(folder) == (6, ["1", "2", "3"])


def test_opening_a_series_does_not_hold_the_index(folder: Path) -> None:
    import sqlite3

    scan(folder)
    with DicomIndex.of_folder(folder) as index:
        index.volume(index.series()[0].key)
        other = sqlite3.connect(index_file(str(folder.resolve())), timeout=0.05)
        other.execute("BEGIN IMMEDIATE")
        other.close()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_a_file_whose_name_is_not_unicode_is_left_out_and_said(folder: Path) -> None:
    source = sorted((folder / "one").iterdir())[0]
    os.link(source, os.fsencode(folder / "one") + b"/M\xfcller")
    with DicomIndex.of_folder(folder) as index:
        assert max(step.done for step in index.scan()) == 12
        assert [path.rpartition("/")[2] for path in index.unreadable] == ["M?ller"]


def test_without_a_place_for_the_index_everything_still_works(folder: Path, cache: Path) -> None:
    cache.write_text("a file where the folder should be")
    assert scan(folder) == scan(folder) == (12, ["1", "2"])


@pytest.mark.skipif(sys.platform == "win32", reason="Windows keeps a user's folder private by itself")
def test_the_index_is_readable_by_its_owner_only(folder: Path) -> None:
    scan(folder)
    assert stat.S_IMODE(index_file(str(folder.resolve())).stat().st_mode) == 0o600


def test_a_folder_that_contains_itself_is_read_once(folder: Path) -> None:
    try:
        (folder / "one" / "loop").symlink_to(folder, target_is_directory=True)
    except OSError:
        pytest.skip("no links here")
    assert scan(folder) == (12, ["1", "2"])


def test_a_read_only_folder_is_read_and_not_written_to(folder: Path) -> None:
    before = sorted(folder.rglob("*"))
    for path in before:
        path.chmod(0o555 if path.is_dir() else 0o444)
    with DicomIndex.of_folder(folder) as index:
        list(index.scan())
        image = read_volume(index.volume(index.series()[0].key))
    assert np.ptp(image.voxels) > 0 and sorted(folder.rglob("*")) == before


def test_a_list_of_files_is_indexed_like_a_folder(folder: Path) -> None:
    paths = [str(p) for p in folder.rglob("IM*")]
    with DicomIndex("Slicer's database") as index:
        assert max(step.done for step in index.scan_files(paths)) == 12
        assert not list(index.scan_files(paths))
        assert len(index.series()) == 2


def test_the_cache_folder_is_the_systems(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CLOPA_CACHE_DIR")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "clopa-annotator"
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "Local"))
    assert cache_folder() == tmp_path / "Local" / "CLoPAAnnotator"
