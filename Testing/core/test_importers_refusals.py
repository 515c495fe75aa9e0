"""Imports that meet another patient, a full disk, an older program, or somebody who stops them."""

from __future__ import annotations

import json
from pathlib import Path

import importing
import numpy as np
import pytest
from cache_helpers import (
    a_confirmation,
    a_mask,
    an_image,
)
from importing import bring, reasons
from label_files import write_dicom_seg
from system_calls import watched
from test_exporters import DICOM_GRID, write_series

from clopa_annotator.cache.campaign_store import CampaignStore
from clopa_annotator.cache.format.names import case_folder
from clopa_annotator.errors import ConfirmationConflict, StorageFull
from clopa_annotator.importers import label_batch
from clopa_annotator.importers.import_run import run_import
from clopa_annotator.importers.receiver import StoreReceiver
from clopa_annotator.types import Image
from clopa_annotator.types.imports import ImportOrder

tmp_path, store, labels = importing.tmp_path, importing.store, importing.labels


# -- DICOM ---------------------------------------------------------------------------------------------------


@pytest.fixture
def dicom(store, tmp_path):
    voxels = an_image(3).voxels
    write_series(tmp_path / "series", voxels, DICOM_GRID)
    store.add_case("ct of somebody", Image(voxels, DICOM_GRID), source=str(tmp_path / "series"))
    return tmp_path / "series"


def test_a_dicom_segmentation_finds_its_case_by_the_series(store, dicom, tmp_path):
    mask = a_mask(1)
    mask[:2] = 0
    path = write_dicom_seg(tmp_path / "seg" / "1.2.3.dcm", dicom, [mask, a_mask(2)], ["tumour", "rest"])
    report = bring(store, path, target="target=tumour")
    assert report.outcomes[0].case_id == "ct of somebody"
    np.testing.assert_array_equal(store.read_mask(store.confirmed()[0]), mask)


@pytest.mark.parametrize(
    ("name", "says"), [("PatientID", "another patient"), ("FrameOfReferenceUID", "frame of reference")]
)
def test_another_patient_or_frame_is_refused_and_not_named(store, dicom, tmp_path, name, says):
    import pydicom

    path = write_dicom_seg(tmp_path / "seg" / "x.dcm", dicom, [a_mask(1)], ["tumour"])
    dataset = pydicom.dcmread(path)
    setattr(dataset, name, "1.2.3.4.5")
    dataset.save_as(path)
    (reason,) = reasons(bring(store, path, target="", resample=True)).values()
    assert says in reason and "1.2.3.4.5" not in reason and "P1" not in reason
    assert store.confirmed() == ()


# -- faults --------------------------------------------------------------------------------------------------


def test_a_full_disk_ends_the_import_and_keeps_what_was_stored(store, labels, monkeypatch):
    class Full(StoreReceiver):
        def keep_together(self, masks, confirmed):
            if "case 2" in [m.case_id for m in masks]:
                raise StorageFull("No room.")
            super().keep_together(masks, confirmed)

    monkeypatch.setattr(label_batch, "TOGETHER", 2)
    order = ImportOrder(labels, target="2")
    with pytest.raises(StorageFull):
        run_import(order, Full(store, "Ada"))
    assert len(store.confirmed()) == 2
    assert [o.became for o in bring(store, labels, target="2").outcomes] == ["already there"] * 2 + [
        "imported"
    ]


def test_an_import_can_be_watched_and_stopped(store, labels, monkeypatch):
    monkeypatch.setattr(label_batch, "TOGETHER", 1)
    steps = []
    order = ImportOrder(labels, target="2")
    report = run_import(
        order, StoreReceiver(store, "A"), lambda *step: steps.append(step[:2]), lambda: len(steps) == 2
    )
    assert steps == [(1, 3), (2, 3)]
    assert report.stopped and report.in_words.endswith("Stopped before the end.")
    assert len(store.confirmed()) == 2


@pytest.mark.parametrize("confirmed", [True, False])
def test_labels_are_taken_in_together_and_one_that_is_refused_is_left_out_alone(store, labels, confirmed):
    batches, steps = [], []

    class Once(StoreReceiver):
        def keep_together(self, masks, confirmed):
            batches.append([m.case_id for m in masks])
            if "case 1" in batches[-1]:
                raise ConfirmationConflict("It was stored before with other contents.")
            super().keep_together(masks, confirmed)

    order = ImportOrder(labels, confirmed, target="2")
    report = run_import(order, Once(store, "Ada"), lambda *step: steps.append(step))
    assert batches == [["case 0", "case 1", "case 2"], ["case 0"], ["case 1"], ["case 2"]]
    assert [o.became for o in report.outcomes] == ["imported", "left out", "imported"]
    assert report.outcomes[1].reason == "It was stored before with other contents."
    assert [(done, outcome) for done, _, outcome in steps] == list(enumerate(report.outcomes, 1))
    assert len(store.confirmed()) == (2 if confirmed else 0)
    assert [c.has_draft for c in store.cases()] == [not confirmed, False, not confirmed]


def test_nothing_is_called_imported_before_it_is_stored(store, labels, monkeypatch):
    monkeypatch.setattr(label_batch, "TOGETHER", 2)
    stored = []
    run_import(
        ImportOrder(labels, target="2"),
        StoreReceiver(store, "Ada"),
        lambda *step: stored.append(step[2].case_id in {ref.case_id for ref in store.confirmed()}),
    )
    assert stored == [True] * 3


def test_what_an_import_says_it_imported_would_survive_a_power_cut_at_that_moment(store, labels, monkeypatch):
    monkeypatch.setattr(label_batch, "TOGETHER", 2)
    said = []

    def say(done, total, outcome):
        kept = calls.after_a_power_cut()
        files = {Path(n).name for n in kept if n.startswith(f"cases/{case_folder(outcome.case_id)}/v")}
        said.append((outcome.became, files))

    with watched(store.folder) as calls:
        run_import(ImportOrder(labels, target="2"), StoreReceiver(store, "Ada"), say)
    assert said == [("imported", {"mask.seg.nrrd", "mask.b2nd", "record.json"})] * 3
    assert calls.careless == []


def test_a_record_of_an_import_is_read_by_a_program_that_does_not_know_it(store, labels):
    bring(store, labels)
    path = store.folder / store.confirmed()[0].folder / "record.json"
    content = json.loads(path.read_bytes())
    assert content["imported"]["taken"] == "2" and content["format_version"] == 1
    drawn = store.confirm(a_confirmation(9, "case 2"))
    assert "imported" not in json.loads((store.folder / drawn.folder / "record.json").read_bytes())


def test_rebuilding_the_index_keeps_imports_known(store, labels, tmp_path):
    from clopa_annotator.cache.campaign_store import rebuild_index

    bring(store, labels)
    store.close()
    (tmp_path / "campaign" / "index.sqlite").unlink()
    rebuild_index(tmp_path / "campaign")
    with CampaignStore.open(tmp_path / "campaign", writer=True) as again:
        assert [o.became for o in bring(again, labels).outcomes] == ["already there"] * 3
