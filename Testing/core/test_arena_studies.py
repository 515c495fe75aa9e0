"""Tiny studies of the arena: what is learned from, in which order, and how many clicks measure it."""

from __future__ import annotations

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
import arena_studies
from arena_studies import Domain, Study

from clopa_annotator.datasets import LabelledCase, make_phantom, write_msd_dataset
from clopa_annotator.evaluation.annotator import SimulatedAnnotator, case_rng
from clopa_annotator.evaluation.interaction_protocol import ProtocolSettings, run_case
from clopa_annotator.experiments.permutations import StreamPlan
from clopa_annotator.online.adapting_session import AdaptingSession
from clopa_annotator.online.oaims import Oaims
from clopa_annotator.testing.fake_session import FakeSession


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
