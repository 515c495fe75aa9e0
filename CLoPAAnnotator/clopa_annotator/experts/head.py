"""The ridge head: the network's last 1x1x1 convolution, solved in closed form instead of trained.

Each confirmed case adds the statistics of its voxels' decoder features, per class, to a ridge regression, and
the solution is written into the live network's last layer. Features come from the layers below, which this
strategy never changes, so learning case by case equals learning from all cases at once, and nothing is
forgotten.

With scores s(x) for "target" (about 1) against "background" (about 0) and a threshold t, the two logits are
+- gain (s(x) - t) / 2. Where t is fitted, it maximises the expected Dice of two normal distributions with
each class's mean and variance of s, which the same statistics give exactly.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from scipy import stats
from torch import Tensor

from clopa_annotator.errors import InputError, NonFiniteLoss
from clopa_annotator.experts.expert_settings import RidgeHeadSettings
from clopa_annotator.experts.features import captured_input, last_layer, parameters_of
from clopa_annotator.experts.ridge import RidgeClassifier, RidgeSolution
from clopa_annotator.geometry import Kji
from clopa_annotator.online.inputs import cut, error_clicks, last_centre, localisation, paste
from clopa_annotator.online.learner import OnlineLearner
from clopa_annotator.online.strategy import AdaptableModel, InputEncoder, Interaction, OnlineUpdate
from clopa_annotator.session.patches import overlap, patch_bounds
from clopa_annotator.types import Image, Mask, Prompt

logger = logging.getLogger(__name__)

BACKGROUND, TARGET = "background", "target"


def solve_head(ridge: RidgeClassifier, settings: RidgeHeadSettings) -> tuple[RidgeSolution, float]:
    """Weights and threshold from the statistics so far.

    Raises:
        InputError: one of the two classes has not been seen yet.
    """
    if any(n not in ridge.statistics or not ridge.statistics[n].count for n in (BACKGROUND, TARGET)):
        raise InputError("The ridge head needs voxels of both target and background.")
    solution = ridge.solve(settings.penalty, settings.balanced)
    return solution, best_threshold(ridge, solution) if settings.fit_threshold else 0.5


def best_threshold(ridge: RidgeClassifier, solution: RidgeSolution) -> float:
    """The threshold on the target's score with the largest expected Dice, if scores are normal per class."""
    column = solution.classes.index(TARGET)
    weights, bias = solution.weights[:, column], float(solution.bias[column])

    def moments(name: str) -> tuple[float, float, float]:
        own = ridge.statistics[name]
        variance = float(weights @ own.scatter @ weights) / max(own.count, 1.0)
        return own.count, float(own.mean @ weights) + bias, max(variance, 1e-12) ** 0.5

    (n0, m0, s0), (n1, m1, s1) = moments(BACKGROUND), moments(TARGET)
    thresholds = np.linspace(min(m0, m1) - 2 * s1, max(m0, m1) + 4 * s0, 400)
    hits = n1 * stats.norm.sf(thresholds, m1, s1)
    false = n0 * stats.norm.sf(thresholds, m0, s0)
    return float(thresholds[int(np.argmax(2 * hits / (hits + false + n1)))])


class RidgeHead(OnlineLearner):
    """Learns the last layer from confirmations; fulfils `online.protocol.OnlineStrategy`.

    A rollback restores the layer; the statistics stay, as the confirmations do.

    Args:
        model: the live network.
        encoder: makes its inputs.
        settings: see `RidgeHeadSettings`.

    Raises:
        ModelError: the network does not end in a 1x1x1 convolution.
    """

    def __init__(self, model: AdaptableModel, encoder: InputEncoder, settings: RidgeHeadSettings) -> None:
        super().__init__(model, encoder, "last")
        self._layer = last_layer(model.network)
        self._settings = settings
        self.ridge = RidgeClassifier(self._layer.in_channels)
        self._below = self._fingerprint()

    def after_click(self, interaction: Interaction) -> OnlineUpdate | None:  # noqa: ARG002
        """Nothing: statistics come from confirmed masks alone."""
        return None

    def after_confirm(
        self, image: Image, prompts: Sequence[Prompt], mask: Mask, first_step: int = 1
    ) -> OnlineUpdate | None:
        """Add the case to the statistics and write the new solution into the last layer.

        Raises:
            NonFiniteLoss: a feature was not finite; nothing was learned.
        """
        started = time.perf_counter()
        first = localisation(prompts, first_step, mask)
        center = last_centre(first)
        if center is None:
            return None
        with self.weights.or_restore(), torch.no_grad():
            self._show(image)
            try:
                inputs = self._learn(first, mask, center)
                solution, threshold = solve_head(self.ridge, self._settings)
            except InputError as error:
                raise NonFiniteLoss(f"The ridge head did not learn from this case: {error}") from error
            self._write(solution, threshold)
            update = self._record("post", len(prompts), 0, 0.0, started)
        logger.debug("The ridge head learned from %d inputs in %.2f s", inputs, update.seconds)
        return update

    def _on_new_case(self, adopted: bool) -> None:
        """Keep the statistics, unless someone changed the layers below."""
        if adopted and self._fingerprint() != self._below:
            logger.warning("The layers below the ridge head changed; it starts to learn anew")
            self._below = self._fingerprint()
            self.ridge = RidgeClassifier(self._layer.in_channels)

    def _fingerprint(self) -> tuple[float, ...]:
        """Tells whether the layers that the features come from are the same as before."""
        everything = self.weights.model.network.named_parameters()
        with torch.no_grad():
            return tuple(float(p.double().sum()) for n, p in everything if n not in self.weights.parameters)

    def _learn(self, first: Sequence[Prompt], mask: Mask, center: Kji) -> int:
        """Statistics of the localisation's input and of the corrections' inputs; how many inputs."""
        patch = self.encoder.patch_kji
        prompts: tuple[Prompt, ...] = tuple(first)
        output = np.zeros(mask.shape, dtype=np.uint8)
        in_image, in_box = overlap(patch_bounds(center, patch), mask.shape)
        target = cut(mask, center, patch).numpy().astype(np.uint8)
        seen = paste(target, np.zeros_like(output), center)
        samples: list[tuple[npt.NDArray[np.float32], Mask]] = []
        for _ in range(1 + self._settings.corrections):
            features, prediction = self._forward(self.encoder.encode(prompts, output, center))
            samples.append((features[(slice(None), *in_box)], seen[in_image]))
            output = paste(prediction, output, center)
            clicks = error_clicks(output, seen, self._settings.clicks_per_correction)
            if not clicks:
                break
            prompts = (*prompts, *clicks)
        self._add(samples)
        return len(samples)

    def _add(self, samples: Sequence[tuple[npt.NDArray[np.float32], Mask]]) -> None:
        """Add all samples, or none if one does not fit."""
        fresh = RidgeClassifier(self.ridge.dimension)
        for features, labels in samples:
            rows, flat = features.reshape(self.ridge.dimension, -1).T, labels.reshape(-1)
            fresh.update(rows[flat == 0], BACKGROUND)
            fresh.update(rows[flat == 1], TARGET)
        self.ridge.merge(fresh)

    def _forward(self, network_input: Tensor) -> tuple[npt.NDArray[np.float32], Mask]:
        """(c, *patch) features below the last layer, and the (k, j, i) prediction."""
        model = self.weights.model
        with captured_input(self._layer) as seen:
            logits = model.network(network_input.to(model.device)[None])[0]
        prediction: Mask = (logits[1] > logits[0]).to(torch.uint8).cpu().numpy()
        return seen[-1][0].float().cpu().numpy(), prediction

    def _write(self, solution: RidgeSolution, threshold: float) -> None:
        column = solution.classes.index(TARGET)
        half = self._settings.gain / 2
        weights = torch.from_numpy(half * solution.weights[:, column])
        bias = half * (float(solution.bias[column]) - threshold)
        weight, offset = parameters_of(self._layer)
        for channel, sign in ((0, -1.0), (1, 1.0)):
            weight[channel] = (sign * weights).to(weight).reshape(weight.shape[1:])
            offset[channel] = sign * bias
