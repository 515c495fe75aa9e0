"""Many simulated campaigns: permutations of a stream and strategies, over processes or a cluster, resumable.

A unit is one campaign: one strategy on one order of one stream. Its folder holds ``unit.json`` and, once it
is finished, ``summary.json``; starting again skips finished units and takes the parts of an unfinished one
from `recall`. The unseen cases are the same for every permutation and strategy, so methods can be paired.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from clopa_annotator.datasets import LabelledCase, MsdDataset, open_dataset
from clopa_annotator.datasets.msd import split_stream
from clopa_annotator.errors import ConfigError
from clopa_annotator.evaluation.runner import spread
from clopa_annotator.experiments.measurement import Progress
from clopa_annotator.experiments.result_cache import ResultCache
from clopa_annotator.experiments.run_folder import RunFolder
from clopa_annotator.experiments.simulation import run_simulation
from clopa_annotator.experiments.simulation_settings import SimulationSettings
from clopa_annotator.experiments.target_labels import TargetLabel

logger = logging.getLogger(__name__)
UNIT = "unit.json"


@dataclass(frozen=True)
class StreamPlan:
    """Where a stream and its unseen cases come from.

    Attributes:
        dataset: a folder in MSD layout, or ``generated:NAME``.
        test: another dataset for the unseen cases; None takes the rest of ``dataset``.
        label: the target's label; None takes every label above 0.
        limit: length of the stream; None for all that the test leaves.
        test_limit: number of unseen cases; None for all that the stream leaves.
        volumes: folder that generated volumes are kept in.
        seed: decides which cases are which.
        keep: so many of the stream, its first; None for all.
        keep_test: so many of the unseen cases; None for all.
        targets: what is segmented in each case, in order; empty for ``label``.
    """

    dataset: str
    test: str | None = None
    label: int | None = None
    limit: int | None = None
    test_limit: int | None = None
    volumes: str = ""
    seed: int = 0
    keep: int | None = None
    keep_test: int | None = None
    targets: tuple[TargetLabel, ...] = ()

    def draw(self, permutation: int = 0) -> tuple[list[LabelledCase], list[LabelledCase]]:
        """The stream in the order of a permutation, and the unseen cases, which no permutation changes."""
        cases = self._open(self.dataset)
        if self.test is None:
            stream, held_out = split_stream(cases, self.limit, self.test_limit, self.seed)
        else:
            stream, _ = split_stream(cases, self.limit, 0, self.seed)
            held_out, _ = split_stream(self._open(self.test), self.test_limit, 0, self.seed)
        return permuted(stream[: self.keep], permutation, self.seed), held_out[: self.keep_test]

    def remarks(self) -> tuple[str, ...]:
        """What is in the folders and is no case of theirs, in sentences."""
        folders = dict.fromkeys(where for where in (self.dataset, self.test) if where is not None)
        return tuple(remark for where in folders for remark in self._open(where).remarks)

    def _open(self, where: str) -> MsdDataset:
        return open_dataset(where, self.label, Path(self.volumes))


@dataclass(frozen=True)
class Unit:
    """One campaign of a comparison.

    Attributes:
        stream: its cases.
        settings: how it is run.
        permutation: order of the stream; 0 is that of the draw.
        out: folder of its results.
        recall: folder of work that units share; empty to share nothing.
    """

    stream: StreamPlan
    settings: SimulationSettings
    permutation: int
    out: str
    recall: str = ""

    @property
    def finished(self) -> bool:
        """Whether its results are there, from these very settings."""
        return (Path(self.out) / "summary.json").exists() and self._there() == self._content()

    def claim(self) -> RunFolder:
        """Make the unit's folder free and write ``unit.json``; parts of this very unit are made anew.

        Raises:
            ConfigError: the folder holds a unit with other settings, or something that no run made.
        """
        there = self._there()
        same = there == self._content()
        if there is not None and not same and not self.settings.overwrite:
            raise ConfigError(
                f"{self.out} holds a run with other settings; choose another folder, or --overwrite."
            )
        folder = RunFolder(Path(self.out), "simulate")
        folder.begin(same or self.settings.overwrite, UNIT)
        with folder.making(UNIT):
            text = json.dumps(self._content(), indent=1, ensure_ascii=False)
            (folder.out / UNIT).write_text(text, encoding="utf-8")
        return folder

    def _content(self) -> dict[str, object]:
        """What decides about the results; where folders lie does not."""
        settings = asdict(replace(self.settings, overwrite=False))
        stream = {k: v for k, v in asdict(self.stream).items() if k != "volumes" and (v or k != "targets")}
        content = {"stream": stream, "settings": settings, "permutation": self.permutation}
        return dict(json.loads(json.dumps(content)))

    def _there(self) -> object:
        try:
            return json.loads((Path(self.out) / UNIT).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None


class _Log:
    """A `Progress` for a unit in a process of its own: to the logger."""

    def __init__(self, name: str) -> None:
        self._name = name

    def begin(self, title: str, total: int) -> None:
        """A part starts."""
        logger.info("%s: %s, %d steps", self._name, title, total)

    def advance(self, note: str = "") -> None:
        """A step is done."""
        logger.debug("%s: %s", self._name, note)

    def say(self, sentence: str) -> None:
        """A remark."""
        logger.info("%s: %s", self._name, sentence)


def permuted(stream: Sequence[LabelledCase], permutation: int, seed: int) -> list[LabelledCase]:
    """The stream in another order of arrival; permutation 0 leaves it."""
    if permutation == 0:
        return list(stream)
    order = np.random.default_rng([seed, permutation]).permutation(len(stream))
    return [stream[n] for n in order]


def run_unit(unit: Unit, progress: Progress | None = None) -> Path:
    """Run one unit from start to end, unless it is finished; the folder of its results."""
    out = Path(unit.out)
    if unit.finished:
        return out
    folder = unit.claim()
    stream, held_out = unit.stream.draw(unit.permutation)
    settings = replace(unit.settings, permutation=unit.permutation)
    recall = ResultCache(Path(unit.recall)) if unit.recall else None
    told = progress or _Log(out.name)
    run_simulation(stream, held_out, settings, folder, told, recall, unit.stream.targets)
    return out


def run_units(
    units: Sequence[Unit],
    *,
    workers: int = 1,
    cluster: bool = False,
    on_done: Callable[[Unit, int], None] | None = None,
) -> list[Path]:
    """Run every unit that is not finished yet, in order, over local processes or a Ray cluster.

    Args:
        units: what to run; units that share work should follow one another at a distance, because two that
            run at the same time compute it twice.
        workers: local processes with one thread each; 1 computes in this process.
        cluster: use Ray instead.
        on_done: told of each newly finished unit and how many are left.

    Returns:
        The folders of the results, in the order of ``units``.

    Raises:
        ConfigError: two units with one folder, or a folder that holds other settings.
        Exception: what a unit raised; finished ones stay.
    """
    if len({unit.out for unit in units}) != len(units):
        raise ConfigError("Two runs would write to the same folder.")
    todo = [unit for unit in units if not unit.finished]
    for unit in todo:
        unit.claim()
    for done, (unit, _) in enumerate(spread(todo, run_unit, workers, cluster), start=1):
        if on_done:
            on_done(unit, len(todo) - done)
    return [Path(unit.out) for unit in units]
