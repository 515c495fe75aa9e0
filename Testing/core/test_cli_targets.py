"""A campaign of several targets on the command line: listed, exported, imported into."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from cache_helpers import SHAPE, a_confirmation, a_store, an_image
from label_files import write_label

from clopa_annotator.cache.campaign_store import CampaignStore, CaseDraft
from clopa_annotator.cli import main
from clopa_annotator.types import Slot, Target, Targets

TARGETS = Targets(
    [Target("liver"), Target("vessel", "vessel", overlaps=True), Target("lesion", "lesion", instances=True)]
)


def a_box(first: int, last: int) -> np.ndarray:
    mask = np.zeros(SHAPE, np.uint8)
    mask[first:last] = 1
    return mask


@pytest.fixture
def campaign(tmp_path: Path) -> Path:
    with a_store(tmp_path / "campaign", targets=TARGETS) as store:
        for number, case_id in enumerate(("one", "two")):
            store.add_case(case_id, an_image(number))
        masks = {"": a_box(0, 3), "vessel": a_box(2, 4), "lesion": a_box(6, 6)}
        for number, (key, mask) in enumerate(masks.items()):
            store.confirm(a_confirmation(number, "one", mask=mask, slot=Slot(key)))
        store.save_draft(CaseDraft("two", a_box(0, 1), slot=Slot("lesion", 2)))
    return tmp_path / "campaign"


def test_the_list_shows_how_many_targets_are_done_and_each_of_them(campaign: Path, capsys) -> None:
    assert main(["cache", "list", str(campaign)]) == 0
    shown = capsys.readouterr().out
    assert "3/3" in shown and "0/4" in shown
    assert "not present" in shown and "lesion 2" in shown and "vessel" in shown
    assert main(["cache", "list", str(campaign), "--json"]) == 0
    one, two = json.loads(capsys.readouterr().out)
    assert (one["decided"], two["decided"]) == (3, 0)
    assert one["slots"][2]["is_absent"] and two["slots"][3]["slot"] == {"target": "lesion", "instance": 2}


def test_the_list_of_one_target_has_no_second_table(tmp_path: Path, capsys) -> None:
    with a_store(tmp_path) as store:
        store.add_case("one", an_image())
    assert main(["cache", "list", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "0/1" in shown and "Targets" not in shown


def test_targets_are_chosen_and_shared_voxels_refused_or_given_to_the_first(
    campaign: Path, tmp_path: Path, capsys
) -> None:
    export = ["export", str(campaign), "--format", "nifti", "--out"]
    assert main([*export, str(tmp_path / "a")]) == 2
    assert "liver and vessel share" in " ".join(capsys.readouterr().err.split())
    assert main([*export, str(tmp_path / "b"), "--priority", "vessel,liver"]) == 0
    assert main([*export, str(tmp_path / "c"), "--target", "liver", "--target", "lesion"]) == 0
    content = json.loads((tmp_path / "c" / "cases.json").read_text(encoding="utf-8"))
    assert content["labels"] == {"liver": 1, "lesion": 2}
    assert main([*export, str(tmp_path / "d"), "--target", "kidney"]) == 2


def test_one_label_map_is_imported_into_several_targets(campaign: Path, tmp_path: Path, capsys) -> None:
    values = np.zeros(SHAPE, np.uint8)
    values[0], values[1], values[2] = 1, 2, 5
    write_label(tmp_path / "labels" / "two.nii.gz", values)
    labels = [
        "import",
        "--campaign",
        str(campaign),
        "--labels",
        str(tmp_path / "labels"),
        "--as",
        "confirmed",
    ]
    asked = [*labels, "--target", "liver=1", "--target", "vessel=2"]
    assert main([*asked, "--dry-run"]) == 0
    shown = " ".join(capsys.readouterr())
    assert "two, liver: 99 voxels" in shown and "two, vessel: 99 voxels" in shown
    assert "no target stands for" in " ".join(shown.split()) and "5" in shown
    assert main(asked) == 0
    with CampaignStore.open(campaign) as store:
        assert store.case("two").decided == 2
        assert len(store.confirmed("vessel")) == 2
