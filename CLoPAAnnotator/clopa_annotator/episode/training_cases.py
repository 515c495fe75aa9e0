"""Reading confirmed cases for training: the Protocol that the cache fulfils, and what is kept of each case.

Normalisation takes its mean and deviation from the whole image, as the session does, while a patch reads only
what it needs. So each case is read once in full, and then a few numbers and positions of it are kept.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from clopa_annotator.errors import EpisodeError, ImageError
from clopa_annotator.geometry import BoundsKji, Kji, bounding_box, box_slices
from clopa_annotator.session.patches import statistics
from clopa_annotator.types import CaseRef, Image, Mask

_KEPT_VOXELS = 8192
"""Positions kept per class and case. Where a class has fewer voxels the draw is exactly uniform."""


class CaseReader(Protocol):
    """Access to confirmed cases; the annotation cache's store fulfils it."""

    def read_image(self, image_hash: str) -> Image:
        """A whole image."""
        ...

    def read_mask(self, ref: CaseRef) -> Mask:
        """A whole (k, j, i) mask of 0 and 1."""
        ...

    def read_patch(self, image_hash: str, bounds_kji: BoundsKji) -> npt.NDArray[Any]:
        """The part of an image inside a box that lies within it."""
        ...

    def read_mask_patch(self, ref: CaseRef, bounds_kji: BoundsKji) -> Mask:
        """The part of a mask inside a box that lies within it."""
        ...


@dataclass(frozen=True, eq=False)
class CaseFacts:
    """What is kept of a case between samples.

    Attributes:
        shape_kji: the image's shape.
        mean: for normalisation, as the session computes it.
        std: for normalisation, as the session computes it.
        foreground: (n, 3) positions of target voxels, uniformly drawn; empty if the mask is.
        background: (n, 3) positions of other voxels, uniformly drawn.
        extent_kji: sides of the smallest box around the target, in voxels.
    """

    shape_kji: Kji
    mean: Tensor
    std: Tensor
    foreground: npt.NDArray[np.int32]
    background: npt.NDArray[np.int32]
    extent_kji: Kji = (0, 0, 0)


class CaseSource:
    """Normalised regions of confirmed cases, with a memory that is bounded in bytes.

    Small images stay in memory whole; of others each region is read when it is wanted.
    """

    def __init__(
        self,
        reader: CaseReader,
        cache_bytes: int,
        seed: int,
        others: Mapping[str, Sequence[CaseRef]] | None = None,
    ) -> None:
        """Read cases.

        Args:
            reader: where they are.
            cache_bytes: most bytes of images and masks to keep.
            seed: of the positions that are kept.
            others: masks of other targets of the same image, by record hash, given to the network as what it
                is not; None for none.
        """
        self._reader, self._others = reader, others or {}
        self._budget = cache_bytes
        self._seed = seed
        self._facts: dict[str, CaseFacts] = {}
        self._whole: OrderedDict[str, tuple[Tensor, Tensor]] = OrderedDict()
        self._used = 0

    @property
    def bytes_held(self) -> int:
        """Bytes of images and masks in memory now."""
        return self._used

    def facts(self, ref: CaseRef) -> CaseFacts:
        """Shape, statistics and voxel positions of a case; the first call reads it in full.

        Raises:
            EpisodeError: image and mask have different shapes, or the image cannot be normalised.
        """
        if ref.record_hash not in self._facts:
            self._facts[ref.record_hash] = self._survey(ref)
        return self._facts[ref.record_hash]

    def region(self, ref: CaseRef, bounds: BoundsKji) -> tuple[Tensor, Tensor]:
        """A box of a case that lies within its image.

        Returns:
            Normalised image (float32) and target (bool), both (k, j, i) and the caller's own. Of a case with
            other targets the masks are (2, k, j, i): the target, and the others together.
        """
        facts = self.facts(ref)
        whole = self._whole.get(ref.record_hash)
        if whole is not None:
            self._whole.move_to_end(ref.record_hash)
            box = box_slices(bounds)
            return whole[0][box].clone(), whole[1][(..., *box)].clone()
        image = _float(self._reader.read_patch(ref.image_hash, bounds))
        masks = self._masks(ref, lambda of: self._reader.read_mask_patch(of, bounds))
        return (image - facts.mean) / facts.std, masks

    def _masks(self, ref: CaseRef, read: Callable[[CaseRef], Mask]) -> Tensor:
        """The target, and behind it the union of the others if there are some."""
        target = torch.from_numpy(np.ascontiguousarray(read(ref)) > 0)
        others = [torch.from_numpy(np.ascontiguousarray(read(other)) > 0) for other in self._of(ref)]
        return torch.stack((target, torch.stack(others).any(0))) if others else target

    def _of(self, ref: CaseRef) -> Sequence[CaseRef]:
        return self._others.get(ref.record_hash, ())

    def _survey(self, ref: CaseRef) -> CaseFacts:
        image = _float(self._reader.read_image(ref.image_hash).voxels)
        mask = np.ascontiguousarray(self._reader.read_mask(ref)) > 0
        if mask.shape != tuple(image.shape):
            raise EpisodeError(
                f"Case {ref.case_id}: the image has shape {tuple(image.shape)} and the mask {mask.shape}. "
                "Run `clopa cache verify`."
            )
        try:
            mean, std = statistics(image)
        except ImageError as error:
            raise EpisodeError(f"Case {ref.case_id} cannot be trained on. {error}") from error
        rng = np.random.default_rng([self._seed, ref.sequence])
        k, j, i = mask.shape
        foreground, background = _some_voxels(mask, rng), _some_voxels(~mask, rng)
        facts = CaseFacts((k, j, i), mean, std, foreground, background, _extent(mask))
        image -= mean
        image /= std
        whole = self._masks(ref, self._reader.read_mask) if self._of(ref) else torch.from_numpy(mask)
        self._keep(ref.record_hash, image, whole)
        return facts

    def _keep(self, key: str, image: Tensor, target: Tensor) -> None:
        size = 4 * image.numel() + target.numel()
        if size > self._budget:
            return
        while self._used + size > self._budget:
            _, (old, masks) = self._whole.popitem(last=False)
            self._used -= 4 * old.numel() + masks.numel()
        self._whole[key] = (image, target)
        self._used += size


def _float(voxels: npt.NDArray[Any]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(voxels).astype(np.float32))


def _extent(mask: npt.NDArray[np.bool_]) -> Kji:
    (a, b, c) = bounding_box(mask) or ((0, 0), (0, 0), (0, 0))
    return (a[1] - a[0], b[1] - b[0], c[1] - c[0])


def _some_voxels(region: npt.NDArray[np.bool_], rng: np.random.Generator) -> npt.NDArray[np.int32]:
    flat = np.flatnonzero(region)
    if flat.size > _KEPT_VOXELS:
        flat = flat[rng.integers(flat.size, size=_KEPT_VOXELS)]
    return np.stack(np.unravel_index(flat, region.shape), axis=1).astype(np.int32)
