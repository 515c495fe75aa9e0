"""Settings of a campaign, checked when they are built and kept in the campaign folder.

Settings of a single stage live with that stage (``scheduler.SchedulerSettings``, ``episode.settings``,
``registry.gate.GateSettings``); this module holds what a person decides when a campaign is created.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Literal, get_args

from clopa_annotator.errors import ConfigError

STRATEGIES = (
    "static",
    "clopa-in",
    "clopa-cn",
    "clopa-all",
    "clopa-2phase",
    "clopa-joint",
    "pi-then-clopa",
    "oaims-pi",
    "oaims",
    "oaims-pi-ours",
    "oaims-ours",
    "evosam",
    "ia-sa",
    "tsca",
)
SCHEDULES = ("quick", "thorough", "paper", "brief")
CaseOrder = Literal["added", "least-certain", "most-certain", "random"]
CASE_ORDERS: tuple[CaseOrder, ...] = get_args(CaseOrder)
"""In which order cases are annotated, see `case_order.in_order`."""
DEFAULT_STRATEGY = "clopa-all"
"""On the small bundled model every parameter pays (``docs/results/``)."""
CAMPAIGN_SCHEDULE = "thorough"
"""How long the episodes of a new campaign train (``docs/adr/0024-how-long-an-episode-trains.md``)."""

_UNTOUCHED: dict[str, object] = {
    "others_as_background": False,
    "suggestions": True,
    "order": "added",
    "without_suggestion": 0.0,
}


def check_share(value: float, what: str) -> None:
    """Refuse what is no share; ``what`` begins the sentence. Raises `ConfigError`."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ConfigError(f"{what} is a number between 0 and 1.")


def default_strategy(model: str) -> str:
    """The strategy of a new campaign on this model.

    A version of all parameters would be as large as the official weights, 400 MB; one of "clopa-cn" has 0.1.
    """
    return "clopa-cn" if model == "official" else DEFAULT_STRATEGY


@dataclass(frozen=True)
class CampaignConfig:
    """What a campaign is about.

    Attributes:
        name: for people.
        size: number of cases expected; the scheduler's fractions refer to it.
        model: "bundled", "official", or a folder with a checkpoint in nnInteractive's layout.
        strategy: how the model learns, one of `STRATEGIES`.
        schedule: "quick" for minutes on two CPU cores, "thorough" for twelve times as many samples, "paper"
            for the published settings, "brief" for comparing many campaigns (two thirds of quick's updates).
        seed: seed of every random choice.
        gate_clicks: corrections given to each case when a candidate is compared.
        gate_runs: times that each case is annotated then, each with other clicks.
        gate_min_gain: smallest mean gain for which a candidate is promoted, in Dice.
        gate_worst_drop: largest loss that a single held-out case may suffer, in Dice.
        unprompted: share of training samples without any prompt, for suggestions; None for the schedule's.
        others_as_background: give the confirmed masks of other targets to the network as what it is not, see
            `session.background`; for strategies that learn in episodes alone.
        review_own_cases: people may review what they confirmed themselves; None, as False, for not.
        double_reading: share of the cases that two people annotate, blind to each other; None for none.
        suggestions: whether the engine suggests masks for the coming cases.
        order: in which cases come, see `case_order.in_order`; can be changed later.
        without_suggestion: share of the cases that are shown no suggestion, see `case_order.CaseSettings`;
            can be changed later.
        first_episode: cases until the first episode; the next comes when they have doubled, until a quarter
            of ``size`` lies between two. None for a quarter from the start, as in CLoPA.
    """

    name: str
    size: int
    model: str = "bundled"
    strategy: str = DEFAULT_STRATEGY
    schedule: str = "quick"
    seed: int = 0
    gate_clicks: int = 10
    gate_runs: int = 2
    gate_min_gain: float = 0.0
    gate_worst_drop: float = 0.2
    unprompted: float | None = None
    others_as_background: bool = False
    review_own_cases: bool | None = None
    double_reading: float | None = None
    suggestions: bool = True
    order: CaseOrder = "added"
    without_suggestion: float = 0.0
    first_episode: int | None = None

    def __post_init__(self) -> None:
        if not self.name.strip():
            raise ConfigError("A campaign needs a name.")
        if self.size < 1:
            raise ConfigError(f"A campaign needs at least one case, not {self.size}.")
        if self.strategy not in STRATEGIES:
            raise ConfigError(f"There is no strategy {self.strategy!r}; there are {', '.join(STRATEGIES)}.")
        if self.schedule not in SCHEDULES:
            raise ConfigError(f"There is no schedule {self.schedule!r}; there are {', '.join(SCHEDULES)}.")
        if self.gate_clicks < 0:
            raise ConfigError("The gate cannot give a negative number of corrections.")
        if self.gate_runs < 1:
            raise ConfigError("The gate annotates each case at least once.")
        if not 0 <= self.gate_worst_drop <= 1:
            raise ConfigError("The gate's worst drop is a Dice value between 0 and 1.")
        if not isinstance(self.suggestions, bool):
            raise ConfigError("Suggestions are made or not: true or false.")
        if self.first_episode is not None and self.first_episode < 3:
            raise ConfigError(
                "The first episode comes after three cases at the earliest: two to train on, one held out; "
                f"not after {self.first_episode}."
            )
        if self.unprompted is not None and not 0 <= self.unprompted <= 1:
            raise ConfigError("The share of samples without a prompt is a number between 0 and 1.")
        if self.review_own_cases not in (None, True, False):
            raise ConfigError("Whether people may review their own cases is yes or no.")
        check_share(self.double_reading or 0.0, "The share of cases that two people read")
        if self.order not in CASE_ORDERS:
            raise ConfigError(f"There is no order {self.order!r}; there are {', '.join(CASE_ORDERS)}.")
        check_share(self.without_suggestion, "The share of cases without a suggestion")

    def to_dict(self) -> dict[str, str | int | float]:
        """Plain values for JSON.

        What is left to the schedule is left out, and so are newer settings that were not touched: programs
        that do not know them can go on with such a campaign.
        """
        values = asdict(self).items()
        return {name: value for name, value in values if value is not None and value != _UNTOUCHED.get(name)}

    @classmethod
    def from_dict(cls, values: Mapping[str, object]) -> CampaignConfig:
        """The inverse of `to_dict`.

        Raises:
            ConfigError: a setting is unknown, missing or of a wrong type.
        """
        known = {f.name for f in fields(cls)}
        unknown = set(values) - known
        if unknown:
            raise ConfigError(
                f"The campaign has settings that this version does not know: {', '.join(sorted(unknown))}. "
                "It was made by a newer version; update this one."
            )
        try:
            return cls(**values)  # type: ignore[arg-type]
        except TypeError as error:
            raise ConfigError("The campaign's settings are incomplete or of a wrong type.") from error
