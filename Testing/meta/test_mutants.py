"""The table of faults fits the program: each place is there once, and so are the tests that must see it.

Whether they do is told by ``python scripts/mutants.py``, which starts them anew for each fault.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.append(str(REPOSITORY / "scripts"))

import mutants  # noqa: E402 - a script, found by its folder
from mutations import Mutant, fitting  # noqa: E402
from mutations.fitting import Stale, trials  # noqa: E402
from mutations.journal import Journal, name_of  # noqa: E402


def test_every_fault_fits_one_place_and_names_tests_that_are_there() -> None:
    found, stale = trials(REPOSITORY, mutants.MUTANTS)
    assert stale == []
    assert len(found) == len(mutants.MUTANTS) > 190
    for trial in found:
        assert trial.text != (REPOSITORY / trial.path).read_text(encoding="utf-8") and trial.tests


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
    mutant = Mutant("a fault", tests=(), **row)
    with pytest.raises(Stale, match=words):
        fitting.mutated(REPOSITORY, mutant)
    found, stale = trials(REPOSITORY, [mutant, mutants.MUTANTS[0], replace(mutant, fault="another")])
    assert [t.mutant for t in found] == [mutants.MUTANTS[0]]
    assert [words.partition(": ")[2].partition(":")[0] for words in stale] == ["a fault", "another"]


def test_a_test_that_is_gone_is_told() -> None:
    with pytest.raises(Stale, match="no test test_of_nothing"):
        fitting.test_ids(REPOSITORY, ("test_of_nothing",))


# -- a run that is stopped goes on --------------------------------------------------------------------------

QUICK, SLOW = "def is_even(n):\n    return n % 2 == 0\n", "def half(n):\n    return n / 2\n"
ROWS = (
    Mutant("half is a third", "half", "n / 2", "n / 3", ("test_half", "test_even")),
    Mutant("even is odd", "is_even", "== 0", "== 1", ("test_even",)),
)


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program of two functions in a repository of its own; its tests are told to a list instead of run."""
    root = tmp_path / "repository"
    files = {
        "CLoPAAnnotator/numbers_.py": QUICK + SLOW,
        "Testing/core/test_numbers_.py": "def test_even(): ...\ndef test_half(): ...\n",
        "pyproject.toml": "",
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    monkeypatch.setattr(mutants, "REPOSITORY", root)
    monkeypatch.setattr(mutants, "MUTANTS", ROWS)
    monkeypatch.setattr(mutants, "COPIED", ("CLoPAAnnotator", "Testing", "pyproject.toml"))
    return root


def run(monkeypatch: pytest.MonkeyPatch, root: Path, *words: str, alive: str = "") -> tuple[int, list[str]]:
    """Exit code of the script, and what it ran: "sound", or the line that a fault had changed."""
    ran: list[str] = []

    def run_tests(_: str, copy: Path, tests: object, stop: bool = True) -> tuple[int, str]:
        now = (copy / "CLoPAAnnotator" / "numbers_.py").read_text().splitlines()
        sound = (root / "CLoPAAnnotator" / "numbers_.py").read_text().splitlines()
        ran.append(next((line.strip() for line in now if line not in sound), "sound"))
        return (0 if ran[-1] in ("sound", alive) else 1), ""

    fitting.program.cache_clear()
    fitting.tests_of.cache_clear()
    monkeypatch.setattr(mutants, "run_tests", run_tests)
    journal = str(root.parent / "journal.jsonl")
    given = ["mutants.py", "--workers", "1", "--python", sys.executable, "--journal", journal, *words]
    monkeypatch.setattr(sys, "argv", given)
    return mutants.main(), ran


def test_quick_faults_come_first_and_what_was_killed_is_not_tried_again(
    program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(monkeypatch, program) == (0, ["sound", "return n % 2 == 1", "return n / 3"])
    assert run(monkeypatch, program) == (0, [])
    code, ran = run(monkeypatch, program, "--fresh")
    assert code == 0 and sorted(ran) == ["return n % 2 == 1", "return n / 3"]


def test_a_survivor_is_tried_again_and_a_stopped_run_goes_on(
    program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, ran = run(monkeypatch, program, alive="return n / 3")
    assert code == 1 and len(ran) == 3
    assert run(monkeypatch, program) == (0, ["return n / 3"])


@pytest.mark.parametrize("changed", ["CLoPAAnnotator/numbers_.py", "Testing/core/test_numbers_.py"])
def test_whoever_changes_the_program_or_the_tests_has_the_fault_tried_again(
    program: Path, monkeypatch: pytest.MonkeyPatch, changed: str
) -> None:
    run(monkeypatch, program)
    with (program / changed).open("a") as file:
        file.write("# changed\n")
    code, ran = run(monkeypatch, program)
    assert code == 0 and sorted(ran) == ["return n % 2 == 1", "return n / 3", "sound"]


def test_a_row_that_fits_no_more_is_told_before_any_test_runs(
    program: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        mutants, "MUTANTS", (*ROWS, replace(ROWS[0], anchor="gone"), replace(ROWS[1], tests=("x",)))
    )
    assert run(monkeypatch, program) == (1, [])
    said = capsys.readouterr().out
    assert said.count("STALE") == 2 and "there is no test x" in said and "0 places fit half" in said


def test_a_line_that_a_stopped_run_was_writing_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    Journal(path).note("a key", name_of(ROWS[0]), 3.0)
    path.write_text(path.read_text() + '{"key": "anoth')
    again = Journal(path)
    assert again.knows("a key") and not again.knows("anoth")
    assert again.seconds(ROWS[0], ["Testing/core/test_x.py"]) == 3.0
    assert again.seconds(ROWS[1], ["Testing/slicer/test_x.py"]) > again.seconds(
        ROWS[1], ["Testing/core/test_x.py"]
    )
