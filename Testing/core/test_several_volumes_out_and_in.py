"""Series that hold several volumes, echoes for instance: the segmentation of one names its own images."""

from __future__ import annotations

from pathlib import Path

import dicom_reading
import numpy as np
import pydicom
import pytest
from cache_helpers import a_confirmation, a_store
from dicom_files import SHAPE, write_series, write_times

from clopa_annotator.datasets.dicom_index import DicomIndex
from clopa_annotator.datasets.dicom_pixels import read_volume
from clopa_annotator.exporters import export
from clopa_annotator.importers.import_run import run_import
from clopa_annotator.importers.receiver import StoreReceiver
from clopa_annotator.types.imports import ImportOrder

cache, folder = dicom_reading.cache, dicom_reading.folder
ECHOES = [{"EchoTime": 2.3}, {"EchoTime": 4.6}]


def a_mask(seed: int) -> np.ndarray:
    return (np.random.default_rng(seed).random(SHAPE) < 0.4).astype(np.uint8)


@pytest.fixture
def store(folder: Path, tmp_path: Path):
    """Both echoes of a series as cases, each confirmed."""
    write_times(folder, ECHOES, modality="MR")
    with a_store(tmp_path / "campaign") as made, DicomIndex.of_folder(folder) as index:
        list(index.scan())
        for number, series in enumerate(index.series()):
            volume = index.volume(series.key)
            name = series.part.replace(" ", "")
            made.add_case(name, read_volume(volume), volume.source)
            made.confirm(a_confirmation(number, name, mask=a_mask(number)))
        yield made


def test_a_case_says_which_volume_of_its_series_it_is(store) -> None:
    assert [case.source.rpartition("#")[2] for case in store.cases()] == ["echo1", "echo2"]


def test_the_segmentation_of_one_echo_refers_to_the_images_of_that_echo(store, folder, tmp_path) -> None:
    report = export(store, "dicomseg", tmp_path / "out")
    assert report.written == ("echo1", "echo2") and report.left_out == ()
    times = {str(d.SOPInstanceUID): float(d.EchoTime) for d in map(pydicom.dcmread, folder.iterdir())}
    for name, echo in (("echo1", 2.3), ("echo2", 4.6)):
        made = pydicom.dcmread(tmp_path / "out" / f"{name}.dcm")
        instances = made.ReferencedSeriesSequence[0].ReferencedInstanceSequence
        assert {times[str(i.ReferencedSOPInstanceUID)] for i in instances} == {echo}


def test_such_segmentations_come_back_to_their_own_echo(store, tmp_path) -> None:
    export(store, "dicomseg", tmp_path / "out")
    for case in store.cases():
        store.withdraw(case.case_id, "Ada", "again")
    report = run_import(ImportOrder(tmp_path / "out"), StoreReceiver(store, "Ada"))
    assert [(o.case_id, o.became) for o in report.outcomes] == [
        ("echo1", "imported"),
        ("echo2", "imported"),
    ]
    for number, ref in enumerate(store.confirmed()):
        assert np.array_equal(store.read_mask(ref), a_mask(number))


def test_a_segmentation_that_could_be_of_either_is_left_out_and_says_so(store, tmp_path) -> None:
    export(store, "dicomseg", tmp_path / "out")
    (tmp_path / "out" / "echo2.dcm").rename(tmp_path / "out" / "result.dcm")
    report = run_import(ImportOrder(tmp_path / "out" / "result.dcm"), StoreReceiver(store, "Ada"))
    assert "several volumes (echo1, echo2). Call the file" in report.outcomes[0].reason


def test_a_case_of_an_earlier_version_is_left_out_with_the_true_reason(store, folder, tmp_path) -> None:
    image = store.read_image(store.image_hash("echo1"))
    store.add_case("old", image, str(folder))
    store.confirm(a_confirmation(9, "old", mask=a_mask(9)))
    ((case_id, reason),) = export(store, "dicomseg", tmp_path / "out").left_out
    assert case_id == "old" and "several images at each place" in reason


def test_labels_are_matched_by_series_also_where_a_folder_holds_several(folder, tmp_path) -> None:
    for number in (1, 2):
        write_series(folder, number=number, name=f"S{number}-{{:04d}}", shape=(6, 10, 12))
    with a_store(tmp_path / "campaign") as made, DicomIndex.of_folder(folder) as index:
        list(index.scan())
        for series in index.series():
            volume = index.volume(series.key)
            made.add_case(f"number{series.title.number}", read_volume(volume), volume.source)
        made.confirm(a_confirmation(1, "number2", mask=a_mask(1)))
        export(made, "dicomseg", tmp_path / "out")
        made.withdraw("number2", "Ada", "again")
        (tmp_path / "out" / "number2.dcm").rename(tmp_path / "out" / "result.dcm")
        report = run_import(ImportOrder(tmp_path / "out" / "result.dcm"), StoreReceiver(made, "Ada"))
        assert [o.case_id for o in report.outcomes] == ["number2"] and report.outcomes[0].became == "imported"
