"""The one place that touches nnInteractive's private parts.

`Core` is nnInteractive 2.6's own inference session with these things changed: what it prints goes to our
logger, its answer is checked and compared instead of arg-maxed (see `logits`), the undo log is left to the
caller, who can keep many levels, looks from further away cost less on CPUs (`zooming`), and a patch smaller
than its own refines fewer boxes (`refinement`). Only the last of these changes answers.

The underscore names used here are private to nnInteractive; ``nninteractive==2.6.*`` is pinned for that
reason and a contract test holds them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from nnInteractive.interaction import point
from nnInteractive.utils import crop
from nnunetv2.utilities.label_handling import label_handling

from clopa_annotator.errors import ImageError
from clopa_annotator.geometry import BoundsKji, Kji
from clopa_annotator.session.checks import binary_mask
from clopa_annotator.session.lean import inference_session, nnInteractiveInferenceSession
from clopa_annotator.session.refinement import is_upstreams, refinement_boxes, worth_refining
from clopa_annotator.session.zooming import PREVIOUS, box_of, previous_as_seen, sides_of, zoomed_input
from clopa_annotator.types import (
    BoxPrompt,
    LassoPrompt,
    MaskPrompt,
    PointPrompt,
    Prompt,
    PromptKind,
    ScribblePrompt,
)

logger = logging.getLogger(__name__)

REFINEMENT_SEED = 0
"""Seed under which upstream's random choice of refinement boxes is made, in every step anew."""

Network = Callable[[torch.Tensor], Any]
Boxes = list[list[list[int]]]
Record = tuple[str, int | None, tuple[slice, ...] | None, Any]
"""One overwritten region: kind, channel, where, and its compressed content before."""


def _log_instead_of_print(*values: object, sep: str = " ", **_: object) -> None:
    logger.debug("%s", sep.join(str(value) for value in values))


def hush() -> None:
    """Send what nnInteractive prints to our logger.

    The name ``print`` is shadowed in its modules only. `contextlib.redirect_stdout` would swap the stream of
    the whole process, and with it the output of every other thread.
    """
    for module in (inference_session, point, crop, label_handling):
        vars(module)["print"] = _log_instead_of_print


hush()


class Core(nnInteractiveInferenceSession):  # type: ignore[misc]
    """nnInteractive's session on one image, with the undo log in the caller's hands."""

    def __init__(self, artifacts: Mapping[str, Any], device: torch.device, network: Network | None) -> None:
        """Share a loaded model.

        Args:
            artifacts: what `load_model` read; by reference, the weights are not copied.
            device: where the network lies.
            network: called with the (1, 8, k, j, i) input; None for encoding prompts only.
        """
        # The thread count is the process's to choose; upstream would set it to 8 for everybody.
        super().__init__(device=device, torch_n_threads=torch.get_num_threads())
        self.initialize_from_loaded_artifacts({**artifacts, "network": network})

    @contextmanager
    def _undoable_interaction(self) -> Iterator[None]:
        """Nothing: `recording` spans all prompts of a step, and `LocalSession` rolls back."""
        yield

    def __del__(self) -> None:
        # Upstream waits here for the preprocessing and raises what it raised, in the garbage collector.
        executor = getattr(self, "executor", None)
        if executor is not None:
            executor.shutdown(wait=False)

    def prepare(self, voxels: npt.NDArray[np.generic]) -> None:
        """Normalise a (k, j, i) image and make empty buffers for it.

        Raises:
            ImageError: the voxels cannot be normalised to finite, varying values.
        """
        try:
            self.set_image(voxels[None])
            self._finish_preprocessing_and_initialize_interactions()
        except ValueError as error:
            raise ImageError(
                "The image's intensities cannot be normalised because they cancel out along an axis."
                " Add a constant to the image, or use the original values."
            ) from error
        finally:
            self.preprocess_future = None
        lowest, highest = (float(v) for v in torch.aminmax(self.preprocessed_image))
        if not (np.isfinite(lowest) and np.isfinite(highest) and highest > lowest):
            raise ImageError(
                "The image's intensities cannot be normalised: inside its nonzero region they are all equal,"
                " or so large that their spread overflows. Check the image's contents."
            )
        self.set_target_buffer(np.zeros(voxels.shape, np.uint8))

    def _build_network_input(
        self, prediction_center: Sequence[int], zoom_out_factor: float
    ) -> tuple[torch.Tensor, list[int], list[list[int]], torch.Tensor]:
        """Upstream's input with its sides, its box and the mask before; see `zooming.zoomed_input`."""
        patch, centre = self._patch, (prediction_center[0], prediction_center[1], prediction_center[2])
        sides = sides_of(patch, zoom_out_factor)
        ours = sides != patch and self.device.type == "cpu" and self._get_prev_seg_channel() == PREVIOUS
        if not ours or not isinstance(self.interactions, torch.Tensor):
            answer: tuple[torch.Tensor, list[int], list[list[int]], torch.Tensor]
            answer = super()._build_network_input(prediction_center, zoom_out_factor)
            return answer
        image, thin = self.preprocessed_image[0], self._get_dilation_channels_for_resample()
        channels, intensity = range(self.num_interaction_channels), float(self.current_interaction_intensity)
        seen = zoomed_input(
            image, self.interactions, channels, intensity, centre, zoom_out_factor, patch, thin
        )  # fmt: skip
        before = previous_as_seen(self.interactions[PREVIOUS], centre, zoom_out_factor, patch)
        return seen, list(sides), [list(side) for side in box_of(centre, sides)], before

    def _plan_refinement_bboxes(
        self, pred: torch.Tensor, scaled_bbox: list[list[int]], force_full_refine: bool
    ) -> Boxes:
        """Upstream's boxes for a patch like its own, else those of `refinement`."""
        planned = self._clip_bbox_to_shape(scaled_bbox, self.buffer.shape)
        if is_upstreams(self._patch) or planned is None:
            boxes: Boxes = super()._plan_refinement_bboxes(pred, scaled_bbox, force_full_refine)
            return boxes
        if force_full_refine:
            planned = self._union_bboxes(planned, self._compute_prev_seg_positive_bbox())
        (k, j, i), (a, b, c) = self.buffer.shape, (low for low, _ in planned)
        change = worth_refining(self._change(pred, scaled_bbox, planned))
        if force_full_refine:
            change |= self._before(planned)
        found = refinement_boxes(change, self._patch, (k, j, i), (a, b, c))
        if not found:  # as upstream: the annotator clicked there, so something is wrong there
            found = (box_of(tuple(self.new_interaction_centers[-1]), self._patch),)
        return [[list(side) for side in box] for box in found]

    def _change(
        self, pred: torch.Tensor, seen: list[list[int]], planned: list[list[int]]
    ) -> npt.NDArray[np.bool_]:
        """Where a look's answer, on the voxels of ``seen``, differs from the mask before, in ``planned``."""
        inside = self._clip_bbox_to_shape(seen, self.buffer.shape)
        part = tuple(slice(lo - s[0], hi - s[0]) for (lo, hi), s in zip(inside, seen, strict=True))
        here = tuple(slice(lo - p[0], hi - p[0]) for (lo, hi), p in zip(inside, planned, strict=True))
        change = np.zeros([high - low for low, high in planned], dtype=np.bool_)
        change[here] = (pred[part].cpu().numpy() > 0) != self._before(inside)
        return change

    def _before(self, box: list[list[int]]) -> npt.NDArray[np.bool_]:
        where = tuple(slice(low, high) for low, high in box)
        return np.asarray(self.interactions[(PREVIOUS, *where)]) > 0.5

    @property
    def _patch(self) -> Kji:
        k, j, i = (int(p) for p in self.configuration_manager.patch_size)
        return (k, j, i)

    @property
    def buffer(self) -> npt.NDArray[np.uint8]:
        """The live (k, j, i) mask; later predictions overwrite it."""
        buffer: npt.NDArray[np.uint8] = self.target_buffer
        return buffer

    @property
    def queue(self) -> tuple[tuple[Any, ...], tuple[float, ...]]:
        """Centres and zoom factors of prompts that wait for a prediction."""
        return tuple(self.new_interaction_centers), tuple(self.new_interaction_zoom_out_factors)

    @queue.setter
    def queue(self, value: tuple[tuple[Any, ...], tuple[float, ...]]) -> None:
        self.new_interaction_centers, self.new_interaction_zoom_out_factors = (list(v) for v in value)

    @contextmanager
    def reproducible(self) -> Iterator[None]:
        """Fix the random numbers that upstream draws from numpy's global state, and put that state back.

        It draws when the greedy choice of refinement boxes leaves voxels uncovered
        (`generate_bounding_boxes`). With this, a proposal depends on image, prompts and weights alone.
        """
        state = np.random.get_state()
        np.random.seed(REFINEMENT_SEED)
        try:
            yield
        finally:
            np.random.set_state(state)

    @contextmanager
    def recording(self) -> Iterator[list[Record]]:
        """Collect the content of every region before it is overwritten, in order."""
        records: list[Record] = []
        self._undo_log: dict[str, list[Record]] | None = {"records": records}
        try:
            yield records
        finally:
            self._undo_log = None

    def forget_prompts(self) -> None:
        """Zero all channels and the mask; what was there is recorded."""
        self._record_interactions_channels(list(range(self.num_interaction_channels)), array_replaced=True)
        self._record_target_region((slice(None),) * 3)
        self.reset_interactions(_preserve_undo=True)
        self.queue = ((), ())

    def content(self, record: Record) -> Record:
        """The same region as ``record``, with its content now."""
        kind, channel, where, _ = record
        if kind == "interactions_array":
            return (kind, channel, where, self.interactions)
        if kind == "target":
            return (kind, channel, where, self._compress_pre_image(self.target_buffer[where]))
        where = where or (slice(None),) * 3
        if isinstance(self.interactions, torch.Tensor):
            return (
                "interactions",
                channel,
                where,
                self._compress_pre_image(self.interactions[(channel, *where)]),
            )
        return ("interactions", channel, where, self.interactions.slice((channel, *where)))

    def restore(self, record: Record) -> None:
        """Write a recorded region back."""
        self._restore_undo_record(record)

    @property
    def takes_3d_boxes(self) -> bool:
        """Whether a box may have depth along all three axes."""
        return bool(self._is_interaction_supported("bbox3d"))

    def knows(self, interaction: str) -> bool:
        """Whether the model was trained with this of nnInteractive's interactions."""
        return bool(self._is_interaction_supported(interaction))

    def write_previous_mask(self, mask: npt.NDArray[np.uint8]) -> None:
        """Set the previous-segmentation channel and nothing else."""
        self._write_interactions_channel(self._get_prev_seg_channel(), mask)

    def network_input(self, center_kji: tuple[int, int, int], zoom_out: float) -> torch.Tensor:
        """What the network would be given for a prediction there, (8, k, j, i) float32."""
        answer: torch.Tensor = self._build_network_input(list(center_kji), zoom_out)[0]
        return answer


def give(core: Core, prompt: Prompt, predict: bool) -> None:
    """Hand one prompt that `checks` has passed to nnInteractive; predict if it is the last of its step."""
    if isinstance(prompt, PointPrompt):
        position = tuple(int(x) for x in prompt.position_kji)
        core.add_point_interaction(position, prompt.positive, run_prediction=predict)
    elif isinstance(prompt, BoxPrompt):
        core.add_bbox_interaction(_bounds(prompt.bounds_kji), prompt.positive, run_prediction=predict)
    elif isinstance(prompt, MaskPrompt):
        # Prompts that came before in the same step are gone, and so is their place in the queue.
        core.queue = ((), ())
        core.add_initial_seg_interaction(binary_mask(prompt.mask), run_prediction=False)
    elif isinstance(prompt, ScribblePrompt | LassoPrompt):
        scribbled = prompt.kind is PromptKind.SCRIBBLE
        add = core.add_scribble_interaction if scribbled else core.add_lasso_interaction
        add(
            binary_mask(prompt.mask),
            prompt.positive,
            run_prediction=predict,
            interaction_bbox=_bounds(prompt.bounds_kji),
        )


def _bounds(bounds: BoundsKji) -> list[list[int]]:
    return [[int(low), int(high)] for low, high in bounds]
