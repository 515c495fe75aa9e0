"""What the arena found, as Markdown with figures, from the files of its finished units and studies."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean, pstdev

from arena_figures import dice_figure, picture_figure, trajectory_figure
from arena_studies import Study
from arena_study_tables import study_counts, study_section
from arena_text import table

from clopa_annotator.errors import ClopaError
from clopa_annotator.evaluation import comparison_page
from clopa_annotator.evaluation.case_rows import curves_from_clicks
from clopa_annotator.evaluation.compare import Comparison, Run, compare_runs, newest_version
from clopa_annotator.evaluation.comparison_page import Task
from clopa_annotator.evaluation.curves import CaseCurve, average_runs, nauc, summarise_versions
from clopa_annotator.evaluation.statistics import wilcoxon
from clopa_annotator.evaluation.tables import read_clicks, read_summary, replace_text
from clopa_annotator.experiments.permutations import Unit

SHOWN_CLICKS = (0, 1, 3, 5, 10, 20)
PAIRS = (
    ("clopa-cn", "clopa-in"),
    ("clopa-all", "clopa-cn"),
    ("clopa-all", "clopa-2phase"),
    ("pi-then-clopa", "clopa-all"),
    ("oaims", "oaims-pi"),
    ("clopa-all", "oaims"),
    ("evosam", "static · box first"),
)
"""What the papers' claims and the choice of a default are about."""


def write_report(out: Path, campaigns: Sequence[Unit], studies: Sequence[Study], command: str) -> None:
    """Write ``arena.md``, the comparison and the figures.

    Args:
        out: the arena's folder.
        campaigns: every unit, finished or not.
        studies: every study, finished or not.
        command: how the arena was called.

    Raises:
        ClopaError: nothing is finished.
    """
    finished = [unit for unit in campaigns if unit.finished]
    if not finished and not any(study.finished for study in studies):
        raise ClopaError("No campaign is finished yet, and no study either: there is nothing to report.")
    parts = ["# Arena", _about(out, campaigns, finished, studies, command)]
    if finished:
        parts += _campaigns(out, finished)
    parts.append("## OAIMS' own protocol\n\n" + study_section(studies))
    replace_text(out / "arena.md", "\n\n".join(part.rstrip() for part in parts) + "\n")


def _campaigns(out: Path, finished: Sequence[Unit]) -> list[str]:
    """The sections about campaigns; also writes their comparison and the figures."""
    comparison = compare_runs([Path(unit.out) for unit in finished], out / "comparison")
    runs = {unit.out: _read(unit) for unit in finished}
    final = {task.name: _final(task, runs.values()) for task in comparison.tasks}
    dice_figure(out / "dice-by-corrections.png", final)
    trajectory_figure(out / "trajectories.png", comparison.tasks)
    picture_figure(out / "proposals.png", _pictured(comparison, runs.values()))
    return [
        "## Over all streams\n\n" + _overall(comparison),
        comparison_page.markdown(comparison.tasks).removeprefix("# Comparison\n\n"),
        "## Dice by corrections\n\n" + _by_clicks(comparison, runs.values()),
        "## Episodes\n\n" + _episodes(runs.values()),
        "## Permutations\n\n" + _spread(comparison, runs.values()),
        "## Pairs\n\n" + _pairs(comparison, runs.values()),
    ]


def _read(unit: Unit) -> Run:
    folder = Path(unit.out)
    return Run(folder, read_summary(folder), curves_from_clicks(read_clicks(folder)))


def name_of(run: Run) -> str:
    """The method's name, as in the comparison."""
    return " · ".join(filter(None, (run.summary.strategy, run.summary.variant)))


def _about(
    out: Path, campaigns: Sequence[Unit], finished: Sequence[Unit], studies: Sequence[Study], command: str
) -> str:
    """The command, what was run and what is missing."""
    missing = [work for work in (*campaigns, *studies) if not work.finished]
    named = ", ".join(Path(work.out).stem for work in missing)
    calls = (out / "calls.txt").read_text(encoding="utf-8") if (out / "calls.txt").exists() else ""
    lines = [
        f"    {command}",
        _settings(campaigns) if campaigns else "No campaign was asked for.",
        f"{len(finished)} of {len(campaigns)} campaigns and {sum(s.finished for s in studies)} of "
        f"{len(studies)} studies are finished." + (f" Missing: {named}." if missing else ""),
        "\n".join(f"* {line}" for line in _what_was_run(campaigns, studies)),
        "\n".join(f"* {line}" for line in calls.splitlines()),
    ]
    return "\n\n".join(line for line in lines if line)


def _settings(campaigns: Sequence[Unit]) -> str:
    settings = campaigns[0].settings
    kept = {_stream_name(unit): (unit.stream.keep, unit.stream.keep_test) for unit in campaigns}
    sizes = ", ".join(f"{stream} {cases} and {unseen}" for stream, (cases, unseen) in kept.items())
    return (
        f"Cases and unseen cases: {sizes}. {settings.clicks} corrections per unseen case and at most "
        f"{settings.stream_clicks} per case of the stream, schedule `{settings.schedule}`, base model "
        f"`{Path(settings.model).name}`, seed {settings.seed}."
    )


def _what_was_run(campaigns: Sequence[Unit], studies: Sequence[Study]) -> list[str]:
    """A line per stream with its methods, finished permutations of those asked for; a line of studies."""
    found: dict[str, dict[str, list[bool]]] = defaultdict(lambda: defaultdict(list))
    for unit in campaigns:
        method = " · ".join(filter(None, (unit.settings.strategy, unit.settings.variant)))
        found[_stream_name(unit)][method].append(unit.finished)
    lines = [
        f"{stream}, permutations: " + ", ".join(f"{m} {sum(f)} of {len(f)}" for m, f in methods.items())
        for stream, methods in found.items()
    ]
    return [*lines, "studies: " + (study_counts(studies) or "none asked for")]


def _stream_name(unit: Unit) -> str:
    return Path(unit.out).name.split("-")[0]


def _overall(comparison: Comparison) -> str:
    """Mean place and wins over all streams and metrics, for methods that ran on all of them."""
    places: dict[str, list[int]] = defaultdict(list)
    wins: dict[str, int] = defaultdict(int)
    area: dict[str, list[float]] = defaultdict(list)
    for task in comparison.tasks:
        for row in task.rows:
            places[row.method] += [rank.place for rank in row.ranks.values()]
            wins[row.method] += sum(rank.wins for rank in row.ranks.values())
            area[row.method].append(row.values["dice_nauc"])
    full = [m for m in places if len(area[m]) == len(comparison.tasks)]
    order = sorted(full, key=lambda m: (fmean(places[m]), -fmean(area[m])))
    rows = [(m, f"{fmean(places[m]):.2f}", wins[m], fmean(area[m])) for m in order]
    note = "Mean place over streams and metrics, significant wins in all, mean Dice nAUC over the streams."
    return note + "\n\n" + table(["method", "mean place", "wins", "Dice nAUC"], rows)


def _final(task: Task, runs: Iterable[Run]) -> dict[str, tuple[CaseCurve, ...]]:
    """Per method one curve per unseen case: the mean over permutations with the weights at the end."""
    found: dict[str, list[CaseCurve]] = defaultdict(list)
    for run in runs:
        if run.summary.dataset == task.name:
            last = newest_version(run)
            found[name_of(run)] += [replace(c, version=0) for c in run.curves if c.version == last]
    return {row.method: average_runs(found[row.method]) for row in task.rows}


def _by_clicks(comparison: Comparison, runs: Iterable[Run]) -> str:
    listed, parts = list(runs), []
    for task in comparison.tasks:
        clicks = [c for c in SHOWN_CLICKS if c <= task.clicks]
        rows = [
            [method, *(fmean(c.dice[n] for c in curves) for n in clicks)]
            for method, curves in _final(task, listed).items()
        ]
        parts.append(f"{task.name}\n\n" + table(["corrections", *map(str, clicks)], rows))
    return "\n\n".join(parts)


def _episodes(runs: Iterable[Run]) -> str:
    """What the first episode gained and what all did, on the unseen cases, where every version was tested."""
    header = ["stream", "method", "base", "after episode 1", "at the end", "promoted", "seconds per episode"]
    rows = []
    for run in runs:
        values = {row.version: row.dice_nauc for row in summarise_versions(run.curves)}
        if 0 not in values or not run.summary.episodes or run.summary.permutation:
            continue
        used = [e.version or 0 for e in run.summary.episodes if e.promoted]
        first = values.get(used[0], math.nan) if run.summary.episodes[0].promoted else values[0]
        last = values[newest_version(run)]
        done = f"{len(used)} of {len(run.summary.episodes)}"
        seconds = f"{fmean(e.seconds for e in run.summary.episodes):.0f}"
        rows.append([run.summary.dataset, name_of(run), values[0], first, last, done, seconds])
    note = (
        "Dice nAUC on the unseen cases, first permutation. An online method's seconds are its updates' alone."
    )
    return note + "\n\n" + table(header, sorted(rows, key=lambda r: (str(r[0]), str(r[1]))))


def _spread(comparison: Comparison, runs: Iterable[Run]) -> str:
    """How much the order of the stream and other clicks change a method's result."""
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    refused: dict[tuple[str, str], list[bool]] = defaultdict(list)
    for run in runs:
        last = newest_version(run)
        key = (run.summary.dataset, name_of(run))
        found[key].append(fmean(nauc(c.dice) for c in run.curves if c.version == last))
        refused[key] += [not e.promoted for e in run.summary.episodes]
    rows = [
        [task.name, row.method, len(found[key]), fmean(found[key]), pstdev(found[key]), sum(refused[key])]
        for task in comparison.tasks
        for row in task.rows
        if (key := (task.name, row.method)) in found
    ]
    note = "Dice nAUC at the end, mean and deviation over permutations; episodes that the gate refused."
    header = ["stream", "method", "permutations", "mean", "deviation", "refused"]
    return note + "\n\n" + table(header, rows)


def _pairs(comparison: Comparison, runs: Iterable[Run]) -> str:
    """The pairs that the claims are about, case by case."""
    listed, rows = list(runs), []
    for task in comparison.tasks:
        final = _final(task, listed)
        for first, second in PAIRS:
            if first in final and second in final:
                rows.append([task.name, f"{first} over {second}", *_differences(final[first], final[second])])
    note = "Mean difference on the same unseen cases and the p of Wilcoxon's paired test."
    return note + "\n\n" + table(["stream", "methods", "Dice first", "Dice last", "Dice nAUC"], rows)


def _differences(first: Sequence[CaseCurve], second: Sequence[CaseCurve]) -> list[str]:
    """Of the first score, the last and the area."""
    ones, others = ({c.case_id: c for c in curves} for curves in (first, second))
    cases = sorted(ones.keys() & others.keys())
    found = []
    for score in (lambda c: c.dice[0], lambda c: c.dice[-1], lambda c: nauc(c.dice)):
        pairs = [(score(ones[c]), score(others[c])) for c in cases]
        change = fmean(a - b for a, b in pairs)
        p = wilcoxon(*zip(*pairs, strict=True)).p
        found.append(f"{change:+.3f} (p {f'= {p:.3f}' if p >= 0.0005 else '< 0.001'})")
    return found


def _pictured(comparison: Comparison, runs: Iterable[Run]) -> list[tuple[str, Run]]:
    """Per stream the first permutation of the best method that learns and whose base was tested with it."""
    listed, chosen = list(runs), []
    for task in comparison.tasks:
        for row in task.rows:
            match = [r for r in listed if r.summary.dataset == task.name and name_of(r) == row.method]
            first = [r for r in match if r.summary.permutation == 0 and newest_version(r) > 0]
            shown = [r for r in first if any(c.version == 0 for c in r.curves)]
            if shown:
                chosen.append((f"{task.name}, {row.method}", shown[0]))
                break
    return chosen
