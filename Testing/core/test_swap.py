"""Swapping: in place, complete, all tensors or none, and never in the middle of a prediction."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from clopa_annotator.errors import DeltaMismatch
from clopa_annotator.swap import apply_version, watch


@dataclass
class Target:
    network: nn.Module
    lock: Any = field(default_factory=threading.RLock)
    version: int = 0


def small_network() -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv3d(1, 3, 3, padding=1), nn.InstanceNorm3d(3, affine=True), nn.LeakyReLU(), nn.Conv3d(3, 2, 1)
    )


def state(network: nn.Module) -> dict[str, Tensor]:
    return {n: p.detach().clone() for n, p in network.named_parameters()}


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[n], b[n]) for n in a)


@pytest.fixture
def target() -> Target:
    return Target(small_network())


def a_delta(base: dict[str, Tensor], *names: str) -> dict[str, Tensor]:
    return {n: torch.full_like(base[n], 0.5) for n in names}


def test_a_version_is_the_base_with_the_deltas_tensors_in_place(target: Target) -> None:
    base = state(target.network)
    parameters = dict(target.network.named_parameters())
    seconds = apply_version(target, base, a_delta(base, "1.weight", "1.bias"), 4)
    after = dict(target.network.named_parameters())
    assert all(after[n] is parameters[n] for n in parameters)
    assert torch.equal(after["1.weight"], torch.full((3,), 0.5))
    assert torch.equal(after["0.weight"], base["0.weight"])
    assert target.version == 4
    assert seconds > 0


@pytest.mark.parametrize("watched", [True, False])
def test_another_version_restores_what_only_the_old_one_changed(target: Target, watched: bool) -> None:
    base = state(target.network)
    if watched:
        watch(target.network)
    apply_version(target, base, a_delta(base, "0.weight", "1.weight"), 1)
    apply_version(target, base, a_delta(base, "1.weight"), 2)
    assert same(state(target.network), {**base, **a_delta(base, "1.weight")})
    apply_version(target, base, None, 0)
    assert same(state(target.network), base)
    assert target.version == 0


def copy_in_place(p: nn.Parameter) -> None:
    with torch.no_grad():
        p.copy_(torch.ones_like(p))


def foreach(p: nn.Parameter) -> None:
    with torch.no_grad():
        torch._foreach_add_([p], 1.0)


def adam_step(p: nn.Parameter) -> None:
    p.grad = torch.ones_like(p)
    torch.optim.Adam([p], lr=0.1).step()
    p.grad = None


def sgd_in_inference_mode(p: nn.Parameter) -> None:
    with torch.inference_mode():
        p.mul_(2.0)


def other_storage(p: nn.Parameter) -> None:
    p.data = torch.ones_like(p)


@pytest.mark.parametrize("change", [copy_in_place, foreach, adam_step, sgd_in_inference_mode, other_storage])
def test_changes_that_others_made_in_place_are_found_and_undone(
    target: Target, change: Callable[[nn.Parameter], None]
) -> None:
    base = state(target.network)
    watch(target.network)
    change(dict(target.network.named_parameters())["3.weight"])
    assert not same(state(target.network), base)
    apply_version(target, base, a_delta(base, "1.bias"), 1)
    assert same(state(target.network), {**base, **a_delta(base, "1.bias")})


@pytest.mark.parametrize(
    ("delta", "words"),
    [
        ({"1.weight": torch.ones(3), "9.weight": torch.ones(3)}, "no parameter 9.weight"),
        ({"1.weight": torch.ones(3), "1.bias": torch.ones(4)}, "shape"),
        ({"1.weight": torch.ones(3), "1.bias": torch.ones(3, dtype=torch.int64)}, "type"),
        ({"1.weight": torch.ones(3), "1.bias": torch.tensor([1.0, float("nan"), 1.0])}, "not finite"),
    ],
)
def test_a_delta_that_does_not_fit_is_not_applied(
    target: Target, delta: dict[str, Tensor], words: str
) -> None:
    base = state(target.network)
    with pytest.raises(DeltaMismatch, match=words):
        apply_version(target, base, delta, 7)
    assert same(state(target.network), base)
    assert target.version == 0


def test_an_incomplete_base_changes_nothing(target: Target) -> None:
    base = state(target.network)
    del base["3.bias"]
    with pytest.raises(DeltaMismatch, match="lack"):
        apply_version(target, base, None, 1)


def test_half_precision_deltas_are_converted(target: Target) -> None:
    base = state(target.network)
    apply_version(target, base, {"1.weight": torch.full((3,), 0.25, dtype=torch.float16)}, 1)
    parameter = dict(target.network.named_parameters())["1.weight"]
    assert parameter.dtype == torch.float32
    assert torch.equal(parameter, torch.full((3,), 0.25))


def test_a_compiled_network_is_changed_through_its_wrapper(target: Target) -> None:
    inner = target.network
    base = state(inner)
    target.network = torch.compile(inner)  # type: ignore[assignment]
    apply_version(target, base, a_delta(base, "1.weight"), 1)
    assert torch.equal(dict(inner.named_parameters())["1.weight"], torch.full((3,), 0.5))


def test_predictions_during_swaps_are_of_one_version_only() -> None:
    """One thread predicts under the lock, one swaps: every answer is pure A or pure B."""
    target = Target(small_network().eval())
    base = state(target.network)
    delta = a_delta(base, "0.weight", "1.weight", "1.bias", "3.weight")
    image = torch.randn(1, 1, 12, 12, 12)
    pure: dict[int, Tensor] = {}
    for version, values in ((0, None), (1, delta)):
        apply_version(target, base, values, version)
        with torch.inference_mode():
            pure[version] = target.network(image)
    assert not torch.equal(pure[0], pure[1])
    stop = threading.Event()

    def swap_all_the_time() -> None:
        n = 0
        while not stop.is_set():
            n += 1
            apply_version(target, base, delta if n % 2 else None, n % 2)

    thread = threading.Thread(target=swap_all_the_time)
    thread.start()
    seen = set()
    try:
        for _ in range(40):
            with target.lock, torch.inference_mode():
                version = target.version
                assert torch.equal(target.network(image), pure[version])
                seen.add(version)
            stop.wait(0.001)
    finally:
        stop.set()
        thread.join()
    assert seen == {0, 1}


def test_a_swap_waits_for_the_prediction_that_is_under_way(target: Target) -> None:
    base = state(target.network)
    swap = threading.Thread(target=apply_version, args=(target, base, a_delta(base, "1.weight"), 1))
    with target.lock:
        swap.start()
        swap.join(0.3)
        assert swap.is_alive() and target.version == 0
        assert same(state(target.network), base)
    swap.join(60)
    assert target.version == 1 and not same(state(target.network), base)


@pytest.mark.parametrize("watched", [True, False])
def test_every_tensor_is_written_and_every_one_comes_back(target: Target, watched: bool) -> None:
    base = state(target.network)
    if watched:
        watch(target.network)
    for version, delta in enumerate((a_delta(base, *base), a_delta(base, *list(base)[::2])), start=1):
        apply_version(target, base, delta, version)
        assert same(state(target.network), {**base, **delta})
        apply_version(target, base, None, 0)
        assert same(state(target.network), base)
