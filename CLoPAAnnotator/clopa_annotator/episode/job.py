"""Run an episode: a job folder in, the same folder with a candidate delta and a result out.

An episode is a function of files: of the job folder, the base model and the confirmed cases it names. Run
again after a kill it goes on from the last complete epoch and ends with the same bytes as an uninterrupted
run on the same machine with the same number of threads.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from clopa_annotator import __version__
from clopa_annotator.delta import DeltaInfo, changed, pack_delta, unpack_delta
from clopa_annotator.durable import write_bytes
from clopa_annotator.episode.checkpoint import TrainState, fingerprint
from clopa_annotator.episode.episode_settings import EpisodeSettings
from clopa_annotator.episode.epochs import Hooks, Trainer
from clopa_annotator.episode.folder import (
    CHECKPOINT,
    DELTA,
    PROGRESS,
    REQUEST,
    EpisodeJob,
    read_job,
    read_result,
    write_job,
    write_result,
)
from clopa_annotator.episode.hardware.allocator import keep_freed_memory
from clopa_annotator.episode.hardware.aside import Aside, NobodyClicks
from clopa_annotator.episode.hardware.channels_last import Layout, training_layout
from clopa_annotator.episode.hardware.compiled import compiled
from clopa_annotator.episode.hardware.fitting import apply, plan_for
from clopa_annotator.episode.parameters import select, unwrap
from clopa_annotator.episode.progress import Progress, ProgressFile
from clopa_annotator.episode.prompt_canvas import EncodingRules
from clopa_annotator.episode.sampling import Replay, Sampler
from clopa_annotator.episode.training_cases import CaseReader, CaseSource
from clopa_annotator.errors import ClopaError, DeltaMismatch, EpisodeCancelled, EpisodeError
from clopa_annotator.session.model import LoadedModel, load_model
from clopa_annotator.session.operators import missing_on_apple
from clopa_annotator.types import EpisodeResult, EpisodeStatus

__all__ = ["Progress", "read_job", "read_result", "run_job", "write_job", "write_result"]

logger = logging.getLogger(__name__)

_DTYPES = {"fp32": torch.float32, "fp16": torch.float16}


def run_job(
    folder: Path,
    reader: CaseReader,
    *,
    model: LoadedModel | None = None,
    device: str = "auto",
    should_stop: Callable[[], bool] = lambda: False,
    yield_to: Callable[[], None] | None = None,
    on_progress: Callable[[Progress], None] = lambda _: None,
    replay: Replay | None = None,
    aside: Aside | None = None,
) -> EpisodeResult:
    """Train an episode, or go on with one that was interrupted; a finished one is not trained again.

    Args:
        folder: made by `write_job`.
        reader: access to the confirmed cases.
        model: the base model if it is loaded already; its network is changed while training and has its old
            weights again on return. None loads the one that the job names.
        device: where to load it.
        should_stop: asked between micro-steps; True ends the run, which can be resumed.
        yield_to: called between micro-steps; waits while someone else needs the device.
        on_progress: told after every update and validation, as is ``progress.jsonl``.
        replay: makes generated samples for settings that ask for some.
        aside: asks for the memory of the device when a click is short of it.

    Returns:
        How it ended, also written to ``result.json``: a failure is a result with a reason, not an exception.

    Raises:
        EpisodeError: there is no readable job in the folder.
    """
    earlier = read_result(folder)
    if earlier is not None and earlier[0].status == "finished":
        return earlier[0]
    job = read_job(folder)
    lines = ProgressFile(folder / PROGRESS)

    def tell(progress: Progress) -> None:
        lines.write(progress)
        on_progress(progress)

    hooks = Hooks(should_stop, yield_to, tell, aside or NobodyClicks())
    try:
        model = model or load_model(job.model_folder, device)
        with _threads(job.settings.threads), _borrowed(model.network, job.settings.layout):
            result = _train(job, reader, model, hooks, replay)
    except ClopaError as error:
        status: EpisodeStatus = "cancelled" if isinstance(error, EpisodeCancelled) else "failed"
        logger.warning("Episode %d %s: %s", job.request.number, status, error)
        result = EpisodeResult(job.request.number, status, str(error))
    except Exception as error:
        write_result(folder, EpisodeResult(job.request.number, "failed", _unforeseen(error)))
        raise
    finally:
        lines.close()
    write_result(folder, result)
    if result.status == "finished":
        (folder / CHECKPOINT).unlink(missing_ok=True)
    return result


def _train(
    job: EpisodeJob, reader: CaseReader, model: LoadedModel, hooks: Hooks, replay: Replay | None
) -> EpisodeResult:
    if not job.train:
        raise EpisodeError("The episode has no case to train on; confirm some cases first.")
    settings, network = job.settings, model.network
    if model.device.type == "cpu":
        keep_freed_memory()
    start = _start_tensors(job, model)
    _write_into(network, start)
    parameters = select(network, settings.group)
    for parameter in parameters.values():
        parameter.requires_grad_(True)
    settings, rules = _fitted(settings, model, parameters, hooks)
    source = CaseSource(reader, settings.cache_mb << 20, job.request.seed, job.others)
    seed, patch = job.request.seed, rules.patch_kji
    shown = job.val if settings.keep == "last" else job.train  # nothing is chosen on held-out cases
    sampler = Sampler(
        source, job.train, shown, settings, patch, seed, replay, later=augments_there(settings, model)
    )
    order = fingerprint((job.folder / REQUEST).read_bytes(), model.model_hash)
    checkpoint = job.folder / CHECKPOINT
    base = model.base if settings.anchor_to == "base" else None
    passes = compiled(network, settings.compiled)
    trainer = Trainer(passes, parameters, sampler, settings, rules, checkpoint, order, hooks, base)
    try:
        state = trainer.run()
    except ClopaError as error:
        logger.info("Training ended after %d updates: %s", trainer.state.updates, error)
        failed: EpisodeStatus = "cancelled" if isinstance(error, EpisodeCancelled) else "failed"
        return _result(job, failed, trainer.state, trainer.seconds, str(error))
    tensors = changed({**start, **state.best}, model.base)
    write_bytes(job.folder / DELTA, pack_delta(tensors, _info(job, model), _DTYPES[settings.delta_dtype]))
    finished = _result(job, "finished", state, trainer.seconds)
    return replace(finished, delta_path=job.folder / DELTA)


def _unforeseen(error: Exception) -> str:
    unknown = f"The episode met an error that it does not know ({type(error).__name__}: {error})."
    return missing_on_apple(error) or unknown


def _fitted(
    settings: EpisodeSettings, model: LoadedModel, parameters: dict[str, nn.Parameter], hooks: Hooks
) -> tuple[EpisodeSettings, EncodingRules]:
    """Settings and rules by the memory plan, which is told; as they are where there is none."""
    plan, rules = plan_for(model, settings, sum(p.numel() for p in parameters.values())), rules_of(model)
    settings = apply(plan, settings, model.device)
    if plan is None:
        return settings, rules
    hooks.on_progress(Progress("training", 0, settings.epochs, 0, 0, note=f"Memory: {plan.sentence()}"))
    return settings, replace(rules, patch_kji=plan.patch_kji)


def augments_there(settings: EpisodeSettings, model: LoadedModel) -> bool:
    """Whether samples are augmented on the device that trains instead of by a thread of the CPU."""
    where = "cpu" if settings.augmentation_as == "code" else settings.augment_on
    return model.device.type == "cuda" if where == "auto" else where == "device"


def rules_of(model: LoadedModel) -> EncodingRules:
    """How a model wants its prompts drawn."""
    return EncodingRules(
        model.patch_size_kji,
        float(model.artifacts["interaction_decay"]),
        int(model.artifacts["point_interaction"].point_radius),
    )


def _result(
    job: EpisodeJob, status: EpisodeStatus, state: TrainState, seconds: float, reason: str = ""
) -> EpisodeResult:
    return EpisodeResult(
        number=job.request.number,
        status=status,
        reason=reason,
        seconds=seconds,
        updates=state.updates,
        best_epoch=state.best_epoch,
        train_loss=tuple(state.losses),
        val_score=tuple(state.scores),
    )


def _info(job: EpisodeJob, model: LoadedModel) -> DeltaInfo:
    return DeltaInfo(
        model_hash=model.model_hash,
        licence=model.licence,
        parameter_group=job.settings.group,
        parent_version=job.request.parent_version,
        episode=job.request.number,
        seed=job.request.seed,
        code_version=__version__,
    )


def _start_tensors(job: EpisodeJob, model: LoadedModel) -> dict[str, Tensor]:
    if job.start_path is None:
        return {}
    try:
        info, tensors = unpack_delta(job.start_path.read_bytes())
    except OSError as error:
        raise EpisodeError("The weights to start from are missing; prepare the episode again.") from error
    if info.model_hash != model.model_hash:
        raise DeltaMismatch(
            "The weights to start from belong to another base model; prepare the episode again."
        )
    return tensors


def _write_into(network: nn.Module, tensors: dict[str, Tensor]) -> None:
    parameters = dict(unwrap(network).named_parameters())
    for name, value in tensors.items():
        if name not in parameters or parameters[name].shape != value.shape:
            raise DeltaMismatch(f"The weights to start from do not fit this network, for instance {name}.")
    with torch.no_grad():
        for name, value in tensors.items():
            parameters[name].copy_(value)


@contextmanager
def _borrowed(network: nn.Module, layout: Layout) -> Iterator[None]:
    """Give the network back as it came: weights and their layout, gradients, requires_grad and mode."""
    parameters = dict(unwrap(network).named_parameters())
    values = {n: p.detach().clone() for n, p in parameters.items()}
    wanted = {n: p.requires_grad for n, p in parameters.items()}
    training = network.training
    network.eval().requires_grad_(False)
    try:
        with training_layout(network, layout):
            yield
    finally:
        network.train(training)
        with torch.no_grad():
            for name, parameter in parameters.items():
                if not torch.equal(parameter, values[name]):
                    parameter.copy_(values[name])
                parameter.grad = None
                parameter.requires_grad_(wanted[name])


@contextmanager
def _threads(number: int) -> Iterator[None]:
    before = torch.get_num_threads()
    if number:
        torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)
