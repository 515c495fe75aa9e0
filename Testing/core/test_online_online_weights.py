"""The states of the weights: provisional, persistent, registered, and returned to."""

from __future__ import annotations

import torch
from tiny_online import a_model, same, values

from clopa_annotator.online.online_weights import OnlineWeights


def test_provisional_weights_are_numbered_downwards_and_can_be_returned_to() -> None:
    model = a_model()
    weights = OnlineWeights(model, "all")
    original = values(model)
    with torch.no_grad():
        next(model.network.parameters()).add_(1)
    assert weights.commit(persist=False) == -1 == model.version
    changed = values(model)
    assert weights.return_to(0) and same(values(model), original) and model.version == 0
    assert weights.return_to(-1) and same(values(model), changed) and model.version == -1
    weights.start_case()
    assert model.version == 0 and same(values(model), original), "what was learned in a case ends with it"
    assert not weights.return_to(-1)


def test_persistent_weights_outlive_the_case_and_a_rollback_ends_them() -> None:
    model = a_model()
    weights = OnlineWeights(model, "all")
    original = values(model)
    with torch.no_grad():
        next(model.network.parameters()).add_(1)
    weights.commit(persist=True)
    changed = values(model)
    weights.start_case()
    assert same(values(model), changed) and model.version == -1 and weights.parent_version == 0
    weights.rollback()
    assert same(values(model), original) and model.version == 0


def test_registering_gives_the_persistent_weights_their_number() -> None:
    model = a_model()
    weights = OnlineWeights(model, "all")
    with torch.no_grad():
        next(model.network.parameters()).add_(1)
    weights.commit(persist=True)
    changed = values(model)
    weights.registered(7)
    assert model.version == 7 and weights.parent_version == 7
    weights.rollback()
    assert same(values(model), changed), "seven is what a rollback returns to now"


def test_a_swap_by_someone_else_is_noticed_and_built_upon() -> None:
    model = a_model()
    weights = OnlineWeights(model, "all")
    weights.commit(persist=True)
    with torch.no_grad():
        next(model.network.parameters()).add_(5)
    model.version = 3
    swapped = values(model)
    assert weights.start_case()
    assert same(values(model), swapped) and model.version == 3 and weights.parent_version == 3


def test_old_states_within_a_case_are_dropped_when_memory_is_short() -> None:
    model = a_model()
    size = sum(p.numel() * p.element_size() for p in model.network.parameters())
    weights = OnlineWeights(model, "all", keep_bytes=3 * size)
    for _ in range(6):
        weights.commit(persist=False)
    assert not weights.return_to(-2)
    assert weights.return_to(-6) and weights.return_to(0)
