"""Putting a weights version into a live network: in place, between predictions, all tensors or none.

A version is base plus delta, and a delta holds the absolute values of the tensors that differ from the base.
Going from one version to another therefore writes the new delta, and restores from the base whatever else is
not as in the base. That is known without comparing 400 MB: PyTorch counts the in-place changes of every
tensor, and `watch` notes the counts of a network that is as in the base. Whatever was changed since, by a
swap, an optimiser or an online update, has another count and is restored. A network that was never watched is
written completely, which is slower and as right.

Values written through ``parameter.data`` escape the count; nothing in this package does that but a swap on
the CPU, which copies without PyTorch (see `_copy`) and notes afterwards which tensors are as in the base.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor, nn

from clopa_annotator.errors import DeltaMismatch

logger = logging.getLogger(__name__)

_Mark = tuple[int, int, int]
"""Identity, storage address and change count of a tensor."""

_as_in_base: WeakKeyDictionary[nn.Module, dict[str, _Mark]] = WeakKeyDictionary()


class SwapTarget(Protocol):
    """A live network with what is needed to change it safely.

    Attributes:
        network: the module, compiled or not.
        lock: held during each prediction and each swap.
        version: number of the weights version in the network.
        lineage: key of the target whose version it is: each target numbers its own.
    """

    network: nn.Module
    version: int
    lineage: str

    @property
    def lock(self) -> AbstractContextManager[Any]:
        """The lock that a prediction holds."""
        ...


def watch(network: nn.Module) -> None:
    """Note that every parameter is as in the base now, so that the next swap need not write them all."""
    inner = _unwrap(network)
    _as_in_base[inner] = {name: _mark(p) for name, p in inner.named_parameters()}


def apply_version(
    target: SwapTarget,
    base: Mapping[str, Tensor],
    delta: Mapping[str, Tensor] | None,
    version: int,
    lineage: str = "",
) -> float:
    """Make the network base plus delta, and say so in ``target.version`` and ``target.lineage``.

    Everything is checked and converted before the first write, so a mismatch leaves network and version as
    they were. Waits for a running prediction to end.

    Args:
        target: the live network.
        base: value of every parameter by its name in ``named_parameters()``.
        delta: absolute values of the tensors that differ from the base; None or empty for the base itself.
            One that `ready_delta` has made for this network is not checked again.
        version: number of the version that these weights are.
        lineage: key of the campaign's target whose version it is; "" for the first.

    Returns:
        Seconds that it took, without waiting for the lock.

    Raises:
        DeltaMismatch: a name, shape or dtype does not fit, or a value is not finite.
    """
    delta = delta or {}
    with target.lock, torch.no_grad():
        started = time.perf_counter()
        network = _unwrap(target.network)
        parameters = dict(network.named_parameters())
        if not (isinstance(delta, ReadyDelta) and delta.network is network):
            _check(parameters, base, delta)
        clean = _clean_names(network, parameters)
        names = [n for n in parameters if n in delta or n not in clean]
        live: list[Tensor] = [parameters[n] for n in names]
        wanted = [_like(delta.get(n, base[n]), p) for n, p in zip(names, live, strict=True)]
        _copy(live, wanted)
        _as_in_base[network] = {n: _mark(p) for n, p in parameters.items() if n not in delta}
        target.version, target.lineage = version, lineage
        seconds = time.perf_counter() - started
    logger.info("Weights version %d is live: %d tensors in %.1f ms", version, len(names), 1e3 * seconds)
    return seconds


class ReadyDelta(dict[str, Tensor]):
    """A delta that was checked against a network and converted to what its parameters are.

    Attributes:
        network: the one that it was made ready for.
    """

    def __init__(self, network: nn.Module, tensors: Mapping[str, Tensor]) -> None:
        super().__init__(tensors)
        self.network = network


def ready_delta(network: nn.Module, base: Mapping[str, Tensor], delta: Mapping[str, Tensor]) -> ReadyDelta:
    """Check a delta and convert it, once, so that each later swap only copies it.

    Raises:
        DeltaMismatch: a name, shape or dtype does not fit, or a value is not finite.
    """
    inner = _unwrap(network)
    parameters = dict(inner.named_parameters())
    _check(parameters, base, delta)
    return ReadyDelta(inner, {n: _like(value, parameters[n]) for n, value in delta.items()})


def _copy(live: list[Tensor], wanted: list[Tensor]) -> None:
    """Write values into parameters: on a CPU without PyTorch's threads, which wait for each other when the
    machine is busy (3.6 million values took 2 ms without them, 300 ms with them beside a compiler)."""
    if live and all(t.device.type == "cpu" and t.dtype == torch.float32 for t in live):
        for parameter, value in zip(live, wanted, strict=True):
            np.copyto(parameter.detach().numpy(), value.detach().numpy())
    elif live:
        torch._foreach_copy_(live, wanted)


def _unwrap(network: nn.Module) -> nn.Module:
    inner = getattr(network, "_orig_mod", network)
    return inner if isinstance(inner, nn.Module) else network


def _mark(parameter: Tensor) -> _Mark:
    return (id(parameter), parameter.data_ptr(), parameter._version)


def _clean_names(network: nn.Module, parameters: Mapping[str, Tensor]) -> set[str]:
    """Names of the parameters that nobody changed since they were known to be as in the base."""
    marks = _as_in_base.get(network, {})
    return {n for n, p in parameters.items() if marks.get(n) == _mark(p)}


def _like(value: Tensor, parameter: Tensor) -> Tensor:
    return value.to(device=parameter.device, dtype=parameter.dtype)


def _check(parameters: Mapping[str, Tensor], base: Mapping[str, Tensor], delta: Mapping[str, Tensor]) -> None:
    missing = sorted(parameters.keys() - base.keys())
    if missing:
        raise DeltaMismatch(
            f"The base weights lack {len(missing)} of the network's parameters, first {missing[0]}; "
            "these weights belong to another model. Nothing was changed."
        )
    for source in (base, delta):
        for name, value in source.items():
            _check_tensor(name, value, parameters.get(name))
    for name, value in delta.items():
        if not bool(torch.isfinite(value).all()):
            raise DeltaMismatch(
                f"The weights for {name} hold values that are not finite. Nothing was changed; "
                "use another weights version."
            )


def _check_tensor(name: str, value: Tensor, parameter: Tensor | None) -> None:
    if parameter is None:
        raise DeltaMismatch(
            f"The network has no parameter {name}; these weights belong to another model. "
            "Nothing was changed."
        )
    if value.shape != parameter.shape:
        raise DeltaMismatch(
            f"{name} has shape {tuple(value.shape)} in the weights, {tuple(parameter.shape)} in the network; "
            "they belong to another model. Nothing was changed."
        )
    if not value.is_floating_point():
        raise DeltaMismatch(
            f"{name} has type {value.dtype} in the weights, where numbers with a fraction are needed. "
            "Nothing was changed; the weights file was not made by this program."
        )
