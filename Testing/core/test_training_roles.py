"""A case's role: decided once, in one place, kept on the disk, and the same for whoever learns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny_campaign
from tiny_campaign import confirm_case, confirm_five, next_job, tiny_config

from clopa_annotator.campaign.composition import Campaign
from clopa_annotator.datasets import MsdDataset
from clopa_annotator.episode.folder import read_job, write_result
from clopa_annotator.errors import CorruptRecord
from clopa_annotator.online.adapting_session import AdaptingSession
from clopa_annotator.scheduler import SchedulerSettings
from clopa_annotator.training import job_index
from clopa_annotator.training.roles import ROLES, RoleBook
from clopa_annotator.types import EpisodeResult, GateDecision, Mask

model_folder, dataset, campaign = tiny_campaign.model_folder, tiny_campaign.dataset, tiny_campaign.campaign
SETTINGS = SchedulerSettings(size=48)


class Listening(AdaptingSession):
    """Stands for a session that learns; remembers what it was taught."""

    def __init__(self) -> None:
        self.lessons = 0

    def after_confirm(self, mask: Mask) -> None:
        self.lessons += 1


@pytest.fixture
def online(tmp_path: Path, model_folder: Path) -> Iterator[Campaign]:
    with Campaign.create(
        tmp_path / "online", tiny_config(model_folder, strategy="oaims-pi", size=48), device="cpu"
    ) as made:
        yield made


def learn_and_confirm(campaign: Campaign, dataset: MsdDataset, number: int, suffix: str = "") -> bool:
    """Whether the strategy learned from the case."""
    case = dataset[number]
    image, mask = case.read()
    campaign.store.add_case(case.case_id, image)
    session = Listening()
    campaign.line().learn_from(session, case.case_id, mask)
    confirm_case(campaign, dataset, number, suffix)
    return session.lessons == 1


@pytest.mark.parametrize("asked_after", [(3,), (4, 7), (3, 4, 5, 6, 7, 8)])
def test_train_now_never_validates_on_a_case_that_was_learned_from(
    online: Campaign, dataset: MsdDataset, asked_after: tuple[int, ...]
) -> None:
    learned = set()
    for number in range(8):
        if learn_and_confirm(online, dataset, number):
            learned.add(dataset[number].case_id)
        request = online.next_episode(final_one=True) if number + 1 in asked_after else None
        if request is not None:
            job = read_job(online.prepare_job(request))
            assert job.val, "there is always something to compare on"
            assert {ref.case_id for ref in job.val}.isdisjoint(learned)
            assert {ref.case_id for ref in job.train} <= learned


def test_correcting_a_held_out_case_teaches_nothing(online: Campaign, dataset: MsdDataset) -> None:
    taught = [learn_and_confirm(online, dataset, number) for number in range(4)]
    assert taught == [True, True, False, True]
    assert not learn_and_confirm(online, dataset, 2, suffix="-corrected")
    assert learn_and_confirm(online, dataset, 0, suffix="-corrected")
    request = online.next_episode(final_one=True)
    assert request is not None
    online.prepare_job(request)
    assert not learn_and_confirm(online, dataset, 2, suffix="-again")


def test_a_role_is_for_life(campaign: Campaign, dataset: MsdDataset) -> None:
    confirm_five(campaign, dataset)
    next_job(campaign)
    held_out, trained = dataset[2].case_id, dataset[0].case_id
    for case_id in (held_out, trained):
        campaign.store.withdraw(case_id, "Ann", "to look at it again")
    confirm_case(campaign, dataset, 5)
    request = campaign.next_episode(final_one=True)
    assert request is not None
    campaign.prepare_job(request)
    confirm_case(campaign, dataset, 2, "-again")
    confirm_case(campaign, dataset, 0, "-again")
    request = campaign.next_episode(final_one=True)
    assert request is not None
    job = read_job(campaign.prepare_job(request))
    assert held_out in {ref.case_id for ref in job.val}
    assert trained in {ref.case_id for ref in job.train}


def test_roles_are_on_the_disk_and_a_reader_sees_them(campaign: Campaign, dataset: MsdDataset) -> None:
    confirm_five(campaign, dataset)
    held_out = campaign.line().roles.held_out()
    path = campaign.folder / "episodes" / ROLES
    written = path.read_bytes()
    assert len(written.splitlines()) == 5 and len(held_out) == 1
    with Campaign.open(campaign.folder, device="cpu", writer=False) as reader:
        assert reader.line().roles.held_out() == held_out
    assert path.read_bytes() == written


def test_a_campaign_from_before_keeps_the_roles_of_its_episodes(
    campaign: Campaign, dataset: MsdDataset
) -> None:
    confirm_five(campaign, dataset)
    request = campaign.next_episode()
    assert request is not None
    # As an earlier version split: the last case validates.
    order = request.split
    everybody = tuple(sorted((*order.train, *order.val)))
    request = replace(request, split=replace(order, train=everybody[:4], val=everybody[4:]))
    campaign.prepare_job(request)
    campaign.close()
    path = campaign.folder / "episodes" / ROLES
    path.unlink()
    with Campaign.open(campaign.folder, device="cpu", writer=False) as reader:
        assert reader.line().roles.held_out() == {everybody[4]}
    assert not path.exists(), "a reader writes nothing"
    with Campaign.open(campaign.folder, device="cpu") as again:
        assert again.line().roles.held_out() == {everybody[4]}
        assert again.line().roles.of(dataset[4].case_id) == "held out"
        assert len(path.read_bytes().splitlines()) == 5


def a_book(path: Path) -> RoleBook:
    return RoleBook(path, SETTINGS, {})


def give(book: RoleBook, *names: str) -> list[str]:
    present: set[str] = set()
    roles = []
    for name in names:
        roles.append(book.decide(name, f"image of {name}", present))
        present.add(name)
    return roles


def test_a_torn_line_gives_no_role_and_is_written_over(tmp_path: Path) -> None:
    path = tmp_path / ROLES
    roles = give(a_book(path), "a", "b")
    whole = path.read_bytes()
    roles += [a_book(path).decide("c", "image of c", {"a", "b"})]
    assert roles == ["train", "train", "held out"]
    for cut in range(len(whole), len(path.read_bytes())):
        path.write_bytes(whole + path.read_bytes()[len(whole) : cut])
        assert a_book(path).of("c") is None and a_book(path).of("b") == "train"
    assert a_book(path).decide("c", "image of c", {"a", "b"}) == "held out"
    assert a_book(path).of("c") == "held out"


def test_a_changed_line_is_found(tmp_path: Path) -> None:
    path = tmp_path / ROLES
    give(a_book(path), "a", "b", "c")
    path.write_text(path.read_text().replace("held out", "train"))
    with pytest.raises(CorruptRecord, match="Line 3"):
        a_book(path)


def test_the_same_image_under_two_names_stays_on_one_side(tmp_path: Path) -> None:
    book = a_book(tmp_path / ROLES)
    assert give(book, "a", "b", "c")[2] == "held out"
    assert book.decide("c, second visit", "image of c", {"a", "b", "c"}) == "held out"
    assert book.decide("a, second visit", "image of a", {"a", "b", "c"}) == "train"


def test_the_curriculum_does_not_look_at_what_the_gate_says(campaign: Campaign, dataset: MsdDataset) -> None:
    confirm_five(campaign, dataset)
    job = next_job(campaign)
    result = EpisodeResult(1, "finished", train_loss=(0.9, 0.6), delta_path=job / "delta.safetensors")
    seen = []
    for promoted, after in ((True, 0.9), (False, 0.1)):
        write_result(job, result, GateDecision(promoted, "", ("a",), (0.5,), (after,)))
        seen.append(job_index.past_episodes((job,)))
    assert seen[0] == seen[1] and seen[0][0].fall == pytest.approx(0.3)


def test_the_store_knows_what_the_roles_ask_for(campaign: Campaign, dataset: MsdDataset) -> None:
    confirm_case(campaign, dataset, 1)
    confirm_case(campaign, dataset, 0)
    confirm_case(campaign, dataset, 1, "-corrected")
    confirm_case(campaign, dataset, 2)
    assert [campaign.line().roles.of(dataset[n].case_id) for n in (0, 1, 2)] == ["train", "train", "held out"]
    assert np.all(sorted(campaign.line().roles.held_out()) == [4])
