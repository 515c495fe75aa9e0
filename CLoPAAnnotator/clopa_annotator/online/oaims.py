"""OAIMS: learning after each click (MI) and after each confirmation (PI).

"You Point, I Learn: Online Adaptation of Interactive Segmentation Models for Handling Distribution Shifts in
Medical Imaging" (Xu et al., ICLR 2026). docs/strategies.md holds this file against the paper and lists what
is assumed. In short, with DF = (1 - alpha) Dice + alpha focal and CCG the click-centred Gaussian loss:

MI, after step t >= 2
    pseudo-label = the proposal of step t, without gradient;
    one update of DF(P_{t-1}, pseudo) + beta CCG(P_{t-1}, pseudo, newest clicks);
    the runner predicts step t again with the new weights.
PI, after the confirmation of P_final
    stage 1: one update of DF(f(I, c_1), P_final);
    stage 2: a click into each wrong component of stage 1's output, the largest first, up to T;
    one update of DF + beta CCG with those clicks.

As published, nothing is taken back: MI's updates stay once the case is confirmed, PI goes on from them, and
its second stage sees the generated clicks alone, at random voxels. `OaimsSettings` has what we had before
beside it: updates that end with the case, clicks at the deepest voxels, the first prompts in both stages.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from clopa_annotator.geometry import Kji
from clopa_annotator.online.inputs import cut, error_clicks, last_centre, localisation, paste, patch_clicks
from clopa_annotator.online.learner import OnlineLearner
from clopa_annotator.online.losses import adaptation_loss, dice_focal_loss
from clopa_annotator.online.online_settings import OaimsSettings
from clopa_annotator.online.online_weights import Stepper
from clopa_annotator.online.strategy import AdaptableModel, InputEncoder, Interaction, OnlineUpdate
from clopa_annotator.types import Image, Mask, Prompt


class Oaims(OnlineLearner):
    """PI and MI on one live network; fulfils `protocol.OnlineStrategy`.

    Args:
        model: the live network.
        encoder: makes its inputs; shared with nobody else.
        settings: which parts run.
    """

    def __init__(self, model: AdaptableModel, encoder: InputEncoder, settings: OaimsSettings) -> None:
        super().__init__(model, encoder, settings.group)
        self._settings = settings
        self._post = Stepper(self.weights, settings.post_step)
        self._mid = Stepper(self.weights, settings.mid_step)

    def after_click(self, interaction: Interaction) -> OnlineUpdate | None:
        """MI: one update towards what the newest clicks made of the proposal.

        Raises:
            NonFiniteLoss: nothing was learned; the weights are as before.
        """
        newest = interaction.prompts[-interaction.newest :]
        center = last_centre(newest)
        if not self._settings.mid or interaction.earlier is None or center is None:
            return None
        started = time.perf_counter()
        patch = self.encoder.patch_kji
        clicks = patch_clicks(newest, center, patch)
        older = interaction.prompts[: -interaction.newest]
        with self.weights.or_restore():
            self._show(interaction.image)
            network_input = self.encoder.encode(older, interaction.earlier, center)
            pseudo = cut(interaction.after, center, patch).to(self.weights.model.device)
            loss = self._mid.step(
                lambda: adaptation_loss(self._mid.forward(network_input), pseudo, clicks, self._settings.loss)
            )
            return self._record("mid", len(interaction.prompts), 1, loss, started)

    def after_confirm(
        self, image: Image, prompts: Sequence[Prompt], mask: Mask, first_step: int = 1
    ) -> OnlineUpdate | None:
        """PI: two updates towards the confirmed mask; nothing is learned from an empty one.

        Without any prompt (an imported mask) a click at its deepest voxel stands for the first. With
        ``mid_persists`` what MI learned from the case's clicks stays from here on.

        Raises:
            NonFiniteLoss: nothing was learned; the weights are as before.
        """
        if self._settings.mid_persists and mask.any():
            self.weights.keep()
        first = localisation(prompts, first_step, mask)
        center = last_centre(first)
        if not self._settings.post or center is None or not mask.any():
            return None
        started = time.perf_counter()
        with self.weights.or_restore():
            if not self._settings.mid_persists:
                self.weights.return_to(self.weights.persistent.version)
            self._show(image)
            first_loss, output = self._stage_one(first, mask, center)
            second_loss = self._stage_two(first, mask, output, center)
            losses = [loss for loss in (first_loss, second_loss) if loss is not None]
            return self._record("post", len(prompts), len(losses), losses[-1], started)

    def _on_new_case(self, adopted: bool) -> None:
        self._mid.forget()
        if adopted:
            self._post.forget()

    def _on_rollback(self) -> None:
        self._post.forget()

    def _stage_one(self, first: Sequence[Prompt], mask: Mask, center: Kji) -> tuple[float, Mask]:
        """One update of DF(f(I, c_1), P_final); also the (k, j, i) output before it, on the whole image."""
        patch = self.encoder.patch_kji
        target = cut(mask, center, patch).to(self.weights.model.device)
        nothing = np.zeros(mask.shape, dtype=np.uint8)
        network_input = self.encoder.encode(first, nothing, center)
        output: list[Tensor] = []

        def loss() -> Tensor:
            logits = self._post.forward(network_input)
            output.append((logits[1] > logits[0]).to(torch.uint8).detach())
            return dice_focal_loss(logits, target, self._settings.loss)

        value = self._post.step(loss)
        return value, paste(output[0].cpu().numpy(), nothing, center)

    def _random(self, mask: Mask) -> np.random.Generator | None:
        """Chooses the generated clicks: a function of the confirmed mask, so that a repetition is one."""
        if self._settings.generated_at == "deepest":
            return None
        return np.random.default_rng(zlib.crc32(np.ascontiguousarray(mask).tobytes()))

    def _stage_two(self, first: Sequence[Prompt], mask: Mask, output: Mask, center: Kji) -> float | None:
        """One update of DF + beta CCG with generated clicks; None if stage 1's output had no error."""
        patch = self.encoder.patch_kji
        seen = paste(cut(mask, center, patch).numpy().astype(np.uint8), np.zeros_like(mask), center)
        generated = error_clicks(output, seen, self._settings.generated_clicks, self._random(mask))
        if not generated:
            return None
        target = cut(mask, center, patch).to(self.weights.model.device)
        clicks = patch_clicks(generated, center, patch)
        shown = generated if self._settings.second_stage == "generated" else (*first, *generated)
        network_input = self.encoder.encode(shown, output, center)
        return self._post.step(
            lambda: adaptation_loss(self._post.forward(network_input), target, clicks, self._settings.loss)
        )
