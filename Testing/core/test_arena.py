"""The arena without its hour: its units are fair, and its report says what was found and what is missing."""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from report_support import write_run
from tiny_campaign import SPEC, tiny_dataset, tiny_model_folder

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))

import arena
import arena_report
import arena_studies
import arena_study_tables
from arena_studies import Domain, Study

from clopa_annotator.datasets import LabelledCase, make_phantom, write_msd_dataset
from clopa_annotator.errors import ClopaError
from clopa_annotator.evaluation.annotator import SimulatedAnnotator, case_rng
from clopa_annotator.evaluation.protocol import ProtocolSettings, run_case
from clopa_annotator.online.oaims import Oaims
from clopa_annotator.online.session import AdaptingSession
from clopa_annotator.permutations import StreamPlan
from clopa_annotator.session.fake import FakeSession


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


def test_the_report_ranks_what_is_finished_and_names_what_is_missing(options: argparse.Namespace) -> None:
    made = arena.units(options)
    levels = {"clopa-cn": (0.2, 0.5, 0.6), "oaims": (0.2, 0.4), "static": (0.2,)}
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
    assert "| static | right | 0.400 | 0.400 | 0.400 | +0.000 |" in text
    for name in ("dice-by-corrections.png", "trajectories.png", "proposals.png"):
        assert (options.out / name).stat().st_size > 5000


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
    assert right == {"static", "PI", "MI", "PI + MI", "PI + MI, no CCG"}
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


# ---- tiny studies: which cases are learned from, in which order, and measured with how many clicks


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, tuple[Domain, Domain]]:
    """A model, and two domains whose cases have other names."""
    folder = tmp_path_factory.mktemp("tiny")
    first = tiny_dataset(folder / "first", 6)
    others = ((f"other_{n}", *make_phantom(SPEC, 50 + n)) for n in range(4))
    second = write_msd_dataset(folder / "second", "other", others)
    plans = (StreamPlan(str(data.folder), limit=len(data) - 1, test_limit=1) for data in (first, second))
    return str(tiny_model_folder(folder / "model")), (
        Domain("first", next(plans)),
        Domain("second", next(plans)),
    )


Step = tuple[str, str, int]


@pytest.fixture
def run_tiny(
    tiny: tuple[str, tuple[Domain, Domain]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[dict[str, Any], list[Step]]]:
    """Run a study; returns its result and what was annotated and learned from, step by step."""
    steps: list[Step] = []
    confirm = AdaptingSession.after_confirm

    def spied_case(session: Any, image: Any, mask: Any, annotator: Any, protocol: Any, **names: Any) -> Any:
        curve = run_case(session, image, mask, annotator, protocol, **names)
        steps.append(
            ("adapting" if isinstance(session, AdaptingSession) else "base", curve.case_id, curve.used)
        )
        return curve

    def spied_confirm(session: AdaptingSession, mask: Any) -> Any:
        steps.append(("learned", steps[-1][1], steps[-1][2]))
        return confirm(session, mask)

    monkeypatch.setattr(arena_studies, "run_case", spied_case)
    monkeypatch.setattr(AdaptingSession, "after_confirm", spied_confirm)

    def run(topic: str, method: str, cases: int, **changes: Any) -> tuple[dict[str, Any], list[Step]]:
        asked = arena_studies.TOPICS[topic]
        study = Study(
            topic, method, asked.clicking, asked.order, tiny[0], tiny[1][: asked.domains], cases, 1,
            asked.clicks or 2, 1, str(tmp_path / f"{topic}-{method}.json"), 0, str(tmp_path / "recall"),
        )  # fmt: skip
        study = replace(study, **changes)
        steps.clear()
        arena_studies.run_study(study, "cpu")
        assert study.finished and not replace(study, cases=cases + 1).finished
        return json.loads(Path(study.out).read_text(encoding="utf-8")), list(steps)

    return run


@pytest.fixture
def quick_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """No network: where it matters what is learned from, and not what is learned."""
    monkeypatch.setattr(arena_studies, "LocalSession", lambda *_, **__: FakeSession(radius=2))

    def after_click(self: Oaims, interaction: Any) -> Any:
        return (
            self._record("mid", 1, 1, 0.0, 0.0)
            if self._settings.mid and interaction.earlier is not None
            else None
        )

    monkeypatch.setattr(Oaims, "after_click", after_click)
    monkeypatch.setattr(Oaims, "after_confirm", lambda self, *_: self._record("post", 1, 2, 0.0, 0.0))


def base_score(case: LabelledCase, clicks: int) -> float:
    """Area under the base's Dice, worked out without the arena."""
    annotator = SimulatedAnnotator(case_rng(0, 0, case.case_id), "oaims")
    settings = ProtocolSettings(clicks=clicks)
    dice = run_case(FakeSession(radius=2), *case.read(), annotator, settings).dice
    return sum((a + b) / 2 for a, b in itertools.pairwise(dice)) / clicks


@pytest.mark.usefixtures("quick_answers")
def test_worst_first_learns_from_the_cases_that_the_base_finds_hardest(
    run_tiny: Callable[..., Any], tiny: tuple[str, tuple[Domain, Domain]]
) -> None:
    given, (unseen,) = tiny[1][0].draw(4, 1)
    scores = {case.case_id: base_score(case, 1) for case in given}
    worst_first = sorted(scores, key=lambda name: scores[name])
    names = [case.case_id for case in given]
    assert len(set(scores.values())) == 4 and worst_first not in (names, names[::-1])
    result, steps = run_tiny("worst-first", "PI", 4)
    assert [name for kind, name, _ in steps if kind == "learned"] == worst_first == result["stream"]
    assert [s for s in steps if s[0] == "base"] == [("base", name, 1) for name in names], "before learning"
    assert steps[-1] == ("adapting", unseen.case_id, 2) and result["backward_passes"] > 0
    _, again = run_tiny("worst-first", "PI", 4)
    assert not [s for s in again if s[0] == "base"], "the base's curves are computed once"
    _, in_given_order = run_tiny("clicks", "PI", 4)
    assert [name for kind, name, _ in in_given_order if kind == "learned"] == names


@pytest.mark.usefixtures("quick_answers")
@pytest.mark.parametrize(("method", "passes"), [("static", 0), ("PI + MI", 2 + 1 + 49)])
def test_fifty_clicks_are_a_localisation_and_49_corrections(
    run_tiny: Callable[..., Any], method: str, passes: int
) -> None:
    result, steps = run_tiny("50-clicks", method, 1)
    (measured,) = result["measured"]
    assert len(measured["dice"]) == 50
    assert steps[-1][2] == 49, "it does not become perfect earlier, so every click was given"
    assert result["backward_passes"] == passes, "MI: one per correction, in the stream and in the test"


@pytest.mark.usefixtures("quick_answers")
@pytest.mark.parametrize("method", ["static", "PI"])
def test_mixed_domains_alternate_and_each_is_measured(
    run_tiny: Callable[..., Any], tiny: tuple[str, tuple[Domain, Domain]], method: str
) -> None:
    (a, (unseen_a,)), (b, (unseen_b,)) = (domain.draw(2, 1) for domain in tiny[1])
    result, steps = run_tiny("mixed-domains", method, 2)
    stream = [case.case_id for case in (a[0], b[0], a[1], b[1])]
    assert result["stream"] == stream
    assert [name for kind, name, _ in steps if kind == "learned"] == ([] if method == "static" else stream)
    found = [(m["domain"], m["received"], list(m["cases"])) for m in result["measured"]]
    both = {"first": 2, "second": 2}
    assert found == [("first", both, [unseen_a.case_id]), ("second", both, [unseen_b.case_id])]


def test_the_return_measures_the_first_domain_before_and_after_the_second(
    run_tiny: Callable[..., Any], tiny: tuple[str, tuple[Domain, Domain]]
) -> None:
    (a, (unseen_a,)), (b, (unseen_b,)) = (domain.draw(1, 1) for domain in tiny[1])
    result, steps = run_tiny("return", "PI", 1)
    learned = [(kind, name) for case in (*a, *b) for kind, name in [("learned", case.case_id)]]
    tested = [("adapting", unseen_a.case_id), ("adapting", unseen_b.case_id)]
    order = [step[:2] for step in steps if step[0] == "learned" or step[1] in (tested[0][1], tested[1][1])]
    assert order == [learned[0], tested[0], learned[1], *tested]
    before, after, second = result["measured"]
    assert (before["domain"], after["domain"], second["domain"]) == ("first", "first", "second")
    assert before["received"] == {"first": 1} and after["received"] == {"first": 1, "second": 1}
    assert before["dice"] != after["dice"], "the second domain moved the weights"
    static, _ = run_tiny("return", "static", 1)
    assert static["measured"][0]["dice"] == static["measured"][1]["dice"]


@pytest.mark.usefixtures("quick_answers")
def test_the_command_runs_chosen_studies_and_then_a_few_campaigns(
    tiny: tuple[str, tuple[Domain, Domain]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = replace(tiny[1][0].plan, limit=2, keep=2, keep_test=1)

    def made_up(unit: arena.Unit) -> None:
        unit.claim()
        about = {"dataset": "hippocampus", "permutation": unit.permutation}
        write_run(Path(unit.out), (0.3,), unit.settings.strategy, **about)

    monkeypatch.setattr(arena, "_plan", lambda options, name: plan)
    monkeypatch.setattr(arena, "run_unit", made_up)
    common = ["--data", "unused", "--out", str(tmp_path), "--model", tiny[0], "--device", "cpu"]
    common += ["--workers", "1", "--streams", "hippocampus"]
    small = ["--study-cases", "1", "--study-test", "1", "--study-clicks", "1", "--study-stream-clicks", "0"]
    arena.main([*common, *small, "--only", "studies", "--study-names", "worst-first"])
    text = (tmp_path / "arena.md").read_text(encoding="utf-8")
    assert "No campaign was asked for." in text and "* studies: worst-first 2 of 2" in text
    assert "not comparable, the given order is not finished" in text and "+nan" not in text
    arena.main([*common, *small, "--no-studies", "--strategies", "static,oaims-pi", "--permutations", "3"])
    text = (tmp_path / "arena.md").read_text(encoding="utf-8")
    assert "6 of 6 campaigns and 2 of 2 studies are finished." in text and "Missing" not in text
    assert "* hippocampus, permutations: static 3 of 3, oaims-pi 3 of 3" in text
    assert text.count("`python benchmarks/arena.py --data unused") == 2, "each call is noted with its options"


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
