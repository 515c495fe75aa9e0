"""The arena without its hour: its units are fair, and its report says what was found and what is missing."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from report_support import write_run

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))

import arena
import arena_report
import arena_studies
import arena_study_tables
from arena_studies import Study

from clopa_annotator.errors import ClopaError


@pytest.fixture
def options(tmp_path: Path) -> argparse.Namespace:
    return argparse.Namespace(
        data=tmp_path / "hippocampus", out=tmp_path / "arena", model="bundled", device="cpu",
        schedule="brief", strategies=["clopa-cn", "evosam", "oaims", "static"],
        streams=list(arena.STREAMS), permutations=3, cases=10, test=8, generated_cases=5,
        generated_test=6, clicks=3, stream_clicks=5, studies=True,
        study_cases=8, study_test=6, study_clicks=9, study_stream_clicks=3, second_domain=None, only=None,
        study_names=list(arena_studies.TOPICS), seed=0, workers=1, minutes=1.0, report_only=True,
    )  # fmt: skip


def test_every_method_runs_on_every_stream_and_permutation_with_the_same_cases_and_clicks(
    options: argparse.Namespace,
) -> None:
    made = arena.units(options)
    names = {(u.settings.strategy, u.settings.variant, u.stream.dataset, u.permutation) for u in made}
    assert len(made) == len(names) == 5 * 3 * 3, "four strategies, and the base with a box first"
    for stream in {u.stream.dataset for u in made}:
        same = [u for u in made if u.stream.dataset == stream]
        assert len({(u.stream, u.settings.seed, u.settings.clicks, u.settings.schedule) for u in same}) == 1
        for permutation in range(3):
            runs = {u.settings.first_run for u in same if u.permutation == permutation}
            assert runs == {permutation}, "one set of clicks for all methods, another for each permutation"


def test_a_stopped_arena_has_every_method_once_before_any_twice(options: argparse.Namespace) -> None:
    order = arena.in_order(arena.units(options), arena.studies(options))
    kinds = [work.permutation if isinstance(work, arena.Unit) else "study" for work in order]
    assert kinds[:5] == [0] * 5 and kinds[5] == "study", "the first stream, then the claims"
    assert kinds.index(1) > max(n for n, kind in enumerate(kinds) if kind == 0)


def test_versions_are_tested_for_a_trajectory_once_and_not_where_clicks_train(
    options: argparse.Namespace,
) -> None:
    tested = {(u.settings.strategy, u.permutation): u.settings.test_versions for u in arena.units(options)}
    assert tested["clopa-cn", 0] == "all" and tested["clopa-cn", 1] == "last"
    assert tested["oaims", 0] == "last"


def test_the_report_ranks_what_is_finished_and_names_what_is_missing(
    options: argparse.Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = arena.units(options)
    levels = {"clopa-cn": (0.2, 0.5, 0.6), "oaims": (0.2, 0.4), "static": (0.2,)}
    monkeypatch.setattr(arena_report, "PAIRS", (("clopa-cn", "oaims"), ("clopa-cn", "tsca")))
    for unit in made[:12]:
        name = unit.stream.dataset.rpartition(":")[2]
        if unit.settings.strategy in levels and not unit.settings.variant:
            unit.claim()
            write_run(Path(unit.out), levels[unit.settings.strategy], unit.settings.strategy, dataset=name)
    (study, *others) = arena.studies(options)
    write_result(study, [("hippocampus", 8, [0.4] * 10)])
    arena_report.write_report(options.out, made, [study, *others], "python benchmarks/arena.py")
    text = (options.out / "arena.md").read_text(encoding="utf-8")
    finished = sum(unit.finished for unit in made)
    assert f"{finished} of 45 campaigns" in text and f"1 of {1 + len(others)} studies" in text
    assert "hippocampus-evosam-0" in text.split("Missing:")[1].splitlines()[0]
    ranked = [
        line.split(" | ")[0] for line in text.split("## Over all streams")[1].splitlines() if "| " in line
    ]
    assert ranked[1].endswith("clopa-cn")
    assert "| clopa-cn over oaims | +0.200 (p = 0.004) | +0.200 (p = 0.004) |" in text, (
        "nine cases, all of them better"
    )
    assert "tsca |" not in text.split("## Pairs")[1]
    assert "| static | right | 0.400 | 0.400 | 0.400 | +0.000 |" in text
    for name in ("dice-by-corrections.png", "trajectories.png", "proposals.png"):
        assert (options.out / name).stat().st_size > 5000


def test_the_pictures_leave_a_run_out_that_did_not_test_its_base(
    options: argparse.Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where each click trains, only the weights at the end are tested; such a run may well be the best."""
    made = {u.settings.strategy: u for u in arena.units(options)[:12] if not u.settings.variant}
    for name, levels in (("oaims", (0.2, 0.7)), ("clopa-cn", (0.2, 0.5))):
        made[name].claim()
        write_run(Path(made[name].out), levels, name, dataset="hippocampus")
    read = arena_report._read
    without_base = lambda run: tuple(c for c in run.curves if c.version or run.summary.strategy != "oaims")  # noqa: E731
    monkeypatch.setattr(arena_report, "_read", lambda u: replace(read(u), curves=without_base(read(u))))
    drawn: list[tuple[str, object]] = []
    monkeypatch.setattr(arena_report, "picture_figure", lambda path, chosen: drawn.extend(chosen))
    arena_report.write_report(options.out, list(made.values()), [], "")
    assert [title for title, _ in drawn] == ["hippocampus, clopa-cn"]


def test_a_report_about_nothing_is_refused(options: argparse.Namespace) -> None:
    with pytest.raises(ClopaError, match="No campaign is finished"):
        arena_report.write_report(options.out, arena.units(options), [], "")


def test_a_task_that_fails_or_comes_too_late_says_so_and_stops_nobody(options: argparse.Namespace) -> None:
    unit = arena.units(options)[0]
    assert "DatasetError" in arena.run_task(arena.Task(unit, "cpu", until=float("inf")))
    assert arena.run_task(arena.Task(unit, "cpu", until=0)) == "not begun in time"
    assert not unit.finished


def test_the_studies_hold_oaims_against_its_own_claims(options: argparse.Namespace) -> None:
    made = arena.studies(options)
    assert len({study.out for study in made}) == len(made)
    right = {s.method for s in made if s.topic == "clicks"}
    assert right == {"static", "PI", "MI", "PI + MI", "PI + MI, no CCG", "PI, ours", "PI + MI, ours"}
    assert {s.clicking for s in made if s.method == "PI + MI"} == set(arena_studies.CLICKING)
    assert arena_studies.METHODS["PI + MI, no CCG"].loss.beta == 0  # type: ignore[union-attr]
    assert arena_studies.CLICKING["first four wrong"].wrong_first == 4
    asked = {(s.topic, s.method, s.order, s.clicks, tuple(d.name for d in s.domains)) for s in made}
    one, two = ("hippocampus",), ("hippocampus", "lesion")
    assert {("worst-first", method, "worst first", 9, one) for method in ("PI", "PI + MI")} <= asked
    assert {("50-clicks", method, "given", 49, one) for method in ("static", "PI + MI")} <= asked
    assert {("mixed-domains", method, "given", 9, two) for method in ("static", "PI", "PI + MI")} <= asked
    assert {("return", method, "in turn", 9, two) for method in ("static", "PI")} <= asked


def test_the_second_domain_is_another_one_than_the_first(options: argparse.Namespace) -> None:
    options.streams = ["lesion", "hippocampus"]
    names = {tuple(d.name for d in s.domains) for s in arena.studies(options)}
    assert names == {("lesion",), ("lesion", "vessels")}
    with pytest.raises(SystemExit):
        arena.main(["--data", "x", "--out", "y", "--streams", "lesion", "--second-domain", "lesion"])


def test_a_part_of_the_arena_can_be_chosen(options: argparse.Namespace) -> None:
    options.only, options.study_names = "studies", ["return", "worst-first"]
    topics = [work.topic if isinstance(work, Study) else "unit" for work in arena.chosen(options)]
    assert topics == ["worst-first"] * 2 + ["return"] * 2
    options.only, options.studies = None, False
    assert len(arena.chosen(options)) == 45 and all(isinstance(w, arena.Unit) for w in arena.chosen(options))


# ---- what the report says about them


def write_result(study: Study, measured: list[tuple[str, int, list[float]]]) -> None:
    """A finished study of two cases, a little below and above the given curve."""
    found = [
        {
            "domain": domain,
            "received": {domain: cases},
            "dice": dice,
            "cases": {"a": [d - 0.01 for d in dice], "b": [d + 0.01 for d in dice]},
        }
        for domain, cases, dice in measured
    ]
    content = {"study": study.about(), "measured": found, "seconds_per_click": 0.2, "backward_passes": 0}
    Path(study.out).parent.mkdir(parents=True, exist_ok=True)
    Path(study.out).write_text(json.dumps(content), encoding="utf-8")


@pytest.mark.parametrize(("level", "verdict"), [(0.695, "yes"), (0.65, "in part"), (0.41, "no")])
def test_the_claim_about_the_order_follows_from_the_curves(
    options: argparse.Namespace, level: float, verdict: str
) -> None:
    made = {(s.topic, s.method): s for s in arena.studies(options)}
    write_result(made["clicks", "static"], [("hippocampus", 8, [0.4] * 10)])
    write_result(made["clicks", "PI"], [("hippocampus", 8, [0.7] * 10)])
    write_result(made["worst-first", "PI"], [("hippocampus", 8, [level] * 10)])
    text = arena_study_tables.study_section(list(made.values()))
    assert f"Robust to worst-first ordering, PI: **{verdict}**" in text
    assert f"{level:.3f}, in the given order 0.700 ({level - 0.7:+.3f}" in text


@pytest.mark.parametrize(("last", "verdict"), [(0.8, "yes"), (0.75, "no")])
def test_the_claim_about_50_clicks_follows_from_the_curve(
    options: argparse.Namespace, last: float, verdict: str
) -> None:
    made = {(s.topic, s.method): s for s in arena.studies(options)}
    write_result(made["50-clicks", "PI + MI"], [("hippocampus", 8, [0.6] * 10 + [0.8] * 10 + [last] * 30)])
    text = arena_study_tables.study_section(list(made.values()))
    assert f"No over-fitting at 50 clicks, PI + MI: **{verdict}**" in text
    assert f"0.600 / 0.800 / {last:.3f} at 10 / 20 / 50 clicks" in text
    assert f"| PI + MI | right | 0.600 | 0.600 | 0.600 | 0.800 | {last:.3f} | – |" in text


def test_two_domains_are_reported_each_with_its_own_static(options: argparse.Namespace) -> None:
    made = {(s.topic, s.method): s for s in arena.studies(options)}
    first, second = ("hippocampus", 8, [0.4] * 10), ("lesion", 8, [0.5] * 10)
    write_result(made["return", "static"], [first, first, second])
    write_result(
        made["return", "PI"],
        [("hippocampus", 8, [0.7] * 10), ("hippocampus", 8, [0.6] * 10), ("lesion", 8, [0.8] * 10)],
    )
    write_result(made["mixed-domains", "PI"], [("hippocampus", 8, [0.6] * 10), ("lesion", 8, [0.55] * 10)])
    text = arena_study_tables.study_section(list(made.values()))
    assert "lesion costs 0.100 Dice on hippocampus: 0.700, afterwards 0.600" in text
    assert "to static hippocampus +0.200, lesion +0.050." in text
