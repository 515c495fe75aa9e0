"""Which value is which target: what is read, what is refused, what is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from clopa_annotator.datasets import MsdDataset
from clopa_annotator.datasets.three_structures import StructureSpec, write_structure_dataset
from clopa_annotator.errors import ConfigError, DatasetError
from clopa_annotator.experiments.target_labels import TargetLabel, cases_of, check_labels, parse_targets

CAPSULE, LENS, TUBE = TargetLabel("capsule", 1), TargetLabel("lens", 2), TargetLabel("tube", 3)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> MsdDataset:
    folder = tmp_path_factory.mktemp("structures")
    return write_structure_dataset(folder, 3, StructureSpec(shape_kji=(18, 24, 24)), seed=1)


def test_names_may_hold_spaces_and_equals_signs() -> None:
    assert parse_targets(["left kidney = 3", "a=b=2"]) == (
        TargetLabel("left kidney", 3),
        TargetLabel("a=b", 2),
    )
    assert parse_targets([]) == ()


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (["liver"], "NAME=VALUE"),
        (["liver=one"], "NAME=VALUE"),
        (["liver=0"], "NAME=VALUE"),
        (["=1"], "NAME=VALUE"),
        (["liver=1", "Liver=2"], "Two targets are called"),
        (["liver=1", "spleen=1"], "liver and spleen both have the value 1"),
    ],
)
def test_what_names_no_target_is_refused_in_words(texts: list[str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        parse_targets(texts)


def test_each_target_is_segmented_beside_those_before_it(dataset: MsdDataset) -> None:
    order = (LENS, CAPSULE)
    first, second = (cases_of(dataset, order, number)[0] for number in range(2))
    assert (first.label, first.others, second.label, second.others) == (2, (), 1, (2,))
    image, mask = second.read()
    others, lens = second.read_others(image.geometry), first.read()[1]
    assert others is not None and np.array_equal(others, lens) and not np.any(others & mask)
    assert first.read_others(image.geometry) is None


def test_values_of_no_target_are_named_and_a_target_that_is_nowhere_is_an_error(dataset: MsdDataset) -> None:
    assert check_labels(dataset, (CAPSULE, LENS, TUBE)) == ()
    (sentence,) = check_labels(dataset, (LENS,))
    assert sentence == (
        "In the label files 1 (in 3 of 3 cases), 3 (in 3 of 3 cases) belong to no target: background."
    )
    with pytest.raises(
        DatasetError, match=r"label 7 of the target spleen. The labels there are 1 \(in 3 of 3"
    ):
        check_labels(dataset, (LENS, TargetLabel("spleen", 7)))


def test_a_case_without_the_target_is_no_error(dataset: MsdDataset, tmp_path: Path) -> None:
    few = write_structure_dataset(tmp_path, 1, StructureSpec(shape_kji=(18, 24, 24), kinds=1), seed=2)
    assert check_labels([*dataset, *few], (LENS, CAPSULE, TUBE)) == ()
