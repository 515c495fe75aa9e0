"""Standing back between the layers of a network, so that a click waits for one layer, not for a micro-step.

A forward and backward pass of the bundled network takes a CPU up to a second, which is as long as the click
that waits for it; one layer takes some milliseconds. The hooks hold for every network of the process, so that
training, validation and the gate's check all stand back alike. Stopping the process from outside (SIGSTOP)
would be more abrupt, but exists on POSIX only, and a process that is stopped while its engine is killed would
neither go on nor end.

What ``torch.compile`` compiles counts as one layer: a hook inside would keep it from being compiled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn.modules import module as hooks


@contextmanager
def between_layers(yield_to: Callable[[], None]) -> Iterator[None]:
    """Call ``yield_to`` before every layer, on the way forward and on the way back.

    Args:
        yield_to: may wait; called many times a second, so it has to be quick when there is nothing to wait
            for. What it raises ends the pass.
    """

    def before(_module: nn.Module, _inputs: Any) -> None:
        if not torch.compiler.is_compiling():
            yield_to()

    def on_the_way_back(_gradient: torch.Tensor) -> None:
        yield_to()

    def after(_module: nn.Module, _inputs: Any, output: Any) -> None:
        if torch.compiler.is_compiling():
            return
        if isinstance(output, torch.Tensor) and output.requires_grad:
            output.register_hook(on_the_way_back)  # type: ignore[no-untyped-call]

    with ExitStack() as stack:
        stack.callback(hooks.register_module_forward_pre_hook(before).remove)
        stack.callback(hooks.register_module_forward_hook(after).remove)
        yield
