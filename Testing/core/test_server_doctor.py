"""The doctor says what it found, and what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from clopa_annotator.server import doctor, memory_forecast

CPU = doctor.Machine("cpu", "cpu", 0, 0, 8, 1e11)


def test_the_doctor_says_what_it_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "ask_torch", lambda: CPU)
    found = {f.subject: f for f in doctor.examine(tmp_path)}
    looked_at = {"Python", "Packages", "Device", "Learning here", "Memory", "Disk", "Writing", "Ports"}
    assert set(found) == looked_at | {f"A card of {size} GB" for size in (8, 12, 24, 80)}
    assert found["Packages"].ok and "8 CPU threads" in found["Device"].sentence
    assert all(f.sentence.endswith(".") or "pip install" in f.sentence for f in found.values())
    assert not list(tmp_path.iterdir())


def test_the_doctor_tells_what_is_wrong_and_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> doctor.Machine:
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


def test_the_doctor_plans_an_episode_for_a_card_and_says_what_its_time_rests_on() -> None:
    card = doctor.Machine("cuda", "A card", 22 << 30, 24 << 30, 8, 1e14)
    sentence = doctor.learning_here(card)
    assert "192 x 192 x 192" in sentence and "official" in sentence
    assert "minutes" in sentence and "40% of the 1e+02 TFLOP/s" in sentence and "not measured yet" in sentence


def test_the_doctor_plans_the_bundled_model_on_a_cpu_and_promises_no_time_on_a_mac() -> None:
    assert "clopa-base" in doctor.learning_here(CPU) and "Expected" in doctor.learning_here(CPU)
    mac = doctor.Machine("mps", "mps", 0, 0, 8, 1e11)
    assert "not known: not measured yet" in doctor.learning_here(mac)


def test_small_cards_are_told_that_the_patch_is_smaller_and_large_ones_are_not() -> None:
    told = {size: memory_forecast.on_card(size) for size in memory_forecast.ASSUMED_RATES}
    assert "smaller than the session's" in told[8]
    assert not any("smaller than the session's" in told[size] for size in (12, 24, 80))
    assert all("not measured yet" in sentence for sentence in told.values())


def test_what_pytorch_answers_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    class Done:
        stdout = "a warning\ncuda|A card|1024|2048|4|1.5e13\n"

    monkeypatch.setattr(doctor.subprocess, "run", lambda *a, **k: Done())
    assert doctor.ask_torch() == doctor.Machine("cuda", "A card", 1024, 2048, 4, 1.5e13)
    Done.stdout = "nothing"
    with pytest.raises(OSError, match="does not work"):
        doctor.ask_torch()
