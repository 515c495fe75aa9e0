"""Label maps: tissues that fill the volume, organs among them, and what of it is the target."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from clopa_annotator.geometry import Kji, box_slices
from clopa_annotator.pretrain.fields import place_of, smooth
from clopa_annotator.pretrain.shapes import Shape, dilate, draw_shape


@dataclass(frozen=True)
class AnatomySettings:
    """How rich the label maps are.

    Attributes:
        tissues: least and most classes of the background.
        organs: least and most shapes put into it.
        size: smallest and largest volume of an organ, as the radius of a ball in voxels (log-uniform).
        thick_slices: chance of an anisotropic grid.
        neighbour: chance that an organ is placed beside the one before.
        rim: chance of a thin, broken layer around an organ.
        layered: chance that the background is folded in layers, as cortex, bowel and skin are, instead of
            lying side by side.
        share: a focused organ takes this much of the volume, least and most (log-uniform).
    """

    tissues: tuple[int, int] = (2, 9)
    organs: tuple[int, int] = (2, 7)
    size: tuple[float, float] = (6.0, 18.0)
    thick_slices: float = 0.2
    neighbour: float = 0.6
    rim: float = 0.4
    layered: float = 0.4
    share: tuple[float, float] = (0.015, 0.12)


@dataclass(frozen=True, eq=False)
class Anatomy:
    """A label map.

    Attributes:
        labels: (k, j, i) int64, 0 to ``count - 1``.
        count: number of labels.
        organs: labels that are inserted shapes; the rest fill the background or are rims.
        tissues: number of background classes (the first labels).
        focus: label of the organ that the volume was cropped around, if it was.
    """

    labels: Tensor
    count: int
    organs: tuple[int, ...]
    tissues: int
    focus: int | None = None


KIND_WEIGHTS = {"blob": 0.32, "body": 0.44, "tube": 0.1, "sheet": 0.06, "lesions": 0.08}


def draw_anatomy(
    shape_kji: Kji, settings: AnatomySettings, rng: np.random.Generator, focused: bool = False
) -> Anatomy:
    """Draw a label map; a focused one shows one organ large and near its middle, in front of the others."""
    voxel = _voxel_size(settings, rng)
    tissues = int(rng.integers(settings.tissues[0], settings.tissues[1] + 1))
    layered = rng.random() < settings.layered
    labels = (_layers if layered else _regions)(shape_kji, tissues, voxel, rng)
    count = tissues
    organs: list[int] = []
    previous: tuple[Tensor, float] | None = None
    number = int(rng.integers(settings.organs[0], settings.organs[1] + 1))
    for n in range(number):
        last = focused and n == number - 1
        radius = float(np.exp(rng.uniform(*np.log(settings.size))))
        beside = previous if rng.random() < settings.neighbour else None
        centre = _place(shape_kji, radius, voxel, beside, rng)
        if last:
            radius, centre = _focus(shape_kji, voxel, settings, rng)
        kind = str(rng.choice(list(KIND_WEIGHTS), p=list(KIND_WEIGHTS.values())))
        shape = draw_shape(kind, shape_kji, centre, radius, voxel, rng)
        if shape is None:
            continue
        if rng.random() < settings.rim:
            count = _add_rim(labels, shape, count, rng)
        view = labels[box_slices(shape.bounds_kji)]
        where = _nested(view, shape.mask, organs, rng)
        view[where] = count
        organs.append(count)
        count += 1
        previous = (centre, radius)
    return Anatomy(labels, count, tuple(organs), tissues, organs[-1] if focused and organs else None)


def _focus(
    shape_kji: Kji, voxel: Tensor, settings: AnatomySettings, rng: np.random.Generator
) -> tuple[float, Tensor]:
    """Radius and centre of the organ that a volume is cropped around."""
    share = float(np.exp(rng.uniform(*np.log(settings.share))))
    extent = float(np.prod(shape_kji)) * float(voxel.prod())
    radius = (3 / (4 * np.pi) * share * extent) ** (1 / 3)
    return radius, torch.tensor([rng.uniform(0.32, 0.68) * n for n in shape_kji], dtype=torch.float32)


def _voxel_size(settings: AnatomySettings, rng: np.random.Generator) -> Tensor:
    voxel = np.exp(rng.normal(0, 0.08, 3))
    if rng.random() < settings.thick_slices:
        voxel[rng.integers(3)] *= np.exp(rng.uniform(np.log(1.5), np.log(6.0)))
    return torch.from_numpy(voxel.astype(np.float32))


def _cells(shape_kji: Kji, voxel: Tensor, rng: np.random.Generator) -> tuple[int, int, int]:
    scale = float(np.exp(rng.uniform(np.log(7.0), np.log(30.0))))
    extent = torch.tensor(shape_kji) * voxel
    (a, b, c) = (max(1, round(float(e) / scale)) for e in extent)
    return a, b, c


def _regions(shape_kji: Kji, tissues: int, voxel: Tensor, rng: np.random.Generator) -> Tensor:
    """Interlocking regions: the largest of several smooth fields wins, at two scales."""
    (a, b, c) = _cells(shape_kji, voxel, rng)
    fields = smooth(shape_kji, (a, b, c), rng, tissues)
    if rng.random() < 0.5:
        fields += rng.uniform(0.1, 0.5) * smooth(shape_kji, (2 * a + 1, 2 * b + 1, 2 * c + 1), rng, tissues)
    # A running maximum: argmax over the first axis of a few large fields is slow on a CPU.
    best, labels = fields[0], torch.zeros(shape_kji, dtype=torch.int64, device=fields.device)
    for n in range(1, tissues):
        wins = fields[n] > best
        labels.masked_fill_(wins, n)
        best = torch.maximum(best, fields[n])
    return labels


def _layers(shape_kji: Kji, tissues: int, voxel: Tensor, rng: np.random.Generator) -> Tensor:
    """Folded layers: bands between level sets of one smooth field, the same tissue at times in several."""
    (a, b, c) = _cells(shape_kji, voxel, rng)
    field = smooth(shape_kji, (a, b, c), rng)[0]
    field += rng.uniform(0.0, 0.35) * smooth(shape_kji, (2 * a + 1, 2 * b + 1, 2 * c + 1), rng)[0]
    if rng.random() < 0.5:
        field = field.abs()
    bands = max(2, tissues)
    levels = np.sort(rng.uniform(float(field.min()), float(field.max()), bands - 1))
    band = torch.bucketize(field, field.new_tensor(levels))
    return torch.from_numpy(rng.integers(0, tissues, bands)).to(field.device)[band]


def _place(
    shape_kji: Kji,
    radius: float,
    voxel: Tensor,
    beside: tuple[Tensor, float] | None,
    rng: np.random.Generator,
) -> Tensor:
    if beside is None:
        return torch.tensor([rng.uniform(0.05, 0.95) * n for n in shape_kji], dtype=torch.float32)
    direction = rng.standard_normal(3)
    step = direction / np.linalg.norm(direction) * (radius + beside[1]) * rng.uniform(0.5, 1.05)
    return beside[0] + torch.from_numpy(step.astype(np.float32)) / voxel


def _add_rim(labels: Tensor, shape: Shape, count: int, rng: np.random.Generator) -> int:
    view = labels[box_slices(shape.bounds_kji)]
    layer = dilate(shape.mask, int(rng.choice([1, 1, 2])))
    (k, j, i) = view.shape
    view[layer & (smooth((k, j, i), (3, 3, 3), rng)[0] > rng.uniform(-1.0, 0.8))] = count
    return count + 1


def _nested(view: Tensor, mask: Tensor, organs: list[int], rng: np.random.Generator) -> Tensor:
    """At times an organ stays inside, or outside, of those before it."""
    if not organs or rng.random() < 0.5:
        return mask
    taken = torch.isin(view, view.new_tensor(organs))
    kept = mask & (taken if rng.random() < 0.3 else ~taken)
    return kept if int(kept.sum()) > 0.3 * int(mask.sum()) else mask


@dataclass(frozen=True)
class TargetMix:
    """What is annotated, as weights.

    Attributes:
        organ: one inserted shape.
        region: one connected piece of any label.
        union: two labels that touch.
        half: one side of an organ cut by a plane.
        tissue: a whole label with all its pieces.
    """

    organ: float = 0.78
    region: float = 0.1
    union: float = 0.06
    half: float = 0.03
    tissue: float = 0.03


def draw_target(
    anatomy: Anatomy, mix: TargetMix, rng: np.random.Generator, least: int = 150, largest: float = 0.45
) -> Tensor | None:
    """Choose a target of at least ``least`` voxels and at most ``largest`` of the volume.

    A focused anatomy's target is its focus.

    Returns:
        (k, j, i) bool; None if none was found.
    """
    if anatomy.focus is not None:
        focus = anatomy.labels == anatomy.focus
        return focus if least <= int(focus.sum()) <= largest * focus.numel() else None
    weights = np.array([mix.organ, mix.region, mix.union, mix.half, mix.tissue])
    for _ in range(6):
        way = int(rng.choice(5, p=weights / weights.sum()))
        mask = _choose(anatomy, way, rng)
        if mask is not None and least <= int(mask.sum()) <= largest * mask.numel():
            return mask
    return None


def _choose(anatomy: Anatomy, way: int, rng: np.random.Generator) -> Tensor | None:
    labels = anatomy.labels
    if way in (0, 3):
        if not anatomy.organs:
            return None
        organ = labels == int(rng.choice(anatomy.organs))
        return _half(organ, rng) if way == 3 else organ
    label = int(rng.integers(anatomy.count))
    mask = labels == label
    if way == 4:
        return mask
    if way == 1:
        return _piece(mask, rng)
    if anatomy.organs:
        label = int(rng.choice(anatomy.organs))
        mask = labels == label
    neighbours = torch.unique(labels[dilate(mask, 1) & ~mask])
    if neighbours.numel() == 0:
        return None
    other = _piece(labels == int(rng.choice(neighbours.cpu().numpy())), rng)
    return None if other is None else mask | other


def _piece(mask: Tensor, rng: np.random.Generator) -> Tensor | None:
    # On the CPU wherever the volume is made: connected pieces are found voxel after voxel.
    pieces, n = ndimage.label(mask.cpu().numpy())
    return None if n == 0 else torch.from_numpy(pieces == int(rng.integers(1, n + 1))).to(place_of(rng))


def _half(mask: Tensor, rng: np.random.Generator) -> Tensor | None:
    where = mask.nonzero().float()
    if len(where) == 0:
        return None
    normal = where.new_tensor(rng.standard_normal(3))
    side = (where - where.mean(0)) @ normal > float(rng.normal(0, 0.3)) * where.std()
    out = torch.zeros_like(mask)
    kept = where[side].long()
    out[kept[:, 0], kept[:, 1], kept[:, 2]] = True
    return out
