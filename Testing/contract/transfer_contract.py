"""Exports and imports through an `EngineClient`, whoever answers; mixed into a class with the clients."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from engine_contract import SHAPE, an_image, confirm_case, wait_for, wait_until

from clopa_annotator import errors
from clopa_annotator.datasets.volumes import write_volume
from clopa_annotator.geometry import Geometry
from clopa_annotator.types import CaseState
from clopa_annotator.types.exports import ExportOrder
from clopa_annotator.types.imports import ImportOrder


def a_label(seed: int = 0) -> np.ndarray:
    voxels = np.zeros(SHAPE, np.uint8)
    voxels[2 + seed : 9, 3:12, 4:15] = 1
    voxels[10:13, 3:6, 4:7] = 2
    return voxels


def labels(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for seed, name in enumerate(names):
        write_volume(folder / f"{name}.nii.gz", a_label(seed), Geometry(SHAPE))
    return folder


def add_cases(client, *names: str) -> None:
    for seed, name in enumerate(names):
        wait_for(client, client.prefetch_case(name, an_image(seed)))


class TransferContract:
    def test_the_confirmed_cases_are_exported_with_progress(self, client, tmp_path):
        confirm_case(client, "case 1")
        confirm_case(client, "case 2", seed=2)
        steps = []
        order = ExportOrder("nifti", str(tmp_path / "out"))
        exported = wait_for(client, client.export(order, steps.append))
        assert exported.written == ("case 1", "case 2") and exported.left_out == ()
        assert any(Path(exported.folder).iterdir())
        assert all(step.done <= step.total for step in steps)

    def test_only_chosen_cases_are_exported_and_one_without_a_mask_is_named(self, client, tmp_path):
        for number in (1, 2):
            confirm_case(client, f"case {number}", seed=number)
        add_cases(client, "to do")
        order = ExportOrder("nifti", str(tmp_path / "out"), cases=("case 2", "to do"))
        exported = wait_for(client, client.export(order))
        assert exported.written == ("case 2",)
        assert [case_id for case_id, _ in exported.left_out] == ["to do"]

    def test_accepted_leaves_out_what_needs_another_look(self, client, tmp_path):
        for number in (1, 2):
            confirm_case(client, f"case {number}", seed=number)
        wait_for(client, client.flag("case 1", "ask"))
        order = ExportOrder("nifti", str(tmp_path / "out"), choice="accepted")
        assert wait_for(client, client.export(order)).written == ("case 2",)

    def test_a_full_folder_an_unknown_format_and_an_unknown_case_are_refused(self, client, tmp_path):
        confirm_case(client, "case 1")
        (tmp_path / "full").mkdir()
        (tmp_path / "full" / "file").touch()
        for order, error in (
            (ExportOrder("nifti", str(tmp_path / "full")), errors.ConfigError),
            (ExportOrder("papyrus", str(tmp_path / "a")), errors.ConfigError),
            (ExportOrder("nifti", str(tmp_path / "b"), cases=("nobody",)), errors.UnknownCase),
        ):
            with pytest.raises(error):
                wait_for(client, client.export(order))

    def test_labels_are_confirmed_once_and_count_as_confirmed_cases(self, client, tmp_path):
        add_cases(client, "one", "two")
        order = ImportOrder(labels(tmp_path / "l", "one", "two"), target="target=1")
        steps = []
        report = wait_for(client, client.import_labels(order, steps.append))
        assert [o.became for o in report.outcomes] == ["imported", "imported"]
        wait_until(client, lambda: len(steps) == 2)
        assert (steps[-1].done, steps[-1].total) == (2, 2)
        assert {row.state for row in wait_for(client, client.cases())} == {CaseState.CONFIRMED}
        assert wait_for(client, client.learning()).gathered == 2
        opened = wait_for(client, client.open_case("two", an_image(1)))
        np.testing.assert_array_equal(opened.answer.proposal.mask, a_label(1) == 1)
        wait_for(client, client.leave_case())
        again = wait_for(client, client.import_labels(order))
        assert [o.became for o in again.outcomes] == ["already there", "already there"]
        assert len(wait_for(client, client.statistics())) == 2

    def test_suggestions_are_shown_when_the_case_is_opened_and_do_not_count(self, client, tmp_path):
        add_cases(client, "one")
        order = ImportOrder(labels(tmp_path / "l", "one"), confirmed=False, target="1")
        wait_for(client, client.import_labels(order))
        (row,) = wait_for(client, client.cases())
        assert row.has_draft and row.versions == 0
        assert wait_for(client, client.statistics()) == ()
        opened = wait_for(client, client.open_case("one", an_image()))
        assert opened.draft is not None and opened.draft.imported is not None
        assert opened.draft.imported.source.endswith("one.nii.gz")
        np.testing.assert_array_equal(opened.answer.proposal.mask, a_label() == 1)

    def test_a_case_that_is_not_there_comes_with_its_image(self, client, tmp_path):
        image = an_image(3)
        write_volume(tmp_path / "new.nrrd", image.voxels, image.geometry)
        path = labels(tmp_path / "l", "new")
        order = ImportOrder(path, target="1", images={"new": tmp_path / "new.nrrd"})
        report = wait_for(client, client.import_labels(order))
        assert report.outcomes[0].is_new
        assert [row.case_id for row in wait_for(client, client.cases())] == ["new"]

    def test_a_dry_run_changes_nothing(self, client, tmp_path):
        add_cases(client, "one")
        order = ImportOrder(labels(tmp_path / "l", "one", "stranger"), target="1", dry_run=True)
        report = wait_for(client, client.import_labels(order))
        assert [o.became for o in report.outcomes] == ["imported", "left out"]
        assert wait_for(client, client.statistics()) == ()

    def test_a_case_that_somebody_has_open_is_left_out(self, client, tmp_path):
        wait_for(client, client.open_case("one", an_image()))
        order = ImportOrder(labels(tmp_path / "l", "one"), target="1")
        (outcome,) = wait_for(client, client.import_labels(order)).outcomes
        assert outcome.became == "left out" and "has this case open" in outcome.reason

    def test_a_folder_without_labels_and_a_value_that_is_nowhere_are_refused(self, client, tmp_path):
        add_cases(client, "one")
        with pytest.raises(errors.DatasetError):
            wait_for(client, client.import_labels(ImportOrder(tmp_path / "nowhere")))
        order = ImportOrder(labels(tmp_path / "l", "one"), target="9")
        with pytest.raises(errors.DatasetError, match="No file has the 9"):
            wait_for(client, client.import_labels(order))

    def test_the_same_image_read_by_another_program_is_the_same_image(self, client):
        """Slicer's matrix arithmetic changes the last bits of a grid that SimpleITK read."""
        image = an_image()
        wait_for(client, client.prefetch_case("one", image))
        grid = Geometry(SHAPE, (1 + 1e-12, 1, 1 - 1e-12), (1e-12, -1e-12, 0))
        again = type(image)(image.voxels, grid)
        assert wait_for(client, client.prefetch_case("one", again)).case_id == "one"
        assert wait_for(client, client.open_case("one", again)).row.case_id == "one"
        moved = type(image)(image.voxels, Geometry(SHAPE, (1, 1, 1), (0.1, 0, 0)))
        with pytest.raises(errors.GeometryError):
            wait_for(client, client.open_case("one", moved))
