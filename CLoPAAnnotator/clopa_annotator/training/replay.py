"""A replay: newly confirmed cases, annotated once more with the version on probation and the one it replaced.

Neither has learned from these cases, so each is an unbiased look at both, and it costs nobody a click. A
replay is a function of files, like an episode: ``replays/0001/replay.json`` in, ``result.json`` out. It runs
in the training process, stands back for clicks, and may be killed at any moment: then it is done again.
``docs/formats/weights.md`` is the specification.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any, Literal

from clopa_annotator.cache.campaign_store import CampaignStore
from clopa_annotator.config import CampaignConfig
from clopa_annotator.durable import write_bytes
from clopa_annotator.episode.folder import plain_others, read_others
from clopa_annotator.errors import ClopaError, EpisodeCancelled, EpisodeError
from clopa_annotator.registry.weights_registry import WeightsRegistry
from clopa_annotator.session.model import load_model
from clopa_annotator.training.candidate_evaluation import Comparing, compare
from clopa_annotator.training.job_runner import held_out_cases
from clopa_annotator.types import CaseRef, PairedCurves

logger = logging.getLogger(__name__)

FORMAT = "clopa-replay/1"
REPLAYS, ORDER, RESULT = "replays", "replay.json", "result.json"
Status = Literal["finished", "cancelled", "failed"]


@dataclass(frozen=True)
class ReplayOrder:
    """What a replay compares.

    Attributes:
        version: the version on probation.
        reference: the settled version before it.
        cases: confirmed since; neither version learned from them.
        model_folder: the base model.
        seed: of the simulated clicks.
        target: key of the target whose versions they are; "" for the campaign's first.
        others: as `EpisodeJob.others`.
    """

    version: int
    reference: int
    cases: tuple[CaseRef, ...]
    model_folder: Path
    seed: int
    target: str = ""
    others: Mapping[str, tuple[CaseRef, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class ReplayResult:
    """How a replay ended.

    Attributes:
        status: only "finished" has curves.
        reason: a sentence unless finished.
        curves: one pair per case of the order, in its order.
    """

    status: Status
    reason: str = ""
    curves: tuple[PairedCurves, ...] = ()


def is_replay(job: Path) -> bool:
    """Whether a job folder is a replay's."""
    return (job / ORDER).is_file()


def replay_folders(line: Path) -> tuple[Path, ...]:
    """The replays of a campaign's first target, or of another in its folder, oldest first."""
    return tuple(sorted(p for p in (line / REPLAYS).glob("[0-9]*") if is_replay(p)))


def write_replay(folder: Path, order: ReplayOrder) -> Path:
    """Write a replay's folder; it counts once ``replay.json`` is there."""
    folder.mkdir(parents=True, exist_ok=True)
    content = {"format": FORMAT, **asdict(order), "model_folder": str(order.model_folder)}
    content["cases"] = [ref.to_dict() for ref in order.cases]
    content = {**{k: v for k, v in content.items() if k != "others"}, **plain_others(order.others)}
    if not order.target:
        del content["target"]
    write_bytes(folder / ORDER, _document(content))
    return folder


def read_replay(folder: Path) -> ReplayOrder:
    """Read what a replay compares.

    Raises:
        EpisodeError: there is none, or it is damaged.
    """
    values = _read(folder / ORDER)
    try:
        cases = tuple(CaseRef.from_dict(case) for case in values["cases"])
        model = Path(values["model_folder"])
        numbers = (int(values["version"]), int(values["reference"]))
        target = str(values.get("target", ""))
        return ReplayOrder(*numbers, cases, model, int(values["seed"]), target, read_others(values))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _damaged(folder / ORDER) from error


def read_replay_result(folder: Path) -> ReplayResult | None:
    """How a replay ended; None while it has not.

    Raises:
        EpisodeError: the file is damaged.
    """
    if not (folder / RESULT).exists():
        return None
    values = _read(folder / RESULT)
    try:
        curves = [PairedCurves(c["case_id"], tuple(c["before"]), tuple(c["after"])) for c in values["curves"]]
        return ReplayResult(values["status"], values["reason"], tuple(curves))
    except (KeyError, TypeError) as error:
        raise _damaged(folder / RESULT) from error


def write_replay_result(folder: Path, result: ReplayResult) -> None:
    """Record how a replay ended."""
    write_bytes(folder / RESULT, _document({"format": FORMAT, **asdict(result)}))


def run_replay(
    folder: Path,
    *,
    device: str = "auto",
    should_stop: Callable[[], bool] = lambda: False,
    yield_to: Callable[[], None] | None = None,
) -> ReplayResult:
    """Annotate the cases with both versions; an ended replay is left as it is.

    Args:
        folder: ``replays/NNNN`` of a campaign, or of one of its targets.
        device: where to compute.
        should_stop: asked between cases.
        yield_to: called there too; may wait while a click is being answered.

    Raises:
        EpisodeError: the folder holds no readable order.
    """
    ended = read_replay_result(folder)
    if ended is not None:
        return ended
    order = read_replay(folder)

    def between_cases(_done: int, _total: int) -> None:
        if should_stop():
            raise EpisodeCancelled("The comparison of newly confirmed cases was stopped.")
        if yield_to is not None:
            yield_to()

    try:
        result = ReplayResult("finished", curves=_compare(folder.parent.parent, order, device, between_cases))
    except EpisodeCancelled as error:
        result = ReplayResult("cancelled", str(error))
    except ClopaError as error:
        logger.exception("The replay %s failed", folder.name)
        result = ReplayResult("failed", str(error))
    write_replay_result(folder, result)
    return result


def _compare(
    line: Path, order: ReplayOrder, device: str, on_case: Callable[[int, int], None]
) -> tuple[PairedCurves, ...]:
    """Compare the versions in a target's folder; the first target's is the campaign's own."""
    model = load_model(order.model_folder, device)
    registry = WeightsRegistry(line / "weights")
    with CampaignStore.open(line.parent.parent if order.target else line, writer=False) as store:
        config = CampaignConfig.from_dict(store.manifest.settings)
        return compare(
            model,
            held_out_cases(store, order.cases, config, order.others),
            registry.delta_tensors(order.reference),
            registry.delta_tensors(order.version),
            Comparing(config.gate_clicks, config.gate_runs, order.seed),
            on_case,
        )


def curves_so_far(
    line: Path, version: int, reference: int, confirmed: Iterable[CaseRef]
) -> tuple[tuple[PairedCurves, ...], frozenset[str]]:
    """What the ended replays of a version say about the cases as they are confirmed now.

    Args:
        line: the campaign's folder, or that of one of its targets.
        version: the version on probation.
        reference: what it is compared with.
        confirmed: the current version of every confirmed case; a corrected or withdrawn one counts no more.

    Returns:
        The paired curves in order of arrival, and the record hashes of all cases that were tried, also in
        replays that failed.
    """
    now = {ref.record_hash: ref.sequence for ref in confirmed}
    found: dict[int, PairedCurves] = {}
    tried: set[str] = set()
    for ref, pair in _pairs(line, version, reference):
        tried.add(ref.record_hash)
        if pair is not None and ref.record_hash in now:
            found[now[ref.record_hash]] = pair
    return tuple(found[n] for n in sorted(found)), frozenset(tried)


def _pairs(line: Path, version: int, reference: int) -> Iterator[tuple[CaseRef, PairedCurves | None]]:
    for folder in replay_folders(line):
        order, result = read_replay(folder), read_replay_result(folder)
        if (
            result is None
            or result.status == "cancelled"
            or (order.version, order.reference)
            != (
                version,
                reference,
            )
        ):
            continue
        yield from zip_longest(order.cases, result.curves)  # one that failed has no curves


def _document(content: dict[str, Any]) -> bytes:
    return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()


def _read(path: Path) -> dict[str, Any]:
    try:
        values: dict[str, Any] = json.loads(path.read_text("utf-8"))
        if values["format"] == FORMAT:
            return values
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(path) from error
    raise EpisodeError(f'"{path}" has the format {values["format"]}, this version reads {FORMAT}.')


def _damaged(path: Path) -> EpisodeError:
    return EpisodeError(f'"{path}" is damaged or missing; delete its folder, and it is made anew.')
