"""Which value of a label map is which target: ``--target liver=1 --target kidney=2``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from clopa_annotator.datasets import LabelledCase
from clopa_annotator.datasets.parts import count_parts
from clopa_annotator.datasets.volumes import read_labels, read_mask
from clopa_annotator.errors import ConfigError, DatasetError
from clopa_annotator.types import Targets


@dataclass(frozen=True)
class TargetLabel:
    """One target of an experiment.

    Attributes:
        name: for people; the campaign's target has it.
        label: its value in the label maps.
        several: there may be several of the kind in an image: each separate part is a mask of its own.
    """

    name: str
    label: int
    several: bool = False


def parse_targets(texts: Iterable[str], several: Iterable[str] = ()) -> tuple[TargetLabel, ...]:
    """What ``--target NAME=VALUE`` says, each time it is given.

    Args:
        texts: as they were given.
        several: names of those of which there may be several in an image.

    Raises:
        ConfigError: not such a text, two of one name or of one value, or several of what is no target.
    """
    found: list[TargetLabel] = []
    for text in texts:
        name, mark, value = text.rpartition("=")
        if not mark or not name.strip() or not value.strip().isdecimal() or int(value) == 0:
            raise ConfigError(
                f"{text!r} names no target: give NAME=VALUE with the target's value in the label maps, for "
                "instance --target liver=1."
            )
        found.append(TargetLabel(name.strip(), int(value)))
    for label, count in Counter(target.label for target in found).items():
        if count > 1:
            names = " and ".join(target.name for target in found if target.label == label)
            raise ConfigError(f"{names} both have the value {label}. Give each target its own value.")
    if found:
        Targets.named(target.name for target in found)  # refuses two of one name
    for name in several:
        if not any(target.name.casefold() == name.strip().casefold() for target in found):
            raise ConfigError(f"--several names {name!r}, which is no target: give it with --target, too.")
    kinds = {name.strip().casefold() for name in several}
    return tuple(replace(target, several=target.name.casefold() in kinds) for target in found)


def named_targets(targets: Sequence[TargetLabel]) -> Targets:
    """The targets of a campaign on these labels; one called "target" if there are none."""
    if not targets:
        return Targets.named(["target"])
    named = zip(Targets.named(t.name for t in targets), targets, strict=True)
    return Targets(replace(target, instances=label.several) for target, label in named)


def cases_of(
    cases: Iterable[LabelledCase], targets: Sequence[TargetLabel], number: int
) -> list[LabelledCase]:
    """The cases with one of the targets as theirs, segmented after those before it in the list.

    Args:
        cases: of a dataset.
        targets: all of them, in the order in which they are segmented.
        number: which of them, from 0.
    """
    target, others = targets[number], tuple(target.label for target in targets[:number])
    found = [replace(case, label=target.label, others=others) for case in cases]
    return [part for case in found for part in _parts(case)] if target.several else found


def _parts(case: LabelledCase) -> list[LabelledCase]:
    """A case once for each of its target's parts; once with an empty mask where there is none."""
    parts = count_parts(read_mask(case.label_path, case.label))
    return [replace(case, part=number) for number in range(1, max(parts, 1) + 1)]


def check_labels(cases: Iterable[LabelledCase], targets: Sequence[TargetLabel]) -> tuple[str, ...]:
    """Look into every label map for what is no target's, and for targets that are nowhere.

    Returns:
        Sentences about values that no target has: they stay background.

    Raises:
        DatasetError: no case has one of the targets; says which labels there are.
        ImageError: a label file is damaged or holds values that are no labels.
    """
    there: Counter[int] = Counter()
    total = 0
    for total, case in enumerate(cases, start=1):  # noqa: B007 - used below
        there.update(int(value) for value in np.unique(read_labels(case.label_path)) if value != 0)
    known = ", ".join(_in_words(value, there, total) for value in sorted(there)[:10])
    for target in targets:
        if total and target.label not in there:
            what = f"The labels there are {known}." if there else "The label files are empty."
            raise DatasetError(
                f"No case has the label {target.label} of the target {target.name}. {what} Choose with "
                "--target NAME=VALUE."
            )
    left = sorted(there.keys() - {target.label for target in targets})
    if not left:
        return ()
    which = ", ".join(_in_words(value, there, total) for value in left[:10])
    verb = "belongs" if len(left) == 1 else "belong"
    return (f"In the label files {which} {verb} to no target: background.",)


def _in_words(value: int, there: Counter[int], total: int) -> str:
    return f"{value} (in {there[value]} of {total} cases)"
