"""How to pretrain, and how far it is."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from clopa_annotator.episode.prompting import PromptMix
from clopa_annotator.errors import ConfigError
from clopa_annotator.pretrain.generator import GeneratorSettings
from clopa_annotator.pretrain.network import NetworkDesign


@dataclass(frozen=True)
class PretrainSettings:
    """One pretraining run.

    Attributes:
        minutes: wall time to train; ignored when ``updates`` is given.
        updates: optimiser steps to train; 0 goes by the clock. Only then does a seed repeat a run.
        seed: seed of weights, volumes and prompts.
        start: model folder whose weights a new run starts from, to train it further; empty draws fresh ones.
        batch: volumes per window.
        lengths, length_weights: window lengths in steps, and how often each is drawn.
        sides: crop edge in voxels per phase; smaller first, because that is cheaper.
        simple: share of simple volumes per phase (see `GeneratorSettings.simple`). Without a simple start the
            network never leaves "a ball around the click".
        phase_ends: end of each phase as a fraction of the run; the last is 1.
        learning_rate: peak of the cosine.
        warmup: updates until the peak.
        weight_decay: of AdamW.
        averaging: decay of the moving average of the weights that is exported.
        clip: largest norm of the gradient.
        emphasis: weight of a further cross-entropy around the newest prompts, so that a box bounds and a
            negative click removes; see `episode.loss.entropy_near_prompts`.
        deep_supervision: train every decoder stage (only the finest is used afterwards).
        processes: training processes, see `peers`; each draws ``batch`` volumes per window. 0 takes two on
            a CPU, which is faster there than two threads, and one on a GPU.
        workers: processes that make volumes, per training process.
        threads: CPU threads of each training process; 0 leaves them alone.
        log_s: seconds between rows of ``curves.csv``.
        export_minutes: minutes between exports.
        save_s: seconds between two states to resume from; 0 saves with each export, and every half minute
            on a CUDA device, which may be lent for a quarter of an hour.
        generate_on: "auto" makes volumes on the device that trains if that is CUDA, else in processes of the
            CPU; "cpu" and "device" decide it.
    """

    minutes: float = 75.0
    updates: int = 0
    seed: int = 0
    start: str = ""
    batch: int = 2
    lengths: tuple[int, ...] = (2, 3, 6, 11)
    length_weights: tuple[float, ...] = (0.35, 0.3, 0.22, 0.13)
    sides: tuple[int, ...] = (32, 48, 64)
    simple: tuple[float, ...] = (0.85, 0.6, 0.4)
    phase_ends: tuple[float, ...] = (0.2, 0.6, 1.0)
    learning_rate: float = 1.9e-3
    warmup: int = 150
    weight_decay: float = 1e-3
    averaging: float = 0.999
    clip: float = 2.0
    emphasis: float = 0.0
    deep_supervision: bool = True
    processes: int = 0
    workers: int = 1
    threads: int = 1
    log_s: float = 30.0
    export_minutes: float = 5.0
    save_s: float = 0.0
    generate_on: Literal["auto", "cpu", "device"] = "auto"
    design: NetworkDesign = field(default_factory=NetworkDesign)
    generator: GeneratorSettings = field(default_factory=GeneratorSettings)
    prompts: PromptMix = field(default_factory=PromptMix)

    def __post_init__(self) -> None:
        if self.updates < 0 or (self.updates == 0 and self.minutes <= 0):
            raise ConfigError("Pretraining needs a length: minutes above 0, or a number of updates.")
        if not len(self.sides) == len(self.phase_ends) == len(self.simple) or self.phase_ends[-1] != 1.0:
            raise ConfigError("Each phase needs a crop size and an end, and the last one ends at 1.")
        if len(self.lengths) != len(self.length_weights) or self.batch < 1:
            raise ConfigError("Each window length needs a weight, and a batch at least one volume.")


def read_settings(path: Path) -> PretrainSettings:
    """The settings of an earlier run, from the ``settings.json`` that it wrote.

    Raises:
        ConfigError: the file cannot be read, or does not hold such settings.
    """
    try:
        return TypeAdapter(PretrainSettings).validate_json(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"The settings {path} cannot be read: {error.strerror}.") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise ConfigError(f"The settings {path} do not fit: {where}: {first['msg']}.") from error


@dataclass(frozen=True)
class PretrainProgress:
    """How far a run is.

    Attributes:
        fraction: of the whole run, in [0, 1].
        updates: optimiser steps done.
        volumes: volumes seen.
        seconds: training time over all parts of a resumed run.
        loss: mean loss since the last report.
        dice_first: mean Dice after the initial prompts since the last report.
        dice_last: mean Dice at the end of the windows since the last report.
        learning_rate: of the last update.
        side: crop edge in voxels.
    """

    fraction: float
    updates: int
    volumes: int
    seconds: float
    loss: float
    dice_first: float
    dice_last: float
    learning_rate: float
    side: int
