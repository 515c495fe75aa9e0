"""Modules that read and write data, and that are tested by what they make of whole files."""

from __future__ import annotations

from elsewhere import Elsewhere

WITH_DATA = (
    Elsewhere(
        "test_dicom_index.py",
        "an index is asked for series, which it knows by their headers and keeps in its store",
        "clopa_annotator.datasets.dicom_store clopa_annotator.datasets.dicom_headers",
        "clopa_annotator.datasets.dicom_index",
    ),
    Elsewhere(
        "test_dicom.py",
        "a series is its volume: voxels on a grid",
        "clopa_annotator.datasets.dicom_series",
        "clopa_annotator.datasets.dicom_index",
    ),
    Elsewhere(
        "test_dicom.py",
        "a grid is what the volume lies on",
        "clopa_annotator.datasets.dicom_grid",
        "clopa_annotator.datasets.dicom_pixels",
    ),
    Elsewhere(
        "test_dicom_pixels.py",
        "read as a person's program reads them",
        "clopa_annotator.datasets.dicom_pixels",
    ),
    Elsewhere(
        "test_odd_files.py",
        "one table of files against every reader",
        "clopa_annotator.datasets.nifti_checks",
        "clopa_annotator.datasets.volumes",
    ),
    Elsewhere(
        "test_file_names.py",
        "a list of images is what their names say",
        "clopa_annotator.datasets.image_list",
    ),
    Elsewhere(
        "test_label_values.py",
        "a label is asked for with its value",
        "clopa_annotator.datasets.target_present",
    ),
)
