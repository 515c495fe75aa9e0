"""The looks that a session takes at a structure larger than its patch, one by one, for training.

After a click the session looks at one patch, then from further and further away while what it finds reaches
the border, and at last refines what has changed, patch by patch. Only the last look from afar counts: its
answer is the previous mask of the refining looks (`session.zooming`, `session.refinement`). `Tour` takes a
training sample along this way with the session's own rules. It asks them what the *target* would make them
do, because an untrained network would never look further, and it leaves out some looks, because each costs a
pass: it begins with the last look from afar or with one of those before, and refines one patch of those that
the session would. What it does not refine keeps the coarse answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from torch import Tensor

from clopa_annotator.episode.prompt_canvas import PromptCanvas
from clopa_annotator.episode.prompting import Prompter, Region
from clopa_annotator.errors import ConfigError
from clopa_annotator.geometry import BoundsKji, Kji, box_slices
from clopa_annotator.session.refinement import refinement_boxes, worth_refining
from clopa_annotator.session.zooming import box_of, changes_at_border, previous_as_seen, sides_of, zooms
from clopa_annotator.types import PointPrompt, Prompt

FROM_AFAR = 0.5
"""Share of the tours that begin with the look that counts; the others begin with an earlier one."""


class Tour:
    """Which look comes next at one sample.

    Args:
        canvas: of the sample.
        target: (k, j, i) bool, on the canvas' device.
        shown: the part of an image that the sample is; no look needs more.
        prompter: who clicks, in points.
        rng: decides where the tour begins and what it refines.

    Attributes:
        keeps: whether the answer to the current look becomes the segmentation.
    """

    def __init__(
        self,
        canvas: PromptCanvas,
        target: Tensor,
        shown: Shown,
        prompter: Prompter,
        rng: np.random.Generator,
    ) -> None:
        self._canvas, self._target, self._prompter, self._rng = canvas, target, prompter, rng
        self._shown, self._clickable = shown, shown.clickable(canvas.rules.patch_kji)
        self._final = 1.0
        self._before = canvas.previous
        self._to_refine = False
        self.keeps = True
        self._set_out(prompter.initial(self._where_clicks_lie(target), rng))

    def go_on(self) -> bool:
        """Take the next look, after a click if it is time for one; False if nothing is left to correct."""
        if not self.keeps:
            self.keeps, self._canvas.zoom = True, self._final
            return True
        if self._to_refine:
            self._to_refine = False
            self._canvas.look_closer(self._refined())
            return True
        current, target = (self._where_clicks_lie(m) for m in (self._canvas.previous, self._target))
        prompts = self._prompter.correct(current, target, self._rng)
        self._set_out(prompts)
        return bool(prompts)

    def _where_clicks_lie(self, mask: Tensor) -> Region:
        part: Region = mask[box_slices(self._clickable)].cpu().numpy()
        return part

    def _set_out(self, prompts: Sequence[Prompt]) -> None:
        """Take the first look after some clicks."""
        for prompt in prompts:
            self._canvas.add(_moved(prompt, self._clickable))
        way = self.way()
        self._final, self._before = way[-1], self._canvas.previous
        self.keeps = len(way) == 1 or bool(self._rng.random() < FROM_AFAR)
        self._to_refine = self._final > 1
        self._canvas.zoom = self._final if self.keeps else way[int(self._rng.integers(len(way) - 1))]

    def way(self) -> tuple[float, ...]:
        """The zooms at which the session would look after the newest click, had it found the target."""
        canvas, patch = self._canvas, self._canvas.rules.patch_kji
        previous = canvas.previous.to(canvas.image.dtype)
        taken: list[float] = []
        for zoom in zooms():
            if taken and not self._shown.holds(canvas, zoom):
                break
            taken.append(zoom)
            answer = canvas.seen(self._target, zoom)
            if not changes_at_border(answer, previous_as_seen(previous, canvas.centre_kji, zoom, patch)):
                break
        return tuple(taken)

    def _refined(self) -> Kji:
        """The middle of a patch that the session would refine; the click's, if it would none."""
        patch = self._canvas.rules.patch_kji
        change = (self._canvas.previous ^ self._before).cpu().numpy()
        boxes = refinement_boxes(worth_refining(change), patch)
        if not boxes:
            return self._canvas.centre_kji
        chosen = boxes[int(self._rng.integers(len(boxes)))]
        k, j, i = (low + p // 2 for (low, _), p in zip(chosen, patch, strict=True))
        return (k, j, i)


class Shown:
    """How much of a whole image a sample holds.

    Args:
        bounds: the sample's box in the image.
        shape_kji: the image's.
    """

    def __init__(self, bounds: BoundsKji, shape_kji: Kji) -> None:
        self._cut = tuple((low > 0, high < n) for (low, high), n in zip(bounds, shape_kji, strict=True))
        self._sides = tuple(high - low for low, high in bounds)

    def clickable(self, patch_kji: Kji) -> BoundsKji:
        """The part of the sample in which a patch around a click needs nothing beyond a cut."""
        (a, b, c) = (
            (p // 2 if low else 0, max(p // 2 + 1, n - p // 2 - p % 2 + 1) if high else n)
            for (low, high), n, p in zip(self._cut, self._sides, patch_kji, strict=True)
        )
        return (a, b, c)

    def holds(self, canvas: PromptCanvas, zoom: float) -> bool:
        """Whether a look from there needs nothing beyond a cut."""
        box = box_of(canvas.centre_kji, sides_of(canvas.rules.patch_kji, zoom))
        return all(
            (low >= 0 or not cut[0]) and (high <= n or not cut[1])
            for (low, high), n, cut in zip(box, self._sides, self._cut, strict=True)
        )


def _moved(prompt: Prompt, bounds: BoundsKji) -> Prompt:
    """A click in a part of the sample as one in the sample."""
    if not isinstance(prompt, PointPrompt):
        raise ConfigError(
            "Looks from further away train with clicks only; this annotator draws something else."
        )
    (k, j, i), ((a, _), (b, _), (c, _)) = prompt.position_kji, bounds
    return replace(prompt, position_kji=(k + a, j + b, i + c))


def reaches_far(extent_kji: Kji, patch_kji: Kji) -> bool:
    """Whether a structure is one that the session looks at from further away, wherever in it one clicks.

    One of up to three quarters of the patch is seen whole from most clicks in it, and trains at one zoom.
    """
    return any(4 * n > 3 * p for n, p in zip(extent_kji, patch_kji, strict=True))
