"""The voxels of other targets, given to the network as what it is not.

A campaign may say so (`CampaignConfig.others_as_background`): then the confirmed masks of targets that
exclude the one that is asked for are drawn into the channel of negative boxes and lassos (`NEGATIVE`), at
full strength, in every look of a prediction. It is drawn when the input is made and is no prompt: it does not
decay, is no step of undo, and moves no patch. From further away it is scaled as prompts of that channel are,
by the mean over areas. The session and the prompt encoder (`TellingCore`) and training
(`episode.prompt_canvas`) all draw it here; ``Testing/contract/test_training_inputs.py`` holds them equal.

nnInteractive learned from boxes and lassos in single slices; a region in three dimensions is something else
to it. Whether it helps has not been measured, so it is off unless it is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from clopa_annotator.errors import PromptError
from clopa_annotator.geometry import Kji
from clopa_annotator.session.patches import overlap
from clopa_annotator.session.upstream import Core
from clopa_annotator.session.zooming import share_as_seen
from clopa_annotator.types import Image, Mask, Prompt, Proposal

NEGATIVE = 3
"""Channel of negative boxes and lassos in the network's input."""


def others_on(others: Mask | None, shape: tuple[int, ...], device: torch.device) -> Tensor | None:
    """The voxels of other targets where the network computes; None if there are none.

    Args:
        others: (k, j, i), nonzero inside them.
        shape: of the image.
        device: of the network.

    Raises:
        PromptError: it is on another grid than the image.
    """
    if others is None or not others.any():
        return None
    if others.shape != shape:
        raise PromptError(
            f"The other targets' masks have shape {others.shape}, but the image has {shape}; open the case "
            "again."
        )
    return torch.from_numpy(np.ascontiguousarray(others != 0)).to(device)


def with_others(seen: Tensor, others: Tensor, centre_kji: Kji, zoom: float, patch_kji: Kji) -> Tensor:
    """An input with the other targets drawn into it.

    Args:
        seen: (8, *patch) float32, the network's input there; left as it is.
        others: (k, j, i) bool on the image's grid and the input's device.
        centre_kji: middle of the look.
        zoom: its sides in patches.
        patch_kji: the network's patch.

    Returns:
        A new tensor of the same shape.
    """
    drawn = seen.clone()
    share = share_as_seen(others, centre_kji, zoom, patch_kji).to(drawn.dtype)
    drawn[NEGATIVE] = torch.maximum(drawn[NEGATIVE], share)
    return drawn


class TellingCore(Core):
    """nnInteractive's session with the other targets drawn into every look.

    Attributes:
        others: (k, j, i) bool on the image's grid, where the network computes; None for none.
    """

    others: Tensor | None = None

    def _build_network_input(
        self, prediction_center: Sequence[int], zoom_out_factor: float
    ) -> tuple[Tensor, list[int], list[list[int]], Tensor]:
        """The input of a first look, or of one from further away."""
        seen, sides, box, before = super()._build_network_input(prediction_center, zoom_out_factor)
        if self.others is not None:
            k, j, i = (int(x) for x in prediction_center)
            seen = with_others(seen, self.others, (k, j, i), zoom_out_factor, self._patch)
        return seen, sides, box, before

    def _build_refinement_local_cache(
        self, bboxes_ordered: list[list[list[int]]]
    ) -> tuple[Any, Tensor, Tensor]:
        """What the inputs of refining looks are cut from: image, and prompts as float16."""
        box, image, prompts = super()._build_refinement_local_cache(bboxes_ordered)
        if self.others is not None:
            # Where upstream keeps them on another device than the network's it divides each patch later.
            divided = image.device.type == self.device.type
            strength = 1.0 if divided else float(self.current_interaction_intensity)
            (a, b, c) = ((int(low), int(high)) for low, high in box)
            inside, here = overlap((a, b, c), tuple(self.others.shape))
            drawn = strength * self.others[inside].to(prompts.device, prompts.dtype)
            channel = prompts[NEGATIVE - 1]
            channel[here] = torch.maximum(channel[here], drawn)
        return box, image, prompts


class TakesOthers(Protocol):
    """A session that can be told of other targets; `LocalSession` is one."""

    def set_image(self, image: Image) -> None:
        """Start a case."""
        ...

    def set_others(self, others: Mask | None) -> None:
        """Say which voxels of its image belong to other targets."""
        ...

    def add_prompts(self, prompts: Sequence[Prompt]) -> Proposal:
        """Add prompts and predict once."""
        ...


class WithOthers:
    """A session for one case that is told of the other targets as soon as it has the image."""

    def __init__(self, session: TakesOthers, others: Mask | None) -> None:
        """Wrap a session; ``others`` are the (k, j, i) voxels of other targets, None for none."""
        self._session, self._others = session, others

    def set_image(self, image: Image) -> None:
        """Start the case. Raises as the session does."""
        self._session.set_image(image)
        self._session.set_others(self._others)

    def add_prompts(self, prompts: Sequence[Prompt]) -> Proposal:
        """Add prompts and predict once. Raises as the session does."""
        return self._session.add_prompts(prompts)
