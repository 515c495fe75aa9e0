"""``clopa review``: the list, verdicts, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import cache_helpers
import pytest
from cache_helpers import a_confirmation, a_store, an_image

from clopa_annotator import cli
from clopa_annotator.cache.campaign_store import CampaignStore
from clopa_annotator.config import CampaignConfig

tmp_path = cache_helpers.tmp_path


@pytest.fixture
def campaign(tmp_path: Path) -> Path:
    with a_store(tmp_path / "campaign", settings=CampaignConfig("x", 2).to_dict()) as store:
        for number, case_id in enumerate(("case one", "case two")):
            store.add_case(case_id, an_image(number))
            store.confirm(a_confirmation(number, case_id, first_shown_dice=(0.75, None)[number]))
    return tmp_path / "campaign"


def listed(campaign: Path, capsys: pytest.CaptureFixture[str], *options: str) -> list[dict]:
    assert cli.main(["review", "list", str(campaign), "--json", *options]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_story_return_mend_accept(campaign: Path, capsys: pytest.CaptureFixture[str]) -> None:
    say = ["--reviewer", "Bob"]
    given = ["--comment", "Too wide.", "--place", "12.5,-30.25,7"]
    assert cli.main(["review", "return", str(campaign), "case one", *say, *given]) == 0
    said = capsys.readouterr().out
    assert "Version 1 of case one, by Dr. Ä, is returned" in said
    (row,) = listed(campaign, capsys, "--state", "returned")
    assert (row["comment"], row["place_lps_mm"], row["reviewer"]) == ("Too wide.", [-12.5, 30.25, 7.0], "Bob")
    with CampaignStore.open(campaign, writer=True) as store:
        assert [ref.case_id for ref in store.confirmed()] == ["case two"]
        store.confirm(a_confirmation(7, "case one"))
    assert cli.main(["review", "accept", str(campaign), "case one", *say, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["case_version"] == 2
    assert [r["case_id"] for r in listed(campaign, capsys, "--state", "accepted")] == ["case one"]
    assert [r["case_id"] for r in listed(campaign, capsys, "--state", "waiting")] == ["case two"]


def test_the_list_is_filtered_and_says_what_is_not_known(
    campaign: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert [row["measured"] for row in listed(campaign, capsys)] == [0.75, None]
    assert len(listed(campaign, capsys, "--measured-below", "0.8", "--target", "target")) == 1
    assert len(listed(campaign, capsys, "--annotator", "dr. ä")) == 2
    assert listed(campaign, capsys, "--expected-below", "1") == []
    assert cli.main(["review", "list", str(campaign)]) == 0
    said = capsys.readouterr().out
    assert "2 to look at" in said


def test_two_readings_are_compared_and_the_second_can_be_accepted(
    campaign: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["review", "settings", str(campaign), "--double-reading", "1.5"]) == 2
    assert cli.main(["review", "settings", str(campaign), "--double-reading", "1"]) == 0
    assert "Two people read 100 % of the cases" in capsys.readouterr().out
    say = ["review", "accept", str(campaign), "case one", "--reviewer", "Eve"]
    assert cli.main(say) == 1 and "read by a second person first" in capsys.readouterr().err
    with CampaignStore.open(campaign, writer=True) as store:
        store.confirm(a_confirmation(7, "case one", annotator="Bob"), reading=2)
    assert cli.main(["review", "agreement", str(campaign), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["pairs"][0]["one"] == "Bob" and found["readings"][0]["second"] == "Bob"
    assert cli.main(["review", "agreement", str(campaign)]) == 0
    assert "1 masks that two people drew" in capsys.readouterr().out.replace("\n", " ")
    assert cli.main([*say, "--version", "2"]) == 0
    assert "Version 2 of case one, by Bob, is accepted" in capsys.readouterr().out
    with CampaignStore.open(campaign) as store:
        assert store.newest("case one").annotator == "Bob"


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["list", "DIR", "--state", "good"], 2, "waiting, accepted, returned and all"),
        (["list", "DIR", "--expected-below", "85"], 2, "between 0 and 1"),
        (["accept", "DIR", "case one", "--reviewer", "Dr. Ä"], 1, "clopa review settings DIR --own-cases"),
        (["accept", "DIR", "case three", "--reviewer", "Bob"], 1, "no case 'case three'"),
        (["return", "DIR", "case one", "--comment", " ", "--reviewer", "Bob"], 2, "needs a comment"),
        (["return", "DIR", "case one", "--comment", "x", "--place", "1;2"], 2, "three numbers in mm"),
        (["return", "DIR", "case one", "--comment", "x", "--place", "999,0,0"], 2, "outside the image"),
    ],
)
def test_what_cannot_be_is_refused_in_words(
    campaign: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int, sentence: str
) -> None:
    assert cli.main(["review", *(str(campaign) if word == "DIR" else word for word in words)]) == code
    assert sentence in capsys.readouterr().err


def test_a_setting_lets_people_review_their_own_cases_and_can_be_taken_back(
    campaign: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["review", "settings", str(campaign), "--own-cases"]) == 0
    assert "People may review" in capsys.readouterr().out
    assert cli.main(["review", "accept", str(campaign), "case one", "--reviewer", "Dr. Ä"]) == 0
    with CampaignStore.open(campaign) as store:
        assert store.marks("case one")[0].review.allowed_by == "review_own_cases"
        assert CampaignConfig.from_dict(store.manifest.settings).review_own_cases is True
    assert cli.main(["review", "settings", str(campaign), "--no-own-cases"]) == 0
    assert cli.main(["review", "settings", str(campaign)]) == 0
    assert "may not review" in capsys.readouterr().out
    assert cli.main(["review", "accept", str(campaign), "case two", "--reviewer", "Dr. Ä"]) == 1
