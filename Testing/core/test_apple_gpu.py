"""A Mac's GPU by mocks: nothing there asks CUDA, nothing becomes float64, a missing operator is named."""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path

import pytest
import tiny_episode
import torch
from tiny_episode import run, tiny_job

from clopa_annotator.campaign.prediction import device_in_words, device_setter
from clopa_annotator.episode.episode_settings import EpisodeSettings
from clopa_annotator.episode.hardware import aside, fitting
from clopa_annotator.episode.hardware.precision import autocast_dtype, loss_scaler
from clopa_annotator.episode.job import augments_there
from clopa_annotator.session.failures import in_words
from clopa_annotator.session.model import LoadedModel, choose_device
from clopa_annotator.session.operators import missing_on_apple

loaded, one_thread = tiny_episode.loaded, tiny_episode.one_thread
CORE = Path(__file__).resolve().parents[2] / "CLoPAAnnotator" / "clopa_annotator"
MPS = torch.device("mps")
HARMLESS = {"is_available", "OutOfMemoryError"}
GUARDED = {
    "campaign/prediction.py": 2,
    "episode/hardware/aside.py": 1,
    "episode/hardware/fitting.py": 4,
    "episode/hardware/precision.py": 1,
    "session/model.py": 2,
}
"""Uses of ``torch.cuda`` behind a question for the device's type, by file; the tests take those paths."""


@pytest.fixture
def a_mac(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A machine with an Apple GPU; whoever asks CUDA for anything is written down and refused."""
    asked: list[str] = []
    for name in ("empty_cache", "mem_get_info", "memory_reserved", "is_bf16_supported", "set_device"):

        def refuse(*_: object, name: str = name, **__: object) -> None:
            asked.append(name)
            raise AssertionError("Torch not compiled with CUDA enabled")

        monkeypatch.setattr(torch.cuda, name, refuse)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.mps, "empty_cache", lambda: asked.append("mps"))
    return asked


def test_a_mac_is_chosen_prepared_and_described_without_cuda(a_mac: list[str], loaded: LoadedModel) -> None:
    model, settings = replace(loaded, device=MPS), EpisodeSettings.paper()
    assert choose_device("auto") == MPS and device_in_words(MPS) == "Apple GPU"
    assert device_setter(MPS) is None
    assert autocast_dtype("auto", MPS) is None and loss_scaler(None, MPS) is None
    assert fitting.apply(fitting.plan_for(model, settings, 10), settings, MPS) is settings
    assert not augments_there(settings, model)
    assert a_mac == []


def test_memory_is_given_back_to_the_gpu_that_there_is(a_mac: list[str]) -> None:
    aside.free_cached_memory()
    assert a_mac == ["mps"]


def test_every_new_use_of_cuda_has_to_be_looked_at() -> None:
    found: dict[str, int] = {}
    for path in sorted(CORE.rglob("*.py")):
        uses = [
            node
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Attribute)
            and ast.unparse(node.value) == "torch.cuda"
            and node.attr not in HARMLESS
        ]
        if uses:
            found[str(path.relative_to(CORE)).replace("\\", "/")] = len(uses)
    assert found == GUARDED


@pytest.mark.parametrize(
    ("error", "named"),
    [
        (
            NotImplementedError(
                "The operator 'aten::avg_pool3d.out' is not currently implemented for the MPS device."
            ),
            "avg_pool3d",
        ),
        (RuntimeError("ConvTranspose 3D is not supported on MPS"), "an operation of this network"),
        (TypeError("Cannot convert a MPS Tensor to float64 dtype"), "an operation of this network"),
    ],
)
def test_a_missing_operator_is_named_and_the_way_out_too(error: Exception, named: str) -> None:
    sentence = missing_on_apple(error) or ""
    assert named in sentence and "Update PyTorch" in sentence and "--device cpu" in sentence
    assert sentence in str(in_words(error))


@pytest.mark.parametrize(
    "error",
    [RuntimeError("MPS backend out of memory"), RuntimeError("shapes do not match"), ValueError("MPS")],
)
def test_other_errors_are_not_taken_for_a_missing_operator(error: Exception) -> None:
    assert missing_on_apple(error) is None


def test_an_episode_that_meets_a_missing_operator_says_so(
    tmp_path: Path, loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    from clopa_annotator.episode.folder import read_result

    def missing(_: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError("The operator 'aten::max_pool3d' is not implemented for the MPS device.")

    monkeypatch.setattr(loaded.network, "forward", missing)
    folder = tiny_job(tmp_path / "job", val=())
    with pytest.raises(NotImplementedError):
        run(folder, loaded)
    ended = read_result(folder)
    assert ended is not None and "max_pool3d" in ended[0].reason and "--device cpu" in ended[0].reason
