"""The stream of a simulated campaign with suggestions: which case is next, and how good its suggestion was.

What the engine does in its idle time happens here before each case: the version in use segments it without
a prompt, the suggestion is kept beside the campaign, and the confirmed mask tells how good it was. The
simulated annotator starts every case from nothing all the same, so that first proposals stay comparable.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from clopa_annotator.campaign.composition import Campaign
from clopa_annotator.datasets import LabelledCase
from clopa_annotator.evaluation.suggestion_rows import SuggestionRow
from clopa_annotator.experiments.simulation_settings import SimulationSettings
from clopa_annotator.session.logits import best_cpu_precision
from clopa_annotator.session.suggesting import LocalSuggester, suggest
from clopa_annotator.suggestions.campaign_past import calibration_of
from clopa_annotator.suggestions.scores import SURFACE, certainty, scores_of
from clopa_annotator.suggestions.suggestion_folder import SuggestionFolder, is_stale
from clopa_annotator.types import Mask, Subject, Suggestion


class SuggestedStream:
    """The cases of a stream in the order that the settings ask for.

    Attributes:
        rows: one for each confirmed case, in the order of the stream.
    """

    def __init__(
        self, campaign: Campaign, stream: Sequence[LabelledCase], settings: SimulationSettings
    ) -> None:
        self._campaign, self._settings = campaign, settings
        self._left = list(stream)
        if settings.order == "random":
            rng = np.random.default_rng([settings.seed, settings.permutation])
            self._left = [self._left[n] for n in rng.permutation(len(self._left))]
        self._folder = SuggestionFolder(campaign.folder)
        self._made: dict[str, Suggestion] = {}
        self.rows: list[SuggestionRow] = []

    def cases(self) -> Iterator[LabelledCase]:
        """Each case once; the next one is chosen when it is asked for, with the weights then in use."""
        while self._left:
            case = self._next()
            self._left.remove(case)
            if self._settings.suggestions:
                self._suggestion(case)
            yield case

    def confirmed(self, case: LabelledCase, mask: Mask, sequence: int) -> float:
        """Compare a case's suggestion with what was confirmed; its Dice, NaN if there was none."""
        suggestion = self._made.pop(case.case_id, None)
        if suggestion is None:
            return float("nan")
        calibration = calibration_of(self._campaign.folder, self._campaign.store)
        score, version = certainty(suggestion.scores), suggestion.weights_version
        expected = calibration.expect(score, version)
        outcome = self._folder.confirmed(suggestion.subject, mask, sequence)
        found = float("nan") if outcome is None else outcome.dice
        self.rows.append(
            SuggestionRow(
                len(self.rows) + 1,
                case.case_id,
                version,
                found,
                score,
                float(suggestion.scores.get(SURFACE, float("nan"))),
                expected.dice,
                expected.low,
                expected.high,
                expected.cases,
                suggestion.seconds,
            )
        )
        return found

    def _next(self) -> LabelledCase:
        """By certainty where a learned version is in use; else in the order of the list."""
        by_certainty = self._settings.order in ("least-certain", "most-certain")
        if not by_certainty or self._campaign.model.version == 0:
            return self._left[0]
        sure = [certainty(self._suggestion(case).scores) for case in self._left]
        pick = np.nanargmax if self._settings.order == "most-certain" else np.nanargmin
        return self._left[int(pick(sure))]

    def _suggestion(self, case: LabelledCase) -> Suggestion:
        """The case's suggestion by the weights in use."""
        known = self._made.get(case.case_id)
        if known is None or is_stale(known, self._campaign.model.version):
            image, _ = case.read()
            answer = suggest(LocalSuggester(self._campaign.model, best_cpu_precision()), image)
            version = answer.weights_version
            made = Suggestion(Subject(case.case_id), answer.mask, version, scores_of(answer), answer.seconds)
            known = self._made[case.case_id] = self._folder.keep(made)
        return known
