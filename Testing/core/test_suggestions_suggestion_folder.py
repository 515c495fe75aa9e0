"""Suggestions beside a campaign: kept whole or not at all, damaged ones away, a full disk in words."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import numpy as np
import pytest

from clopa_annotator import durable
from clopa_annotator.errors import ConfigError, InputError, StorageFull
from clopa_annotator.suggestions.suggestion_folder import FOLDER, SuggestionFolder, is_stale
from clopa_annotator.types import Subject, Suggestion

SHAPE = (6, 7, 8)
CASE = Subject("Fall 1, Ä")


def a_suggestion(subject: Subject = CASE, version: int = 2, start: int = 1) -> Suggestion:
    mask = np.zeros(SHAPE, np.uint8)
    mask[start:4, 2:5, 3:6] = 1
    return Suggestion(subject, mask, version, {"agreement": 0.8, "versions": float("nan")}, 0.5)


@pytest.fixture
def kept(tmp_path: Path) -> SuggestionFolder:
    folder = SuggestionFolder(tmp_path)
    folder.keep(a_suggestion())
    return folder


def the_file(campaign: Path) -> Path:
    (path,) = [p for p in (campaign / FOLDER).glob("*/*.json") if "outcome" not in p.name]
    return path


def test_a_suggestion_comes_back_as_it_was_kept(kept: SuggestionFolder, tmp_path: Path) -> None:
    found = SuggestionFolder(tmp_path).load(CASE, SHAPE)
    assert found is not None
    assert np.array_equal(found.mask, a_suggestion().mask)
    assert (found.subject, found.weights_version, found.seconds) == (CASE, 2, 0.5)
    assert found.scores == {"agreement": 0.8}, "what is not a number is left out"
    assert found.mask_hash and found.made_at


def test_each_target_and_instance_has_a_suggestion_of_its_own(kept: SuggestionFolder) -> None:
    others = [Subject(CASE.case_id, "liver"), Subject(CASE.case_id, "liver", 2), Subject("b")]
    for number, subject in enumerate(others):
        kept.keep(a_suggestion(subject, version=10 + number))
    assert {head.subject for head in kept.heads()} == {CASE, *others}
    assert [kept.load(s, SHAPE).weights_version for s in (CASE, *others)] == [2, 10, 11, 12]  # type: ignore[union-attr]


def test_a_newer_one_replaces_it_and_only_other_weights_make_it_stale(kept: SuggestionFolder) -> None:
    kept.keep(a_suggestion(version=3, start=2))
    found = kept.load(CASE, SHAPE)
    assert found is not None and found.weights_version == 3
    assert not is_stale(found, 3) and is_stale(found, 4) and is_stale(found, 2)


def test_nothing_there_is_nothing_and_discarding_it_is_allowed(tmp_path: Path) -> None:
    folder = SuggestionFolder(tmp_path)
    assert folder.load(CASE, SHAPE) is None and not list(folder.heads()) and folder.outcomes() == ()
    folder.discard(CASE)


def test_a_discarded_suggestion_is_gone(kept: SuggestionFolder) -> None:
    kept.discard(CASE)
    assert kept.load(CASE, SHAPE) is None


@pytest.mark.parametrize("damage", ["bit", "cut", "empty", "mask", "other case", "grid"])
def test_a_damaged_suggestion_goes_to_quarantine_and_is_made_again(
    kept: SuggestionFolder, tmp_path: Path, damage: str
) -> None:
    path = the_file(tmp_path)
    data = path.read_bytes()
    if damage == "bit":
        path.write_bytes(data[:200] + bytes([data[200] ^ 1]) + data[201:])
    elif damage == "cut":
        path.write_bytes(data[: len(data) // 2])
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "mask":
        path.write_bytes(reseal(data, mask_hash="0" * 64))
    elif damage == "other case":
        path.write_bytes(reseal(data, case_id="another"))
    shape = (6, 7, 9) if damage == "grid" else SHAPE
    assert kept.load(CASE, shape) is None
    (moved,) = tmp_path.glob("quarantine/0001/suggestions/*/*.json")
    assert json.loads((tmp_path / "quarantine/0001/finding.json").read_text())["problem"]
    assert moved.exists() and not path.exists()
    kept.keep(a_suggestion())
    assert kept.load(CASE, SHAPE) is not None


def reseal(data: bytes, **changes: str) -> bytes:
    from clopa_annotator.cache.format.sealed import seal, unseal

    return seal({**unseal(data, "test"), **changes})


def test_a_newer_versions_suggestion_is_passed_over_and_stays(kept: SuggestionFolder, tmp_path: Path) -> None:
    path = the_file(tmp_path)
    path.write_bytes(reseal(path.read_bytes(), format_version=2))  # type: ignore[arg-type]
    assert kept.load(CASE, SHAPE) is None
    assert path.exists()


def test_a_full_disk_stops_suggestions_in_words_and_no_confirmation(
    kept: SuggestionFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "full")

    with monkeypatch.context() as patch:
        patch.setattr(durable, "flush", full)
        with pytest.raises(StorageFull, match="disk is full"):
            kept.keep(a_suggestion(version=9))
        assert "disk is full" in kept.full
        assert kept.confirmed(CASE, a_suggestion().mask, 5) is None, "told by None, not by an error"
    found = kept.load(CASE, SHAPE)
    assert found is not None and found.weights_version == 2, "the one before is whole"
    kept.keep(a_suggestion(version=9))
    assert kept.full == ""


def test_a_confirmed_case_tells_how_good_its_suggestion_was(kept: SuggestionFolder, tmp_path: Path) -> None:
    confirmed = a_suggestion().mask.copy()
    confirmed[1] = 0
    outcome = kept.confirmed(CASE, confirmed, 7)
    assert outcome is not None and outcome.dice == pytest.approx(2 * 18 / (27 + 18))
    assert SuggestionFolder(tmp_path).outcomes() == (outcome,)
    assert outcome.weights_version == 2 and outcome.scores == {"agreement": 0.8}
    again = kept.confirmed(CASE, a_suggestion().mask, 9)
    assert again is not None and kept.outcomes() == (again,), "confirmed anew, it counts once"
    assert kept.outcomes("liver") == ()


def test_outcomes_come_in_the_order_of_confirmations_without_damaged_ones(
    kept: SuggestionFolder, tmp_path: Path
) -> None:
    for number, name in enumerate("cab"):
        subject = Subject(name)
        kept.keep(a_suggestion(subject))
        kept.confirmed(subject, a_suggestion().mask, 30 - number)
    assert [o.subject.case_id for o in kept.outcomes()] == ["b", "a", "c"]
    next(tmp_path.glob("suggestions/a-*/*.outcome.json")).write_bytes(b"{}")
    assert [o.subject.case_id for o in kept.outcomes()] == ["b", "c"]
    assert list(tmp_path.glob("quarantine/*/suggestions/a-*/*.outcome.json"))


def test_without_a_suggestion_a_confirmation_tells_nothing(tmp_path: Path) -> None:
    assert SuggestionFolder(tmp_path).confirmed(CASE, a_suggestion().mask, 1) is None


def test_what_cannot_be_a_suggestion_is_refused(kept: SuggestionFolder) -> None:
    with pytest.raises(InputError):
        kept.keep(Suggestion(CASE, np.full(SHAPE, 3, np.uint8), 1))
    with pytest.raises(ConfigError, match="count from 1"):
        kept.keep(a_suggestion(Subject("a", "", 0)))
