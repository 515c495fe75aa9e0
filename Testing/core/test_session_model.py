"""Model folders: what loads, what is refused in words, what a loaded model holds."""

from __future__ import annotations

import json
import pickle
import shutil

import pytest
import torch
from nnInteractive.inference.inference_session import nnInteractiveInferenceSession

from clopa_annotator.errors import ModelError, ModelNotPresent
from clopa_annotator.session.model import CHECKPOINT_NAME, choose_device, hash_weights, load_model
from clopa_annotator.testing.random_model import write_random_model

SMALL = {"features": (4, 8)}


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    return write_random_model(tmp_path_factory.mktemp("models") / "small", **SMALL)


@pytest.fixture
def folder(original, tmp_path):
    """A copy that a test may damage."""
    return shutil.copytree(original, tmp_path / "model")


def change_json(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def change_checkpoint(folder, change):
    path = folder / "fold_0" / CHECKPOINT_NAME
    content = torch.load(path, weights_only=True)
    change(content)
    torch.save(content, path)


def test_a_loaded_model_says_what_it_is(original):
    model = load_model(original, "cpu")
    assert model.patch_size_kji == (64, 64, 64)
    assert model.licence == "CC0-1.0"
    assert model.folder == original and model.device.type == "cpu" and model.version == 0
    assert not model.network.training
    assert len(model.model_hash) == 64
    assert load_model(original, "cpu").model_hash == model.model_hash


def test_the_artifacts_equal_those_that_nninteractive_reads_itself(original):
    """Upstream unpickles; on our own file that is safe, and shows that nothing is lost without."""
    bare = nnInteractiveInferenceSession(torch.device("cpu"), torch_n_threads=torch.get_num_threads())
    theirs = bare._load_model_artifacts_from_disk(str(original))
    ours = load_model(original, "cpu").artifacts
    assert ours.keys() == theirs.keys()
    plain = (
        "capability_content",
        "interaction_decay",
        "pad_mode_data",
        "license",
        "trainer_name",
        "dataset_json",
    )
    assert all(ours[key] == theirs[key] for key in plain)
    assert list(ours["preferred_scribble_thickness"]) == list(theirs["preferred_scribble_thickness"])
    assert ours["point_interaction"].point_radius == theirs["point_interaction"].point_radius
    assert ours["configuration_manager"].configuration == theirs["configuration_manager"].configuration
    states = ours["network"].state_dict(), theirs["network"].state_dict()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[1])


def test_the_base_state_is_a_copy_that_a_swap_does_not_touch(original):
    model = load_model(original, "cpu")
    name, parameter = next(iter(model.network.named_parameters()))
    before = parameter.detach().clone()
    with torch.no_grad():
        parameter.add_(1)
    model.base_state()[name].zero_()
    assert torch.equal(model.base_state()[name], before)
    assert hash_weights(model.base_state()) == model.model_hash


def test_the_hash_tells_one_changed_weight_and_one_changed_name(original):
    state = load_model(original, "cpu").base_state()
    name = next(iter(state))
    renamed = {("x" if key == name else key): tensor for key, tensor in state.items()}
    changed = {**state, name: state[name].clone()}
    changed[name].view(-1)[0] += 1e-3
    assert len({hash_weights(s) for s in (state, renamed, changed)}) == 3
    assert hash_weights(dict(reversed(state.items()))) == hash_weights(state)


def test_the_older_metadata_file_is_understood(folder):
    (folder / "inference_info.json").unlink()
    (folder / "inference_session_class.json").write_text(
        json.dumps({"point_radius": 3, "interaction_decay": 0.9})
    )
    artifacts = load_model(folder, "cpu").artifacts
    assert artifacts["interaction_decay"] == 0.9 and artifacts["point_interaction"].point_radius == 3


def test_numpy_numbers_in_a_checkpoints_bookkeeping_are_read(folder):
    import numpy as np

    change_checkpoint(folder, lambda c: c.update(_best_ema=np.float64(0.5), losses=[np.float32(1.0)]))
    assert load_model(folder, "cpu").patch_size_kji == (64, 64, 64)


def test_a_folder_without_a_licence_says_that_it_is_missing(folder):
    (folder / "LICENSE").unlink()
    assert load_model(folder, "cpu").licence == "!!MISSING!!"


@pytest.mark.parametrize(
    "name", ["plans.json", "dataset.json", "inference_info.json", f"fold_0/{CHECKPOINT_NAME}"]
)
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(ModelNotPresent, match=name):
        load_model(folder, "cpu")


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(ModelNotPresent, match="no model folder"):
        load_model(tmp_path / "nothing", "cpu")


def test_two_folds_are_ambiguous(folder):
    shutil.copytree(folder / "fold_0", folder / "fold_1")
    with pytest.raises(ModelError, match="2 folds"):
        load_model(folder, "cpu")


@pytest.mark.parametrize("content", [b"", b"not json", b"[1, 2]", b"\xff\xfe\x00"])
@pytest.mark.parametrize("name", ["plans.json", "dataset.json", "inference_info.json"])
def test_a_damaged_text_file_is_refused(folder, name, content):
    (folder / name).write_bytes(content)
    with pytest.raises(ModelError, match=r"\.$"):
        load_model(folder, "cpu")


@pytest.mark.parametrize("damage", ["empty", "cut", "noise"])
def test_a_damaged_checkpoint_is_refused(folder, damage):
    path = folder / "fold_0" / CHECKPOINT_NAME
    content = path.read_bytes()
    path.write_bytes({"empty": b"", "cut": content[: len(content) // 2], "noise": b"\x00\x17" * 500}[damage])
    with pytest.raises(ModelError, match="damaged"):
        load_model(folder, "cpu")


def test_a_checkpoint_with_one_flipped_byte_among_its_weights_is_refused(folder):
    path = folder / "fold_0" / CHECKPOINT_NAME
    content = bytearray(path.read_bytes())
    weights = load_model(folder, "cpu").base
    largest = max(weights.values(), key=lambda tensor: tensor.numel()).numpy().tobytes()
    content[content.index(largest) + len(largest) // 2] ^= 0x01
    path.write_bytes(content)
    with pytest.raises(ModelError, match="damaged"):
        load_model(folder, "cpu")


def test_a_checkpoint_that_was_written_without_checksums_is_read(folder):
    before = torch.serialization.get_crc32_options()
    torch.serialization.set_crc32_options(False)
    try:
        change_checkpoint(folder, lambda content: None)
    finally:
        torch.serialization.set_crc32_options(before)
    assert load_model(folder, "cpu").licence == "CC0-1.0"


class Evil:
    """Unpickled naively, this writes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.mark.parametrize("plain_pickle", [True, False])
def test_a_checkpoint_with_python_objects_runs_nothing_and_is_refused(folder, tmp_path, plain_pickle):
    path, trace = folder / "fold_0" / CHECKPOINT_NAME, tmp_path / "ran"
    content = {"network_weights": {}, "init_args": {"configuration": "3d_fullres"}, "x": Evil(trace)}
    if plain_pickle:
        path.write_bytes(pickle.dumps(content, protocol=2))
    else:
        torch.save(content, path)
    with pytest.raises(ModelError, match="could run code"):
        load_model(folder, "cpu")
    assert not trace.exists()


@pytest.mark.parametrize("key", ["network_class_name", "conv_op"])
def test_plans_that_name_a_foreign_class_are_refused(folder, key):
    def change(plans):
        architecture = plans["configurations"]["3d_fullres"]["architecture"]
        (architecture if key in architecture else architecture["arch_kwargs"])[key] = "subprocess.Popen"

    change_json(folder / "plans.json", change)
    with pytest.raises(ModelError, match=r'"subprocess\.Popen", which is no known network'):
        load_model(folder, "cpu")


def test_weights_of_another_shape_are_refused(folder):
    def change(checkpoint):
        name = next(iter(checkpoint["network_weights"]))
        checkpoint["network_weights"][name] = torch.zeros(3)

    change_checkpoint(folder, change)
    with pytest.raises(ModelError, match="do not fit each other"):
        load_model(folder, "cpu")


def test_a_missing_weight_is_refused(folder):
    change_checkpoint(folder, lambda c: c["network_weights"].popitem())
    with pytest.raises(ModelError, match="do not fit each other"):
        load_model(folder, "cpu")


def test_weights_that_are_not_finite_are_refused(folder):
    change_checkpoint(
        folder, lambda c: next(iter(c["network_weights"].values())).view(-1)[:1].fill_(float("nan"))
    )
    with pytest.raises(ModelError, match="not finite"):
        load_model(folder, "cpu")


def test_a_file_that_is_no_checkpoint_is_refused(folder):
    torch.save({"network_weights": [1]}, folder / "fold_0" / CHECKPOINT_NAME)
    with pytest.raises(ModelError, match="not an nnInteractive checkpoint"):
        load_model(folder, "cpu")


def test_a_patch_too_small_for_nninteractives_margins_is_refused(tmp_path):
    folder = write_random_model(tmp_path / "m", patch_size_kji=(48, 64, 64), **SMALL)
    with pytest.raises(ModelError, match="48x64x64"):
        load_model(folder, "cpu")


def test_a_checkpoint_for_a_newer_nninteractive_is_refused(folder):
    change_json(folder / "inference_info.json", lambda c: c.update(inference_class_min_version="99.0"))
    with pytest.raises(ModelError, match=r"99\.0"):
        load_model(folder, "cpu")


def test_devices_are_chosen_by_name_and_missing_ones_refused(monkeypatch):
    assert choose_device("cpu").type == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert choose_device("auto").type == "cpu"
    for name, words in (
        ("cuda", "finds no device"),
        ("mps", "finds no device"),
        ("abacus", "knows no device"),
    ):
        with pytest.raises(ModelError, match=words):
            choose_device(name)


def test_loading_prints_nothing(original, capsys):
    load_model(original, "cpu")
    assert capsys.readouterr() == ("", "")


def test_a_random_model_is_the_same_for_the_same_seed_and_leaves_the_random_state_alone(tmp_path, original):
    before = torch.random.get_rng_state()
    again = write_random_model(tmp_path / "again", **SMALL)
    other = write_random_model(tmp_path / "other", seed=1, **SMALL)
    assert torch.equal(torch.random.get_rng_state(), before)
    hashes = [load_model(f, "cpu").model_hash for f in (original, again, other)]
    assert hashes[0] == hashes[1] != hashes[2]
