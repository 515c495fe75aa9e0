"""What the network would be given: nnInteractive's encoding of image, mask and prompts, without a network.

Training has to see what inference sees. This encoder *is* the session's, so whatever trains can be held
against it bit by bit; it is slow (it works on whole volumes), and faster encoders are proven equal to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from clopa_annotator.errors import NoImage, PromptError
from clopa_annotator.geometry import Kji
from clopa_annotator.session.background import TellingCore, others_on
from clopa_annotator.session.checks import binary_mask, check_prompts, usable_array
from clopa_annotator.session.model import LoadedModel
from clopa_annotator.session.upstream import give
from clopa_annotator.types import Mask, Prompt, PromptKind


class PromptEncoder:
    """Encodes prompts on one image as the session would for its first look (no zoom)."""

    def __init__(self, model: LoadedModel | Mapping[str, Any]) -> None:
        """Make an encoder without an image.

        Args:
            model: a loaded model, or its artifacts; the network in it is not used.
        """
        artifacts = model.artifacts if isinstance(model, LoadedModel) else model
        self._core = TellingCore(artifacts, torch.device("cpu"), None)
        self._open = False

    def set_image(self, voxels: npt.NDArray[np.generic]) -> None:
        """Take a (k, j, i) image; normalised as the session does it.

        Raises:
            ImageError: the session would refuse it as well.
        """
        self._core.prepare(usable_array(voxels))
        self._open = True

    def set_others(self, others: Mask | None) -> None:
        """Draw the (k, j, i) voxels of other targets into every input of this image; see `background`.

        Raises:
            PromptError: the mask is on another grid than the image.
        """
        self._core.others = others_on(others, self._core.buffer.shape, self._core.device)

    def encode(
        self,
        prompts: Sequence[Prompt],
        prev_seg: Mask | None = None,
        center: Kji | None = None,
        zoom_out: float = 1.0,
    ) -> torch.Tensor:
        """The network's input after these prompts.

        Args:
            prompts: all prompts of the case so far, oldest first; older ones decay as in the session.
            prev_seg: (k, j, i) mask of the proposal before the newest prompt; None for an empty one.
            center: middle of the patch, any voxel index; None for where the newest prompt puts it.
            zoom_out: how much larger than a patch the region is, before it is scaled down to one.

        Returns:
            float32 tensor (8, *patch*): image, previous mask, box and lasso +/-, points +/-, scribble +/-. A
            fresh tensor outside inference mode, fit for autograd.

        Raises:
            NoImage: no image is set.
            PromptError: a prompt or the mask does not fit the image, or nothing says where the patch is.
        """
        core = self._core
        if not self._open:
            raise NoImage("The encoder has no image yet. Set one first.")
        if prompts:
            check_prompts(prompts, core.buffer.shape, frozenset(PromptKind), core.takes_3d_boxes)
        core.reset_interactions()
        core.queue = ((), ())
        for prompt in prompts:
            give(core, prompt, predict=False)
        if prev_seg is not None:
            self._write_mask(prev_seg)
        with torch.inference_mode(False), torch.no_grad():
            return core.network_input(center or self._queued_center(), zoom_out).clone()

    def _write_mask(self, prev_seg: Mask) -> None:
        if np.shape(prev_seg) != self._core.buffer.shape:
            raise PromptError(
                f"The previous mask has shape {np.shape(prev_seg)}, but the image has"
                f" {self._core.buffer.shape}."
            )
        self._core.write_previous_mask(binary_mask(prev_seg))

    def _queued_center(self) -> Kji:
        centers, _ = self._core.queue
        if not centers:
            raise PromptError("Nothing says where the patch is. Give a point, box or drawing, or a center.")
        k, j, i = (int(x) for x in centers[-1])
        return (k, j, i)
