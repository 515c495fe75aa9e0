"""Which precision a device computes in: what is asked for, what is fast, what is refused."""

from __future__ import annotations

import pytest
import torch

from clopa_annotator.episode.hardware import precision
from clopa_annotator.episode.hardware.precision import autocast_dtype, loss_scaler
from clopa_annotator.errors import ConfigError

CPU = torch.device("cpu")


@pytest.mark.parametrize(("name", "dtype"), [("fp32", None), ("bf16", torch.bfloat16)])
def test_what_is_asked_for_is_used(name: str, dtype: torch.dtype | None) -> None:
    assert autocast_dtype(name, CPU) is dtype


def test_half_precision_away_from_cuda_is_refused_in_words() -> None:
    with pytest.raises(ConfigError, match="needs a CUDA device"):
        autocast_dtype("fp16", CPU)
    assert autocast_dtype("fp16", torch.device("cuda")) is torch.float16


@pytest.mark.parametrize(("fast", "dtype"), [(True, torch.bfloat16), (False, None)])
def test_a_cpu_computes_in_bf16_only_where_that_is_done_in_hardware(
    monkeypatch: pytest.MonkeyPatch, fast: bool, dtype: torch.dtype | None
) -> None:
    monkeypatch.setattr(precision, "cpu_is_fast_in_bf16", lambda: fast)
    assert autocast_dtype("auto", CPU) is dtype
    assert autocast_dtype("auto", torch.device("mps")) is None


@pytest.mark.parametrize(("known", "dtype"), [(True, torch.bfloat16), (False, torch.float16)])
def test_a_gpu_takes_bf16_where_it_knows_it(
    monkeypatch: pytest.MonkeyPatch, known: bool, dtype: torch.dtype
) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: known)
    assert autocast_dtype("auto", torch.device("cuda")) is dtype


def test_only_half_precision_needs_its_loss_scaled() -> None:
    assert loss_scaler(None, CPU) is None and loss_scaler(torch.bfloat16, CPU) is None
    assert loss_scaler(torch.float16, CPU) is not None
