"""A session whose network runs in this process: nnInteractive 2.6 with undo, checks and errors in words."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch

from clopa_annotator.errors import (
    ConfigError,
    ImageError,
    NoImage,
    NothingToRedo,
    NothingToUndo,
    PredictionFailed,
)
from clopa_annotator.session.background import TellingCore, others_on
from clopa_annotator.session.checks import check_prompts, kinds_known, usable_voxels
from clopa_annotator.session.failures import in_words
from clopa_annotator.session.logits import CpuPrecision, TwoClassNetwork
from clopa_annotator.session.model import LoadedModel
from clopa_annotator.session.undo_history import Aside, History, Situation, Step, changed_box, go, roll_back
from clopa_annotator.session.upstream import Core, Record, give
from clopa_annotator.types import Image, Mask, Prompt, PromptKind, Proposal
from clopa_annotator.types.prompts import counting_after


class LocalSession:
    """Interactive segmentation with a `LoadedModel`; fulfils `Session`.

    The same prompts give the same voxels as nnInteractive's own session, except where a look from further
    away is refined with a patch of less than 192 voxels: there fewer boxes do (`refinement`). A session
    belongs to one thread at a time; several sessions may share one model, whose lock is held while the
    network is used, so that a weights version never changes within a prediction. On a GPU, predict on one
    persistent thread: cuDNN's plans are kept per thread.
    """

    def __init__(
        self, model: LoadedModel, *, cpu_precision: CpuPrecision = "fp32", undo_levels: int = 100
    ) -> None:
        """Make a session without an image.

        Args:
            model: loaded by `load_model`; shared, not copied.
            cpu_precision: "bf16" runs the network in bfloat16 when it lies on the CPU, which is about twice
                as fast on CPUs with AMX or AVX512-BF16 and changes some voxels at the border of a proposal:
                over 32 predictions on 8 hippocampus cases its masks had a Dice of 0.997 (lowest 0.986) with
                those of "fp32", and .3435 against .3437 with the reference (a base model in training;
                ``benchmarks/cpu_precision.py`` measures it for yours).
            undo_levels: steps that can be taken back.

        Raises:
            ConfigError: an unknown precision, or fewer than one level of undo.
        """
        if cpu_precision not in ("fp32", "bf16"):
            raise ConfigError(f'The CPU precision is "{cpu_precision}"; choose "fp32" or "bf16".')
        if undo_levels < 1:
            raise ConfigError(f"A session needs at least one level of undo, not {undo_levels}.")
        self._model = model
        self._network = TwoClassNetwork(model.network, cpu_precision)
        self._undo_levels = undo_levels
        self._history = History(undo_levels)
        self._core: TellingCore | None = None
        self._revision = 0
        self._prompts: tuple[Prompt, ...] = ()
        self._proposal: Proposal | None = None
        idle = Core(model.artifacts, model.device, None)
        self._takes_3d_boxes = idle.takes_3d_boxes
        self._supported = kinds_known(idle.knows)

    @property
    def supported(self) -> frozenset[PromptKind]:
        """The kinds of prompt that the loaded model takes."""
        return self._supported

    @property
    def takes_3d_boxes(self) -> bool:
        """Whether boxes may extend along all three axes."""
        return self._takes_3d_boxes

    @property
    def licence(self) -> str:
        """First line of the loaded model's licence."""
        return self._model.licence

    @property
    def weights_version(self) -> int:
        """Version that the next prediction will use."""
        return self._model.version

    @property
    def prompts(self) -> tuple[Prompt, ...]:
        """The prompts behind the current proposal, oldest first."""
        return self._prompts

    @property
    def proposal(self) -> Proposal:
        """The current proposal; an empty mask before the first prompt.

        Raises:
            NoImage: no image is set.
        """
        if self._proposal is None:
            raise NoImage("No image is open in this session. Open a case first.")
        return self._proposal

    @property
    def can_undo(self) -> bool:
        """Whether `undo` has an earlier state to go to."""
        return bool(self._history.back)

    @property
    def can_redo(self) -> bool:
        """Whether `redo` has an undone state to go to."""
        return bool(self._history.forward)

    def set_image(self, image: Image) -> None:
        """Replace the image; prompts, proposal and undo history start anew.

        Raises:
            ImageError: not 3D, empty, constant, with NaN or infinite voxels, or too large for the memory.
            GeometryError: the grid's shape is not the array's.
        """
        voxels = usable_voxels(image)
        core = TellingCore(self._model.artifacts, self._model.device, self._network)
        try:
            core.prepare(voxels)
            shown = self._seen(core, None, self._model.version, 0.0)
        except (MemoryError, torch.OutOfMemoryError) as error:
            raise ImageError(
                f"There is not enough memory for this image of {voxels.size:,} voxels. Close other programs,"
                " or crop the volume."
            ) from error
        # Only now does the previous image go: a refused one must leave the session as it was.
        self.close()
        self._core = core
        self._show(shown, ())

    def add_prompt(self, prompt: Prompt) -> Proposal:
        """Add one prompt and predict: ``add_prompts((prompt,))``."""
        return self.add_prompts((prompt,))

    def add_prompts(self, prompts: Sequence[Prompt]) -> Proposal:
        """Add prompts in order and predict once, after the last; one step of undo.

        A `MaskPrompt` alone becomes the proposal as it is, without a prediction.

        Raises:
            NoImage: no image is set.
            PromptError: none given, outside the image, of another shape, or not binary.
            UnsupportedPrompt: the model was not trained with this kind.
            PredictionFailed: the network's answer was not finite, or memory ran out.
        """
        core = self._opened()
        given = check_prompts(prompts, core.buffer.shape, self._supported, self._takes_3d_boxes)
        counting = counting_after((), given)

        def write() -> None:
            for index, prompt in enumerate(counting):
                give(core, prompt, predict=index == len(counting) - 1)

        return self._step(core, write, counting_after(self._prompts, given))

    def reset(self) -> Proposal:
        """Forget all prompts; can be undone.

        Raises:
            NoImage: no image is set.
        """
        core = self._opened()
        return self._step(core, core.forget_prompts, ())

    def undo(self) -> Proposal:
        """Go back one step (prompts given together, or a reset), to exactly the state before.

        Raises:
            NoImage: no image is set.
            NothingToUndo: the session is at its first state.
        """
        core = self._opened()
        if not self._history.back:
            raise NothingToUndo("There is no earlier step to go back to.")
        way = self._travel(core, self._history.back[-1])
        self._history.back.pop()
        self._history.forward.append(way)
        return self.proposal

    def redo(self) -> Proposal:
        """Take the last `undo` back, to exactly the state after.

        Raises:
            NoImage: no image is set.
            NothingToRedo: nothing was undone since the last prompt.
        """
        core = self._opened()
        if not self._history.forward:
            raise NothingToRedo("No step was undone since the last prompt.")
        way = self._travel(core, self._history.forward[-1])
        self._history.forward.pop()
        self._history.back.append(way)
        return self.proposal

    def switch(self, to: Aside | None = None) -> Aside:
        """Put the present prompts and steps aside and take up others, or begin anew on the same image.

        What is put aside costs what its prompts wrote, compressed, beside its undo steps.

        Raises:
            NoImage: no image is set.
        """
        core = self._opened()
        before = self._situation(core)
        with core.recording() as records, self._or_back(core, records, before):
            core.forget_prompts()
            aside = Aside(Step(tuple(records), before), self._history)
            version = self._model.version
            if to is not None:
                records.extend(go(core, to.step))
                version = to.step.situation.weights_version
            shown = self._seen(core, records, version, 0.0)
        self._history = History(self._undo_levels) if to is None else to.history
        self._show(shown, () if to is None else to.step.situation.prompts)
        return aside

    def set_others(self, others: Mask | None) -> None:
        """Give the network the (k, j, i) voxels of other targets as what it is not; see `background`.

        Raises `NoImage`, and `PromptError` if the mask is on another grid than the image.
        """
        core = self._opened()
        core.others = others_on(others, core.buffer.shape, core.device)

    def close(self) -> None:
        """Let go of the image and the buffers; the session can be given another image."""
        self._core = None
        self._proposal = None
        self._prompts = ()
        self._history.clear()

    def _opened(self) -> TellingCore:
        if self._core is None:
            raise NoImage("No image is open in this session. Open a case first.")
        return self._core

    def _step(self, core: Core, write: Callable[[], None], prompts: tuple[Prompt, ...]) -> Proposal:
        """Change the state by ``write``, or not at all; ``prompts`` are those behind the new state."""
        before = self._situation(core)
        started = time.perf_counter()
        with self._model.lock:
            version = self._model.version
            with core.reproducible(), core.recording() as records, self._or_back(core, records, before):
                write()
                shown = self._seen(core, records, version, time.perf_counter() - started)
        self._history.add(Step(tuple(records), before))
        return self._show(shown, prompts)

    def _travel(self, core: Core, step: Step) -> Step:
        """Go to the other end of ``step``, or nowhere; the answer leads back."""
        now = self._situation(core)
        records: list[Record] = []
        with self._or_back(core, records, now):
            records += go(core, step)
            shown = self._seen(core, list(step.records), step.situation.weights_version, 0.0)
        self._show(shown, step.situation.prompts)
        return Step(tuple(records), now)

    @contextmanager
    def _or_back(self, core: Core, records: list[Record], before: Situation) -> Iterator[None]:
        """Bring everything back when the body fails, and say why in words."""
        try:
            yield
        except BaseException as error:
            try:
                roll_back(core, records, before)
            except Exception as second:
                self.close()
                raise PredictionFailed(
                    "A prediction failed and the state before it could not be brought back, so the case was"
                    " closed. Open it again."
                ) from second
            if isinstance(error, Exception):
                raise in_words(error) from error
            raise

    def _situation(self, core: Core) -> Situation:
        return Situation.of(core, self._prompts, self.proposal.weights_version)

    def _seen(self, core: Core, records: list[Record] | None, version: int, seconds: float) -> Proposal:
        """The buffer's content as a proposal: a copy, because later predictions write into the buffer."""
        mask = core.buffer.copy()
        mask.flags.writeable = False
        changed = None if records is None else changed_box(self.proposal.mask, mask, records)
        return Proposal(mask, changed, version, self._revision + 1, seconds)

    def _show(self, proposal: Proposal, prompts: tuple[Prompt, ...]) -> Proposal:
        self._proposal, self._prompts, self._revision = proposal, prompts, proposal.revision
        return proposal
