"""Each target learns on a line of its own; with a joint strategy all of them learn on one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import tiny_campaign
import torch
from tiny_campaign import SPEC, tiny_config
from tiny_targets import KIDNEY, LESION, LIVER, confirm, learned, opened

from clopa_annotator.campaign.composition import Campaign, registry_of
from clopa_annotator.campaign.lines import LearningLine
from clopa_annotator.campaign.probation import Probation
from clopa_annotator.datasets import make_phantom
from clopa_annotator.episode.folder import read_job
from clopa_annotator.errors import ConfigError, InputError
from clopa_annotator.experiments.result_cache import episode_key
from clopa_annotator.online.adapting_session import AdaptingSession
from clopa_annotator.registry.weights_registry import WeightsRegistry
from clopa_annotator.training.replay import read_replay, run_replay
from clopa_annotator.types import (
    Confirmation,
    EpisodeRequest,
    PointPrompt,
    Slot,
    Target,
    Targets,
)

model_folder = tiny_campaign.model_folder


@pytest.fixture
def campaign(tmp_path: Path, model_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Campaign]:
    tiny_campaign.make_episodes_tiny(monkeypatch)
    with opened(tmp_path / "campaign", model_folder) as made:
        yield made


def due(line: LearningLine) -> EpisodeRequest:
    request = line.next_episode()
    assert request is not None
    return request


def live(campaign: Campaign) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in campaign.model.network.named_parameters()}


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(first[name], second[name]) for name in first)


def test_a_target_learns_from_its_own_masks_and_lies_in_its_own_folder(campaign: Campaign) -> None:
    for number in range(5):
        confirm(campaign, number, KIDNEY)
        confirm(campaign, number, LIVER) if number < 3 else None
    liver, kidney = campaign.line(LIVER), campaign.line(KIDNEY)
    assert liver.next_episode() is None, "three cases are too few"
    request = due(kidney)
    assert (request.target, request.number, request.at_case) == (KIDNEY, 1, 5)
    job = campaign.prepare_job(request)
    assert job == campaign.folder / "targets" / KIDNEY / "episodes" / "0001"
    order = read_job(job)
    assert {ref.slot for ref in (*order.train, *order.val)} == {Slot(KIDNEY)}
    assert order.campaign == campaign.folder.resolve() and order.request.target == KIDNEY
    assert kidney.split().unassigned == () and len(liver.split().unassigned) == 3
    assert campaign.line().jobs() == () and kidney.jobs() == (job,)


def test_the_first_targets_files_say_nothing_of_targets(campaign: Campaign) -> None:
    for number in range(5):
        confirm(campaign, number, LIVER)
    job = campaign.prepare_job(due(campaign.line()))
    assert job.parent == campaign.folder / "episodes"
    text = (job / "request.json").read_text(encoding="utf-8")
    assert "target" not in text and "slot" not in text and "instance" not in text


def test_held_out_cases_are_decided_per_target(campaign: Campaign) -> None:
    for number in range(5):
        confirm(campaign, number, LIVER)
    for number in reversed(range(5)):
        confirm(campaign, number, KIDNEY)
    held_out = [
        {ref.case_id for ref in line.cases.confirmed() if ref.sequence in line.roles.held_out()}
        for line in (campaign.line(LIVER), campaign.line(KIDNEY))
    ]
    assert held_out[0] == held_out[1] == {"case 2"}, "the third in either order of arrival"
    confirm(campaign, 5, KIDNEY)
    assert campaign.line(KIDNEY).roles.of("case 5") == "train"
    assert (campaign.folder / "targets" / KIDNEY / "episodes" / "roles.jsonl").is_file()


def test_versions_count_per_target_and_the_network_says_whose_it_holds(campaign: Campaign) -> None:
    for number in range(5):
        confirm(campaign, number, LIVER)
        confirm(campaign, number, KIDNEY)
    liver, kidney, base = campaign.line(LIVER), campaign.line(KIDNEY), live(campaign)
    assert learned(campaign, due(kidney)).number == 1
    assert (campaign.model.lineage, campaign.model.version) == (KIDNEY, 1)
    of_kidney = live(campaign)
    assert liver.live_version() == 0 and same(live(campaign), base), "the liver's weights are still the base"
    assert learned(campaign, due(liver)).number == 1
    assert not same(live(campaign), of_kidney), "number 1 of the liver is not number 1 of the kidney"
    assert kidney.live_version() == 1 and same(live(campaign), of_kidney)
    kidney.roll_back(0, by="lead")
    assert (kidney.registry.current().number, liver.registry.current().number) == (0, 1)
    with kidney.using(1):
        assert same(live(campaign), of_kidney)
    assert same(live(campaign), base)
    assert [e.data.get("target") for e in campaign.events.since(0) if e.name == "promoted"] == [KIDNEY, None]


def test_a_target_learns_what_it_would_learn_in_a_campaign_of_its_own(
    campaign: Campaign, tmp_path: Path, model_folder: Path
) -> None:
    only = Targets([Target("left kidney")])
    config = tiny_config(model_folder, strategy="clopa-cn")
    with Campaign.create(tmp_path / "alone", config, only, device="cpu") as alone:
        for number in range(5):
            confirm(campaign, number, LIVER)
            ref = confirm(campaign, number, KIDNEY)
            mask = campaign.store.read_mask(ref)
            alone.store.add_case(ref.case_id, campaign.store.read_image(ref.image_hash))
            alone.confirm(Confirmation(f"alone {number}", ref.case_id, mask, annotator="Ann"))
        jobs = [c.prepare_job(due(c.line(key))) for c, key in ((campaign, KIDNEY), (alone, ""))]
        keys = [episode_key(job, config, campaign.model.model_hash) for job in jobs]
    assert keys[0] == keys[1], "an episode and its check depend on nothing else"


def test_a_session_of_a_target_works_with_its_weights(campaign: Campaign) -> None:
    for number in range(5):
        confirm(campaign, number, KIDNEY)
    learned(campaign, due(campaign.line(KIDNEY)))
    with campaign.line(LIVER).annotating() as session:
        assert session.weights_version == 0 and campaign.model.lineage == LIVER
    with campaign.line(KIDNEY).annotating() as session:
        assert session.weights_version == 1 and campaign.model.lineage == KIDNEY


def test_several_of_a_kind_are_masks_of_one_case(campaign: Campaign) -> None:
    for number in range(4):
        confirm(campaign, number, LESION)
        confirm(campaign, number, LESION, instance=2)
    line = campaign.line(LESION)
    assert line.cases_in() == 4 and len(line.split().unassigned) == 8
    assert line.next_episode() is None, "eight masks, but four cases"
    confirm(campaign, 4, LESION)
    request = due(line)
    assert request.at_case == 5 and len(request.split.train) + len(request.split.val) == 9
    order = read_job(campaign.prepare_job(request))
    sides = [{ref.case_id for ref in side} for side in (order.train, order.val)]
    assert not sides[0] & sides[1], "all of a case's lesions are on one side"
    late = confirm(campaign, 0, LESION, instance=3)
    assert line.split().unassigned == (late.sequence,), "one more of a case that has been learned from"


def test_most_to_gain_goes_first_and_the_other_is_next(campaign: Campaign) -> None:
    for number in range(5):
        confirm(campaign, number, LIVER)
    turn = campaign.next_in_turn()
    assert turn is not None and turn[0] is campaign.line(LIVER)
    learned(campaign, turn[1])
    for number in range(5, 10):
        confirm(campaign, number, LIVER)
    for number in range(10):
        confirm(campaign, number, KIDNEY) if number < 5 else None
    order = []
    while (turn := campaign.next_in_turn()) is not None:
        order.append(turn[0].key)
        learned(campaign, turn[1])
    assert order == [KIDNEY, LIVER], "the kidney has never learned"
    confirm(campaign, 10, LESION)
    assert campaign.next_in_turn() is None
    for number in range(11, 15):
        confirm(campaign, number, LESION)
    assert campaign.next_in_turn(but_not={LESION}) is None, "a person has paused it"
    final = campaign.next_in_turn(final_one=True)
    assert final is not None and final[0].key == LESION


def test_a_probation_is_the_targets_own(campaign: Campaign, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        confirm(campaign, number, KIDNEY)
    line = campaign.line(KIDNEY)
    request = due(line)
    version = learned(campaign, request)
    assert line.registry.probation() is None, "the pretended verdict asks for none"
    monkeypatch.setattr(WeightsRegistry, "probation", lambda self: (version.number, 0))
    confirm(campaign, 5, LIVER)
    assert Probation(line).next_replay() is None, "a liver says nothing about a kidney"
    ref = confirm(campaign, 6, KIDNEY)
    job = Probation(line).next_replay()
    assert job == campaign.folder / "targets" / KIDNEY / "replays" / "0001"
    assert read_replay(job).cases == (ref,) and read_replay(job).target == KIDNEY
    tiny_campaign.scores(monkeypatch, before=0.4, after=0.6)
    result = run_replay(job, device="cpu")
    assert (result.status, len(result.curves)) == ("finished", 1), result.reason
    assert "1 of 10" in Probation(line).in_words()


def test_targets_are_added_later_and_begin_with_the_base(campaign: Campaign, model_folder: Path) -> None:
    confirm(campaign, 0, LIVER)
    campaign.set_targets(campaign.targets.with_new(Target("spleen")))
    line = campaign.line("spleen")
    assert [v.number for v in line.registry.versions()] == [0] and list(campaign.lines)[-1] == "spleen"
    assert line.registry.base.model_hash == campaign.registry.base.model_hash
    with pytest.raises(ConfigError, match="liver, left kidney, lesion, spleen"):
        campaign.line("pancreas")
    with pytest.raises((ConfigError, InputError)):
        campaign.set_targets(Targets([Target("spleen", "spleen")]))
    campaign.close()
    assert registry_of(campaign.folder, "Spleen").current().number == 0
    with pytest.raises(ConfigError, match="no target"):
        registry_of(campaign.folder, "pancreas")


def test_a_joint_strategy_has_one_line_for_all_targets(
    tmp_path: Path, model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny_campaign.make_episodes_tiny(monkeypatch)
    with opened(tmp_path / "joint", model_folder, "clopa-joint") as campaign:
        line = campaign.line(KIDNEY)
        assert line is campaign.line(LIVER) is campaign.line(LESION) and line.key == ""
        for number in range(5):
            confirm(campaign, number, LIVER)
            confirm(campaign, number, KIDNEY)
        assert line.next_episode() is None, "no case has all three targets yet"
        for number in range(5):
            confirm(campaign, number, LESION)
        request = due(line)
        assert request.at_case == 5 and len(request.split.train) == 12 and len(request.split.val) == 3
        order = read_job(campaign.prepare_job(request))
        assert {ref.case_id for ref in order.val} == {"case 2"}, "a case has one role for all its targets"
        assert {ref.slot.target for ref in order.val} == {LIVER, KIDNEY, LESION}
        assert not (campaign.folder / "targets").exists()


def test_what_is_learned_between_clicks_waits_while_another_target_is_annotated(
    tmp_path: Path, model_folder: Path
) -> None:
    with opened(tmp_path / "online", model_folder, "oaims-pi") as campaign:
        liver, kidney = campaign.line(LIVER), campaign.line(KIDNEY)
        assert liver.online is not None and kidney.online is not None and liver.online is not kidney.online
        image, mask = make_phantom(SPEC, 0)
        with liver.annotating() as session:
            assert isinstance(session, AdaptingSession)
            session.set_image(image)
            session.add_prompt(PointPrompt((9, 10, 11)))
            session.after_confirm(mask)
        adapted = live(campaign)
        assert liver.live_version() < 0
        assert kidney.live_version() == 0 and not same(live(campaign), adapted)
        assert liver.live_version() < 0 and same(live(campaign), adapted)
        liver.online.start_case()
        assert same(live(campaign), adapted), "what was learned is still what persists"
