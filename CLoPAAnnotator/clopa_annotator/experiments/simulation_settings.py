"""Settings of a simulated campaign."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from clopa_annotator.case_order import BY_CERTAINTY
from clopa_annotator.config import CASE_ORDERS, DEFAULT_STRATEGY, CaseOrder
from clopa_annotator.errors import ConfigError
from clopa_annotator.experiments.measurement import EXPERT_DICE, FirstPrompt


@dataclass(frozen=True)
class SimulationSettings:
    """How a campaign is simulated.

    Attributes:
        model: base model, see `CampaignConfig`.
        strategy: how it learns.
        schedule: of its episodes, see `CampaignConfig`.
        clicks: corrections per unseen case.
        stream_clicks: most corrections per case of the stream; None for as many as ``clicks``.
        seed: of every random choice.
        runs: inference runs on the unseen cases; each has its own clicks.
        first_run: number of the first of them.
        permutation: order of the stream, for the record; who calls has put it in order.
        first_prompt: what the simulated annotator starts with.
        test_versions: "all" that were in use; "last" alone; or "ends", the base and the last.
        variant: what sets this run apart from others of its strategy.
        tolerance_mm: of the surface Dice; None leaves it out.
        threshold: Dice with which the annotator is content: the stream's cases end there, NoI counts to it.
        device: of the network.
        suggestions: episodes also train without a prompt, and what that gives is measured.
        unprompted: share of the training samples without one; None for the schedule's.
        first_episode: cases until the first episode, see `CampaignConfig`.
        order: in which the stream's cases come, see `case_order.in_order`; by the suggestions of the version
            in use (as added while that is the base).
        others_as_background: see `CampaignConfig`.
        final_episode: train once more on what is left when the stream ends.
        overwrite: replace an earlier run in the same folder.
        report: write ``report.html``, which takes seconds.
    """

    model: str = "bundled"
    strategy: str = DEFAULT_STRATEGY
    schedule: str = "quick"
    clicks: int = 10
    stream_clicks: int | None = None
    seed: int = 0
    runs: int = 1
    first_run: int = 0
    permutation: int = 0
    first_prompt: FirstPrompt = "strategy"
    test_versions: Literal["all", "ends", "last"] = "all"
    variant: str = ""
    tolerance_mm: float | None = 1.0
    threshold: float = EXPERT_DICE
    device: str = "auto"
    suggestions: bool = True
    unprompted: float | None = None
    first_episode: int | None = None
    order: CaseOrder = "added"
    others_as_background: bool = False
    final_episode: bool = False
    overwrite: bool = False
    report: bool = True

    def __post_init__(self) -> None:
        if self.runs < 1:
            raise ConfigError("A simulation needs at least one inference run.")
        if self.order not in CASE_ORDERS:
            raise ConfigError(f'There is no order "{self.order}"; there are {", ".join(CASE_ORDERS)}.')
        if self.order in BY_CERTAINTY and not self.suggestions:
            raise ConfigError("An order by certainty needs suggestions; leave --no-suggestions out.")
