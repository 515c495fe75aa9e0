"""``clopa models``: the list, a download that wants its licence accepted, a removal that asks."""

from __future__ import annotations

import io
import json
from pathlib import Path

import model_hub
import pytest
from model_hub import FILES, Hub

from clopa_annotator.cli import FAILED, main
from clopa_annotator.models import OFFICIAL

hub = model_hub.hub


@pytest.fixture
def root(tmp_path: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for downloads; a server like Hugging Face's answers."""
    monkeypatch.setenv("CLOPA_MODEL_DIR", str(tmp_path / "models"))
    return tmp_path / "models"


def listed(capsys: pytest.CaptureFixture[str]) -> dict[str, bool]:
    capsys.readouterr()
    assert main(["models", "list", "--json"]) == 0
    return {row["name"]: row["present"] for row in json.loads(capsys.readouterr().out)}


def test_a_model_is_downloaded_listed_and_removed(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert listed(capsys) == {"bundled": True, "official": False}
    assert main(["models", "download", "official", "--accept-licence", OFFICIAL.licence]) == 0
    assert listed(capsys)["official"]
    assert main(["models", "remove", "official", "--yes"]) == 0
    size = sum(map(len, FILES.values())) / 1e6
    assert f"{size:.1f} MB are free again" in capsys.readouterr().out
    assert not listed(capsys)["official"] and list(root.iterdir()) == []


def test_without_its_licence_nothing_is_downloaded(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "download", "official"]) == FAILED
    assert OFFICIAL.licence in capsys.readouterr().err and not root.exists()


@pytest.mark.parametrize("name", ["bundled", "official", "nothing", "."])
def test_what_is_no_download_is_not_removed(
    root: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    by_hand = root / OFFICIAL.folder
    by_hand.mkdir(parents=True)
    (by_hand / "plans.json").write_text("{}")
    assert main(["models", "remove", name, "--yes"]) == FAILED
    assert "No download" in capsys.readouterr().err and (by_hand / "plans.json").is_file()


def test_it_asks_first(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    main(["models", "download", "official", "--accept-licence", OFFICIAL.licence])
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    assert main(["models", "remove", "official"]) == FAILED
    assert (root / OFFICIAL.folder).is_dir()
