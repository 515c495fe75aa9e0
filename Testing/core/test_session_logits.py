"""Comparing two channels gives what argmax gives, and answers that are not finite are refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from clopa_annotator.session.logits import NotFiniteError, TwoClassLogits, TwoClassNetwork, best_cpu_precision


@settings(deadline=None)
@given(
    npst.arrays(
        np.float32,
        st.tuples(st.just(1), st.just(2), *[st.integers(1, 4)] * 3),
        # few values, so that both channels are often equal
        elements=st.sampled_from([-3e38, -1.0, -0.0, 0.0, 1e-45, 1.0, 3e38]),
    ),
    st.sampled_from([torch.float32, torch.float16, torch.bfloat16]),
)
def test_the_comparison_equals_argmax_also_where_both_channels_are_equal(logits, dtype):
    tensor = torch.from_numpy(np.clip(logits, -6e4, 6e4)).to(dtype)
    mask = TwoClassLogits(tensor)[0].argmax(0)
    assert mask.dtype == torch.uint8
    assert torch.equal(mask.long(), tensor[0].argmax(0))


def test_the_comparison_equals_argmax_on_a_whole_patch():
    logits = torch.randn(1, 2, 64, 64, 64, generator=torch.Generator().manual_seed(0)).half()
    assert (logits[0, 0] == logits[0, 1]).any()
    assert torch.equal(TwoClassLogits(logits)[0].argmax(0).long(), logits[0].argmax(0))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("channel", [0, 1])
def test_an_answer_that_is_not_finite_is_refused(value, channel):
    logits = torch.zeros(1, 2, 4, 4, 4)
    logits[0, channel, 1, 2, 3] = value
    with pytest.raises(NotFiniteError):
        TwoClassLogits(logits)[0].argmax(0)


def test_large_finite_answers_whose_sum_overflows_are_taken():
    logits = torch.full((1, 2, 4, 4, 4), 3e38)
    assert not torch.isfinite(logits.sum())
    assert not TwoClassLogits(logits)[0].argmax(0).any()


def test_bf16_runs_the_network_in_bfloat16_on_the_cpu_and_fp32_does_not():
    network = torch.nn.Conv3d(8, 2, 1)
    patch = torch.rand(1, 8, 4, 4, 4)
    seen = {}
    for precision in ("fp32", "bf16"):
        hook = network.register_forward_hook(lambda *a, p=precision: seen.update({p: a[2].dtype}))
        TwoClassNetwork(network, precision)(patch)
        hook.remove()
    assert seen == {"fp32": torch.float32, "bf16": torch.bfloat16}


@pytest.mark.parametrize(
    ("units", "precision"), [({"amx_bf16": True}, "bf16"), ({"avx2": True}, "fp32"), ({}, "fp32")]
)
def test_bf16_is_the_better_precision_only_with_units_for_it(monkeypatch, units, precision):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: units, raising=False)
    assert best_cpu_precision() == precision
