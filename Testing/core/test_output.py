"""What commands print: every terminal gets an answer, and names are shown as they are."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from cache_helpers import a_confirmation, a_store, an_image

from clopa_annotator.commands.output import print_table

NAMES = ("病例 1", "[red]x[/red]", "😀 ä")


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("output") / "campaign"
    with a_store(folder) as store:
        for number, name in enumerate(NAMES):
            store.add_case(name, an_image(number))
            store.confirm(a_confirmation(number, name))
    return folder


def run(encoding: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "COLUMNS": "120"}
    command = [sys.executable, "-m", "clopa_annotator.cli", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, check=False)


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-8"])
def test_a_list_is_printed_on_every_terminal(campaign: Path, encoding: str) -> None:
    done = run(encoding, "cache", "list", str(campaign))
    assert done.returncode == 0, done.stderr.decode()
    text = done.stdout.decode(encoding)
    assert "[red]x[/red]" in text
    assert ("病例 1" if encoding == "utf-8" else "\\u75c5\\u4f8b 1") in text


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_json_stays_json_on_every_terminal(campaign: Path, encoding: str) -> None:
    done = run(encoding, "cache", "list", str(campaign), "--json")
    assert done.returncode == 0, done.stderr.decode()
    assert [case["case_id"] for case in json.loads(done.stdout.decode(encoding))] == list(NAMES)


def test_an_export_that_was_written_is_not_called_a_failure(campaign: Path, tmp_path: Path) -> None:
    out = tmp_path / "aus ü 病"
    done = run("ascii", "export", str(campaign), "--format", "segnrrd", "--out", str(out))
    assert done.returncode == 0, done.stderr.decode()
    assert b"3 cases" in done.stdout
    assert (out / "cases.json").is_file()


def test_a_tables_title_is_no_markup_either(capsys: pytest.CaptureFixture[str]) -> None:
    print_table("Weights ([bold]CC0[/bold])", ("a column that is wide enough",), [("[a]",)])
    printed = capsys.readouterr().out
    assert "[bold]CC0[/bold]" in printed
    assert "[a]" in printed
