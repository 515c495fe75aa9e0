"""``clopa import`` on the command line: what it prints, its exit codes, a campaign in use."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cache_helpers import a_store, an_image
from label_files import two_values, write_label

from clopa_annotator.cache.campaign_store import CampaignStore
from clopa_annotator.cli import main


@pytest.fixture
def campaign(tmp_path: Path) -> Path:
    with a_store(tmp_path / "campaign") as store:
        store.add_case("one", an_image(0))
    write_label(tmp_path / "labels" / "one.nii.gz", two_values(0))
    write_label(tmp_path / "labels" / "two.nii.gz", two_values(1))
    write_label(tmp_path / "images" / "two.nii.gz", an_image(1).voxels)
    return tmp_path / "campaign"


def command(campaign: Path, *more: str) -> list[str]:
    labels = campaign.parent / "labels"
    asked = [] if "--target" in more else ["--target", "target=2"]
    return ["import", "--campaign", str(campaign), "--labels", str(labels), *asked, *more]


def test_labels_are_suggestions_unless_they_are_said_to_be_confirmed(campaign, capsys):
    assert main(command(campaign)) == 0
    printed = capsys.readouterr().out
    assert "1 of 2 labels imported as suggestions. 1 left out." in printed
    assert "left out: two: The campaign has no case 'two'" in printed
    with CampaignStore.open(campaign) as store:
        assert store.confirmed() == () and store.case("one").has_draft


def test_a_dry_run_says_what_would_happen_beside_a_running_writer(campaign, capsys):
    images = str(campaign.parent / "images")
    with CampaignStore.open(campaign, writer=True):
        assert main(command(campaign, "--as", "confirmed", "--images", images, "--dry-run")) == 0
    printed = capsys.readouterr().out
    assert "2 of 2 labels would be imported as confirmed masks." in printed
    assert "two: " in printed and ", a new case" in printed
    with CampaignStore.open(campaign) as store:
        assert [case.case_id for case in store.cases()] == ["one"]


def test_a_campaign_that_an_engine_holds_is_refused_with_the_way_in(campaign, capsys):
    with CampaignStore.open(campaign, writer=True):
        assert main(command(campaign)) == 1
    said = " ".join(capsys.readouterr().err.split())
    assert "is being written by process" in said and '"Import labels" in Slicer' in said


def test_confirmed_labels_are_told_as_json_with_the_given_author(campaign, capsys):
    images = str(campaign.parent / "images")
    arguments = command(campaign, "--as", "confirmed", "--images", images, "--author", "Ada", "--json")
    assert main(arguments) == 0
    told = json.loads(capsys.readouterr().out)
    assert [outcome["became"] for outcome in told["outcomes"]] == ["imported", "imported"]
    assert told["summary"].startswith("2 of 2 labels imported")
    with CampaignStore.open(campaign) as store:
        assert {store.record(ref).annotator for ref in store.confirmed()} == {"Ada"}
    assert main(arguments) == 0
    assert {o["became"] for o in json.loads(capsys.readouterr().out)["outcomes"]} == {"already there"}


@pytest.mark.parametrize(
    ("more", "code", "says"),
    [
        (["--as", "gold"], 2, "not as 'gold'"),
        (["--target", "liver=7"], 2, "No file has the 7"),
        (["--target", "="], 2, "NAME=VALUE"),
        (["--format", "papyrus"], 2, "there are labelmap"),
        (["--labels", "nowhere"], 2, "does not exist"),
        (["--images", "nowhere"], 2, "cannot be read"),
    ],
)
def test_wrong_input_ends_in_a_sentence(campaign, capsys, more, code, says):
    assert main(command(campaign, *more)) == code
    error = " ".join(capsys.readouterr().err.split())
    assert says in error and "Traceback" not in error


def test_an_import_that_takes_nothing_is_no_success(campaign, capsys):
    (campaign.parent / "labels" / "one.nii.gz").unlink()
    assert main(command(campaign)) == 1
    assert "left out: two" in capsys.readouterr().out
