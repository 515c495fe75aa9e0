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
        "clopa_annotator.datasets.dicom_series",
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
    Elsewhere(
        "test_importers.py",
        "a source of labels is recognised and read: its structures, its voxels, its names",
        "clopa_annotator.importers.detect clopa_annotator.importers.label_files "
        "clopa_annotator.importers.nifti_names",
    ),
    Elsewhere(
        "test_importers.py",
        "each kind of source is read as the one it was detected to be",
        "clopa_annotator.importers.dicom_segments clopa_annotator.importers.labelmaps "
        "clopa_annotator.importers.layouts clopa_annotator.importers.monailabel "
        "clopa_annotator.importers.other_campaign clopa_annotator.importers.structures",
        "clopa_annotator.importers.detect",
    ),
    Elsewhere(
        "test_importers.py",
        "a seg.nrrd is one of the label maps",
        "clopa_annotator.importers.slicer_segments",
        "clopa_annotator.importers.detect clopa_annotator.importers.labelmaps",
    ),
    Elsewhere(
        "test_importers_run.py",
        "what an import does to a campaign, whole",
        "clopa_annotator.importers.import_run clopa_annotator.importers.receiver "
        "clopa_annotator.importers.target_choice",
    ),
    Elsewhere(
        "test_importers_run.py",
        "which case a label belongs to is seen where it arrives",
        "clopa_annotator.importers.matching",
        "clopa_annotator.importers.import_run clopa_annotator.importers.import_course",
    ),
    Elsewhere(
        "test_importers_import_course.py",
        "a label on its way is read, and waits, in the course of an import",
        "clopa_annotator.importers.label_batch clopa_annotator.importers.label_work",
        "clopa_annotator.importers.import_run clopa_annotator.importers.import_course",
    ),
    Elsewhere(
        "test_cache_together.py",
        "several folders appear together for the sake of several confirmations, with the same faults",
        "clopa_annotator.cache.format.several",
        way="clopa_annotator.cache.together",
    ),
    Elsewhere(
        "test_importers_run.py",
        "files and values are told apart where labels of every kind arrive",
        "clopa_annotator.importers.label_volumes",
        way="clopa_annotator.importers.import_run",
    ),
    Elsewhere(
        "test_cli_import.py",
        "a command is what the command line prints and returns",
        "clopa_annotator.commands.importing",
        "clopa_annotator.cli",
    ),
    Elsewhere(
        "test_models_packing.py",
        "a card is part of the folder that it describes",
        "clopa_annotator.models.card",
        "clopa_annotator.models.packing",
    ),
    Elsewhere(
        "test_engine_client.py",
        "the contract of transfers is passed over a real line",
        "clopa_annotator.server.routes_transfers",
        "clopa_annotator.server.app",
    ),
    Elsewhere(
        "test_engine_client.py",
        "the engine's side of an import is asked over a real line",
        "clopa_annotator.campaign.label_intake",
        "clopa_annotator.campaign.engine",
    ),
    Elsewhere(
        "test_client_transfers.py",
        "orders and what became of them travel between both ends",
        "clopa_annotator.types.exports clopa_annotator.types.imports",
    ),
    Elsewhere(
        "test_client_transfers.py",
        "an import through an engine hands its labels to the engine",
        "clopa_annotator.client.engine_receiver",
        "clopa_annotator.client.http_client clopa_annotator.client.transfers",
    ),
    Elsewhere(
        "test_server_parts.py",
        "a folder's name is checked with the engine's other refusals",
        "clopa_annotator.campaign.export_jobs",
    ),
    Elsewhere(
        "test_engine_contract.py",
        "a stand-in passes the contract of what it stands for",
        "clopa_annotator.testing.fake_transfers",
        "clopa_annotator.testing.fake_engine clopa_annotator.testing.fake_steering "
        "clopa_annotator.testing.fake_review",
    ),
    Elsewhere(
        "test_session_model.py",
        "flipped bytes are found where a model is loaded",
        "clopa_annotator.session.checksums",
        "clopa_annotator.session.model",
    ),
)
