"""Verifying a campaign: damage and strangers are found, named and moved to quarantine."""

from __future__ import annotations

import json
import os
import random
import shutil
from pathlib import Path

import cache_helpers
import numpy as np
import pytest
from cache_helpers import a_confirmation, a_mask, an_image, data_files, flip_bit, pick, verified

from clopa_annotator.cache.campaign_store import CampaignStore

sound, campaign, tmp_path = cache_helpers.sound, cache_helpers.campaign, cache_helpers.tmp_path


def test_a_sound_campaign_has_no_findings(campaign):
    report, confirmed, _ = verified(campaign)
    assert report.ok
    assert (report.images, report.cases, report.versions, len(confirmed)) == (2, 2, 3, 2)


def data_file_names() -> list[str]:
    return ["campaign", "case", "image", "mark", "mask b2nd", "mask nrrd", "record", "voxels", "draft"]


@pytest.mark.parametrize("harm", ["flip", "truncate", "empty", "remove"])
@pytest.mark.parametrize("what", data_file_names())
def test_every_kind_of_damage_to_every_kind_of_file_is_found_named_and_moved(campaign, what, harm):
    path = pick(campaign, what)
    if harm == "flip":
        flip_bit(path, random.Random(what).randrange(8 * path.stat().st_size))
    elif harm == "truncate":
        os.truncate(path, path.stat().st_size // 2)
    elif harm == "empty":
        os.truncate(path, 0)
    else:
        path.unlink()
    if what == "campaign":
        # Opening for writing restores it from the index; the damaged one is in quarantine.
        report, _, cases = verified(campaign)
        assert report.ok
        assert harm == "remove" or list(campaign.glob("quarantine/*/campaign.json"))
        assert len(cases) == 2
        return
    if what in ("draft", "mark") and harm == "remove":
        return  # Nothing else knows of a draft; a mark that is gone changes the state only, see below.
    report, confirmed, _ = verified(campaign)
    relative = path.relative_to(campaign).as_posix()
    assert any(f.path == relative or relative.startswith(f.path + "/") for f in report.findings), report
    assert harm == "remove" or not path.exists() or what == "case"
    assert len(confirmed) >= 1
    again, confirmed_again, _ = verified(campaign)
    assert confirmed_again == confirmed
    assert again.ok or what in ("image", "voxels")


def test_every_flipped_bit_is_found(campaign):
    """Three bits at random of every file; Testing/crash/bits.py flips them all."""
    generator = random.Random(0)
    for original in data_files(campaign):
        if original.name == "campaign.json":
            continue
        content = original.read_bytes()
        for _ in range(3):
            flip_bit(original, generator.randrange(8 * len(content)))
            with CampaignStore.open(campaign) as store:
                assert not store.verify().ok, original
            original.write_bytes(content)
    with CampaignStore.open(campaign) as store:
        assert store.verify().ok


def test_a_damaged_version_leaves_and_the_case_goes_on_with_the_next_number(campaign):
    flip_bit(next(campaign.glob("cases/case-0*/v0002*/mask.seg.nrrd")), 4000)
    report, _, cases = verified(campaign)
    (finding,) = report.findings
    assert finding.moved_to.startswith("quarantine/0001/cases/case-0-")
    assert "do not fit" in finding.problem
    assert cases["case 0"].versions == 1
    with CampaignStore.open(campaign, writer=True) as store:
        ref = store.confirm(a_confirmation(200, "case 0"))
    assert (ref.case_version, ref.sequence) == (3, 5)


def test_numbers_in_quarantine_are_not_given_again_even_without_the_index(campaign):
    flip_bit(next(campaign.glob("cases/case-0*/v0002*/mask.seg.nrrd")), 4000)
    (next(campaign.glob("cases/*/m*.json"))).unlink()
    verified(campaign)
    (campaign / "index.sqlite").unlink()
    with CampaignStore.open(campaign, writer=True) as store:
        ref = store.confirm(a_confirmation(200, "case 0"))
    assert (ref.case_version, ref.sequence) == (3, 4)


def test_a_confirmation_that_was_lost_to_damage_can_be_delivered_again(campaign):
    flip_bit(next(campaign.glob("cases/case-1*/v0001*/record.json")), 999)
    verified(campaign)
    with CampaignStore.open(campaign, writer=True) as store:
        ref = store.confirm(a_confirmation(1, "case 1"))
        np.testing.assert_array_equal(store.read_mask(ref), a_mask(1))
        assert store.verify().ok


def test_a_case_whose_image_is_damaged_does_not_train_until_it_is_added_again(campaign):
    digest = an_image_hash(campaign, "case 0")
    flip_bit(campaign / "images" / digest / "voxels.b2nd", 3000)
    report, confirmed, _ = verified(campaign)
    assert [r.case_id for r in confirmed] == ["case 1"]
    assert any("'case 0'" in f.problem for f in report.findings)
    with CampaignStore.open(campaign, writer=True) as store:
        store.add_case("case 0", an_image(0))
        assert [r.case_id for r in store.confirmed()] == ["case 1", "case 0"]
        assert store.verify().ok


def test_adding_a_case_again_heals_its_image_without_a_check_before(campaign):
    digest = an_image_hash(campaign, "case 0")
    flip_bit(campaign / "images" / digest / "voxels.b2nd", 3000)
    with CampaignStore.open(campaign, writer=True) as store:
        store.add_case("case 0", an_image(0))
        np.testing.assert_array_equal(store.read_image(digest).voxels, an_image(0).voxels)
        assert store.verify().ok


def an_image_hash(folder: Path, case_id: str) -> str:
    with CampaignStore.open(folder) as store:
        return store.image_hash(case_id)


@pytest.mark.parametrize(
    "extra",
    [
        "images/notes.txt",
        "images/{image}/copy.b2nd",
        "cases/stray/x",
        "cases/{case}/notes.txt",
        "cases/{case}/v0009/record.json",
        "cases/{case}/{version}/mask (1).seg.nrrd",
        "drafts/old.json",
    ],
)
def test_what_does_not_belong_is_named_and_moved_and_nothing_else(campaign, extra):
    case = next(campaign.glob("cases/case-0*"))
    version = next(case.glob("v0001*"))
    image = next((campaign / "images").iterdir())
    path = campaign / extra.format(image=image.name, case=case.name, version=version.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("x")
    report, confirmed, _ = verified(campaign)
    assert len(report.findings) == 1
    assert not path.exists()
    assert len(confirmed) == 2
    assert verified(campaign)[0].ok


def test_what_file_browsers_leave_behind_is_no_finding(campaign):
    for name in (".DS_Store", "Thumbs.db"):
        (campaign / "cases" / name).write_text("x")
        (next(campaign.glob("cases/*/v*")) / name).write_text("x")
    assert verified(campaign)[0].ok


@pytest.mark.parametrize("pattern", ["cases/case-0*", "cases/case-0*/v0001*", "images/*"])
def test_a_missing_folder_is_named(campaign, pattern):
    path = sorted(campaign.glob(pattern))[0]
    shutil.rmtree(path)
    report, _, _ = verified(campaign)
    assert any("missing" in f.problem and path.name in f.path for f in report.findings)
    assert not any(f.moved_to for f in report.findings)


def test_a_case_record_is_written_again_from_the_versions_beside_it(campaign):
    next(campaign.glob("cases/case-0*/case.json")).write_text("{}")
    report, confirmed, cases = verified(campaign)
    assert "written again" in report.findings[0].problem
    assert len(confirmed) == 2
    assert cases["case 0"].image_hash


def test_checking_for_reading_only_reports_and_moves_nothing(campaign):
    flip_bit(pick(campaign, "record"), 500)
    before = sorted(campaign.rglob("*"))
    with CampaignStore.open(campaign) as store:
        report = store.verify()
    assert len(report.findings) == 1
    assert not report.findings[0].moved_to
    assert sorted(campaign.rglob("*")) == before


def test_a_quarantined_piece_says_what_it_is(campaign):
    flip_bit(pick(campaign, "record"), 500)
    verified(campaign)
    finding = json.loads((campaign / "quarantine" / "0001" / "finding.json").read_text())
    assert finding["path"].startswith("cases/case-1")
    assert "checksum" in finding["problem"]
    assert (campaign / "quarantine" / "0001" / finding["path"] / "mask.seg.nrrd").is_file()
