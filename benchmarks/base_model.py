"""What the base model can do on data that it has never seen, and whether each kind of prompt does its work.

    python benchmarks/base_model.py --data DIR --out DIR [--model bundled] [--parts prompts,hippocampus,...]

Parts: ``prompts`` (generated volumes, needs no data), ``hippocampus`` (Task04, paper's clicks), ``organs``
(five of the TotalSegmentator CT) and ``tumours`` (pyradiomics' three cases), the last two per kind of first
prompt. Writes one JSON file per part, and pictures.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import bench
import matplotlib as mpl
import numpy as np
from scipy import ndimage

from clopa_annotator import models
from clopa_annotator.datasets.msd import MsdDataset
from clopa_annotator.datasets.volumes import read_image, read_mask
from clopa_annotator.episode.prompting import (
    box_in_slice,
    lasso_in_slice,
    scribble_in_slice,
    uniform_voxel,
)
from clopa_annotator.evaluation.annotator import SimulatedAnnotator, case_rng
from clopa_annotator.evaluation.metrics import dice
from clopa_annotator.evaluation.orientation import view_across
from clopa_annotator.geometry import Geometry, box_slices
from clopa_annotator.pretrain.generator import GeneratorSettings, draw_volume
from clopa_annotator.session.local import LocalSession
from clopa_annotator.session.model import LoadedModel, load_model
from clopa_annotator.types import Image, MaskPrompt, PointPrompt, Prompt

ORGANS = {"liver": 5, "spleen": 1, "right kidney": 2, "aorta": 52, "vertebra T12": 32}
KINDS = ("clicks", "positive click", "box", "lasso", "scribble")
VALIDATION_SEED = 990_000
"""Volumes of this seed are never trained on: training uses seeds below a thousand times its own."""


def first_prompts(kind: str, target: np.ndarray, rng: np.random.Generator) -> tuple[Prompt, ...]:
    """The prompts that open a case."""
    if kind == "clicks":
        return SimulatedAnnotator(rng).initial(target.astype(np.uint8))
    if kind == "positive click":
        where = uniform_voxel(target, rng)
        return (PointPrompt(where),) if where else ()
    make = {"box": box_in_slice, "lasso": lasso_in_slice, "scribble": scribble_in_slice}[kind]
    return (make(target, rng, True),)


def annotate(
    model: LoadedModel, image: Image, target: np.ndarray, kind: str, edits: int, name: str
) -> tuple[list[float], list[float], dict[str, np.ndarray]]:
    """Dice after the first prompts and after each edit; seconds of each; the first and the last mask."""
    rng = case_rng(0, 0, f"{name} {kind}" if kind != "clicks" else name)
    annotator, session = SimulatedAnnotator(rng), LocalSession(model)
    session.set_image(image)
    prompts = first_prompts(kind, target, rng) if kind != "clicks" else annotator.initial(target)
    scores, seconds, kept = [], [], {}
    reference = target.astype(np.uint8)
    for edit in range(edits + 1):
        started = time.perf_counter()
        proposal = session.add_prompts(prompts)
        seconds.append(time.perf_counter() - started)
        scores.append(dice(proposal.mask, reference))
        kept["first" if edit == 0 else "last"] = proposal.mask.copy()
        prompts = annotator.correct(proposal.mask, reference)
        if not prompts:
            scores += [scores[-1]] * (edits - edit)
            break
    return scores, seconds, kept


def picture(path: Path, rows: list[tuple[str, Image, np.ndarray, dict[str, np.ndarray]]]) -> None:
    """First and last mask (red) and reference (green), in the plane that shows most of it, anterior up."""
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(2, len(rows), figsize=(2.4 * len(rows), 5), squeeze=False)
    for column, (title, image, target, kept) in enumerate(rows):
        k, turned = int(target.sum((1, 2)).argmax()), view_across(image.geometry, 0).apply
        for row, when in enumerate(("first", "last")):
            axis, mask = axes[row][column], kept.get(when, kept["first"])
            low, high = np.quantile(image.voxels[k], (0.01, 0.99))
            axis.imshow(turned(image.voxels[k]), cmap="gray", vmin=low, vmax=high)
            axis.contour(turned(target[k]), [0.5], colors="lime", linewidths=1)
            if mask[k].any():
                axis.contour(turned(mask[k]), [0.5], colors="red", linewidths=1)
            axis.set_title(f"{title}\n{when}: {dice(mask, target.astype(np.uint8)):.2f}", fontsize=7)
            axis.axis("off")
    figure.tight_layout()
    figure.savefig(path, dpi=80)
    plt.close(figure)


def hippocampus(model: LoadedModel, data: Path, out: Path, limit: int | None) -> dict[str, Any]:
    """The paper's clicks on Task04: initial prompts and ten edits."""
    curves, times, rows = [], [], []
    for case in list(MsdDataset(data / "Task04_Hippocampus"))[:limit]:
        image, target = case.read()
        scores, seconds, kept = annotate(model, image, target > 0, "clicks", 10, case.case_id)
        curves.append(scores)
        times += seconds
        if len(rows) < 8:
            rows.append((case.case_id, image, target > 0, kept))
    picture(out / "hippocampus.png", rows)
    mean = np.mean(curves, axis=0)
    return {
        "cases": len(curves),
        "dice_init": round(float(mean[0]), 4),
        "dice_10_edits": round(float(mean[-1]), 4),
        "curve": [round(float(x), 4) for x in mean],
        "median_click_s": round(float(np.median(times)), 3),
    }


def real_cases(data: Path, part: str) -> list[tuple[str, Image, np.ndarray]]:
    """Name, image and target of the CT's organs or of pyradiomics' tumours."""
    if part == "organs":
        folder = data / "TotalSegmentator_CT"
        image = read_image(folder / "ct.nii.gz")
        masks = {n: read_mask(folder / "organs.nii.gz", label) > 0 for n, label in ORGANS.items()}
        return [(n, image, mask) for n, mask in masks.items() if mask.any()]
    folder = data / "pyradiomics"
    names = ("brain1", "brain2", "breast1")
    return [
        (n, read_image(folder / f"{n}_image.nrrd"), read_mask(folder / f"{n}_label.nrrd") > 0) for n in names
    ]


def per_prompt(model: LoadedModel, data: Path, out: Path, part: str, kinds: Sequence[str]) -> dict[str, Any]:
    """Dice after each kind of first prompt and after five edits."""
    table: dict[str, Any] = {}
    rows = []
    for name, image, target in real_cases(data, part):
        table[name] = {"voxels": int(target.sum())}
        for kind in kinds:
            scores, seconds, kept = annotate(model, image, target, kind, 5, name)
            table[name][kind] = [round(scores[0], 3), round(scores[-1], 3)]
            table[name][f"{kind}, median s"] = round(float(np.median(seconds)), 2)
            if kind == "clicks":
                rows.append((name, image, target, kept))
    if rows:  # pictures are of the case by clicks
        picture(out / f"{part}.png", rows)
    return table


def prompts_part(model: LoadedModel, volumes: int) -> dict[str, Any]:
    """What each kind of prompt does alone, over generated volumes."""
    effects: dict[str, list[dict[str, float]]] = {}
    for number in range(volumes):
        volume = draw_volume((VALIDATION_SEED, number), GeneratorSettings())
        voxels, target = volume.image.numpy(), volume.target.numpy()
        k, j, i = voxels.shape
        session = LocalSession(model)
        for name, effect in EFFECTS.items():
            rng = np.random.default_rng((number, len(name)))
            session.set_image(Image(voxels, Geometry((k, j, i))))
            effects.setdefault(name, []).append(effect(session, target, rng))
    return {
        name: {key: round(float(np.nanmean([m[key] for m in found])), 3) for key in found[0]}
        for name, found in effects.items()
    }


def grows(session: LocalSession, target: np.ndarray, rng: np.random.Generator) -> dict[str, float]:
    """A + click on an empty proposal."""
    where = uniform_voxel(target, rng) or (0, 0, 0)
    mask = session.add_prompt(PointPrompt(where)).mask > 0
    return {
        "click inside": float(mask[where]),
        "of it on the target": share(mask, target),
        "dice": dice(mask.astype(np.uint8), target.astype(np.uint8)),
        "target's share of the volume": float(target.mean()),
    }


def completes(session: LocalSession, target: np.ndarray, rng: np.random.Generator) -> dict[str, float]:
    """A + click where a given mask lacks half of the target."""
    where = np.argwhere(target)
    axis = int(rng.integers(3))
    missing = target & (np.indices(target.shape)[axis] > np.median(where[:, axis]))
    click = uniform_voxel(missing, rng)
    if click is None:
        return {"click inside": np.nan, "missing part filled": np.nan, "given part kept": np.nan}
    session.add_prompt(MaskPrompt((target & ~missing).astype(np.uint8)))
    mask = session.add_prompt(PointPrompt(click)).mask > 0
    return {
        "click inside": float(mask[click]),
        "missing part filled": share(missing, mask),
        "given part kept": share(target & ~missing, mask),
    }


def removes(session: LocalSession, target: np.ndarray, rng: np.random.Generator) -> dict[str, float]:
    """A - click on something that a given mask has too much."""
    away = ndimage.distance_transform_edt(~target)
    centre = uniform_voxel((away > 5) & (away < 14), rng)
    grid = np.indices(target.shape)
    excess = np.zeros_like(target)
    if centre is not None:
        excess = sum((grid[n] - centre[n]) ** 2 for n in range(3)) < 6**2
        excess &= ~target
    click = uniform_voxel(excess, rng)
    if click is None:
        return {"click outside": np.nan, "excess removed": np.nan, "target kept": np.nan}
    session.add_prompt(MaskPrompt((target | excess).astype(np.uint8)))
    mask = session.add_prompt(PointPrompt(click, positive=False)).mask > 0
    return {
        "click outside": float(not mask[click]),
        "excess removed": 1 - share(excess, mask),
        "target kept": share(target, mask),
    }


def drawn(make: Callable[..., Any]) -> Callable[..., dict[str, float]]:
    """The effect of a box, lasso or scribble in its own plane and on the whole."""

    def effect(session: LocalSession, target: np.ndarray, rng: np.random.Generator) -> dict[str, float]:
        prompt = make(target, rng, True)
        mask = session.add_prompt(prompt).mask > 0
        bounds = box_slices(prompt.bounds_kji)
        inside = np.zeros_like(target)
        inside[bounds] = True if make is box_in_slice else prompt.mask > 0
        plane = np.zeros_like(target)
        flat = min(range(3), key=lambda n: prompt.bounds_kji[n][1] - prompt.bounds_kji[n][0])
        plane[tuple(bounds[n] if n == flat else slice(None) for n in range(3))] = True
        return {
            "drawn voxels inside": share(inside, mask),
            "in its plane, not beyond it": share(mask & plane, inside),
            "the target's own, not beyond it": share(target & plane, inside),
            "dice in its plane": dice((mask & plane).astype(np.uint8), (target & plane).astype(np.uint8)),
            "dice": dice(mask.astype(np.uint8), target.astype(np.uint8)),
        }

    return effect


def share(part: np.ndarray, whole: np.ndarray) -> float:
    """Which share of ``part`` lies in ``whole``; NaN for an empty part."""
    return float((part & whole).sum() / part.sum()) if part.any() else float("nan")


EFFECTS: dict[str, Callable[..., dict[str, float]]] = {
    "+ click grows": grows,
    "+ click completes": completes,
    "- click removes": removes,
    "box": drawn(box_in_slice),
    "lasso": drawn(lasso_in_slice),
    "scribble": drawn(scribble_in_slice),
}


def main() -> None:
    """Parse, run, write."""
    declared = {
        "--data": (Path, "folder with Task04_Hippocampus, TotalSegmentator_CT, ..."),
        "--out": {"type": Path, "required": True},
        "--model": "bundled",
        "--parts": ["prompts", "hippocampus", "organs", "tumours"],
        "--kinds": (list(KINDS), "first prompts for organs and tumours"),
        "--limit": (int, "most hippocampus cases"),
        "--volumes": (50, "generated volumes for the prompts part"),
        "--threads": 2,
    }
    given = bench.options(__doc__, declared)
    given.out.mkdir(parents=True, exist_ok=True)
    model = load_model(models.resolve(given.model), "cpu")
    for part in given.parts:
        if part == "prompts":
            result = prompts_part(model, given.volumes)
        elif part == "hippocampus":
            result = hippocampus(model, given.data, given.out, given.limit)
        else:
            result = per_prompt(model, given.data, given.out, part, given.kinds)
        bench.write(given.out / f"{part}.json", result)
        print(part, json.dumps(result, indent=2), flush=True)


if __name__ == "__main__":
    main()
