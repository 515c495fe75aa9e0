"""Stand-ins for what nnInteractive imports and a session never uses answer like what they stand for."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest
import torch
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from clopa_annotator.session import lean
from clopa_annotator.testing.random_model import CONFIGURATION, random_plans

HEAVY = (
    *("matplotlib", "seaborn", "sklearn", "scipy.stats", "SimpleITK", "nibabel", "skimage.io"),
    *("sympy", "torch._dynamo", "torch._inductor", "monai", "ray", "highdicom"),
)


@pytest.mark.parametrize("start", ["clopa_annotator.server.serve", "clopa_annotator.cli"])
def test_an_engine_and_the_command_line_start_without(start: str) -> None:
    code = (
        f"import sys, {start}\n"
        "if 'torch' in sys.modules: import nnInteractive.inference.server.app\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_stand_in_builds_the_trainers_network() -> None:
    manager = PlansManager(random_plans((64, 64, 64), (4, 8), (1, 1)))
    plans = manager, manager.get_configuration(CONFIGURATION), 8, 2
    real = import_module(lean.TRAINER).nnUNetTrainer
    for supervised in (False, True):
        networks = [
            maker.build_network_architecture(*plans, enable_deep_supervision=supervised)
            for maker in (real, lean._Trainer)
        ]
        shapes = [{k: v.shape for k, v in network.state_dict().items()} for network in networks]
        assert shapes[0] == shapes[1]
        assert networks[0].decoder.deep_supervision is networks[1].decoder.deep_supervision is supervised


def test_the_stand_in_finds_the_reader_that_plans_name() -> None:
    real = import_module(lean.READERS).recursive_find_reader_writer_by_name
    assert lean._find_reader("SimpleITKIO") is real("SimpleITKIO")


def test_a_compiled_network_is_known_as_one() -> None:
    network = torch.nn.Conv3d(1, 1, 1)
    assert not isinstance(network, lean._OptimizedModule)
    assert isinstance(torch.compile(network), lean._OptimizedModule)


def test_the_names_are_free_again_for_whoever_imports_the_real_modules() -> None:
    for name, content in lean.STAND_INS.items():
        real = import_module(name)
        assert real.__file__
        for attribute, stand_in in content.items():
            assert getattr(real, attribute) is not stand_in


def test_what_is_imported_already_is_used() -> None:
    real = import_module(lean.READERS)
    with lean.stand_ins():
        assert sys.modules[lean.READERS] is real
