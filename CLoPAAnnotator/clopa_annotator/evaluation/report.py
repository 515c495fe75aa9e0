"""``report.html`` of a finished run: one file that works offline, for the lead of a campaign.

It reads what `tables` and `pictures` wrote, so it can be made again at any time, also by another version.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from clopa_annotator.evaluation import figures, page, slices
from clopa_annotator.evaluation.curves import CaseCurve, TestSummary
from clopa_annotator.evaluation.findings import find, newest_in_use, paired_initial
from clopa_annotator.evaluation.page import number
from clopa_annotator.evaluation.pictures import CasePicture, PictureKey, load_all
from clopa_annotator.evaluation.rows import CaseRow, RunSummary, curves_from_clicks
from clopa_annotator.evaluation.tables import read_cases, read_clicks, read_summary, replace_text

VERSION_HEADER = (
    "weights",
    "cases",
    "Dice first",
    "Dice last",
    "Dice nAUC",
    "NSD first",
    "NSD last",
    "NSD nAUC",
    "NoI",
    "nNoI",
    "NoF %",
)


@dataclass(frozen=True, eq=False)
class _Run:
    summary: RunSummary
    stream: tuple[CaseRow, ...]
    test: tuple[CaseRow, ...]
    curves: tuple[CaseCurve, ...]
    pictures: tuple[CasePicture, ...]


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
    """The page's text."""
    summary = run.summary
    finding = find(summary, run.curves)
    kicker = " · ".join(filter(None, (summary.dataset, summary.strategy, summary.schedule, summary.model)))
    parts = (_tiles(run), _versions(run), _stream(run), _episodes(run), _slices(run), _facts(run))
    return page.page("CLoPA Annotator report", kicker, finding.headline, finding.lead, *parts)


def _tiles(run: _Run) -> str:
    pair = newest_in_use(run.summary)
    if pair is None:
        return ""
    before, after = pair
    clicks = run.summary.clicks
    tiles = [
        _tile("Dice of the first proposal", before.dice_init, after.dice_init, 2),
        _tile(f"Dice after {clicks} corrections", before.dice_final, after.dice_final, 2),
    ]
    if not math.isnan(before.noi):
        threshold = f"{run.summary.threshold:g}"
        tiles += [
            _tile(f"Interactions to Dice {threshold}", before.noi, after.noi, 1, fewer_is_better=True),
            _tile(
                f"Cases never above {threshold}",
                before.nof,
                after.nof,
                0,
                fewer_is_better=True,
                unit="\u00a0%",
            ),
        ]
    return f'<div class="tiles">{"".join(tiles)}</div>'


def _tile(
    name: str, before: float, after: float, digits: int, fewer_is_better: bool = False, unit: str = ""
) -> str:
    change = after - before
    good = None if abs(change) < 0.5 * 10**-digits else (change < 0) == fewer_is_better
    was, now = number(before, digits), number(after, digits) + unit
    return page.tile(name, was, now, f"{change:+.{digits}f}", good)


def _versions(run: _Run) -> str:
    if not run.summary.test:
        return ""
    rows = [_version_row(row) for row in run.summary.test]
    parts = [page.table(VERSION_HEADER, rows)]
    plots = [
        page.figure(
            figures.dice_against_clicks(run.curves, run.summary.threshold), "Dice against corrections"
        )
    ]
    pair = newest_in_use(run.summary)
    if pair is not None:
        before, after = paired_initial(run.curves, 0, pair[1].version)
        plot = figures.paired_first_proposals(before, after, figures.version_name(pair[1].version))
        plots.append(page.figure(plot, "First proposal of each case, base model against newest version"))
    parts.append(page.row(*plots))
    parts.append(page.details("Every tested case", _test_table(run)))
    note = (
        "Cases that never train. Shaded: the middle half of the cases. nAUC is the normalised area under the "
        "curve over corrections; NoI counts interactions to the threshold, the initial prompt as one; NoF is "
        "the share of cases that never reach it."
    )
    return page.section("Weights versions on unseen cases", note, *parts)


def _version_row(row: TestSummary) -> tuple[page.Cell, ...]:
    scores = (row.dice_init, row.dice_final, row.dice_nauc, row.nsd_init, row.nsd_final, row.nsd_nauc)
    noi = (number(row.noi, 1), row.nnoi, number(row.nof, 1))
    return (figures.version_name(row.version), row.n, *scores, *noi)


def _test_table(run: _Run) -> str:
    header = (
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
    rows = [
        (
            c.case,
            figures.version_name(c.version),
            c.run,
            c.dice_first_shown,
            c.dice_confirmed,
            c.dice_nauc,
            c.nsd_confirmed,
            c.clicks,
            round(c.seconds, 1),
        )
        for c in sorted(run.test, key=lambda c: (c.case, c.version, c.run))
    ]
    return page.table(header, rows)


def _stream(run: _Run) -> str:
    if not run.stream:
        return ""
    shown = figures.stream_of_cases(run.stream, run.summary.episodes)
    confirmed = figures.shown_and_confirmed(run.stream)
    note = (
        "Each case as it arrived, with the weights of that moment. A solid line marks new weights coming "
        "into use, a dotted one an episode whose weights were not better and were not used."
    )
    return page.section(
        "The stream of confirmed cases",
        note,
        page.figure(shown, "Dice of the first proposal along the stream"),
        page.figure(confirmed, "First-shown and confirmed Dice, and corrections per case"),
    )


def _episodes(run: _Run) -> str:
    episodes = run.summary.episodes
    if not episodes:
        return ""
    header = (
        "weights",
        "after",
        "train",
        "held out",
        "before",
        "after training",
        "in use",
        "updates",
        "s",
        "why",
    )
    rows = [
        (
            "–" if e.version is None else figures.version_name(e.version),
            e.at_case,
            e.train,
            e.val,
            e.val_before,
            e.val_after,
            e.promoted,
            e.updates,
            round(e.seconds),
            f"{e.reason} {e.verdict}".strip(),
        )
        for e in episodes
    ]
    parts = [page.table(header, rows)]
    if any(e.train_loss or e.val_score for e in episodes):
        plot = figures.episode_curves(episodes)
        parts.append(page.figure(plot, "Training loss and validation score per epoch"))
    note = (
        "New weights come into use only if they score better on the held-out confirmed cases through the "
        "real session. The curves are the training's own: loss, and its score on held-out patches per epoch."
    )
    return page.section("Episodes", note, *parts)


def _slices(run: _Run) -> str:
    chosen = choose_pictures(run.pictures)
    if not chosen:
        return ""
    parts = []
    for word, picture in chosen:
        title = f"{word} case: {picture.case_id}"
        caption = (
            "Slices through the middle of the reference, in true proportions; axial slices have anterior up, "
            "the others superior up. Dice is that of the whole volume."
        )
        parts.append(page.picture(title, slices.draw_case(picture), caption))
    note = "Cases by the Dice of the newest version's first proposal: best, median and worst."
    return page.section("What was proposed", note, *parts)


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


def _facts(run: _Run) -> str:
    s = run.summary
    pairs = [
        ("Command", s.command),
        ("Dataset", s.dataset),
        ("Strategy", f"{s.strategy} {f'({s.schedule} schedule)' if s.schedule else ''}"),
        ("Base model", s.model),
        ("Licence of the weights", s.licence or "not stated"),
        ("Seed", str(s.seed)),
        ("Inference runs per case", str(s.runs)),
        ("Corrections per case", f"up to {s.clicks}"),
        ("Expert threshold", number(s.threshold, 3)),
        ("NSD tolerance", "not measured" if math.isnan(s.tolerance_mm) else f"{s.tolerance_mm:g} mm"),
        ("Wall time", "–" if math.isnan(s.seconds) else f"{s.seconds / 60:.1f} min"),
    ]
    return page.section("How it was run", "", page.facts(pairs))
