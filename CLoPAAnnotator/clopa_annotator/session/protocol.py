"""What every session offers: one image, prompts in, proposals out, many levels of undo.

`LocalSession` (nnInteractive in this process), `RemoteSession` (an engine elsewhere) and `FakeSession`
(public, deterministic, without a network) fulfil it; one contract suite runs against all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from clopa_annotator.types import Image, Prompt, PromptKind, Proposal


@runtime_checkable
class Session(Protocol):
    """Interactive segmentation of one image at a time.

    Every method that raises leaves the session exactly as it was.
    """

    @property
    def supported(self) -> frozenset[PromptKind]:
        """The kinds of prompt that the loaded model takes."""
        ...

    @property
    def licence(self) -> str:
        """First line of the loaded model's licence."""
        ...

    @property
    def weights_version(self) -> int:
        """Version that the next prediction will use."""
        ...

    @property
    def prompts(self) -> tuple[Prompt, ...]:
        """The prompts behind the current proposal, oldest first."""
        ...

    @property
    def proposal(self) -> Proposal:
        """The current proposal; an empty mask before the first prompt.

        Raises:
            NoImage: no image is set.
        """
        ...

    @property
    def can_undo(self) -> bool:
        """Whether `undo` has an earlier state to go to."""
        ...

    @property
    def can_redo(self) -> bool:
        """Whether `redo` has an undone state to go to."""
        ...

    def set_image(self, image: Image) -> None:
        """Replace the image; prompts, proposal and undo history start anew.

        Raises:
            ImageError: not 3D, empty, constant, or with NaN or infinite voxels.
            GeometryError: the grid's shape is not the array's.
        """
        ...

    def add_prompt(self, prompt: Prompt) -> Proposal:
        """Add one prompt and predict: ``add_prompts((prompt,))``."""
        ...

    def add_prompts(self, prompts: Sequence[Prompt]) -> Proposal:
        """Add prompts in order and predict once, after the last; one step of undo.

        A `MaskPrompt` alone becomes the proposal as it is, without a prediction.

        Raises:
            NoImage: no image is set.
            PromptError: none given, outside the image, of another shape, or not binary.
            UnsupportedPrompt: the model was not trained with this kind.
            PredictionFailed: the network's answer was not finite, or memory ran out.
        """
        ...

    def undo(self) -> Proposal:
        """Go back one step (prompts given together, or a reset), to exactly the state before.

        Raises:
            NothingToUndo: the session is at its first state.
        """
        ...

    def redo(self) -> Proposal:
        """Take the last `undo` back, to exactly the state after.

        Raises:
            NothingToRedo: nothing was undone since the last prompt.
        """
        ...

    def reset(self) -> Proposal:
        """Forget all prompts; can be undone."""
        ...

    def close(self) -> None:
        """Let go of the image and the buffers; the session can be given another image."""
        ...


@runtime_checkable
class SwitchingSession(Session, Protocol):
    """A session that can work on several things in one image, one at a time."""

    def switch(self, to: object | None = None) -> object:
        """Put the present work aside and take up another, or begin anew on the same image.

        Only the work is kept, compressed: image and buffers are the session's. Weights and revisions are not
        part of it; the revision grows by one.

        Args:
            to: what an earlier `switch` of this session answered, with the same image; None to begin anew.

        Returns:
            The work that was put aside. It can be taken up once.

        Raises:
            NoImage: no image is set.
        """
        ...
