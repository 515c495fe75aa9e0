"""A tiny campaign with three targets, of one of which there may be several; episodes are pretended."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from tiny_campaign import SPEC, tiny_config

from clopa_annotator.campaign.composition import Campaign
from clopa_annotator.datasets import make_phantom
from clopa_annotator.delta import DeltaInfo, pack_delta
from clopa_annotator.durable import write_bytes
from clopa_annotator.episode.folder import DELTA, read_job, write_result
from clopa_annotator.types import (
    CaseRef,
    Confirmation,
    EpisodeRequest,
    EpisodeResult,
    GateDecision,
    Slot,
    Target,
    Targets,
    WeightsVersion,
)

LIVER, KIDNEY, LESION = "", "left-kidney", "lesion"


def targets() -> Targets:
    return Targets([Target("liver"), Target("left kidney", KIDNEY), Target("lesion", LESION, instances=True)])


def opened(folder: Path, model: Path, strategy: str = "clopa-cn") -> Campaign:
    return Campaign.create(folder, tiny_config(model, strategy=strategy), targets(), device="cpu")


def confirm(campaign: Campaign, number: int, key: str, instance: int = 1) -> CaseRef:
    """Confirm one target of a case: a slab of its own, so that no two targets overlap."""
    image, _ = make_phantom(SPEC, number)
    case_id, mask = f"case {number}", np.zeros(SPEC.shape_kji, np.uint8)
    place = 2 * [LIVER, KIDNEY, LESION].index(key) + 4 * (instance - 1)
    mask[place : place + 2] = 1
    campaign.store.add_case(case_id, image)
    slot = Slot(key, instance)
    return campaign.confirm(Confirmation(f"{case_id}-{slot}", case_id, mask, annotator="Ann", slot=slot))


def learned(campaign: Campaign, request: EpisodeRequest, promoted: bool = True) -> WeightsVersion:
    """An episode as if it had been trained: every parameter a little larger, and the gate's verdict."""
    job = campaign.prepare_job(request)
    model, change = campaign.model, 0.01 * (1 + len(request.target) + request.number)
    tensors = {name: value + change for name, value in model.base.items()}
    write_bytes(job / DELTA, pack_delta(tensors, DeltaInfo(model.model_hash, model.licence, "all", 0)))
    cases = tuple(ref.name for ref in read_job(job).val)
    before, after = (0.4,) * len(cases), (0.6,) * len(cases)
    decision = GateDecision(promoted, "pretended", cases, before, after, before, after, before, after)
    result = EpisodeResult(request.number, "finished", delta_path=job / DELTA, best_epoch=1)
    write_result(job, result, decision)
    version = campaign.adopt(job)
    assert version is not None
    return version
