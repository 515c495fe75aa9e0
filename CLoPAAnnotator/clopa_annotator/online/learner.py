"""What all strategies that learn between clicks share: weights, encoded image, and a history."""

from __future__ import annotations

import time
from collections.abc import Mapping

from torch import Tensor

from clopa_annotator.online.online_weights import OnlineWeights
from clopa_annotator.online.strategy import AdaptableModel, InputEncoder, OnlineUpdate, UpdateKind
from clopa_annotator.types import Image


class OnlineLearner:
    """The parts of `protocol.OnlineStrategy` that do not depend on how it learns.

    Nothing outlives a case before its confirmation: a case that is measured, held out or left without being
    confirmed teaches nothing that stays.

    Args:
        model: the live network.
        encoder: makes its inputs; shared with nobody else.
        group: tuned parameters, a name of `episode.parameters`.

    Attributes:
        weights: the tuned parameters and their states.
        encoder: see above.
    """

    def __init__(self, model: AdaptableModel, encoder: InputEncoder, group: str) -> None:
        self.weights = OnlineWeights(model, group)
        self.encoder = encoder
        self._history: list[OnlineUpdate] = []
        self._encoded: Image | None = None

    @property
    def history(self) -> tuple[OnlineUpdate, ...]:
        """Every update so far, oldest first."""
        return tuple(self._history)

    def start_case(self) -> None:
        """Return to what persists, or go on from what someone else swapped in."""
        adopted = self.weights.start_case()
        self._encoded = None
        self._on_new_case(adopted)

    def return_to(self, version: int) -> bool:
        """Restore the weights of a state within this case."""
        return self.weights.return_to(version)

    def persisted(self) -> Mapping[str, Tensor]:
        """Values of the tuned parameters that outlive the case; the rest is as in the parent version."""
        values = self.weights.persistent.values
        return {n: v.clone() for n, v in zip(self.weights.parameters, values, strict=True)}

    def live(self) -> Mapping[str, Tensor]:
        """Values of the tuned parameters as they are now, with what was learned within the case."""
        return self.weights.live()

    def registered(self, version: int) -> None:
        """The persisted weights are now this registered version."""
        self.weights.registered(version)

    def rollback(self) -> None:
        """Return to the registered weights."""
        self.weights.rollback()
        self._on_rollback()

    def _on_new_case(self, adopted: bool) -> None:
        """Hook: a case starts; ``adopted`` says that the weights are someone else's."""

    def _on_rollback(self) -> None:
        """Hook: what persisted was thrown away."""

    def _show(self, image: Image) -> None:
        """Give the image to the encoder, unless it has it; call it inside ``weights.or_restore``."""
        if self._encoded is not image:
            self.encoder.set_image(image.voxels)
            self._encoded = image

    def _record(
        self, kind: UpdateKind, prompts: int, passes: int, loss: float, started: float
    ) -> OnlineUpdate:
        """Give the present weights a number and note where they came from."""
        parent = self.weights.parent_version
        number = self.weights.commit(persist=kind == "post")
        seconds = time.perf_counter() - started
        update = OnlineUpdate(number, parent, kind, prompts, passes, loss, seconds)
        self._history.append(update)
        return update
