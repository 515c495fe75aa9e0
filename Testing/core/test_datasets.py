"""Dataset folders are read in a fixed order, split without overlap, and refused in words."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from clopa_annotator.datasets import (
    TASKS,
    MsdDataset,
    PhantomSpec,
    make_phantom,
    open_dataset,
    write_phantom_dataset,
)
from clopa_annotator.datasets.lesions import LesionSpec
from clopa_annotator.datasets.msd import split_stream
from clopa_annotator.datasets.parts import count_parts, part_of_mask
from clopa_annotator.datasets.vessels import VesselSpec
from clopa_annotator.datasets.volumes import read_image, read_mask, write_volume
from clopa_annotator.errors import ConfigError, DatasetError, GeometryError, ImageError
from clopa_annotator.geometry import Geometry

SMALL = PhantomSpec(shape_kji=(16, 18, 20))


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> MsdDataset:
    return write_phantom_dataset(tmp_path_factory.mktemp("phantoms"), 4, SMALL, seed=3)


def test_a_written_dataset_reads_back_with_its_geometry(phantoms: MsdDataset) -> None:
    image, mask = make_phantom(SMALL, seed=3 * 100_003 + 1)
    read, read_reference = phantoms[1].read()
    assert np.array_equal(read.voxels, image.voxels)
    assert np.array_equal(read_reference, mask)
    assert read.geometry.agrees_with(image.geometry)


def test_cases_come_in_the_order_of_their_names(phantoms: MsdDataset) -> None:
    assert [c.case_id for c in phantoms] == [f"phantom_{n:03d}" for n in range(4)]
    assert len(phantoms[1:3]) == 2


def test_the_same_seed_gives_the_same_phantom_and_another_seed_another() -> None:
    first, again, other = (make_phantom(SMALL, seed)[0].voxels for seed in (5, 5, 6))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_phantom_holds_a_whole_capsule_of_unlike_layers() -> None:
    image, mask = make_phantom(PhantomSpec(), seed=0)
    inside = image.voxels[mask == 1]
    assert 0.005 < mask.mean() < 0.2
    assert np.percentile(inside, 90) - np.percentile(inside, 10) > 250, (
        "one threshold must not find the target"
    )


def test_a_phantom_too_small_to_hold_anything_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least 16 voxels"):
        PhantomSpec(shape_kji=(8, 48, 48))


def test_the_hippocampus_folder_is_read_as_it_lies(test_data: Path) -> None:
    dataset = MsdDataset(test_data / "Task04_Hippocampus")
    image, mask = dataset[0].read()
    assert len(dataset) == 130
    assert mask.shape == image.voxels.shape == image.geometry.shape_kji
    assert set(np.unique(mask)) == {0, 1}
    front = read_mask(dataset[0].label_path, label=1)
    assert 0 < front.sum() < mask.sum()


@given(n=st.integers(2, 40), limit=st.integers(0, 20), test=st.integers(0, 20), seed=st.integers(0, 2**31))
def test_stream_and_test_cases_never_overlap(n: int, limit: int, test: int, seed: int) -> None:
    cases = list(range(n))
    if limit + test > n:
        with pytest.raises(DatasetError, match=f"has {n} cases"):
            split_stream(cases, limit, test, seed)  # type: ignore[arg-type]
        return
    stream, held_out = split_stream(cases, limit, test, seed)  # type: ignore[arg-type,var-annotated]
    assert (len(stream), len(held_out)) == (limit, test)
    assert not set(stream) & set(held_out)
    assert split_stream(cases, limit, test, seed) == (stream, held_out)  # type: ignore[arg-type]


def test_without_limits_stream_and_test_share_everything() -> None:
    cases = list(range(9))
    stream, held_out = split_stream(cases, None, 3, 0)  # type: ignore[arg-type,var-annotated]
    assert sorted([*stream, *held_out]) == cases


def test_a_folder_without_labels_is_refused(tmp_path: Path) -> None:
    (tmp_path / "imagesTr").mkdir()
    with pytest.raises(DatasetError, match="labelsTr"):
        MsdDataset(tmp_path)


def test_images_without_a_label_are_refused(tmp_path: Path) -> None:
    for part in ("imagesTr", "labelsTr"):
        (tmp_path / part).mkdir()
    with pytest.raises(DatasetError, match="No image"):
        MsdDataset(tmp_path)


def test_a_damaged_dataset_json_is_named(phantoms: MsdDataset, tmp_path: Path) -> None:
    for part in ("imagesTr", "labelsTr"):
        shutil.copytree(phantoms.folder / part, tmp_path / part)
    (tmp_path / "dataset.json").write_text("{")
    with pytest.raises(DatasetError, match="not valid JSON"):
        MsdDataset(tmp_path)


def test_a_truncated_volume_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.nii.gz").write_bytes(b"\x1f\x8b broken")
    with pytest.raises(ImageError, match="cannot be unpacked"):
        read_image(tmp_path / "x.nii.gz")
    with pytest.raises(DatasetError, match="no file"):
        read_image(tmp_path / "y.nii.gz")


def test_vector_and_4d_volumes_are_refused(tmp_path: Path) -> None:
    sitk.WriteImage(sitk.Image([4, 4, 4], sitk.sitkVectorFloat32, 3), str(tmp_path / "v.nrrd"))
    sitk.WriteImage(sitk.Image([4, 4, 4, 2], sitk.sitkFloat32), str(tmp_path / "t.nrrd"))
    for name in ("v.nrrd", "t.nrrd"):
        with pytest.raises(ImageError, match="Only scalar 3D"):
            read_image(tmp_path / name)


def test_a_label_on_another_grid_is_refused(tmp_path: Path) -> None:
    write_volume(tmp_path / "m.nrrd", np.ones((4, 4, 4), np.uint8), Geometry((4, 4, 4), (2.0, 1.0, 1.0)))
    with pytest.raises(GeometryError, match="another voxel grid"):
        read_mask(tmp_path / "m.nrrd", like=Geometry((4, 4, 4)))


def test_dataset_json_says_what_is_there(phantoms: MsdDataset) -> None:
    content = json.loads((phantoms.folder / "dataset.json").read_text(encoding="utf-8"))
    assert content["numTraining"] == 4
    assert phantoms.name == content["name"]


@pytest.mark.parametrize("name", sorted(TASKS))
def test_a_generated_task_is_the_same_for_everybody_and_each_target_is_connected(name: str) -> None:
    image, mask = TASKS[name](7)
    again, _ = TASKS[name](7)
    other, _ = TASKS[name](8)
    assert np.array_equal(image.voxels, again.voxels) and not np.array_equal(image.voxels, other.voxels)
    assert image.voxels.dtype == np.int16
    assert (max(image.voxels.shape) <= 64) is (name != "organ"), "the organ is there for being larger"
    values = np.unique(mask[mask > 0]).tolist()
    assert values == ([1, 2, 3] if name == "structures" else [1])
    parts = [ndimage.label(mask == value, np.ones((3, 3, 3)))[1] for value in values]
    assert all(1 < n < 5 if name == "lesions" else n == 1 for n in parts)
    assert 300 < np.count_nonzero(mask) < 0.3 * mask.size


def test_several_lesions_lie_apart_and_are_the_parts_that_a_simulation_counts() -> None:
    counts = []
    for seed in range(6):
        _, mask = TASKS["lesions"](seed)
        counts.append(count_parts(mask))
        parts = [part_of_mask(mask, number) for number in range(1, counts[-1] + 1)]
        assert np.array_equal(sum(parts), mask), "each is large enough to count"
        near = ndimage.binary_dilation(parts[0], np.ones((3, 3, 3)))
        assert not any((near & other.astype(bool)).any() for other in parts[1:])
    assert len(set(counts)) > 1


def test_no_threshold_finds_the_vessel_tree_or_the_lesion() -> None:
    for name in ("vessels", "lesion"):
        for seed in range(3):
            image, mask = TASKS[name](seed)
            levels = np.quantile(image.voxels, np.linspace(0.02, 0.98, 25))
            windows = [(image.voxels >= a) & (image.voxels < b) for a in levels for b in levels if a < b]
            best = max(2 * (w & (mask == 1)).sum() / (w.sum() + mask.sum()) for w in windows)
            assert best < 0.6, f"{name} {seed}: a threshold alone has a Dice of {best:.2f}"


def test_the_vessel_tree_is_thin_and_the_lesion_is_less_clear_than_the_noise() -> None:
    _, tree = TASKS["vessels"](0)
    assert ndimage.distance_transform_edt(tree).max() < 5
    image, lesion = TASKS["lesion"](0)
    shell = ndimage.binary_dilation(lesion, iterations=3) & (lesion == 0)
    inside, outside = image.voxels[lesion == 1], image.voxels[shell]
    assert 0 < outside.mean() - inside.mean() < 2 * inside.std()


def test_a_generated_dataset_is_named_on_the_command_line_and_written_once(tmp_path: Path) -> None:
    dataset = open_dataset("generated:lesion:2", None, tmp_path)
    assert [case.case_id for case in dataset] == ["lesion_000", "lesion_001"]
    before = dataset[0].image_path.stat().st_mtime_ns
    assert open_dataset("generated:lesion:2", None, tmp_path)[0].image_path.stat().st_mtime_ns == before
    assert len(open_dataset("generated:lesion:3", None, tmp_path)) == 3
    assert np.array_equal(
        dataset[0].read()[0].voxels, open_dataset("generated:lesion:3", None, tmp_path)[0].read()[0].voxels
    )


@pytest.mark.parametrize("where", ["generated:hearts", "generated:vessels:many", "generated:vessels:0"])
def test_an_unknown_generated_dataset_is_refused(where: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no generated dataset"):
        open_dataset(where, None, tmp_path)


@pytest.mark.parametrize(
    "make", [lambda: VesselSpec(shape_kji=(20, 64, 64)), lambda: LesionSpec(shape_kji=(20, 64, 64))]
)
def test_a_grid_too_small_for_the_task_is_refused(make: Callable[[], object]) -> None:
    with pytest.raises(ConfigError, match="needs at least"):
        make()


def test_what_slicers_side_needs_of_this_package_is_light() -> None:
    """Slicer's Python may have no SciPy, and torch is left out of it on purpose."""
    modules = ["dicom_index", "dicom_series", "dicom_headers", "file_names", "image_list", "nifti_checks"]
    code = "; ".join(f"import clopa_annotator.datasets.{name}" for name in modules)
    code += "; import sys; print(sorted({'torch', 'scipy', 'SimpleITK', 'pydicom'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
