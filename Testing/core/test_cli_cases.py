"""``clopa cases``: images and DICOM series become the cases of a campaign."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from dicom_files import write_report, write_series
from odd_files import base, nifti

from clopa_annotator import cli
from clopa_annotator.cache.campaign_store import CampaignStore
from clopa_annotator.cache.format.manifest import CampaignManifest


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOPA_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture
def campaign(tmp_path: Path) -> Path:
    CampaignStore.create(tmp_path / "campaign", CampaignManifest("x", 2)).close()
    return tmp_path / "campaign"


@pytest.fixture
def dicom(tmp_path: Path) -> Path:
    write_series(tmp_path / "export" / "one")
    write_series(tmp_path / "export" / "two", number=8, description="late")
    write_series(tmp_path / "export" / "gap", number=9, change=lambda made, k: k != 2)
    write_report(tmp_path / "export" / "sr")
    return tmp_path / "export"


def names(campaign: Path) -> list[str]:
    with CampaignStore.open(campaign) as store:
        return [case.case_id for case in store.cases()]


def test_the_series_of_a_folder_become_cases(
    campaign: Path, dicom: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["cases", "add", str(campaign), "--dicom", str(dicom)]) == 0
    said = capsys.readouterr().out
    assert [name.rpartition("-")[0] for name in names(campaign)] == ["CT-3", "CT-8"]
    assert "2 cases are in the campaign." in said
    assert 'left out: Series 9 (CT, "portal venous") is incomplete' in said and "holds no images" in said
    with CampaignStore.open(campaign) as store:
        assert store.cases()[0].source == str((dicom / "one").resolve())


def test_a_second_time_adds_nothing_twice(campaign: Path, dicom: Path) -> None:
    for _ in range(2):
        assert cli.main(["cases", "add", str(campaign), "--dicom", str(dicom)]) == 0
    assert len(names(campaign)) == 2


def test_one_series_is_chosen_by_its_number(campaign: Path, dicom: Path) -> None:
    assert cli.main(["cases", "add", str(campaign), "--dicom", str(dicom), "--series", "8"]) == 0
    assert [name.rpartition("-")[0] for name in names(campaign)] == ["CT-8"]


def test_a_series_that_is_not_there_is_refused(
    campaign: Path, dicom: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["cases", "add", str(campaign), "--dicom", str(dicom), "--series", "77"]) == 2
    assert "holds no series 77" in capsys.readouterr().err


def test_a_dry_run_adds_nothing(campaign: Path, dicom: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["cases", "add", str(campaign), "--dicom", str(dicom), "--dry-run"]) == 0
    assert "2 cases would be added." in capsys.readouterr().out and names(campaign) == []


def test_names_of_patients_are_asked_for(campaign: Path, dicom: Path) -> None:
    arguments = ["cases", "add", str(campaign), "--dicom", str(dicom), "--patient-names", "--series", "3"]
    assert cli.main(arguments) == 0
    assert names(campaign)[0].startswith("Mustermann_Erika-CT-3-")


def test_the_list_has_what_a_person_looks_for(dicom: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["cases", "series", str(dicom)]) == 0
    said = capsys.readouterr().out
    assert "Mustermann Erika, 20240131, Thorax Abdomen" in said and "CT late" in said
    assert "cannot be annotated: Series 9" in said
    assert cli.main(["cases", "series", str(dicom), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["title"]["number"] for row in rows] == ["3", "8", "9", "99"]


def test_images_become_cases_and_one_odd_file_does_not_stop_the_others(
    campaign: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "images").mkdir()
    for name in ("a_0001", "a_0002"):
        nifti(tmp_path / "images" / f"{name}.nii.gz", base())
    nifti(tmp_path / "images" / "flat.nii.gz", np.ones((4, 4, 4), np.int16))
    assert cli.main(["cases", "add", str(campaign), "--images", str(tmp_path / "images"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["added"] == names(campaign) == ["a_0001", "a_0002"]
    assert told["left_out"][0]["what"] == "flat"


@pytest.mark.parametrize("arguments", [[], ["--dicom", "x", "--images", "y"]])
def test_exactly_one_place_is_named(
    campaign: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["cases", "add", str(campaign), *arguments]) == 2
    assert "--dicom FOLDER or --images PATH" in capsys.readouterr().err


def test_dicom_given_as_images_is_told_apart(
    campaign: Path, dicom: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["cases", "add", str(campaign), "--images", str(dicom)]) == 2
    assert "Give it as --dicom" in capsys.readouterr().err


def test_a_folder_without_dicom_is_refused(
    campaign: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    assert cli.main(["cases", "add", str(campaign), "--dicom", str(tmp_path / "empty")]) == 2
    assert "holds no DICOM series" in capsys.readouterr().err


def test_dicom_as_a_dataset_is_told_where_it_goes(dicom: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["evaluate", "--dataset", str(dicom), "--out", str(dicom / "out")]) == 2
    assert "clopa cases add" in capsys.readouterr().err


def test_the_same_image_with_a_rounded_grid_is_the_same_case(campaign: Path, dicom: Path) -> None:
    from dataclasses import replace

    from clopa_annotator.errors import GeometryError

    assert cli.main(["cases", "add", str(campaign), "--dicom", str(dicom), "--series", "3"]) == 0
    (case_id,) = names(campaign)
    with CampaignStore.open(campaign, writer=True) as store:
        digest = store.image_hash(case_id)
        image = store.read_image(digest)
        x, y, z = image.geometry.origin_lps_mm
        near = replace(image.geometry, origin_lps_mm=(x + 1e-7, y, z))
        far = replace(image.geometry, origin_lps_mm=(x + 1, y, z))
        assert store.add_case(case_id, replace(image, geometry=near)) == digest
        for other in (replace(image, geometry=far), replace(image, voxels=image.voxels + 1)):
            with pytest.raises(GeometryError, match="another image"):
                store.add_case(case_id, other)
