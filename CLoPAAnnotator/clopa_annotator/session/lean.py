"""nnInteractive without what it imports and a session never uses: its names, to be imported from here.

``nnInteractive.inference.inference_session`` imports nnU-Net's trainer (and with it seaborn, pandas,
scikit-learn, SciPy's statistics), its readers of image files and torch's compiler. Without them
``import clopa_annotator.server.serve`` takes 5.0 s of processor time instead of 10.1, and 323 MB instead of
582 (the same machine, CPU torch 2.13). A session uses one static method of the first, one function of the
second when a plan names a reader, and one class of the third to ask whether a network was compiled. While
nnInteractive is imported here, stand-ins answer for the three; afterwards the names are free again, so that
whoever imports the real modules gets them. ``Testing/core/test_server_start.py`` compares the stand-ins with
what they stand for.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any

TRAINER = "nnunetv2.training.nnUNetTrainer.nnUNetTrainer"
READERS = "nnunetv2.imageio.reader_writer_registry"
COMPILER = "torch._dynamo"


class _Trainer:
    """For the one method that a session's model needs."""

    @staticmethod
    def build_network_architecture(
        _plans: object,
        configuration: Any,
        num_input_channels: int,
        num_output_channels: int,
        enable_deep_supervision: bool = True,
    ) -> Any:
        """As ``nnUNetTrainer.build_network_architecture`` of nnU-Net 2."""
        from nnunetv2.utilities.get_network_from_plans import get_network_from_plans

        return get_network_from_plans(
            configuration.network_arch_class_name,
            configuration.network_arch_init_kwargs,
            configuration.network_arch_init_kwargs_req_import,
            num_input_channels,
            num_output_channels,
            allow_init=True,
            deep_supervision=enable_deep_supervision,
        )


def _find_reader(name: str) -> Any:
    return import_module(READERS).recursive_find_reader_writer_by_name(name)


class _AskTheCompiler(type):
    """Nothing was compiled before the compiler was imported."""

    def __instancecheck__(cls, instance: object) -> bool:
        compiler = sys.modules.get(COMPILER)
        return compiler is not None and isinstance(instance, compiler.OptimizedModule)


class _OptimizedModule(metaclass=_AskTheCompiler):
    """For ``isinstance`` only."""


STAND_INS: dict[str, dict[str, object]] = {
    TRAINER: {"nnUNetTrainer": _Trainer},
    READERS: {"recursive_find_reader_writer_by_name": _find_reader},
    COMPILER: {"OptimizedModule": _OptimizedModule},
}


@contextmanager
def stand_ins() -> Iterator[None]:
    """Let stand-ins answer for those of the three modules that are not imported yet."""
    placed = {}
    for name, content in STAND_INS.items():
        if name not in sys.modules:
            placed[name] = sys.modules[name] = ModuleType(name)
            vars(placed[name]).update(content)
    try:
        yield
    finally:
        for name, module in placed.items():
            if sys.modules.get(name) is module:
                del sys.modules[name]


with stand_ins():
    from nnInteractive.inference import inference_session
    from nnInteractive.inference.inference_session import nnInteractiveInferenceSession
    from nnInteractive.trainer.nnInteractiveTrainer import nnInteractiveTrainer_stub
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

__all__ = ["PlansManager", "inference_session", "nnInteractiveInferenceSession", "nnInteractiveTrainer_stub"]
