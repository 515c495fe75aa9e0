"""PI as the paper has it: what its second stage sees, and where the generated clicks lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from tiny_online import BOTH, SIDE, a_case, a_model, an_encoder, same, values

from clopa_annotator.episode.prompt_canvas import EncodingRules
from clopa_annotator.errors import ConfigError
from clopa_annotator.geometry import Kji
from clopa_annotator.online.inputs import CanvasEncoder
from clopa_annotator.online.oaims import Oaims
from clopa_annotator.types import Mask, PointPrompt, Prompt


@pytest.mark.parametrize("second_stage", ["generated", "all"])
def test_the_second_stage_sees_the_generated_clicks_alone_unless_ours_is_asked_for(second_stage: str) -> None:
    given: list[tuple[Prompt, ...]] = []

    class Noting(CanvasEncoder):
        def encode(self, prompts: Sequence[Prompt], prev_seg: Mask, center: Kji) -> torch.Tensor:
            given.append(tuple(prompts))
            return super().encode(prompts, prev_seg, center)

    image, mask = a_case()
    first = PointPrompt((8, 8, 8))
    settings = replace(BOTH, second_stage=second_stage)
    Oaims(a_model(), Noting(EncodingRules((SIDE, SIDE, SIDE))), settings).after_confirm(image, (first,), mask)
    assert given[0] == (first,) and len(given[1]) >= 1
    assert (first in given[1]) is (second_stage == "all")


def test_generated_clicks_are_random_voxels_and_the_same_for_the_same_mask() -> None:
    image, mask = a_case()

    def learned(generated_at: str, of: Mask) -> list[torch.Tensor]:
        model = a_model()
        settings = replace(BOTH, generated_at=generated_at)
        Oaims(model, an_encoder(), settings).after_confirm(image, (PointPrompt((8, 8, 8)),), of)
        return values(model)

    assert same(learned("random", mask), learned("random", mask))
    assert not same(learned("random", mask), learned("deepest", mask))


def test_settings_that_no_variant_has_are_refused() -> None:
    for wrong in ({"generated_at": "border"}, {"second_stage": "both"}):
        with pytest.raises(ConfigError, match="second stage"):
            replace(BOTH, **wrong)
