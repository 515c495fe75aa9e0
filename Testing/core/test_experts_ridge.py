"""Ridge statistics: case by case equals all at once, in any order, and nothing is forgotten."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clopa_annotator.errors import ConfigError, CorruptRecord, InputError
from clopa_annotator.experts.ridge import RidgeClassifier

Samples = list[tuple[str, npt.NDArray[np.float64]]]


def drawn(seed: int, chunks: int, d: int = 6) -> Samples:
    rng = np.random.default_rng(seed)
    return [
        (
            f"c{rng.integers(3)}",
            rng.normal(rng.normal(), 10 ** rng.uniform(-2, 2), (int(rng.integers(1, 9)), d)),
        )
        for _ in range(chunks)
    ]


def learned(samples: Samples, d: int = 6) -> RidgeClassifier:
    ridge = RidgeClassifier(d)
    for label, x in samples:
        ridge.update(x, label)
    return ridge


def by_definition(
    samples: Samples, penalty: float, balanced: bool
) -> tuple[tuple[str, ...], npt.NDArray[np.float64]]:
    """Textbook weighted ridge on standardised features through least squares on stacked rows."""
    names = tuple(sorted({label for label, _ in samples}))
    x = np.concatenate([x for _, x in samples])
    label = np.concatenate([[names.index(name)] * len(x) for name, x in samples])
    count = np.bincount(label, minlength=len(names))
    w = (1 / count[label]) if balanced else np.ones(len(x))
    w = w / w.sum()
    y = np.eye(len(names))[label]
    mean, y_mean = w @ x, w @ y
    scale = np.sqrt(w @ (x - mean) ** 2)
    z = (x - mean) / scale
    rows = np.vstack([np.sqrt(w)[:, None] * z, np.sqrt(penalty) * np.eye(x.shape[1])])
    rhs = np.vstack([np.sqrt(w)[:, None] * (y - y_mean), np.zeros((x.shape[1], len(names)))])
    v = np.linalg.lstsq(rows, rhs, rcond=None)[0]
    return names, z @ v + y_mean


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), chunks=st.integers(4, 12), balanced=st.booleans())
def test_adding_up_chunks_equals_the_batch_solution(seed: int, chunks: int, balanced: bool) -> None:
    samples = drawn(seed, chunks)
    names, expected = by_definition(samples, 1e-2, balanced)
    solution = learned(samples).solve(1e-2, balanced)
    assert solution.classes == names
    scores = solution.scores(np.concatenate([x for _, x in samples]))
    np.testing.assert_allclose(scores, expected, atol=1e-7)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), order=st.permutations(range(8)))
def test_the_order_of_arrival_does_not_matter(seed: int, order: list[int]) -> None:
    samples = drawn(seed, 8)
    first = learned(samples).solve()
    second = learned([samples[n] for n in order]).solve()
    x = samples[0][1]
    np.testing.assert_allclose(first.scores(x), second.scores(x), atol=1e-8)


def test_merging_two_places_equals_learning_in_one() -> None:
    samples = drawn(3, 10)
    here, there = learned(samples[:4]), learned(samples[4:])
    here.merge(there)
    whole = learned(samples)
    x = samples[0][1]
    np.testing.assert_allclose(here.solve().scores(x), whole.solve().scores(x), atol=1e-9)


def test_statistics_of_a_class_are_bit_identical_after_others_were_learned() -> None:
    samples = drawn(5, 6)
    ridge = learned(samples)
    before = {name: s.gram.copy() for name, s in ridge.statistics.items()}
    ridge.update(np.random.default_rng(1).normal(size=(50, 6)), "tenth")
    for name, gram in before.items():
        assert np.array_equal(gram, ridge.statistics[name].gram)
    ridge.forget("tenth")
    assert ridge.classes == tuple(sorted(before))


def test_balanced_classes_meet_halfway_and_unbalanced_ones_favour_the_frequent() -> None:
    rng = np.random.default_rng(0)
    ridge = RidgeClassifier(1)
    ridge.update(rng.normal(0, 1, (20_000, 1)), "background")
    ridge.update(rng.normal(2, 1, (100, 1)), "target")

    def share_at_middle(balanced: bool) -> float:
        return float(ridge.solve(1e-6, balanced).scores([[1.0]])[0, 1])

    assert share_at_middle(True) == pytest.approx(0.5, abs=0.05)
    assert share_at_middle(False) < 0.1


def test_statistics_come_back_from_disk_bit_for_bit(tmp_path: object) -> None:
    ridge = learned(drawn(9, 5))
    again = RidgeClassifier.from_arrays(ridge.to_arrays())
    assert again.classes == ridge.classes
    for name in ridge.classes:
        assert np.array_equal(again.statistics[name].gram, ridge.statistics[name].gram)
        assert again.statistics[name].count == ridge.statistics[name].count
    assert RidgeClassifier.from_arrays(RidgeClassifier(4).to_arrays()).dimension == 4


def test_damaged_arrays_are_refused() -> None:
    arrays = learned(drawn(9, 5)).to_arrays()
    with pytest.raises(CorruptRecord, match="damaged"):
        RidgeClassifier.from_arrays({**arrays, "counts": np.zeros(99)})
    with pytest.raises(CorruptRecord, match="incomplete"):
        RidgeClassifier.from_arrays({"names": arrays["names"]})


def test_bad_features_are_refused_and_change_nothing() -> None:
    ridge = RidgeClassifier(2)
    with pytest.raises(InputError, match="not finite"):
        ridge.update([[1.0, float("nan")]], "a")
    with pytest.raises(InputError, match="do not fit"):
        ridge.update([[1.0]], "a")
    assert ridge.classes == ()
    with pytest.raises(InputError, match="Nothing has been learned"):
        ridge.solve()
    with pytest.raises(ConfigError, match="positive"):
        ridge.solve(0)


def test_a_constant_feature_has_no_weight() -> None:
    rng = np.random.default_rng(2)
    ridge = RidgeClassifier(2)
    for name, shift in (("a", 0.0), ("b", 3.0)):
        ridge.update(np.column_stack([rng.normal(shift, 1, 40), np.full(40, 0.1)]), name)
    solution = ridge.solve()
    assert np.all(solution.weights[1] == 0)
    assert np.isfinite(solution.bias).all()
