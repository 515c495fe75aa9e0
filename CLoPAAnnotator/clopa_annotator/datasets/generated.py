"""Generated tasks by name, for instance ``generated:vessels``; `TASKS` holds them. The label maps of
``generated:structures`` have three targets: capsule=1, lens=2, tube=3; ``generated:lesions`` has several of
one kind in each volume.

Each is a stream of cases of one task that no base model has been taught, as far from the base's own training
volumes as a new clinical task is: whoever wants to see a strategy learn needs no data. A task's volumes are
a function of its name and the case's number, whatever the number of cases.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

from clopa_annotator.datasets.lesions import LesionSpec, make_lesion, make_lesions
from clopa_annotator.datasets.msd import DESCRIPTION, MsdDataset, write_msd_dataset
from clopa_annotator.datasets.organs import OrganSpec, make_organ
from clopa_annotator.datasets.phantoms import PhantomSpec, make_phantom
from clopa_annotator.datasets.three_structures import StructureSpec, make_structures, structure_names
from clopa_annotator.datasets.vessels import VesselSpec, make_vessels
from clopa_annotator.errors import DatasetError
from clopa_annotator.types import Image, Mask

PREFIX = "generated:"
DEFAULT_COUNT = 40

TASKS: dict[str, Callable[[int], tuple[Image, Mask]]] = {
    "vessels": lambda seed: make_vessels(VesselSpec(), seed),
    "lesion": lambda seed: make_lesion(LesionSpec(), seed),
    "capsules": lambda seed: make_phantom(PhantomSpec(), seed),
    "structures": lambda seed: make_structures(StructureSpec(), seed),
    "organ": lambda seed: make_organ(OrganSpec(), seed),
    "lesions": lambda seed: make_lesions(LesionSpec(radius=(3.5, 6.0)), seed),
}
_SEEDS = {name: 1_000_003 * (number + 1) for number, name in enumerate(TASKS)}


def is_generated(where: str | Path) -> bool:
    """Whether a dataset is named ``generated:...`` instead of being a folder."""
    return str(where).startswith(PREFIX)


def open_dataset(where: str | Path, label: int | None, volumes: Path) -> MsdDataset:
    """A dataset folder, or a generated task written to ``volumes`` first.

    Args:
        where: a folder, ``generated:NAME`` or ``generated:NAME:COUNT``.
        label: the target's label; None takes every label above 0.
        volumes: folder that a generated task is kept in; one that is there already is used again.

    Raises:
        DatasetError: no such task, a count that is no number, or a folder that is no dataset.
    """
    if not is_generated(where):
        return MsdDataset(Path(where), label)
    name, _, count = str(where).removeprefix(PREFIX).partition(":")
    if name not in TASKS or not (count.isdecimal() or not count) or count == "0":
        raise DatasetError(
            f"There is no generated dataset {str(where)!r}: give generated:NAME or generated:NAME:COUNT with "
            f"one of {', '.join(TASKS)}."
        )
    return write_generated(volumes / f"generated-{name}", name, int(count or DEFAULT_COUNT), label)


def write_generated(folder: Path, name: str, count: int, label: int | None = None) -> MsdDataset:
    """Write ``count`` cases of a task; a folder that holds at least as many is left as it is.

    Args:
        folder: of the dataset.
        name: of the task.
        count: of cases.
        label: the target's label; None takes every label above 0.

    Raises:
        DatasetError: the folder holds something else, which stays as it is.
    """
    title = f"{name} (generated)"
    if _holds(folder) < count:
        _take(folder, title)
        names = structure_names() if name == "structures" else {1: "target"}
        write_msd_dataset(folder, title, _cases(name, count), names)
    return MsdDataset(folder, label)


def _cases(name: str, count: int) -> Iterator[tuple[str, Image, Mask]]:
    for number in range(count):
        image, mask = TASKS[name](_SEEDS[name] + number)
        yield f"{name}_{number:03d}", image, mask


def _take(folder: Path, title: str) -> None:
    """Say whose the folder is before the first volume, so that a killed run knows its own beginning."""
    description = folder / DESCRIPTION
    if folder.exists() and any(folder.iterdir()):
        try:
            mine = json.loads(description.read_text(encoding="utf-8"))["name"] == title
        except (OSError, ValueError, KeyError, TypeError):
            mine = False
        if not mine:
            raise DatasetError(
                f"{folder} holds something else than generated volumes, so nothing is written there. "
                "Move it away, or choose another folder."
            )
    folder.mkdir(parents=True, exist_ok=True)
    description.write_text(json.dumps({"name": title, "numTraining": _holds(folder)}), encoding="utf-8")


def _holds(folder: Path) -> int:
    """Cases of a dataset that was written to its end; ``dataset.json`` comes last."""
    try:
        return int(json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))["numTraining"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0
