"""The two earlier methods that OAIMS compares with: sparse losses on clicked voxels, with regularisers.

IA+SA, Kontogianni, Gygli, Uijlings, Ferrari, "Continuous Adaptation for Interactive Object Segmentation by
Learning from Corrections", ECCV 2020: user corrections are sparse training examples. While an image is open
(image adaptation) several updates of

    lambda CE(f, clicks) + (1 - lambda) CE(f, initial mask) + gamma sum Omega (theta - theta*)^2

with the importance Omega of memory-aware synapses; the image's weights are dropped when it is done, and the
sequence's weights learn from its clicks and its final mask (sequence adaptation).

TSCA, Atanyan et al., "Continuous Adaptation for Interactive Segmentation Using Teacher-Student Architecture",
WACV 2024: the student learns from the clicks and stays near the teacher's prediction; the teacher follows the
student slowly, so that earlier domains are not forgotten.

Public sources give these ideas and not every number; docs/strategies.md lists each assumption.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from clopa_annotator.geometry import Kji
from clopa_annotator.online.inputs import cut, last_centre, localisation, patch_clicks
from clopa_annotator.online.learner import OnlineLearner
from clopa_annotator.online.losses import PatchClick, sparse_click_loss, voxel_cross_entropy
from clopa_annotator.online.online_settings import SparseSettings
from clopa_annotator.online.online_weights import Stepper
from clopa_annotator.online.strategy import AdaptableModel, InputEncoder, Interaction, OnlineUpdate
from clopa_annotator.types import Image, Mask, Prompt


class SparseAdaptation(OnlineLearner):
    """IA+SA or TSCA on one live network; fulfils `protocol.OnlineStrategy`.

    Args:
        model: the live network.
        encoder: makes its inputs; shared with nobody else.
        settings: which method, and its numbers.
    """

    def __init__(self, model: AdaptableModel, encoder: InputEncoder, settings: SparseSettings) -> None:
        super().__init__(model, encoder, settings.group)
        self._settings = settings
        self._stepper = Stepper(self.weights, settings.step)
        self._importance: list[Tensor] | None = None
        self._first: Mask | None = None

    def after_click(self, interaction: Interaction) -> OnlineUpdate | None:
        """Several updates on all clicks so far; nothing at the first step of a case.

        Raises:
            NonFiniteLoss: nothing was learned; the weights are as before.
        """
        newest = interaction.prompts[-interaction.newest :]
        center = last_centre(newest)
        if interaction.earlier is None or self._first is None:
            self._first = interaction.after
        if interaction.earlier is None or center is None:
            return None
        started = time.perf_counter()
        with self.weights.or_restore():
            self._show(interaction.image)
            network_input = self.encoder.encode(interaction.prompts, interaction.before, center)
            loss = self._adapt(network_input, interaction.prompts, self._first, center)
            return self._record("mid", len(interaction.prompts), self._settings.updates, loss, started)

    def after_confirm(
        self, image: Image, prompts: Sequence[Prompt], mask: Mask, first_step: int = 1
    ) -> OnlineUpdate | None:
        """IA+SA: the sequence's weights learn from the final mask. TSCA: the teacher follows the student.

        Raises:
            NonFiniteLoss: nothing was learned; the weights are as before.
        """
        started = time.perf_counter()
        if self._settings.method == "tsca":
            return self._follow(len(prompts), started)
        first = localisation(prompts, first_step, mask)
        center = last_centre(first)
        if center is None or not mask.any():
            return None
        with self.weights.or_restore():
            self.weights.return_to(self.weights.persistent.version)
            self._show(image)
            blank = torch.zeros(mask.shape, dtype=torch.uint8).numpy()
            network_input = self.encoder.encode(first, blank, center)
            self._learn_importance(network_input)
            given = tuple(prompts) or first
            loss = self._adapt(network_input, given, mask, center)
            return self._record("post", len(prompts), self._settings.updates, loss, started)

    def _adapt(self, network_input: Tensor, prompts: Sequence[Prompt], dense: Mask, center: Kji) -> float:
        """The method's updates on one input; the loss at the last."""
        patch = self.encoder.patch_kji
        clicks = patch_clicks(prompts, center, patch)
        self._stepper.forget()
        if self._settings.method == "tsca":
            loss = self._student_loss(network_input, clicks)
        else:
            target = cut(dense, center, patch).to(self.weights.model.device)
            loss = self._anchored_loss(network_input, clicks, target)
        return [self._stepper.step(loss) for _ in range(self._settings.updates)][-1]

    def _anchored_loss(
        self, network_input: Tensor, clicks: Sequence[PatchClick], target: Tensor
    ) -> Callable[[], Tensor]:
        share, anchor = self._settings.sparse_share, self._settings.anchor
        start = self.weights.persistent.values

        def loss() -> Tensor:
            logits = self._stepper.forward(network_input)
            dense = voxel_cross_entropy(logits, target).mean()
            total = share * sparse_click_loss(logits, clicks) + (1 - share) * dense
            if self._importance is None or anchor == 0:
                return total
            pairs = zip(self._importance, self.weights.parameters.values(), start, strict=True)
            for omega, now, before in pairs:
                total = total + anchor * (omega * (now.float() - before.float()) ** 2).sum()
            return total

        return loss

    def _student_loss(self, network_input: Tensor, clicks: Sequence[PatchClick]) -> Callable[[], Tensor]:
        share = self._settings.sparse_share
        student = self.weights.model.version
        self.weights.return_to(self.weights.persistent.version)
        with torch.no_grad():
            teacher = torch.softmax(self._stepper.forward(network_input).float(), dim=0)
        self.weights.return_to(student)

        def loss() -> Tensor:
            logits = self._stepper.forward(network_input)
            own = functional.log_softmax(logits.float(), dim=0)
            distilled = -(teacher * own).sum(dim=0).mean()
            return share * sparse_click_loss(logits, clicks) + (1 - share) * distilled

        return loss

    def _follow(self, prompts: int, started: float) -> OnlineUpdate | None:
        """The teacher takes a part of the student; None if the student learned nothing in this case."""
        teacher = self.weights.persistent
        if self.weights.model.version == teacher.version:
            return None
        keep = self._settings.momentum
        with self.weights.or_restore(), torch.no_grad():
            for parameter, before in zip(self.weights.parameters.values(), teacher.values, strict=True):
                parameter.copy_(keep * before + (1 - keep) * parameter)
            return self._record("post", prompts, 0, 0.0, started)

    def _learn_importance(self, network_input: Tensor) -> None:
        """Memory-aware synapses: how much the squared norm of the output depends on each weight.

        Measured once, on the first confirmed case, because the data that the base learned from is not here;
        scaled to a mean of one.
        """
        if self._importance is not None:
            return

        def squared_norm() -> Tensor:
            probabilities = torch.softmax(self._stepper.forward(network_input).float(), dim=0)
            return (probabilities**2).sum(dim=0).mean()

        gradients = self._stepper.gradients(squared_norm)
        magnitude = [g.abs() for g in gradients]
        mean = sum(float(m.sum()) for m in magnitude) / max(sum(m.numel() for m in magnitude), 1)
        self._importance = [m / max(mean, 1e-30) for m in magnitude]

    def _on_new_case(self, adopted: bool) -> None:
        self._first = None
        if adopted:
            self._importance = None
