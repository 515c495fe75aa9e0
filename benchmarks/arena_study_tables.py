"""The studies' part of the arena's report: tables, then a line per claim, from what is finished."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from arena_studies import TOPICS, Study
from arena_text import table

from clopa_annotator.evaluation.statistics import wilcoxon

SHOWN = (1, 5, 10, 20, 50)
"""Clicks; the localisation is the first."""
TITLES = {
    ("clicks", "40-percent-wrong", "first-four-wrong", "baselines"): "Clicks, right and wrong",
    ("worst-first",): "Worst cases first",
    ("50-clicks",): "50 clicks",
    ("mixed-domains",): "Two domains by turns",
    ("return",): "A second domain, then back to the first",
}
TOLERATED_LOSS = 0.01
"""Dice; a smaller loss counts as none (ours: the paper states no margin)."""

Result = Mapping[str, Any]
Measured = Mapping[str, Any]


def study_section(studies: Sequence[Study]) -> str:
    """Tables and claims of the finished studies, as Markdown."""
    results = [json.loads(Path(s.out).read_text(encoding="utf-8")) for s in studies if s.finished]
    if not results:
        return "No study is finished."
    online = [r for r in results if "measured" in r]
    note = (
        "One click at a time in the largest connected error, no gate. Dice after so many clicks, the "
        'localisation being the first; "to static" is the difference of the means over all clicks.'
    )
    parts = [note]
    for topics, title in TITLES.items():
        chosen = [r for r in online if r["study"]["topic"] in topics]
        if chosen:
            parts.append(f"### {title}\n\n{_sizes(chosen[0]['study'])}\n\n{_table(chosen, online)}")
    parts += [_ridge_line(r) for r in results if "order_changes_weights_by" in r]
    lines = [f"* {line}" for line in claims(online)]
    if lines:
        rule = f"A loss of up to {TOLERATED_LOSS} Dice counts as none; p is Wilcoxon's, paired per case."
        parts.append("### Claims\n\n" + rule + "\n\n" + "\n".join(lines))
    return "\n\n".join(parts)


def claims(online: Sequence[Result]) -> Iterator[str]:
    """A line for each claim that the finished studies can say something about."""
    for result in online:
        say = {
            "worst-first": _worst_first,
            "50-clicks": _many_clicks,
            "mixed-domains": _mixed,
            "return": _return,
        }.get(result["study"]["topic"])
        if say is not None and result["study"]["method"] != "static":
            yield say(result, online)


def _worst_first(result: Result, online: Sequence[Result]) -> str:
    """Worst first against the given order, case by case."""
    (here,) = result["measured"]
    name = f"Robust to worst-first ordering, {result['study']['method']}: "
    given = _like(result, online, topic="clicks", order="given")
    if given is None:
        return name + "not comparable, the given order is not finished."
    (before,) = given["measured"]
    loss, to_static = _mean(before) - _mean(here), _to_static(result, here, online)
    verdict = "**no**"
    if loss <= TOLERATED_LOSS:
        verdict = "**yes**"
    elif to_static > TOLERATED_LOSS:
        verdict = "**in part**, still better than static"
    values = f"{_mean(here):.3f}, in the given order {_mean(before):.3f}"
    return f"{name}{verdict}. Mean Dice {values} ({_paired(here, before)}), to static {_signed(to_static)}."


def _many_clicks(result: Result, online: Sequence[Result]) -> str:
    """The last click against the better of the 10th and the 20th."""
    about, (here,) = result["study"], result["measured"]
    last = len(here["dice"])
    name = f"No over-fitting at {last} clicks, {about['method']}: "
    earlier = [n for n in (10, 20) if n < last]
    if not earlier:
        return name + "not comparable, there are too few clicks."
    best = max(earlier, key=lambda n: here["dice"][n - 1])
    kept = here["dice"][-1] >= here["dice"][best - 1] - TOLERATED_LOSS
    fell = sum(c[-1] < max(c[n - 1] for n in earlier) - TOLERATED_LOSS for c in here["cases"].values())
    text = f"{name}{'**yes**' if kept else '**no**'}. Dice {_at(here, (*earlier, last))}"
    static = _like(result, online, method="static")
    if static is not None:
        text += f"; static {_at(static['measured'][0], (*earlier, last))}"
    return f"{text}. {fell} of {len(here['cases'])} cases ended lower."


def _mixed(result: Result, online: Sequence[Result]) -> str:
    """What is gained on each domain, beside what the first one alone gives."""
    gains = [f"{m['domain']} {_signed(_to_static(result, m, online))}" for m in result["measured"]]
    alone = _like(result, online, topic="clicks", domains=result["study"]["domains"][:1])
    if alone is not None:
        first = alone["measured"][0]
        gains.append(f"{first['domain']} alone {_signed(_to_static(alone, first, online))}")
    return f"Two domains by turns, {result['study']['method']}: to static {', '.join(gains)}."


def _return(result: Result, online: Sequence[Result]) -> str:
    """How much of the first domain the second one cost."""
    before, after = (m for m in result["measured"] if m["domain"] == result["study"]["domains"][0]["name"])
    second = result["study"]["domains"][1]["name"]
    lost = _mean(before) - _mean(after)
    left = _signed(_to_static(result, after, online))
    cost = "nothing" if lost <= TOLERATED_LOSS else f"{lost:.3f} Dice"
    name = f"Return to the source domain, {result['study']['method']}: "
    return (
        f"{name}{second} costs {cost} on {before['domain']}: "
        f"{_mean(before):.3f}, afterwards {_mean(after):.3f} ({_paired(after, before)}); to static {left}."
    )


def _sizes(about: Mapping[str, Any]) -> str:
    each = " of each domain" if len(about["domains"]) > 1 else ""
    names = " and ".join(domain["name"] for domain in about["domains"])
    return (
        f"{names}: {about['cases']} cases to learn from with {about['stream_clicks']} corrections, "
        f"{about['tests']} unseen ones with {about['clicks']}{each}."
    )


def _table(chosen: Sequence[Result], online: Sequence[Result]) -> str:
    """A row for each set of unseen cases; the domain is named where there are several."""
    shown = [n for n in SHOWN if n <= max(len(m["dice"]) for r in chosen for m in r["measured"])]
    several = any(len(r["study"]["domains"]) > 1 for r in chosen)
    header = ["method", *(["measured on", "after"] if several else ["clicks"]), *map(str, shown), "to static"]
    rows = []
    for result in chosen:
        about = result["study"]
        for m in result["measured"]:
            received = ", ".join(f"{count} {name}" for name, count in m["received"].items())
            where = [m["domain"], received] if several else [about["clicking"]]
            values = [m["dice"][n - 1] if n <= len(m["dice"]) else math.nan for n in shown]
            cost = [f"{result['seconds_per_click']:.2f}", result["backward_passes"]]
            gain = _signed(_to_static(result, m, online))
            rows.append([about["method"], *where, *values, gain, *cost])
    return table([*header, "seconds per click", "backward passes"], rows)


def _like(result: Result, online: Sequence[Result], **changes: Any) -> Result | None:
    """The study that differs from a result in these points only, if it is finished."""
    wanted = {**result["study"], **changes}
    return next((r for r in online if r["study"] == wanted), None)


def _to_static(result: Result, measured: Measured, online: Sequence[Result]) -> float:
    """Difference of the mean Dice to the base's with the same clicks on the same cases; NaN without it.

    The base learns nothing, so its curve serves whatever stream came before.
    """
    about = result["study"]
    place = [domain["name"] for domain in about["domains"]].index(measured["domain"])
    for other in online:
        content = other["study"]
        same = ("clicking", "model", "tests", "clicks", "seed")
        if content["method"] != "static" or any(content[name] != about[name] for name in same):
            continue
        if about["domains"][place] in content["domains"]:
            found = [m for m in other["measured"] if m["domain"] == measured["domain"]]
            return _mean(measured) - _mean(found[0])
    return math.nan


def _mean(measured: Measured) -> float:
    return fmean(measured["dice"])


def _signed(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:+.3f}"


def _at(measured: Measured, clicks: Sequence[int]) -> str:
    values = " / ".join(f"{measured['dice'][n - 1]:.3f}" for n in clicks)
    return f"{values} at {' / '.join(map(str, clicks))} clicks"


def _paired(here: Measured, before: Measured) -> str:
    """Mean difference and how sure it is."""
    names = sorted(here["cases"])
    pairs = [(fmean(here["cases"][n]), fmean(before["cases"][n])) for n in names]
    test = wilcoxon(*zip(*pairs, strict=True))
    return f"{_signed(_mean(here) - _mean(before))}, p = {test.p:.3f}, n = {len(pairs)}"


def _ridge_line(result: Result) -> str:
    return (
        f"Ridge head: {result['cases']} cases in the opposite order change its weights by "
        f"{result['order_changes_weights_by']:.1e} of the largest. Adding a tenth expert changed the answers "
        f"of {result['experts_changed_by_a_tenth']} of nine."
    )


def study_counts(studies: Sequence[Study]) -> str:
    """How many studies of each topic are finished."""
    counts = [[s.finished for s in studies if s.topic == topic] for topic in TOPICS]
    listed = zip(TOPICS, counts, strict=True)
    return ", ".join(f"{topic} {sum(found)} of {len(found)}" for topic, found in listed if found)
