"""Small copies to a device: queued on CUDA, waited for elsewhere."""

from __future__ import annotations

import pytest
import torch

from clopa_annotator.episode.hardware.hand_over import hand_over


@pytest.mark.parametrize(("kind", "queued"), [("cuda", True), ("mps", False), ("cpu", False)])
def test_only_cuda_is_not_waited_for(kind: str, queued: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def to(tensor, device, *, non_blocking):
        asked.append((device.type, non_blocking))
        return tensor

    monkeypatch.setattr(torch.Tensor, "to", to)
    hand_over(torch.ones(3), torch.device(kind))
    assert asked == [(kind, queued)]


def test_the_values_arrive() -> None:
    assert hand_over(torch.arange(4), torch.device("cpu")).tolist() == [0, 1, 2, 3]
