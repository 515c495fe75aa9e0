"""Delta files: safetensors that others can read, equal bytes for equal weights, damage told in words."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save

from clopa_annotator.delta import DeltaInfo, changed, pack_delta, read_info, unpack_delta
from clopa_annotator.errors import DeltaMismatch

INFO = DeltaInfo("ab" * 32, "CC BY 4.0 ü", "in+last", 2, 3, 17, "0.1.0")
TENSORS = {
    "b.weight": torch.randn(2, 3),
    "a.bias": torch.randn(5),
    "empty": torch.zeros(0),
    "one": torch.tensor(2.0),
}


def test_what_is_packed_comes_back() -> None:
    info, tensors = unpack_delta(pack_delta(TENSORS, INFO))
    assert info == INFO
    assert tensors.keys() == TENSORS.keys()
    assert all(torch.equal(tensors[n], TENSORS[n]) for n in TENSORS)


def test_equal_weights_give_equal_bytes() -> None:
    backwards = dict(reversed(TENSORS.items()))
    assert pack_delta(TENSORS, INFO) == pack_delta(backwards, INFO)


def test_the_file_is_plain_safetensors(tmp_path: Path) -> None:
    path = tmp_path / "delta.safetensors"
    path.write_bytes(pack_delta(TENSORS, INFO))
    with safe_open(path, framework="np") as opened:
        assert opened.metadata()["licence"] == "CC BY 4.0 ü"
        assert opened.get_tensor("b.weight").shape == (2, 3)


def test_an_empty_delta_is_a_delta() -> None:
    assert unpack_delta(pack_delta({}, INFO)) == (INFO, {})


def test_half_precision_is_stored_where_it_can_hold_the_values() -> None:
    packed = pack_delta({"small": torch.ones(4), "large": torch.full((4,), 1e6)}, INFO, torch.float16)
    _, tensors = unpack_delta(packed)
    assert tensors["small"].dtype == torch.float16
    assert tensors["large"].dtype == torch.float32


def test_only_tensors_that_differ_from_the_base_are_kept() -> None:
    base = {"a": torch.zeros(3), "b": torch.zeros(3)}
    kept = changed({"a": torch.zeros(3), "b": torch.tensor([0.0, 0.0, 1e-30])}, base)
    assert list(kept) == ["b"]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not safetensors",
        pack_delta(TENSORS, INFO)[:-1],
        pack_delta(TENSORS, INFO)[:20],
        save({"a": torch.ones(1)}),
        save({"a": torch.ones(1)}, metadata={"format": "something/9"}),
        pack_delta({"a": torch.tensor([float("nan")])}, INFO),
    ],
)
def test_what_is_no_delta_is_refused_in_words(data: bytes) -> None:
    with pytest.raises(DeltaMismatch, match=r"\."):
        unpack_delta(data)


def test_the_metadata_can_be_read_alone() -> None:
    assert read_info(pack_delta(TENSORS, INFO)) == INFO
