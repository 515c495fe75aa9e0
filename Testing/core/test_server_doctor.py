"""The doctor says what it found, and what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from clopa_annotator.server import doctor


def test_the_doctor_says_what_it_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "ask_torch", lambda: ("cpu", 8))
    found = {f.subject: f for f in doctor.examine(tmp_path)}
    assert set(found) == {"Python", "Packages", "Device", "Memory", "Disk", "Writing", "Ports"}
    assert found["Packages"].ok and "8 CPU threads" in found["Device"].sentence
    assert all(f.sentence.endswith(".") or "pip install" in f.sentence for f in found.values())
    assert not list(tmp_path.iterdir())


def test_the_doctor_tells_what_is_wrong_and_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> tuple[str, int]:
        raise OSError("no torch")

    monkeypatch.setattr(doctor, "ask_torch", broken)
    monkeypatch.setattr(doctor, "NEEDED", {"numpy": "99.0", "no-such-package": "1"})
    monkeypatch.setattr(doctor, "SMALL_DISK_BYTES", 1 << 60)
    found = {f.subject: f for f in doctor.examine(tmp_path)}
    assert not found["Device"].ok and "pip install" in found["Device"].sentence
    assert (
        "no-such-package is missing" in found["Packages"].sentence
        and "99.0 is needed" in found["Packages"].sentence
    )
    assert not found["Disk"].ok and "make room" in found["Disk"].sentence
