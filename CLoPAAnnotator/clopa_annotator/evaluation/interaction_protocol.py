"""The paper's protocol for one case: initial prompts, then corrections, a score after each prediction."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from clopa_annotator.errors import ConfigError
from clopa_annotator.evaluation.curves import (
    CaseCurve,
    TestSummary,
    average_runs,
    summarise,
    summarise_versions,
)
from clopa_annotator.evaluation.metrics import dice, nsd
from clopa_annotator.session.exclusion import Exclusion
from clopa_annotator.types import Image, Mask, Prompt, Proposal, TimedPrompt

__all__ = [
    "Annotator",
    "CaseCurve",
    "Proposer",
    "ProtocolSettings",
    "TestSummary",
    "average_runs",
    "run_case",
    "summarise",
    "summarise_versions",
]


class Proposer(Protocol):
    """What the protocol needs of a session."""

    def set_image(self, image: Image) -> None:
        """Start a case."""
        ...

    def add_prompts(self, prompts: Sequence[Prompt]) -> Proposal:
        """Add prompts and predict once."""
        ...


class Annotator(Protocol):
    """What the protocol needs of an annotator; `SimulatedAnnotator` is one."""

    def initial(self, reference: Mask) -> tuple[Prompt, ...]:
        """Prompts before the first proposal."""
        ...

    def correct(self, proposal_mask: Mask, reference: Mask) -> tuple[Prompt, ...]:
        """Prompts that answer a proposal; none to stop."""
        ...


@dataclass(frozen=True)
class ProtocolSettings:
    """How a case is run.

    Attributes:
        clicks: corrections after the initial prompts; the paper gives 100.
        tolerance_mm: of the surface Dice; None leaves NSD out (NaN).
        stop_above_dice: stop once a proposal's Dice is strictly above; None uses all corrections.
        keep: numbers of corrections whose proposals are kept; -1 stands for the last one given.
    """

    clicks: int = 100
    tolerance_mm: float | None = None
    stop_above_dice: float | None = None
    keep: tuple[int, ...] = (0, -1)

    def __post_init__(self) -> None:
        if self.clicks < 0 or (self.tolerance_mm is not None and not self.tolerance_mm >= 0):
            raise ConfigError(
                "The number of clicks and the tolerance in mm must not be negative, but are "
                f"{self.clicks} and {self.tolerance_mm}."
            )


def run_case(
    session: Proposer,
    image: Image,
    reference: Mask,
    annotator: Annotator,
    settings: ProtocolSettings,
    *,
    case_id: str = "",
    run: int = 0,
    version: int | None = None,
    others: Mask | None = None,
) -> CaseCurve:
    """Annotate one case from nothing and score each proposal.

    Args:
        session: takes the image and the prompts.
        image: the volume.
        reference: (k, j, i) mask on the image's grid.
        annotator: clicks; it should be freshly seeded, see `annotator.case_rng`.
        settings: number of corrections, stop rule, what to keep.
        case_id: written into the result.
        run: written into the result.
        version: written into the result; None takes that of the first proposal.
        others: (k, j, i) voxels that belong to other targets; none of them is proposed.

    Returns:
        Curves with ``settings.clicks + 1`` values. If the proposal became perfect or the stop rule held, the
        last value is repeated: more clicks would not have been given.

    Raises:
        ClopaError: whatever the session raises; it is not caught.
    """
    session.set_image(image)
    recorder = _Recorder(reference, image.geometry.spacing_kji_mm, settings)
    prompts = annotator.initial(reference)
    while prompts:
        started = time.perf_counter()
        proposal = _without(session.add_prompts(prompts), others)
        recorder.add(prompts, proposal, time.perf_counter() - started)
        prompts = () if recorder.stopped else annotator.correct(proposal.mask, reference)
    return recorder.curve(case_id, run, version)


def _without(proposal: Proposal, others: Mask | None) -> Proposal:
    """The proposal as the engine shows it beside other targets; see `session.exclusion`."""
    if others is None:
        return proposal
    exclusion = Exclusion()
    exclusion.set(others != 0)
    return exclusion.cut(proposal)


class _Recorder:
    """Collects one case's scores and decides when it is over."""

    def __init__(
        self, reference: Mask, spacing_kji_mm: tuple[float, float, float], settings: ProtocolSettings
    ) -> None:
        self._reference = reference
        self._spacing_kji_mm = spacing_kji_mm
        self._settings = settings
        self._dice: list[float] = []
        self._nsd: list[float] = []
        self._seconds: list[float] = []
        self._prompts: list[TimedPrompt] = []
        self._kept: dict[int, Mask] = {}
        self._last: Proposal | None = None
        self._version = 0

    @property
    def stopped(self) -> bool:
        """Whether the budget is spent or the stop rule holds."""
        above = self._settings.stop_above_dice
        spent = len(self._dice) > self._settings.clicks
        return spent or (above is not None and self._dice[-1] > above)

    def add(self, prompts: Sequence[Prompt], proposal: Proposal, took_s: float) -> None:
        passed_s = sum(self._seconds)
        self._prompts += [TimedPrompt(prompt, passed_s) for prompt in prompts]
        if self._last is None:
            self._version = proposal.weights_version
        if len(self._dice) in self._settings.keep:
            self._kept[len(self._dice)] = proposal.mask.copy()
        self._dice.append(dice(proposal.mask, self._reference))
        self._nsd.append(self._surface_dice(proposal.mask))
        self._seconds.append(took_s)
        self._last = proposal

    def curve(self, case_id: str, run: int, version: int | None) -> CaseCurve:
        if self._last is None:
            raise ConfigError("The annotator gave no initial prompt, so there is no proposal to score.")
        used = len(self._dice) - 1
        if -1 in self._settings.keep:
            self._kept[used] = self._last.mask.copy()
        padding = self._settings.clicks - used
        return CaseCurve(
            case_id=case_id,
            run=run,
            version=self._version if version is None else version,
            dice=(*self._dice, *[self._dice[-1]] * padding),
            nsd=(*self._nsd, *[self._nsd[-1]] * padding),
            seconds=(*self._seconds, *[0.0] * padding),
            used=used,
            prompts=tuple(self._prompts),
            proposals=dict(self._kept),
        )

    def _surface_dice(self, mask: Mask) -> float:
        if self._settings.tolerance_mm is None:
            return math.nan
        return nsd(mask, self._reference, self._spacing_kji_mm, self._settings.tolerance_mm)
