"""The memory plan applied: the trainer's share of the device is planned and capped before training begins."""

from __future__ import annotations

import logging
from dataclasses import replace

import torch

from clopa_annotator.episode.episode_settings import EpisodeSettings
from clopa_annotator.episode.hardware.footprint import Architecture
from clopa_annotator.episode.hardware.memory_plan import (
    CONTEXT_BYTES,
    MemoryPlan,
    plan_memory,
    room_beside_engine,
)
from clopa_annotator.episode.hardware.precision import autocast_dtype
from clopa_annotator.errors import ConfigError
from clopa_annotator.session.model import LoadedModel

logger = logging.getLogger(__name__)


def plan_for(model: LoadedModel, settings: EpisodeSettings, trained: int) -> MemoryPlan | None:
    """How the episode uses the CUDA device that the model lies on; None elsewhere.

    None also for a network whose memory cannot be foreseen: training then finds its way as it goes.

    Args:
        model: loaded; what it takes already counts as the trainer's.
        settings: of the episode.
        trained: number of values that are trained.

    Raises:
        OutOfMemory: not even the smallest way fits.
    """
    if model.device.type != "cuda":
        return None
    try:
        design = Architecture.from_plans(model.artifacts["configuration_manager"].configuration)
    except ConfigError as error:
        logger.warning("No memory plan: %s", error)
        return None
    value_bytes = 4 if autocast_dtype(settings.precision, model.device) is None else 2
    free, _ = torch.cuda.mem_get_info(model.device)
    free += torch.cuda.memory_reserved(model.device) + CONTEXT_BYTES
    room = room_beside_engine(free, design, model.patch_size_kji, value_bytes)
    return plan_memory(design, model.patch_size_kji, settings, trained, room, value_bytes)


def apply(plan: MemoryPlan | None, settings: EpisodeSettings, device: torch.device) -> EpisodeSettings:
    """Cap this process's share of the device, and give the settings that the plan asks for.

    PyTorch's allocator refuses what would go beyond the cap, so the trainer meets its limit before the engine
    meets the end of the device.
    """
    if plan is None:
        return settings
    _, total = torch.cuda.mem_get_info(device)
    share = min(max(plan.limit_bytes - CONTEXT_BYTES, 0) / total, 1.0)
    torch.cuda.set_per_process_memory_fraction(share, device)
    logger.info("Memory: %s", plan.sentence())
    return replace(settings, micro_batch=plan.micro_batch, gradient_checkpointing=plan.checkpointing)
