"""The registry's files: documents with a check, version folders that are written once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clopa_annotator.errors import CacheError, CorruptRecord, UnknownVersion
from clopa_annotator.registry.files import VersionFolders, sealed, unsealed
from clopa_annotator.types import GateDecision, WeightsVersion

VERSION = WeightsVersion(
    3, 1, "ab" * 32, "CC BY", "delta.safetensors", "cd" * 32, "in", 2, ("h1", "h2"), 7, "0.1", "now"
)


def test_a_document_comes_back_with_every_value(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(sealed({"name": "Ä", "numbers": (1, 2), "nothing": None}))
    assert unsealed(path) == {"name": "Ä", "numbers": [1, 2], "nothing": None}


def test_a_document_that_was_changed_is_told_from_one_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    values = {**json.loads(sealed({"seed": 3})), "seed": 4}
    path.write_text(json.dumps(values))
    with pytest.raises(CorruptRecord, match="is not what was written"):
        unsealed(path)
    for damaged in ("{", "[]", "{}", ""):
        path.write_text(damaged)
        with pytest.raises(CorruptRecord, match="is damaged"):
            unsealed(path)


def test_a_version_comes_back_with_its_lineage_and_without_a_decision(tmp_path: Path) -> None:
    folders = VersionFolders(tmp_path)
    folders.write(VERSION, b"weights")
    assert folders.read(3) == VERSION
    assert (folders.path(3) / "delta.safetensors").read_bytes() == b"weights"
    decided = WeightsVersion(**{**vars(VERSION), "number": 4, "decision": GateDecision(True, "Promoted.")})
    folders.write(decided, b"weights")
    assert folders.read(4).decision is None, "decisions are the history's"


def test_a_version_is_never_written_over(tmp_path: Path) -> None:
    folders = VersionFolders(tmp_path)
    folders.write(VERSION, b"weights")
    with pytest.raises(CacheError):
        folders.write(VERSION, b"other weights")
    assert (folders.path(3) / "delta.safetensors").read_bytes() == b"weights"


def test_numbers_are_those_of_complete_folders(tmp_path: Path) -> None:
    folders = VersionFolders(tmp_path / "versions")
    assert folders.numbers() == []
    (tmp_path / "versions").mkdir()
    for number in (2, 10):
        folders.write(WeightsVersion(**{**vars(VERSION), "number": number}), b"")
    (tmp_path / "versions" / ".0011.part").mkdir()
    assert folders.numbers() == [2, 10]


def test_a_version_that_is_not_there_or_of_another_program_is_named(tmp_path: Path) -> None:
    folders = VersionFolders(tmp_path)
    with pytest.raises(UnknownVersion, match="no weights version 3"):
        folders.read(3)
    folders.write(VERSION, b"")
    (folders.path(3) / "version.json").write_bytes(sealed({"number": 3, "case_hashes": []}))
    with pytest.raises(CorruptRecord, match="not a record of this version"):
        folders.read(3)
