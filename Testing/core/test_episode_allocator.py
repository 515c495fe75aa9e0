"""The allocator is told only where it is glibc's; anywhere else nothing happens."""

from __future__ import annotations

import ctypes
import sys

import pytest

from clopa_annotator.episode.hardware import allocator
from clopa_annotator.episode.hardware.allocator import keep_freed_memory


class Library:
    """A C library whose ``mallopt`` notes what it is told."""

    def __init__(self, answer: int) -> None:
        self.answer = answer
        self.told: dict[int, int] = {}

    def mallopt(self, option: int, value: int) -> int:
        self.told[option] = value
        return self.answer


@pytest.mark.parametrize(("answer", "took_effect"), [(1, True), (0, False)])
def test_blocks_are_kept_and_what_the_allocator_says_is_told(
    monkeypatch: pytest.MonkeyPatch, answer: int, took_effect: bool
) -> None:
    library = Library(answer)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(ctypes, "CDLL", lambda name: library)
    assert keep_freed_memory() is took_effect
    if took_effect:
        assert library.told[allocator._M_MMAP_MAX] == 0, "no block is mapped by itself"
        assert library.told[allocator._M_TRIM_THRESHOLD] == 2**31 - 1


def test_another_system_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(ctypes, "CDLL", lambda name: pytest.fail("nothing is loaded"))
    assert keep_freed_memory() is False


def test_a_linux_without_glibc_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise OSError("no such library")

    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(ctypes, "CDLL", missing)
    assert keep_freed_memory() is False
