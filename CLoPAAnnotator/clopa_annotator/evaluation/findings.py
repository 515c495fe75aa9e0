"""What a run showed, as numbers and sentences: the report's first lines."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from clopa_annotator.evaluation.curves import CaseCurve, TestSummary, average_runs
from clopa_annotator.evaluation.page import number
from clopa_annotator.evaluation.rows import RunSummary, versions_in_use
from clopa_annotator.evaluation.statistics import PairedTest, wilcoxon


@dataclass(frozen=True)
class Finding:
    """Headline and explanation of a run."""

    headline: str
    lead: str


def paired_initial(curves: Sequence[CaseCurve], before: int, after: int) -> tuple[list[float], list[float]]:
    """First-shown Dice of the cases that both versions were tested on, averaged over runs, in one order."""
    by_case = {(c.version, c.case_id): c.dice[0] for c in average_runs(curves)}
    cases = sorted(case for version, case in by_case if version == before and (after, case) in by_case)
    return [by_case[before, c] for c in cases], [by_case[after, c] for c in cases]


def newest_in_use(summary: RunSummary) -> tuple[TestSummary, TestSummary] | None:
    """The test rows of the base and of the version in use at the end; None unless both were tested."""
    rows = {row.version: row for row in summary.test}
    used = [version for _, version in versions_in_use(summary.episodes) if version in rows]
    newest = used[-1] if used else max(rows, default=0)
    if newest == 0 or 0 not in rows:
        return None
    return rows[0], rows[newest]


def find(summary: RunSummary, curves: Sequence[CaseCurve]) -> Finding:
    """What the run showed, in two sentences or three."""
    pair = newest_in_use(summary)
    if pair is not None:
        return _learned(summary, curves, *pair)
    if summary.test and summary.command == "evaluate":
        return _measured(summary)
    if not summary.episodes:
        return Finding(
            "No episode ran, so the weights are those of the base model",
            _stream_sentence(summary) or "The run holds no confirmed and no tested case.",
        )
    promoted = sum(e.promoted and e.taken_back_at is None for e in summary.episodes)
    if promoted == 0:
        n = len(summary.episodes)
        ran = f"None of the {n} episodes" if n > 1 else "The only episode did not"
        return Finding(
            f"{ran} made better weights; the base model stayed in use"
            if n > 1
            else f"{ran} make better weights",
            f"{summary.episodes[-1].reason} {_stream_sentence(summary)}".strip(),
        )
    return Finding(
        f"{promoted} of {len(summary.episodes)} episodes gave better weights",
        f"{_stream_sentence(summary)} No unseen cases were tested.".strip(),
    )


def _learned(
    summary: RunSummary, curves: Sequence[CaseCurve], base: TestSummary, newest: TestSummary
) -> Finding:
    gain = newest.dice_init - base.dice_init
    test = wilcoxon(*reversed(paired_initial(curves, base.version, newest.version)))
    proven = test.significant() and test.direction == (1 if gain > 0 else -1)
    verb = "It learned" if gain > 0 and proven else "It got worse" if proven else "No clear change"
    cases = next((e.at_case for e in summary.episodes if e.version == newest.version), None)
    after = f" after {cases} confirmed cases" if cases else ""
    headline = (
        f"{verb}: the first proposal's mean Dice on unseen cases went from {number(base.dice_init, 2)} to "
        f"{number(newest.dice_init, 2)}{after}"
    )
    return Finding(headline, " ".join(filter(None, (_effort(summary, base, newest), _chance(test)))))


def _effort(summary: RunSummary, base: TestSummary, newest: TestSummary) -> str:
    sentence = (
        f"With {summary.clicks} corrections it went from {number(base.dice_final, 2)} to "
        f"{number(newest.dice_final, 2)}."
    )
    if math.isnan(base.noi) or math.isnan(newest.noi):
        return sentence
    return sentence + (
        f" Getting above Dice {summary.threshold:g} took {number(base.noi, 1)} interactions per case with "
        f"the base model and {number(newest.noi, 1)} now; {number(base.nof, 0)} % of the cases never got "
        f"there before, {number(newest.nof, 0)} % now."
    )


def _chance(test: PairedTest) -> str:
    if test.n == 0:
        return ""
    p = "<\u00a00.001" if test.p < 0.001 else f"=\u00a0{test.p:.3f}"
    return (
        f"Paired over {test.n} cases, the change of the first proposal has p\u00a0{p} (two-sided Wilcoxon)."
    )


def _measured(summary: RunSummary) -> Finding:
    row = summary.test[-1]
    lead = f"{row.n} cases, {summary.runs} run{'s' if summary.runs > 1 else ''} each."
    if not math.isnan(row.noi):
        lead += (
            f" Getting above Dice {summary.threshold:g} takes {number(row.noi, 1)} interactions on average; "
            f"{number(row.nof, 0)} % of the cases do not get there."
        )
    headline = (
        f"Mean Dice {number(row.dice_init, 2)} at the first proposal and {number(row.dice_final, 2)} after "
        f"{summary.clicks} corrections"
    )
    return Finding(headline, lead)


def _stream_sentence(summary: RunSummary) -> str:
    stream = summary.stream
    if stream.n == 0:
        return ""
    return (
        f"Over {stream.n} confirmed cases the first proposal had a mean Dice of "
        f"{number(stream.dice_first_shown, 2)}, and {number(stream.clicks, 1)} corrections each were given."
    )
