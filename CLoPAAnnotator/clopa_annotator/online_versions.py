"""What was learned between clicks becomes a registered version, by the same gate as an episode's candidate.

An online strategy learns from every confirmed case, so none is held out. Instead each case is scored *before*
it is learned from, with the registered and with the learned weights, through a real session and with the same
simulated clicks: neither has seen it. After ``interval`` such pairs the gate decides; a promotion gives the
learned weights their number, a rejection returns to the registered ones, so that no worse model goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch

from clopa_annotator.checking import HeldOutCase, score_case
from clopa_annotator.errors import ConfigError
from clopa_annotator.online.protocol import OnlineStrategy
from clopa_annotator.registry.gate import GateSettings, decide
from clopa_annotator.registry.store import WeightsRegistry
from clopa_annotator.session.model import LoadedModel
from clopa_annotator.types import WeightsVersion

_SIDES: tuple[Literal["registered"], Literal["persisted"]] = ("registered", "persisted")


@dataclass(frozen=True)
class OnlineVersionSettings:
    """When and how what was learned is judged.

    Attributes:
        interval: scored cases between two decisions.
        clicks: corrections per scored case.
        gate: what counts as better.
        group: name of the tuned parameters, for the registry.
        seed: of the simulated clicks.
    """

    interval: int = 5
    clicks: int = 3
    gate: GateSettings = GateSettings()  # noqa: RUF009 frozen, and without mutable parts
    group: str = "all"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.interval < 1 or self.clicks < 0:
            raise ConfigError("Online versions need an interval of at least one case and no negative clicks.")


class OnlineVersions:
    """Scores cases as they come and registers what was learned when enough of them were scored.

    Per confirmed case: `before_learning`, then the strategy's ``after_confirm``, then `register_if_due`.

    Args:
        model: the live network.
        registry: gets the candidates.
        strategy: what learns.
        settings: when and how it is judged.
        score: scores a case with the weights now in the network; for tests.
    """

    def __init__(
        self,
        model: LoadedModel,
        registry: WeightsRegistry,
        strategy: OnlineStrategy,
        settings: OnlineVersionSettings,
        score: Callable[[LoadedModel, HeldOutCase, int, int], float] = score_case,
    ) -> None:
        self._model = model
        self._registry = registry
        self._strategy = strategy
        self._settings = settings
        self._score = score
        self._pairs: list[tuple[str, float, float]] = []
        self._parent = strategy.parent_version
        self._hashes: list[str] = []

    def before_learning(self, case: HeldOutCase, record_hash: str) -> None:
        """Score a case that nothing has learned from yet, with the registered and the learned weights.

        Nothing is scored while the two are the same.
        """
        self._notice_swap()
        if self._strategy.has_news:
            scores = []
            for which in _SIDES:
                with self._strategy.showing(which):
                    scores.append(self._score(self._model, case, self._settings.clicks, self._settings.seed))
            self._pairs.append((case.case_id, scores[0], scores[1]))
        self._hashes.append(record_hash)

    def register_if_due(self, final: bool = False) -> WeightsVersion | None:
        """Judge what was learned once ``interval`` cases were scored, or with any at all if ``final``.

        Returns:
            The version, promoted or rejected; None if it was not time or there is nothing to judge.
        """
        self._notice_swap()
        enough = 1 if final else self._settings.interval
        if len(self._pairs) < enough or not self._strategy.has_news:
            return None
        names = [name for name, _, _ in self._pairs]
        before, after = [b for _, b, _ in self._pairs], [a for _, _, a in self._pairs]
        decision = decide(names, before, after, self._settings.gate)
        version = self._registry.add_tensors(
            self._tensors(),
            parent=self._parent,
            parameter_group=self._settings.group,
            case_hashes=tuple(self._hashes),
            seed=self._settings.seed,
        )
        self._pairs.clear()
        if not decision.promoted:
            self._strategy.rollback()
            self._hashes.clear()
            return self._registry.reject(version.number, decision)
        promoted = self._registry.promote(version.number, decision)
        self._strategy.registered(promoted.number)
        self._parent = promoted.number
        return promoted

    def _tensors(self) -> dict[str, torch.Tensor]:
        """The parent's delta with what was learned, without what is as in the base."""
        base = self._model.base_state()
        values = {**self._registry.delta_tensors(self._parent), **self._strategy.persisted()}
        cpu = {n: v.detach().cpu() for n, v in values.items()}
        return {n: v for n, v in cpu.items() if not torch.equal(v, base[n].to(v.dtype))}

    def _notice_swap(self) -> None:
        """Start anew when someone else put other weights into use: the old pairs mean nothing then."""
        if self._strategy.parent_version != self._parent:
            self._parent = self._strategy.parent_version
            self._pairs.clear()
            self._hashes.clear()
