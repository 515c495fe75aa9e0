"""Other targets' voxels are drawn where negative boxes are and nowhere else; another grid is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from clopa_annotator.errors import PromptError
from clopa_annotator.geometry import Geometry
from clopa_annotator.session.background import NEGATIVE, WithOthers, others_on, with_others
from clopa_annotator.types import Image, PointPrompt

CPU = torch.device("cpu")
PATCH = (8, 8, 8)


def a_cube(low: int, high: int, shape: tuple[int, int, int] = (20, 20, 20)) -> torch.Tensor:
    mask = torch.zeros(shape, dtype=torch.bool)
    mask[low:high, low:high, low:high] = True
    return mask


def test_they_lie_where_the_patch_sees_them() -> None:
    seen = torch.randn(8, *PATCH)
    drawn = with_others(seen, a_cube(9, 11), (10, 10, 10), 1.0, PATCH)
    assert drawn[NEGATIVE].argmax() and torch.equal(
        (drawn[NEGATIVE] == 1).nonzero().min(0).values, torch.tensor([3, 3, 3])
    )
    for channel in set(range(8)) - {NEGATIVE}:
        assert torch.equal(drawn[channel], seen[channel])


def test_a_stronger_prompt_stays_and_a_weaker_one_does_not() -> None:
    seen = torch.zeros(8, *PATCH)
    seen[NEGATIVE, 4, 4, 4], seen[NEGATIVE, 5, 5, 5], seen[NEGATIVE, 0, 0, 0] = 0.5, 2.0, 0.25
    drawn = with_others(seen, a_cube(10, 12), (10, 10, 10), 1.0, PATCH)[NEGATIVE]
    assert (drawn[4, 4, 4], drawn[5, 5, 5], drawn[0, 0, 0]) == (1.0, 2.0, 0.25)
    assert seen[NEGATIVE, 4, 4, 4] == 0.5, "the input is left as it is"


def test_from_further_away_a_voxel_holds_the_share_that_they_fill() -> None:
    drawn = with_others(torch.zeros(8, *PATCH), a_cube(10, 11), (10, 10, 10), 2.0, PATCH)[NEGATIVE]
    assert drawn.sum() == pytest.approx(1 / 8) and drawn.max() == pytest.approx(1 / 8)


def test_none_are_nothing_and_another_grid_is_refused() -> None:
    assert others_on(None, (4, 4, 4), CPU) is None
    assert others_on(np.zeros((4, 4, 4), np.uint8), (4, 4, 4), CPU) is None
    mask = np.zeros((4, 4, 5), np.uint8)
    mask[0, 0, 0] = 3
    with pytest.raises(PromptError, match="open the case again"):
        others_on(mask, (4, 4, 4), CPU)
    known = others_on(mask, (4, 4, 5), CPU)
    assert known is not None and known.dtype is torch.bool and int(known.sum()) == 1


def test_a_session_is_told_after_it_has_the_image_and_before_the_first_prompt() -> None:
    told: list[str] = []

    class Session:
        def set_image(self, image: Image) -> None:
            told.append("image")

        def set_others(self, others: np.ndarray | None) -> None:
            told.append("nothing" if others is None else f"{int(others.sum())} voxels")

        def add_prompts(self, prompts: object) -> str:  # type: ignore[misc]
            told.append("prompts")
            return "the answer"

    session = WithOthers(Session(), np.ones((2, 2, 2), np.uint8))  # type: ignore[arg-type]
    session.set_image(Image(np.ones((2, 2, 2), np.float32), Geometry((2, 2, 2))))
    assert session.add_prompts([PointPrompt((0, 0, 0))]) == "the answer"
    assert told == ["image", "8 voxels", "prompts"]
