"""The scripts say how to go on: ``clopa`` lies where no terminal looks by itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    monkeypatch.syspath_prepend(str(REPOSITORY / "scripts"))
    import _environment

    monkeypatch.setattr(_environment, "ENVIRONMENT", tmp_path / ".venv")
    return _environment


def test_the_commands_path_is_what_to_type_from_here(
    environment: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert Path(environment.clopa()) in (Path(".venv/bin/clopa"), Path(".venv/Scripts/clopa.exe"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert environment.clopa().startswith(str(tmp_path / ".venv"))
    monkeypatch.setattr(environment, "ENVIRONMENT", tmp_path / "my checkout" / ".venv")
    assert environment.clopa().startswith('"') and environment.clopa().endswith('"')


@pytest.mark.parametrize(("code", "json"), [(0, False), (1, False), (0, True)])
def test_a_demo_ends_with_the_commands_path_and_runs_where_the_user_is(
    code: int,
    json: bool,
    environment: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    import demo

    ran: list[dict[str, object]] = []
    monkeypatch.setattr(demo, "prepare", lambda: Path(sys.executable))
    answer = SimpleNamespace(returncode=code)
    monkeypatch.setattr(subprocess, "run", lambda _, **options: ran.append(options) or answer)
    monkeypatch.setattr(sys, "argv", ["demo.py", *(["--json"] if json else [])])
    assert demo.main() == code
    assert "cwd" not in ran[0], "--out is a folder beside the user, not in the checkout"
    assert (f"{environment.clopa()} --help" in capsys.readouterr().out) == (code == 0 and not json)
