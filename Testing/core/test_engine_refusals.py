"""``clopa engine`` where it cannot serve: a sentence, no traceback, and nothing left behind."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from engine_support import a_model, make_campaign

from clopa_annotator.cache.campaign_store import CampaignStore
from clopa_annotator.cli import main
from clopa_annotator.wire.tokens import first_token, load_token_file


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("work")
    return make_campaign(folder / "campaign", a_model(folder / "model"))


def a_read_only_disk(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Root may write to a folder of any mode, so the system's own answer is given here."""
    real = os.open

    def refuse(path: object, flags: int, *rest: int, **more: int) -> int:
        if str(path).startswith(str(folder)) and flags & (os.O_CREAT | os.O_WRONLY | os.O_RDWR):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
        return real(path, flags, *rest, **more)  # type: ignore[call-overload,no-any-return]

    monkeypatch.setattr(os, "open", refuse)


def said_by(capsys: pytest.CaptureFixture[str]) -> str:
    return " ".join(capsys.readouterr().err.split())


def test_on_a_read_only_campaign_it_says_so(
    campaign: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    a_read_only_disk(monkeypatch, campaign)
    assert main(["engine", "--campaign", str(campaign)]) == 1
    assert "the campaign folder cannot be written" in said_by(capsys)


def test_a_token_file_that_cannot_be_made_is_named(
    campaign: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    a_read_only_disk(monkeypatch, tmp_path)
    assert main(["engine", "--campaign", str(campaign), "--token-file", str(tmp_path / "t")]) == 2
    said = said_by(capsys)
    assert "cannot be written (Read-only file system)" in said and "--token-file" in said
    CampaignStore.open(campaign, writer=True).close()  # the lock was given back


def test_a_token_file_that_cannot_be_read_is_named(
    campaign: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "folder").mkdir(mode=0o700)
    (tmp_path / "folder").chmod(0o700)
    assert main(["engine", "--campaign", str(campaign), "--token-file", str(tmp_path / "folder")]) == 2
    assert "cannot be read" in said_by(capsys)
    (tmp_path / "bytes").touch(mode=0o600)
    (tmp_path / "bytes").write_bytes(b"\xff" * 40)
    assert main(["engine", "--campaign", str(campaign), "--token-file", str(tmp_path / "bytes")]) == 2
    assert "not text in UTF-8" in said_by(capsys)


def test_a_folder_that_is_no_campaign_stays_without_tokens(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Tokens there would make the panel take an empty folder for one with other files."""
    assert main(["engine", "--campaign", str(tmp_path / "typo")]) == 2
    assert "There is no campaign in" in said_by(capsys)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("host", ["a..b", "x" * 70, "http://gpu", "no-such-name.invalid"])
def test_a_host_that_is_no_address_is_named_instead_of_the_port(
    host: str, campaign: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["engine", "--campaign", str(campaign), "--host", host]) == 2
    assert f"'{host}' is no address of this computer" in said_by(capsys)


def test_certificates_that_are_none_are_refused_before_anything_starts(
    campaign: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pem = tmp_path / "server.pem"
    pem.write_text("not a certificate")
    command = ["engine", "--campaign", str(campaign), "--tls-certificate", str(pem), "--tls-key", str(pem)]
    assert main(command) == 2
    assert "are not a certificate and its key" in said_by(capsys)


def test_what_the_system_refuses_anywhere_ends_in_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    taken = tmp_path / "file"
    taken.write_text("of mine")
    assert main(["demo", "--out", str(taken)]) == 2
    assert "is a file; choose another folder" in said_by(capsys)
    path = load_token_file(tmp_path / "tokens") and tmp_path / "tokens"
    command = ["engine", "--campaign", str(tmp_path), "--token-file", str(path / "below")]
    assert main(command) == 2 and first_token(path)
    assert "no campaign" in said_by(capsys)
    assert main(["compare", str(tmp_path), "--out", str(taken / "below")]) in (1, 2)
    assert "Traceback" not in said_by(capsys) and taken.read_text() == "of mine"
