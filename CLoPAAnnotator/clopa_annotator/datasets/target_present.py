"""Whether a dataset has what is to be segmented in it at all."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from clopa_annotator.datasets.msd import LabelledCase
from clopa_annotator.datasets.volumes import read_labels
from clopa_annotator.errors import DatasetError


def require_target(cases: Iterable[LabelledCase]) -> None:
    """Read label files until one has the target; a Dice against nothing would be 0, or 1, and mean nothing.

    Raises:
        DatasetError: no case has it; says which labels there are.
        ImageError: a label file read on the way is damaged or holds values that are no labels.
    """
    there: dict[int, int] = {}
    label, count = None, 0
    for count, case in enumerate(cases, start=1):  # noqa: B007 - used below
        label = case.label
        found = {int(value) for value in np.unique(read_labels(case.label_path)) if value != 0}
        if label in found or (label is None and any(value > 0 for value in found)):
            return
        for value in found:
            there[value] = there.get(value, 0) + 1
    if not count:
        return
    if not there:
        raise DatasetError(f"The label files of all {count} cases are empty: nothing in them is above 0.")
    known = ", ".join(f"{value} (in {there[value]} of {count} cases)" for value in sorted(there)[:10])
    wanted = "a label above 0" if label is None else f"the label {label}"
    raise DatasetError(f"No case has {wanted}. The labels there are {known}. Choose one with --label.")
