"""Segmenting a whole image before the first click, one pass of the network at a time.

`begin` returns the work on one image; each `step` is one pass, so whoever owns the thread of the network can
let a click go first after any of them. `suggest` takes all steps. See `looks` for where is looked.

The close looks are taken twice or more, of the image and of mirror images of it: the mean of the answers is a
little better than one, and how far they agree tells how good it is (``docs/results/suggestions.md``).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from clopa_annotator.errors import PredictionFailed, SuggestionStopped
from clopa_annotator.geometry import Kji
from clopa_annotator.session.checks import usable_voxels
from clopa_annotator.session.failures import in_words
from clopa_annotator.session.logits import CpuPrecision, TwoClassNetwork
from clopa_annotator.session.looks import Look, at_full_size, blend_weights, close_looks, look_input, overview
from clopa_annotator.session.model import LoadedModel
from clopa_annotator.session.patches import normalise, overlap
from clopa_annotator.types import Image, WholeImageAnswer

Axes = tuple[int, ...]
FEW = 4
"""So many close looks are taken of three mirror images too; more, of one."""
_MIRRORED: tuple[Axes, ...] = ((), (2,), (1,), (0,))
"""Axes along which the image is mirrored, in the order of use."""


class PassGivenUp(Exception):
    """Raised from within a pass by whoever lends the thread; the next step takes the pass again."""


class Suggesting(Protocol):
    """The work on one image."""

    @property
    def progress(self) -> tuple[int, int]:
        """Passes done, and how many there are as far as is known."""
        ...

    def step(self) -> bool:
        """One pass of the network; True once there is an answer.

        A pass that was given up (`PassGivenUp`) counts for nothing and is taken again by the next step.

        Raises:
            PredictionFailed: the network's answer was not finite, or memory ran out.
            SuggestionStopped: the network has other weights than at the first pass.
        """
        ...

    def answer(self) -> WholeImageAnswer:
        """What came out.

        Raises:
            SuggestionStopped: steps are missing.
        """
        ...


class Suggester(Protocol):
    """Segments images without a prompt; `LocalSuggester` and `testing.FakeSuggester` fulfil it."""

    def begin(self, image: Image) -> Suggesting:
        """Start on an image; no pass yet.

        Raises:
            ImageError: not 3D, empty, constant, or with NaN or infinite voxels.
            GeometryError: the grid's shape is not the array's.
        """
        ...


def suggest(
    suggester: Suggester, image: Image, between: Callable[[], None] = lambda: None
) -> WholeImageAnswer:
    """Segment an image without a prompt.

    Args:
        suggester: see `Suggester`.
        image: of any size.
        between: called after each pass but the last: the place to let a click go first; what it raises ends
            the work.

    Raises:
        ImageError: a session would refuse the image as well.
        PredictionFailed: see `Suggesting.step`.
        SuggestionStopped: see `Suggesting.step`.
    """
    work = suggester.begin(image)
    while not work.step():
        between()
    return work.answer()


class LocalSuggester:
    """Suggestions from a `LoadedModel`, whose lock is held during each pass."""

    def __init__(self, model: LoadedModel, cpu_precision: CpuPrecision = "fp32") -> None:
        self._model = model
        self._network = TwoClassNetwork(model.network, cpu_precision)

    def begin(self, image: Image) -> LocalSuggesting:
        """See `Suggester.begin`."""
        voxels = usable_voxels(image)
        normalised = normalise(torch.from_numpy(np.ascontiguousarray(voxels, dtype=np.float32)))
        return LocalSuggesting(self._model, self._network, normalised)


class LocalSuggesting:
    """The work on one image; see `Suggesting`."""

    def __init__(self, model: LoadedModel, network: TwoClassNetwork, image: Tensor) -> None:
        """Plan the first looks.

        Args:
            model: whose weights and lock are used.
            network: the same model's.
            image: (k, j, i) float32, normalised.
        """
        self._model, self._network, self._image = model, network, image
        self._patch: Kji = model.patch_size_kji
        self._first = overview(tuple(image.shape), self._patch)
        single = self._first[0].zoom == 1
        self._known = len(_MIRRORED) if single else len(self._first)
        self._done, self._seconds = 0, 0.0
        self._version: int | None = None
        self._given_up = False
        self._answer: WholeImageAnswer | None = None
        self._passes = self._closely(self._first, None) if single else self._from_afar()

    @property
    def progress(self) -> tuple[int, int]:
        """See `Suggesting.progress`."""
        return self._done, self._known

    def step(self) -> bool:
        """See `Suggesting.step`."""
        if self._answer is not None:
            return True
        started = time.perf_counter()
        with self._model.lock:
            if self._version is None:
                self._version = self._model.version
            if self._version != self._model.version:
                raise SuggestionStopped("The weights changed while the image was looked at; begin again.")
            try:
                next(self._passes, None)
            except Exception as error:
                raise _in_words(error) from error
        self._done, self._given_up = self._done + (not self._given_up), False
        self._seconds += time.perf_counter() - started
        return self._answer is not None

    def answer(self) -> WholeImageAnswer:
        """See `Suggesting.answer`."""
        if self._answer is None:
            raise SuggestionStopped("The image was not looked at to the end; take the other steps first.")
        return self._answer

    def _from_afar(self) -> Iterator[None]:
        """Coarse looks, one pass each, then close ones."""
        coarse = torch.zeros(self._image.shape, dtype=torch.bool)
        for look in self._first:
            answer = yield from self._looked(look, None, ())
            seen = at_full_size(answer > 0.5, look, self._patch)
            in_image, in_box = overlap(look.bounds(self._patch), tuple(coarse.shape))
            coarse[in_image] |= seen[in_box].cpu()
            if look is not self._first[-1]:
                yield
        closer = close_looks(coarse.numpy(), self._patch)
        self._known += len(closer) * self._mirrors(closer)
        if not closer:
            self._finish(_Blend(tuple(coarse.shape), (), self._patch))
            return
        yield
        yield from self._closely(closer, coarse)

    def _closely(self, looks: tuple[Look, ...], coarse: Tensor | None) -> Iterator[None]:
        """Close looks, a pass for each mirror image; their blend is the answer."""
        blend = _Blend(tuple(self._image.shape), looks, self._patch)
        mirrored = _MIRRORED[: self._mirrors(looks)]
        for number, look in enumerate(looks, start=1):
            answers: list[Tensor] = []
            for axes in mirrored:
                answer = yield from self._looked(look, coarse, axes)
                answers.append(answer.cpu())
                if number < len(looks) or len(answers) < len(mirrored):
                    yield
            blend.add(look, answers)
        self._finish(blend)

    @staticmethod
    def _mirrors(looks: tuple[Look, ...]) -> int:
        return len(_MIRRORED) if len(looks) <= FEW else 2

    def _looked(self, look: Look, previous: Tensor | None, axes: Axes) -> Generator[None, None, Tensor]:
        """`_look`, as often as it takes."""
        while True:
            try:
                return self._look(look, previous, axes)
            except PassGivenUp:
                self._given_up = True
                yield

    @torch.inference_mode()
    def _look(self, look: Look, previous: Tensor | None, axes: Axes) -> Tensor:
        """(*patch) probability of the target; the network sees the patch mirrored along ``axes``."""
        inputs = look_input(self._image, previous, look, self._patch).to(self._model.device)
        if axes:
            inputs = inputs.flip([a + 1 for a in axes])
        with _autocast(self._model.device):
            probability = self._network(inputs[None])[0].probability()
        return probability.flip(axes) if axes else probability

    def _finish(self, blend: _Blend) -> None:
        foreground = blend.foreground()
        mask = (foreground > 127).astype(np.uint8)
        mask.flags.writeable = False
        version, passes = self._version or 0, self._done + 1
        self._answer = WholeImageAnswer(mask, foreground, blend.agreement, version, passes, self._seconds)


class _Blend:
    """The mean of overlapping close looks; memory for their common box only."""

    def __init__(self, shape_kji: tuple[int, ...], looks: tuple[Look, ...], patch_kji: Kji) -> None:
        self._shape, self._patch = shape_kji, patch_kji
        boxes = [overlap(look.bounds(patch_kji), shape_kji)[0] for look in looks]
        low = [min(b[axis].start for b in boxes) if boxes else 0 for axis in range(3)]
        high = [max(b[axis].stop for b in boxes) if boxes else 0 for axis in range(3)]
        self._box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        size = [b - a for a, b in zip(low, high, strict=True)]
        self._sum, self._weight = torch.zeros(size), torch.zeros(size)
        self._ramp = blend_weights(patch_kji)
        self._common, self._sizes = 0, 0

    def add(self, look: Look, answers: list[Tensor]) -> None:
        """The answers to a look and to its mirror images, (*patch) probabilities."""
        mean = torch.stack(answers).mean(0)
        in_image, in_look = overlap(look.bounds(self._patch), self._shape)
        here = tuple(
            slice(s.start - b.start, s.stop - b.start) for s, b in zip(in_image, self._box, strict=True)
        )
        self._sum[here] += (mean * self._ramp)[in_look]
        self._weight[here] += self._ramp[in_look]
        masks = [a[in_look] > 0.5 for a in answers]
        for other in masks[1:]:
            self._common += 2 * int((masks[0] & other).sum())
            self._sizes += int(masks[0].sum()) + int(other.sum())

    @property
    def agreement(self) -> float:
        """Dice of the mirror images' answers with the first; 1 where all of them are empty."""
        return self._common / self._sizes if self._sizes else 1.0

    def foreground(self) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        """(k, j, i) uint8 in 255ths."""
        out = np.zeros(self._shape, np.uint8)
        if self._sum.numel():
            mean = self._sum / self._weight.clamp_(min=1e-6)
            out[self._box] = mean.mul_(255).round_().to(torch.uint8).numpy()
        return out


def _autocast(device: torch.device) -> AbstractContextManager[object]:
    """As nnInteractive predicts: in lower precision on CUDA only."""
    return torch.autocast("cuda") if device.type == "cuda" else nullcontext()


def _in_words(error: Exception) -> PredictionFailed:
    told = str(in_words(error)).replace("so the proposal was left as it was", "so there is no suggestion")
    return PredictionFailed(told.partition(" Click again")[0].replace(", and click again", ""))
