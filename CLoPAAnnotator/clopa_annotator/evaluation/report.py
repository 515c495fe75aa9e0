"""``report.html`` of a finished run: one file that works offline, for the lead of a campaign.

It reads what `tables` and `pictures` wrote, so it can be made again at any time, also by another version.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from clopa_annotator.evaluation import figures, page, slices
from clopa_annotator.evaluation.case_rows import CaseRow, curves_from_clicks
from clopa_annotator.evaluation.curves import CaseCurve, TestSummary
from clopa_annotator.evaluation.findings import find, newest_in_use, paired_initial
from clopa_annotator.evaluation.page import number
from clopa_annotator.evaluation.pictures import CasePicture, PictureKey, load_all
from clopa_annotator.evaluation.rows import EpisodeSummary, RunSummary, TargetSummary
from clopa_annotator.evaluation.suggestion_rows import SuggestionSummary
from clopa_annotator.evaluation.tables import read_cases, read_clicks, read_summary, replace_text

VERSION_HEADER = (
    *("weights", "cases", "Dice no click", "Dice first", "Dice last", "Dice nAUC"),
    *("NSD first", "NSD last", "NSD nAUC"),
    *("NoI", "nNoI", "NoF %"),
)
CASE_HEADER = (
    "case",
    "weights",
    "run",
    "Dice first",
    "Dice last",
    "Dice nAUC",
    "NSD last",
    "corrections",
    "s",
)
EPISODE_HEADER = (
    *("weights", "after", "train", "held out", "before", "after training", "in use", "updates", "s", "why"),
)

DETECTION_HEADER = ("weights", "there", "F1 first", "F1 last")
OVERVIEW_HEADER = (
    *("target", "confirmed", "weights", "Dice first, base", "Dice first, now"),
    *("Dice last, base", "Dice last, now"),
)


@dataclass(frozen=True, eq=False)
class _Run:
    summary: RunSummary
    stream: tuple[CaseRow, ...]
    test: tuple[CaseRow, ...]
    curves: tuple[CaseCurve, ...]
    pictures: tuple[CasePicture, ...]
    summary_of_target: TargetSummary = field(default_factory=TargetSummary)

    def of(self, target: str) -> _Run:
        """What is about one target; "" for all of a run that was given none."""
        if not target:
            return self
        return _Run(
            self.summary.of(target),
            tuple(c for c in self.stream if c.target == target),
            tuple(c for c in self.test if c.target == target),
            tuple(c for c in self.curves if c.target == target),
            tuple(p for p in self.pictures if p.target == target),
            self.summary.targets[target],
        )


def write_report(out: Path) -> Path:
    """Write ``out/report.html`` from the run's files and return its path.

    Raises:
        DatasetError: a file of the run is missing or damaged.
    """
    cases = read_cases(out)
    run = _Run(
        summary=read_summary(out),
        stream=tuple(sorted((c for c in cases if c.part == "stream"), key=lambda c: c.order)),
        test=tuple(c for c in cases if c.part == "test"),
        curves=curves_from_clicks(read_clicks(out)),
        pictures=load_all(out),
    )
    return replace_text(out / "report.html", render(run))


def render(run: _Run) -> str:
    """The page's text: one part per target, with a line about each above them where there are several."""
    summary, names = run.summary, tuple(run.summary.targets) or ("",)
    parts = [(name, run.of(name)) for name in names]
    findings = [(name, find(part.summary, part.curves)) for name, part in parts]
    several = len(names) > 1
    finding = findings[0][1]
    return page.render(
        "report.html",
        title="CLoPA Annotator report",
        kicker=" · ".join(filter(None, (summary.dataset, summary.strategy, summary.schedule, summary.model))),
        headline=f"{len(names)} targets: {', '.join(names)}" if several else finding.headline,
        lead="" if several else finding.lead,
        overview=_overview(parts) if several else None,
        parts=[
            {
                "name": name if several else "",
                "headline": told.headline,
                "lead": told.lead,
                **_content(part),
            }
            for (name, part), (_, told) in zip(parts, findings, strict=True)
        ],
        facts=_facts(summary),
    )


def _content(run: _Run) -> dict[str, object]:
    """One target's tiles, tables, plots and pictures."""
    summary = run.summary
    return {
        "tiles": _tiles(summary),
        "versions": _versions(run) if summary.test else None,
        "detection": _detection(run.summary_of_target),
        "stream": _stream(run) if run.stream else None,
        "episodes": _episodes(summary.episodes) if summary.episodes else None,
        "pictures": [
            {"title": f"{word} case: {picture.case_id}", "uri": slices.draw_case(picture)}
            for word, picture in choose_pictures(run.pictures)
        ],
    }


def _detection(found: TargetSummary) -> dict[str, object] | None:
    """How many of a kind were found; None for a target that there is one of."""
    rows = [(figures.version_name(d.version), d.references, d.f1_init, d.f1_final) for d in found.detection]
    return {"header": DETECTION_HEADER, "rows": rows} if rows else None


def _overview(parts: Sequence[tuple[str, _Run]]) -> dict[str, object]:
    """A row per target: what its newest version gives, and what the base model gave."""
    rows = []
    for name, part in parts:
        test = part.summary.test
        pair = newest_in_use(part.summary) or ((test[0], test[-1]) if test else None)
        scores = [s for row in pair for s in (row.dice_init, row.dice_final)] if pair else [math.nan] * 4
        version = figures.version_name(pair[1].version) if pair else "–"
        before, after = scores[:2], scores[2:]
        rows.append((name, part.summary.stream.n, version, before[0], after[0], before[1], after[1]))
    return {"header": OVERVIEW_HEADER, "rows": rows}


def _tiles(summary: RunSummary) -> list[dict[str, object]]:
    pair = newest_in_use(summary)
    if pair is None:
        return []
    before, after = pair
    tiles = [
        _tile("Dice of the first proposal", before.dice_init, after.dice_init, 2),
        _tile(f"Dice after {summary.clicks} corrections", before.dice_final, after.dice_final, 2),
    ]
    if not math.isnan(before.noi):
        threshold = f"{summary.threshold:g}"
        noi = _tile(f"Interactions to Dice {threshold}", before.noi, after.noi, 1, fewer=True)
        nof = _tile(f"Cases never above {threshold}", before.nof, after.nof, 0, fewer=True, unit="\u00a0%")
        tiles += [noi, nof]
    return tiles


def _tile(
    name: str, before: float, after: float, digits: int, fewer: bool = False, unit: str = ""
) -> dict[str, object]:
    """A large number, with what it was before; ``good`` is None where the change is not seen."""
    change = after - before
    return {
        "name": name,
        "was": number(before, digits),
        "now": number(after, digits) + unit,
        "change": f"{change:+.{digits}f}",
        "good": None if abs(change) < 0.5 * 10**-digits else (change < 0) == fewer,
    }


def _versions(run: _Run) -> dict[str, object]:
    curves, summary = run.curves, run.summary
    plots = [page.Plot(figures.dice_against_clicks(curves, summary.threshold), "Dice against corrections")]
    pair = newest_in_use(summary)
    if pair is not None:
        newest = pair[1].version
        before, after = paired_initial(curves, 0, newest)
        svg = figures.paired_first_proposals(before, after, figures.version_name(newest))
        plots.append(page.Plot(svg, "First proposal of each case, base model against newest version"))
    cases = sorted(run.test, key=lambda c: (c.case, c.version, c.run))
    return {
        "header": VERSION_HEADER,
        "rows": [_version_row(row) for row in summary.test],
        "plots": plots,
        "case_header": CASE_HEADER,
        "case_rows": [_case_row(c) for c in cases],
    }


def _version_row(row: TestSummary) -> tuple[page.Cell, ...]:
    scores = (row.dice_zero, row.dice_init, row.dice_final, row.dice_nauc)
    surfaces = (row.nsd_init, row.nsd_final, row.nsd_nauc)
    noi = (number(row.noi, 1), row.nnoi, number(row.nof, 1))
    return (figures.version_name(row.version), row.n, *scores, *surfaces, *noi)


def _case_row(c: CaseRow) -> tuple[page.Cell, ...]:
    scores = (c.dice_first_shown, c.dice_confirmed, c.dice_nauc, c.nsd_confirmed)
    return (c.case, figures.version_name(c.version), c.run, *scores, c.clicks, round(c.seconds, 1))


def _stream(run: _Run) -> list[page.Plot]:
    shown = figures.stream_of_cases(run.stream, run.summary.episodes)
    confirmed = figures.shown_and_confirmed(run.stream)
    return [
        page.Plot(shown, "Dice of the first proposal along the stream"),
        page.Plot(confirmed, "First-shown and confirmed Dice, and corrections per case"),
    ]


def _episodes(episodes: Sequence[EpisodeSummary]) -> dict[str, object]:
    has_curves = any(e.train_loss or e.val_score for e in episodes)
    label = "Training loss and validation score per epoch"
    return {
        "header": EPISODE_HEADER,
        "rows": [_episode_row(e) for e in episodes],
        "plot": page.Plot(figures.episode_curves(episodes), label) if has_curves else None,
    }


def _episode_row(e: EpisodeSummary) -> tuple[page.Cell, ...]:
    name = "–" if e.version is None else figures.version_name(e.version)
    scores = (e.val_before, e.val_after)
    why = f"{e.reason} {e.verdict}".strip()
    return (name, e.at_case, e.train, e.val, *scores, e.promoted, e.updates, round(e.seconds), why)


def choose_pictures(pictures: Sequence[CasePicture]) -> tuple[tuple[str, CasePicture], ...]:
    """Best, median and worst case by the newest version's first proposal; fewer if there are fewer cases."""
    scored = sorted((p for p in pictures if p.dice and p.part == "test"), key=_first_of_newest, reverse=True)
    if len(scored) < 3:
        return tuple(zip(("Best", "Worst") if len(scored) == 2 else ("Only",), scored, strict=False))
    return (("Best", scored[0]), ("Median", scored[len(scored) // 2]), ("Worst", scored[-1]))


def _first_of_newest(picture: CasePicture) -> float:
    newest = max(key.version for key in picture.dice)
    first = min(key.click for key in picture.dice if key.version == newest)
    return picture.dice[PictureKey(newest, first)]


def _suggested(s: SuggestionSummary) -> str:
    """What the stream's suggestions were worth, and how well that was foretold."""
    if not s.n:
        return "nothing suggested"
    told = f"{s.n} masks along the stream, mean Dice {number(s.dice, 3)}"
    if not s.known:
        return f"{told}; how good each would be was not known yet"
    return (
        f"{told}; for {s.known} the Dice was foretold within {number(s.mae, 3)} on average, "
        f"{100 * s.coverage:.0f}\u00a0% inside the interval"
    )


def _facts(s: RunSummary) -> list[tuple[str, str]]:
    return [
        ("Command", s.command),
        ("Dataset", s.dataset),
        ("Strategy", f"{s.strategy} {f'({s.schedule} schedule)' if s.schedule else ''}"),
        ("Base model", s.model),
        ("Licence of the weights", s.licence or "not stated"),
        ("Seed", str(s.seed)),
        ("Inference runs per case", str(s.runs)),
        ("Corrections per case", f"up to {s.clicks}"),
        ("Expert threshold", number(s.threshold, 3)),
        ("Before the first click", _suggested(s.suggestions)),
        ("NSD tolerance", "not measured" if math.isnan(s.tolerance_mm) else f"{s.tolerance_mm:g} mm"),
        ("Wall time", "–" if math.isnan(s.seconds) else f"{s.seconds / 60:.1f} min"),
    ]
