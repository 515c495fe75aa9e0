"""Labels that are read ahead: the same ones in the same order, no more than needed, and kept by nobody."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable
from pathlib import Path

import pytest

from clopa_annotator.errors import ImageError
from clopa_annotator.geometry import Geometry
from clopa_annotator.importers import read_ahead
from clopa_annotator.importers.label_files import Content, LabelFile
from clopa_annotator.importers.read_ahead import AHEAD, ReadAhead


class Shelf:
    """Label files that count how often each is opened."""

    def __init__(self, number: int, shape: tuple[int, int, int] = (2, 2, 2), damaged: int = -1) -> None:
        self.opened: list[int] = []
        self.given: list[weakref.ref[Content]] = []
        self._shape, self._damaged = shape, damaged
        self._lock = threading.Lock()
        self.labels = tuple(
            LabelFile(str(n), Path(f"{n}.nii.gz"), "labelmap", self._reader(n), lambda _: "")
            for n in range(number)
        )

    def _reader(self, number: int) -> Callable[[], Content]:
        def read() -> Content:
            with self._lock:
                self.opened.append(number)
            if number == self._damaged:
                raise ImageError(f"{number} is damaged.")
            content = Content(Geometry(self._shape, (float(number + 1), 1.0, 1.0)), ())
            self.given.append(weakref.ref(content))
            return content

        return read


def test_every_label_is_read_once_and_given_in_its_place() -> None:
    shelf = Shelf(40)
    with ReadAhead(shelf.labels) as labels:
        seen = [(label.name, label.read().geometry.spacing_ijk_mm[0]) for label in labels]
    assert seen == [(str(n), float(n + 1)) for n in range(40)]
    assert sorted(shelf.opened) == list(range(40))


def test_nothing_is_read_that_nobody_asked_for() -> None:
    shelf = Shelf(40)
    with ReadAhead(shelf.labels) as labels:
        assert [label.name for label in labels] == [str(n) for n in range(40)]
    assert shelf.opened == []


def test_reading_ahead_ends_with_the_labels_that_are_asked_for() -> None:
    shelf = Shelf(100)
    with ReadAhead(shelf.labels) as labels:
        for number, label in enumerate(labels):
            if number < 10:
                label.read()
    assert set(range(10)) <= set(shelf.opened) <= set(range(11 + AHEAD))


def test_of_large_labels_only_the_next_is_read_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_ahead, "AHEAD_VOXELS", 100)
    shelf = Shelf(9, shape=(4, 4, 4))
    with ReadAhead(shelf.labels) as labels:
        walk = iter(labels)
        for _ in range(3):
            next(walk).read()
    assert {0, 1, 2} <= set(shelf.opened) <= {0, 1, 2, 3}


def test_a_damaged_label_fails_in_its_own_place_and_the_others_are_read() -> None:
    shelf = Shelf(6, damaged=3)
    failed = []
    with ReadAhead(shelf.labels) as labels:
        for number, label in enumerate(labels):
            try:
                label.read()
            except ImageError as error:
                failed.append((number, str(error)))
    assert failed == [(3, "3 is damaged.")]
    assert sorted(shelf.opened) == list(range(6))


def test_a_label_that_is_kept_does_not_keep_its_volume() -> None:
    shelf = Shelf(8)
    with ReadAhead(shelf.labels) as labels:
        kept = [label for label in labels if label.read()]
    gc.collect()
    assert len(kept) == 8 and [ref() for ref in shelf.given] == [None] * 8


def test_whoever_stops_early_leaves_no_thread_behind() -> None:
    shelf = Shelf(1000)
    with ReadAhead(shelf.labels) as labels:
        walk = iter(labels)
        for _ in range(3):
            next(walk).read()
    assert len(shelf.opened) <= 3 + AHEAD
    assert not [t for t in threading.enumerate() if t.name.startswith("labels")]
