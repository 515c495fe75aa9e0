"""What a strategy that learns between clicks offers, and what it needs from whoever runs it.

The runner (a session wrapper, the engine's prediction thread, an evaluation loop) keeps this order, always on
the thread that predicts::

    strategy.start_case()
    per step:        predict; strategy.after_click(Interaction(...)); if that returns an update, predict the
                     same prompts again and show the second answer
    per undo, redo:  strategy.return_to(model.version as it was in that state)
    on confirm:      strategy.after_confirm(image, prompts, mask, first_step)

`online.session.AdaptingSession` does this for any `Session`.

Weights that were changed online are *provisional*: the model's ``version`` becomes a negative number, unique
within the strategy's life and listed in ``history``. They become a registered version only through the gate,
by `persisted` -> registry -> `registered`, or are thrown away by `rollback`. A swap by someone else (an
episode's version, a rollback) is noticed at the next `start_case`, which goes on from there.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from clopa_annotator.geometry import Kji
from clopa_annotator.types import Image, Mask, Prompt

if TYPE_CHECKING:
    import torch

UpdateKind = Literal["mid", "post"]


@dataclass(frozen=True, eq=False)
class Interaction:
    """One step of prompting, as it was just predicted.

    Attributes:
        image: the case's image.
        prompts: all prompts behind the current proposal, oldest first.
        newest: how many of them, counted from the end, came with this step.
        earlier: (k, j, i) proposal from which the step before this one started; None at the first step, the
            localisation, from which nothing is learned.
        before: (k, j, i) proposal before this step; all zero at the first.
        after: (k, j, i) proposal of this step, made with the current weights.
    """

    image: Image
    prompts: tuple[Prompt, ...]
    newest: int
    earlier: Mask | None
    before: Mask
    after: Mask


@dataclass(frozen=True)
class OnlineUpdate:
    """One change of the weights outside an episode.

    Attributes:
        provisional: negative version number of the weights after it.
        parent_version: registered version that the weights stem from.
        kind: "mid" during a case, "post" after its confirmation.
        prompts: number of prompts it learned from.
        backward_passes: what it cost.
        loss: the loss at its last backward pass, before the step.
        seconds: wall time.
    """

    provisional: int
    parent_version: int
    kind: UpdateKind
    prompts: int
    backward_passes: int
    loss: float
    seconds: float


class AdaptableModel(Protocol):
    """The live network; `session.model.LoadedModel` fulfils it.

    Attributes:
        network: in evaluation mode; its parameters are changed in place, under ``lock``.
        lock: held during predictions, swaps and online updates.
        version: number of the weights now in the network.
    """

    network: torch.nn.Module
    lock: threading.RLock
    version: int

    @property
    def device(self) -> torch.device:
        """Where the network computes."""
        ...


class InputEncoder(Protocol):
    """Makes the network's input as the session does; `online.inputs.CanvasEncoder` is the fast one."""

    @property
    def patch_kji(self) -> Kji:
        """Number of voxels that the network sees at once."""
        ...

    def set_image(self, voxels: npt.NDArray[np.generic]) -> None:
        """Normalise a (k, j, i) image as inference does; prompts are forgotten."""
        ...

    def encode(self, prompts: Sequence[Prompt], prev_seg: Mask, center: Kji) -> torch.Tensor:
        """The (8, *patch) float32 input centred on voxel ``center``, after ``prompts`` in order."""
        ...


@runtime_checkable
class OnlineStrategy(Protocol):
    """Learns from clicks and confirmations; see the module's docstring for the order of calls."""

    @property
    def history(self) -> tuple[OnlineUpdate, ...]:
        """Every update so far, oldest first."""
        ...

    def start_case(self) -> None:
        """Drop what was learned within the case before; what was learned from confirmations stays."""
        ...

    def after_click(self, interaction: Interaction) -> OnlineUpdate | None:
        """Learn from a step; None says that the weights, and so the proposal, stay as they are.

        Raises:
            NonFiniteLoss: the loss or a weight was not finite; the weights are as they were before.
        """
        ...

    def return_to(self, version: int) -> bool:
        """Restore the weights of a state within this case, as the session restored the rest of it.

        Returns:
            False if these weights are not kept any more; the network then stays as it is.
        """
        ...

    def after_confirm(
        self, image: Image, prompts: Sequence[Prompt], mask: Mask, first_step: int = 1
    ) -> OnlineUpdate | None:
        """Learn from a confirmed mask; the change outlives the case.

        Args:
            image: the case's image.
            prompts: what was clicked, oldest first; may be empty.
            mask: the confirmed (k, j, i) mask.
            first_step: how many of the prompts were given together at the start.

        Raises:
            NonFiniteLoss: as for `after_click`.
        """
        ...

    def persisted(self) -> Mapping[str, torch.Tensor]:
        """Copies of the tuned parameters as they outlive the case: a candidate for the registry."""
        ...

    def live(self) -> Mapping[str, torch.Tensor]:
        """Copies of the tuned parameters as they are now, with what was learned within the case."""
        ...

    def registered(self, version: int) -> None:
        """The persisted weights were registered and promoted under this number."""
        ...

    def rollback(self) -> None:
        """Return to the weights of the last registered version, as after a rejection by the gate."""
        ...
