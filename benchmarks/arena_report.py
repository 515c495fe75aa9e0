"""What the arena found, as Markdown with figures, from the files of its finished units and studies."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean, pstdev
from typing import Any

from arena_figures import dice_figure, picture_figure, trajectory_figure
from arena_studies import Study

from clopa_annotator.errors import ClopaError
from clopa_annotator.evaluation import comparison_page
from clopa_annotator.evaluation.compare import Comparison, Run, Task, compare_runs, newest_version
from clopa_annotator.evaluation.curves import CaseCurve, average_runs, nauc, summarise_versions
from clopa_annotator.evaluation.rows import curves_from_clicks
from clopa_annotator.evaluation.tables import read_clicks, read_summary, replace_text
from clopa_annotator.permutations import Unit

SHOWN_CLICKS = (0, 1, 3, 5, 10, 20)
STUDY_CLICKS = (0, 4, 9)


def write_report(out: Path, campaigns: Sequence[Unit], studies: Sequence[Study], command: str) -> None:
    """Write ``arena.md``, the comparison and the figures.

    Args:
        out: the arena's folder.
        campaigns: every unit, finished or not.
        studies: every study, finished or not.
        command: how the arena was called.
    """
    finished = [unit for unit in campaigns if unit.finished]
    if not finished:
        raise ClopaError("No campaign is finished yet, so there is nothing to report.")
    comparison = compare_runs([Path(unit.out) for unit in finished], out / "comparison")
    runs = {unit.out: _read(unit) for unit in finished}
    parts = [
        "# Arena",
        _about(out, campaigns, finished, studies, command),
        "## Over all streams\n\n" + _overall(comparison),
        comparison_page.markdown(comparison.tasks).removeprefix("# Comparison\n\n"),
        "## Dice by corrections\n\n" + _by_clicks(comparison, runs.values()),
        "## Episodes\n\n" + _episodes(runs.values()),
        "## Permutations\n\n" + _spread(comparison, runs.values()),
        "## OAIMS' own protocol\n\n" + _studies(studies),
    ]
    replace_text(out / "arena.md", "\n\n".join(part.rstrip() for part in parts) + "\n")
    final = {task.name: _final(task, runs.values()) for task in comparison.tasks}
    dice_figure(out / "dice-by-corrections.png", final)
    trajectory_figure(out / "trajectories.png", comparison.tasks)
    picture_figure(out / "proposals.png", _pictured(comparison, runs.values()))


def _read(unit: Unit) -> Run:
    folder = Path(unit.out)
    return Run(folder, read_summary(folder), curves_from_clicks(read_clicks(folder)))


def name_of(run: Run) -> str:
    """The method's name, as in the comparison."""
    return " · ".join(filter(None, (run.summary.strategy, run.summary.variant)))


def _table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [f"| {' | '.join(header)} |", "|" + "|".join(["---", *["---:"] * (len(header) - 1)]) + "|"]
    return "\n".join([*lines, *(f"| {' | '.join(_cell(c) for c in row)} |" for row in rows)])


def _cell(value: object) -> str:
    if isinstance(value, float):
        return "–" if math.isnan(value) else f"{value:.3f}"
    return "–" if value is None else str(value)


def _about(
    out: Path, campaigns: Sequence[Unit], finished: Sequence[Unit], studies: Sequence[Study], command: str
) -> str:
    settings = campaigns[0].settings
    kept = {_stream_name(unit): (unit.stream.keep, unit.stream.keep_test) for unit in campaigns}
    sizes = ", ".join(f"{stream} {cases} and {unseen}" for stream, (cases, unseen) in kept.items())
    missing = [Path(unit.out).name for unit in campaigns if not unit.finished]
    calls = (out / "calls.txt").read_text(encoding="utf-8") if (out / "calls.txt").exists() else ""
    lines = [
        f"    {command}",
        f"Cases and unseen cases: {sizes}. {settings.clicks} corrections per unseen case and at most "
        f"{settings.stream_clicks} per case of the stream, schedule `{settings.schedule}`, base model "
        f"`{Path(settings.model).name}`, seed {settings.seed}.",
        f"{len(finished)} of {len(campaigns)} campaigns and {sum(s.finished for s in studies)} of "
        f"{len(studies)} studies are finished." + (f" Missing: {', '.join(missing)}." if missing else ""),
        "\n".join(f"* {line}" for line in calls.splitlines()),
    ]
    return "\n\n".join(lines)


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
    return note + "\n\n" + _table(["method", "mean place", "wins", "Dice nAUC"], rows)


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
        parts.append(f"{task.name}\n\n" + _table(["corrections", *map(str, clicks)], rows))
    return "\n\n".join(parts)


def _episodes(runs: Iterable[Run]) -> str:
    """What the first episode gained and what all did, on the unseen cases, where every version was tested."""
    header = ["stream", "method", "base", "after episode 1", "at the end", "promoted", "seconds per episode"]
    rows = []
    for run in runs:
        values = {row.version: row.dice_nauc for row in summarise_versions(run.curves)}
        if 0 not in values or not run.summary.episodes:
            continue
        used = [e.version or 0 for e in run.summary.episodes if e.promoted]
        first = values.get(used[0], math.nan) if run.summary.episodes[0].promoted else values[0]
        last = values[used[-1]] if used else values[0]
        done = f"{len(used)} of {len(run.summary.episodes)}"
        seconds = f"{fmean(e.seconds for e in run.summary.episodes):.0f}"
        rows.append([run.summary.dataset, name_of(run), values[0], first, last, done, seconds])
    note = (
        "Dice nAUC on the unseen cases, first permutation. An online method's seconds are its updates' alone."
    )
    return note + "\n\n" + _table(header, sorted(rows, key=lambda r: (str(r[0]), str(r[1]))))


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
    return note + "\n\n" + _table(header, rows)


def _studies(studies: Sequence[Study]) -> str:
    results = [json.loads(Path(s.out).read_text(encoding="utf-8")) for s in studies if s.finished]
    online = [r for r in results if "dice" in r]
    ridge = [r for r in results if "order_changes_weights_by" in r]
    if not results:
        return "No study is finished."
    about = results[0]["study"]
    note = (
        f"{about['cases']} cases to learn from, {about['tests']} unseen ones, one click at a time in the "
        "largest connected error, no gate. Dice after 1 (the localisation), 5 and 10 clicks."
    )
    rows = [_study_row(r, online) for r in online]
    header = ["method", "clicks", "1", "5", "10", "to static", "seconds per click", "backward passes"]
    return "\n\n".join([note, _table(header, rows), *(_ridge_line(r) for r in ridge)])


def _study_row(result: Mapping[str, Any], online: Sequence[Mapping[str, Any]]) -> list[object]:
    about, dice = result["study"], result["dice"]
    shown = [dice[n] if n < len(dice) else math.nan for n in STUDY_CLICKS]
    same = [r for r in online if r["study"]["clicking"] == about["clicking"]]
    static = next((r for r in same if r["study"]["method"] == "static"), None)
    gain = math.nan if static is None else fmean(dice) - fmean(static["dice"])
    seconds = f"{result['seconds_per_click']:.2f}"
    return [about["method"], about["clicking"], *shown, f"{gain:+.3f}", seconds, result["backward_passes"]]


def _ridge_line(result: Mapping[str, Any]) -> str:
    return (
        f"Ridge head: {result['cases']} cases in the opposite order change its weights by "
        f"{result['order_changes_weights_by']:.1e} of the largest. Adding a tenth expert changed the answers "
        f"of {result['experts_changed_by_a_tenth']} of nine."
    )


def _pictured(comparison: Comparison, runs: Iterable[Run]) -> list[tuple[str, Run]]:
    """Per stream the first permutation of the best method that learns."""
    listed, chosen = list(runs), []
    for task in comparison.tasks:
        for row in task.rows:
            match = [r for r in listed if r.summary.dataset == task.name and name_of(r) == row.method]
            shown = [r for r in match if r.summary.permutation == 0 and newest_version(r) > 0]
            if shown:
                chosen.append((f"{task.name}, {row.method}", shown[0]))
                break
    return chosen
