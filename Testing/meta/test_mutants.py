"""The table of faults fits the program: each place is there once, and so are the tests that must see it.

Whether they do is told by ``python scripts/mutants.py``, which starts them anew for each fault.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.append(str(REPOSITORY / "scripts"))

import mutants  # noqa: E402 - a script, found by its folder
from mutations import Mutant  # noqa: E402


@pytest.mark.parametrize("mutant", mutants.MUTANTS, ids=lambda m: f"{m.where}: {m.fault}")
def test_a_fault_fits_one_place_and_names_tests_that_are_there(mutant: Mutant) -> None:
    path, text = mutants.mutated(REPOSITORY, mutant)
    assert text != path.read_text(encoding="utf-8")
    assert mutants.test_ids(REPOSITORY, mutant.tests)


def test_what_the_script_copies_is_there() -> None:
    assert [name for name in mutants.COPIED if not (REPOSITORY / name).exists()] == []


def test_no_fault_is_listed_twice() -> None:
    seen = [(m.where, m.anchor, m.instead) for m in mutants.MUTANTS]
    assert len(set(seen)) == len(seen)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"anchor": "no such text"}, "0 places fit"),
        ({"instead": "if ("}, "no Python"),
        ({"anchor": "flush(file.fileno())", "instead": "flush( file.fileno() )"}, "same program"),
    ],
)
def test_a_row_that_fits_the_program_no_more_is_told(changes: dict[str, str], words: str) -> None:
    row = {"where": "write_bytes", "anchor": "flush(file.fileno())", "instead": "pass", **changes}
    with pytest.raises(mutants.Stale, match=words):
        mutants.mutated(REPOSITORY, Mutant("a fault", tests=(), **row))


def test_a_test_that_is_gone_is_told() -> None:
    with pytest.raises(mutants.Stale, match="no test test_of_nothing"):
        mutants.test_ids(REPOSITORY, ("test_of_nothing",))
