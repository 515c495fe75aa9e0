"""The stream of a simulated campaign with suggestions: which case is next, and how good its suggestion was.

What the engine does in its idle time happens here before each case: the version in use segments it without
a prompt, the suggestion is kept beside the campaign, and the confirmed mask tells how good it was. The
simulated annotator starts every case from nothing all the same, so that first proposals stay comparable.
Of several of a kind no suggestion is made: without a prompt nothing says which of them is meant.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from clopa_annotator.campaign.composition import Campaign
from clopa_annotator.case_order import BY_CERTAINTY, in_order, mean_certainty
from clopa_annotator.datasets import LabelledCase
from clopa_annotator.evaluation.suggestion_rows import SuggestionRow
from clopa_annotator.experiments.gathered import TargetRun
from clopa_annotator.session.logits import best_cpu_precision
from clopa_annotator.session.suggesting import LocalSuggester, suggest
from clopa_annotator.suggestions.campaign_past import calibration_of
from clopa_annotator.suggestions.scores import SURFACE, certainty, scores_of
from clopa_annotator.suggestions.suggestion_folder import SuggestionFolder, is_stale
from clopa_annotator.types import Mask, Subject, Suggestion


class SuggestedStream:
    """The cases of a stream in the order that the settings ask for, each with its suggestions."""

    def __init__(
        self, campaign: Campaign, streams: Sequence[Sequence[LabelledCase]], runs: Sequence[TargetRun]
    ) -> None:
        """Take the stream's cases once for each target; ``runs`` get the rows of their suggestions."""
        self._campaign, self._settings = campaign, runs[0].settings
        self._asked = [
            (run, {case.case_id: case for case in cases if case.part is None})
            for run, cases in zip(runs, streams, strict=True)
        ]
        self._left = list(dict.fromkeys(case.case_id for case in streams[0]))
        self._folder = SuggestionFolder(campaign.folder)
        self._made: dict[Subject, Suggestion] = {}

    def case_ids(self) -> Iterator[str]:
        """Each case once; the next one is chosen when it is asked for, with the weights then in use."""
        while self._left:
            case_id = self._next()
            self._left.remove(case_id)
            if self._settings.suggestions:
                for run, cases in self._asked:
                    if case_id in cases:
                        self._suggestion(run, cases[case_id])
            yield case_id

    def confirmed(self, run: TargetRun, case: LabelledCase, mask: Mask, sequence: int) -> float:
        """Compare a case's suggestion with what was confirmed; its Dice, NaN if there was none."""
        suggestion = self._made.pop(_subject(run, case), None) if case.part is None else None
        if suggestion is None:
            return math.nan
        store = self._campaign.store.of_target(run.slot.target)
        calibration = calibration_of(self._campaign.folder, store, run.slot.target)
        score, version = certainty(suggestion.scores), suggestion.weights_version
        expected = calibration.expect(score, version)
        outcome = self._folder.confirmed(suggestion.subject, mask, sequence)
        found = math.nan if outcome is None else outcome.dice
        surface = float(suggestion.scores.get(SURFACE, math.nan))
        run.suggested.append(
            SuggestionRow(
                len(run.suggested) + 1, case.case_id, version, found, score, surface,
                expected.dice, expected.low, expected.high, expected.cases, suggestion.seconds, run.target,
            )
        )  # fmt: skip
        return found

    def _next(self) -> str:
        """By certainty about all targets where a learned version is in use; else in the order of the list."""
        settings = self._settings
        learned = [(run, cases) for run, cases in self._asked if run.line.registry.current().number > 0]
        ask = settings.order in BY_CERTAINTY and learned
        sure = {case_id: self._certainty(case_id, learned) for case_id in self._left} if ask else {}
        return in_order(self._left, settings.order, sure, f"{settings.seed}/{settings.permutation}")[0]

    def _certainty(self, case_id: str, learned: Sequence[tuple[TargetRun, dict[str, LabelledCase]]]) -> float:
        """Mean over the targets whose suggestion has a score; NaN if none has."""
        made = [self._suggestion(run, cases[case_id]) for run, cases in learned if case_id in cases]
        return mean_certainty([certainty(suggestion.scores) for suggestion in made])

    def _suggestion(self, run: TargetRun, case: LabelledCase) -> Suggestion:
        """The case's suggestion by the weights in use."""
        subject = _subject(run, case)
        known = self._made.get(subject)
        run.line.bring_in()
        model = run.line.model
        if known is None or is_stale(known, model.version):
            image, _ = case.read()
            answer = suggest(LocalSuggester(model, best_cpu_precision()), image)
            made = Suggestion(subject, answer.mask, answer.weights_version, scores_of(answer), answer.seconds)
            known = self._made[subject] = self._folder.keep(made)
        return known


def _subject(run: TargetRun, case: LabelledCase) -> Subject:
    return Subject(case.case_id, run.slot.target)
