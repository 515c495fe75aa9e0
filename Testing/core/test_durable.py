"""Small files: what the operating system was really asked, and what a kill or a power cut would leave."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from system_calls import tree_of, watched

from clopa_annotator import durable
from clopa_annotator.durable import append_bytes, make_folder, patiently, write_bytes, write_folder
from clopa_annotator.errors import CacheError, ReadOnlyCampaign, StorageFull

posix = pytest.mark.skipif(os.name == "nt", reason="Windows neither has nor needs a flush of folders")


def test_the_new_content_is_flushed_before_it_takes_the_olds_place_and_the_folder_after(
    tmp_path: Path,
) -> None:
    path = tmp_path / "settings.json"
    path.write_bytes(b"old")
    with watched(tmp_path) as calls:
        write_bytes(path, b"new")
    part = ".settings.json.part"
    expected = [f"open {part}", f"flush {part}", f"rename {part} settings.json", "flush ."]
    assert calls.order == expected if os.name == "posix" else calls.order == expected[:-1]
    assert calls.careless == []


@posix
def test_on_return_a_power_cut_leaves_the_new_content(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    path.write_bytes(b"old")
    with watched(tmp_path) as calls:
        write_bytes(path, b"new")
        assert calls.after_a_power_cut() == {"settings.json": b"new"}


def test_a_file_that_is_there_is_never_opened_for_writing(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    path.write_bytes(b"old")
    with watched(tmp_path) as calls:
        write_bytes(path, b"new")
    assert "open settings.json" not in calls.order, "a kill would leave half of it"


@pytest.mark.parametrize(
    ("number", "error"),
    [(errno.ENOSPC, StorageFull), (errno.EROFS, ReadOnlyCampaign), (errno.EIO, CacheError)],
)
def test_a_flush_that_fails_leaves_the_old_content_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, error: type[CacheError]
) -> None:
    path = tmp_path / "settings.json"
    path.write_bytes(b"old")

    def fail(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(durable, "flush", fail)
    with pytest.raises(error, match=r"settings\.json"):
        write_bytes(path, b"new")
    assert path.read_bytes() == b"old"


@posix
def test_a_folder_appears_whole_and_stays_after_a_power_cut(tmp_path: Path) -> None:
    with watched(tmp_path) as calls:
        write_folder(tmp_path / "0001", {"a": b"1", "b": b"2"})
        assert calls.after_a_power_cut() == {"0001/a": b"1", "0001/b": b"2"}
    assert calls.careless == []
    assert calls.order[-2:] == ["rename .0001.part 0001", "flush ."]


def test_a_folder_that_is_there_is_not_replaced(tmp_path: Path) -> None:
    write_folder(tmp_path / "0001", {"a": b"1"})
    with pytest.raises(CacheError, match="0001"):
        write_folder(tmp_path / "0001", {"a": b"2"})
    assert tree_of(tmp_path) == {"0001/a": b"1"}


def test_what_a_killed_writer_left_behind_is_cut_off_also_where_it_is_longer_than_what_follows(
    tmp_path: Path,
) -> None:
    path = tmp_path / "history.jsonl"
    path.write_bytes(b"kept\n" + b"torn" * 1000)
    append_bytes(path, b"next\n", keep=5)
    assert path.read_bytes() == b"kept\nnext\n"


@posix
@pytest.mark.parametrize("before", [None, b"kept\ntorn"])
def test_an_appended_line_stays_after_a_power_cut(tmp_path: Path, before: bytes | None) -> None:
    path = tmp_path / "history.jsonl"
    if before is not None:
        path.write_bytes(before)
    keep = 5 if before else 0
    with watched(tmp_path) as calls:
        append_bytes(path, b"next\n", keep)
        assert calls.after_a_power_cut() == {"history.jsonl": (before or b"")[:keep] + b"next\n"}


@posix
def test_folders_on_the_way_stay_after_a_power_cut(tmp_path: Path) -> None:
    with watched(tmp_path) as calls:
        make_folder(tmp_path / "episodes" / "0001")
        write_bytes(tmp_path / "episodes" / "0001" / "request.json", b"{}")
        assert calls.after_a_power_cut() == {"episodes/0001/request.json": b"{}"}
        before = list(calls.order)
        make_folder(tmp_path / "episodes" / "0001")
        assert calls.order == before, "what is there already needs no flush"


def test_a_folder_where_a_file_lies_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "episodes").write_text("a file")
    with pytest.raises(CacheError, match="episodes"):
        make_folder(tmp_path / "episodes" / "0001")


def test_a_rename_that_is_refused_for_a_moment_is_tried_again_and_then_given_up() -> None:
    tries: list[int] = []

    def refused() -> None:
        tries.append(1)
        raise PermissionError(13, "held")

    with pytest.raises(PermissionError):
        patiently(refused, (0.0, 0.0))
    assert len(tries) == 3
