"""The base model's pretraining: volumes, trainer, resume, and the folder that the stock session loads."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from nnInteractive.inference.inference_session import nnInteractiveInferenceSession

from clopa_annotator.episode.prompt_canvas import EncodingRules
from clopa_annotator.errors import ConfigError, ModelError
from clopa_annotator.pretrain.anatomy import AnatomySettings, TargetMix, draw_anatomy, draw_target
from clopa_annotator.pretrain.fields import blur, smooth
from clopa_annotator.pretrain.generator import GeneratorSettings, draw_volume, overlap, stream
from clopa_annotator.pretrain.model_folder import CHECKPOINT, export_model, load_network, read_design
from clopa_annotator.pretrain.network import NetworkDesign, build_network, count_parameters
from clopa_annotator.pretrain.peers import Peers
from clopa_annotator.pretrain.pretrain_settings import read_settings
from clopa_annotator.pretrain.shapes import dilate, draw_shape
from clopa_annotator.pretrain.state import restore
from clopa_annotator.pretrain.train import PretrainProgress, PretrainSettings, run
from clopa_annotator.session.patches import normalise

TINY = NetworkDesign((4, 8))
SETTINGS = PretrainSettings(
    updates=6,
    batch=1,
    lengths=(2, 3),
    length_weights=(0.5, 0.5),
    sides=(16, 24),
    simple=(1.0, 0.5),
    phase_ends=(0.5, 1.0),
    processes=1,
    workers=0,
    log_s=0,
    design=TINY,
)


@pytest.mark.parametrize("seed", range(8))
def test_every_volume_is_normalised_and_holds_a_target_of_reasonable_size(seed: int) -> None:
    volume = draw_volume((0, seed), GeneratorSettings(side=32))
    assert volume.image.dtype == torch.float32 and bool(torch.isfinite(volume.image).all())
    assert 150 <= int(volume.target.sum()) <= 0.45 * volume.target.numel()
    assert volume.image.shape == volume.target.shape
    torch.testing.assert_close(volume.image, volume.image.clone())
    assert 0.5 < float(volume.image.std()) < 3


def test_a_volume_is_a_function_of_its_seed() -> None:
    settings = GeneratorSettings(side=24)
    first, again, other = (draw_volume((1, n), settings) for n in (5, 5, 6))
    assert torch.equal(first.image, again.image) and torch.equal(first.target, again.target)
    assert first.image.shape != other.image.shape or not torch.equal(first.image, other.image)


def test_the_stream_starts_where_it_is_told() -> None:
    settings = GeneratorSettings(side=24)
    volumes = stream(3, settings, first=2, workers=0)
    assert torch.equal(next(volumes).image, draw_volume((3, 2), settings).image)
    assert torch.equal(next(volumes).image, draw_volume((3, 3), settings).image)


@pytest.mark.parametrize("kind", ["blob", "body", "tube", "sheet", "lesions"])
def test_every_kind_of_shape_lies_in_the_volume_and_has_about_its_size(kind: str) -> None:
    sizes = []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        shape = draw_shape(kind, (60, 60, 60), torch.full((3,), 30.0), 8.0, torch.ones(3), rng)
        assert shape is not None
        assert all(0 <= lo < hi <= 60 for lo, hi in shape.bounds_kji)
        sizes.append(int(shape.mask.sum()))
    ball = 4 / 3 * np.pi * 8**3
    assert 0.15 * ball < np.mean(sizes) < 3 * ball


def test_thick_slices_squeeze_shapes_along_their_axis() -> None:
    voxel = torch.tensor([4.0, 1.0, 1.0])
    shape = draw_shape("blob", (60, 60, 60), torch.full((3,), 30.0), 10.0, voxel, np.random.default_rng(0))
    assert shape is not None
    k, j, i = (len(torch.unique(shape.mask.nonzero()[:, n])) for n in range(3))
    assert k < 0.5 * j and k < 0.5 * i


@pytest.mark.parametrize("way", ["organ", "region", "union", "half", "tissue"])
def test_every_kind_of_target_is_made_of_labels(way: str) -> None:
    mix = replace(TargetMix(0, 0, 0, 0, 0), **{way: 1.0})
    found = 0
    for seed in range(8):
        rng = np.random.default_rng(seed)
        anatomy = draw_anatomy((32, 32, 32), AnatomySettings(), rng)
        target = draw_target(anatomy, mix, rng)
        if target is None:
            continue
        found += 1
        touched = torch.unique(anatomy.labels[target])
        assert len(touched) == (2 if way == "union" else 1)
    assert found >= 3


def test_growing_a_mask_reaches_one_voxel_in_every_direction() -> None:
    mask = torch.zeros(5, 5, 5, dtype=torch.bool)
    mask[2, 2, 0] = True
    grown = dilate(mask, 1)
    assert int(grown.sum()) == 18
    assert bool(grown[1:4, 1:4, 0:2].all())


def test_overlap_is_none_for_a_bright_target_and_all_for_a_hidden_one() -> None:
    target = torch.zeros(12, 12, 12, dtype=torch.bool)
    target[3:9, 3:9, 3:9] = True
    noise = torch.from_numpy(np.random.default_rng(0).standard_normal((12, 12, 12), np.float32))
    assert overlap(noise + 30 * target, target) == 0
    assert overlap(noise, target) > 0.7
    assert overlap(noise, torch.zeros_like(target)) == 1


def test_grey_between_bright_and_dark_tissue_does_not_overlap_although_the_means_agree() -> None:
    target = torch.zeros(12, 12, 12, dtype=torch.bool)
    target[3:9, 3:9, 3:9] = True
    around = torch.ones(12, 12, 12)
    around[:, :, ::2] = -1
    image = torch.where(target, torch.zeros(()), around)
    assert overlap(image, target) == 0


@pytest.mark.parametrize("seed", range(6))
def test_a_focused_anatomy_shows_its_organ_large_and_near_the_middle(seed: int) -> None:
    rng = np.random.default_rng(seed)
    anatomy = draw_anatomy((40, 32, 48), AnatomySettings(), rng, focused=True)
    target = draw_target(anatomy, TargetMix(), rng)
    assert anatomy.focus is not None and target is not None
    assert torch.equal(target, anatomy.labels == anatomy.focus)
    assert 0.003 < float(target.float().mean()) < 0.3
    middle = target.nonzero().float().mean(0) / torch.tensor([40.0, 32.0, 48.0])
    assert bool(((middle > 0.2) & (middle < 0.8)).all())


def test_a_blur_keeps_the_mean_and_fields_have_unit_spread() -> None:
    rng = np.random.default_rng(0)
    field = smooth((40, 40, 40), (8, 8, 8), rng, 4)
    assert field.shape == (4, 40, 40, 40)
    assert float(field.std()) == pytest.approx(1, abs=0.25)
    assert float(blur(field[0], (1, 0, 2)).mean()) == pytest.approx(float(field[0].mean()), abs=0.05)
    torch.testing.assert_close(blur(torch.ones(6, 6, 6), (1, 1, 1)), torch.ones(6, 6, 6))


def test_a_run_writes_curves_and_a_model_and_repeats_with_its_seed(tmp_path: Path) -> None:
    told: list[PretrainProgress] = []
    folders = [run(SETTINGS, tmp_path / name, "cpu", told.append) for name in ("a", "b")]
    weights = [load_network(f).state_dict() for f in folders]
    assert all(torch.equal(weights[0][n], weights[1][n]) for n in weights[0])
    rows = list(csv.DictReader((tmp_path / "a" / "curves.csv").open(encoding="utf-8")))
    assert float(rows[-1]["fraction"]) <= 1 and {r["side"] for r in rows} == {"16", "24"}
    assert told and told[0].updates > 0
    assert json.loads((folders[0] / "training.json").read_text("utf-8"))["updates"] >= 6


def test_a_new_run_starts_from_a_model_when_told(tmp_path: Path) -> None:
    first = run(SETTINGS, tmp_path / "first", "cpu")
    further = restore(replace(SETTINGS, seed=9, start=str(first)), tmp_path / "more", torch.device("cpu"), 0)
    expected = load_network(first).state_dict()
    assert all(torch.equal(t, expected[n]) for n, t in further.network.state_dict().items())
    assert further.updates == 0
    with pytest.raises(ConfigError, match="another design"):
        other = replace(SETTINGS, start=str(first), design=NetworkDesign((4, 16)))
        restore(other, tmp_path / "other", torch.device("cpu"), 0)


def test_a_run_can_be_repeated_from_the_settings_that_it_wrote(tmp_path: Path) -> None:
    settings = replace(SETTINGS, generator=replace(SETTINGS.generator, overlap=0.4), updates=2)
    run(settings, tmp_path / "run", "cpu")
    assert read_settings(tmp_path / "run" / "settings.json") == settings


@pytest.mark.parametrize(
    ("text", "says"),
    [("{", "Invalid JSON"), ('{"batch": "many"}', "batch"), ('{"batch": 0}', "at least one volume")],
)
def test_settings_that_do_not_fit_are_refused_with_the_reason(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "settings.json"
    with pytest.raises(ConfigError, match="cannot be read"):
        read_settings(path)
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=says):
        read_settings(path)


def test_a_stopped_run_goes_on_where_it_was(tmp_path: Path) -> None:
    asked: list[int] = []

    def after_two() -> bool:
        asked.append(1)
        return len(asked) > 2

    run(SETTINGS, tmp_path, "cpu", should_stop=after_two)
    before = torch.load(tmp_path / "state.pt", weights_only=True)
    assert 0 < before["updates"] < 6
    run(SETTINGS, tmp_path, "cpu")
    after = torch.load(tmp_path / "state.pt", weights_only=True)
    assert after["updates"] >= 6 and after["volumes"] > before["volumes"]


@pytest.mark.slow
def test_two_processes_share_their_gradients_and_end_together(tmp_path: Path) -> None:
    settings = replace(SETTINGS, processes=2, updates=3, sides=(16,), simple=(1.0,), phase_ends=(1.0,))
    folder = run(settings, tmp_path, "cpu")
    assert json.loads((folder / "training.json").read_text("utf-8"))["updates"] >= 3
    assert not list(tmp_path.glob("peers-*"))


def test_a_process_alone_is_its_own_peer(tmp_path: Path) -> None:
    peers = Peers(0, 1, tmp_path / "unused")
    gradient = torch.arange(3.0)
    peers.average([gradient])
    assert gradient.tolist() == [0, 1, 2] and peers.follow(0.25, 1.0) == (0.25, 1.0) and peers.leads


def test_deep_supervision_changes_the_outputs_and_not_the_weights() -> None:
    plain, deep = build_network(TINY), build_network(TINY, deep_supervision=True)
    deep.load_state_dict(plain.state_dict())
    x = torch.randn(1, 8, 16, 16, 16)
    assert torch.equal(deep(x)[0], plain(x))
    assert count_parameters(plain) == count_parameters(deep)


@pytest.mark.parametrize("half", [False, True])
def test_the_stock_session_loads_the_folder_and_predicts_with_its_network(tmp_path: Path, half: bool) -> None:
    network = build_network(TINY)
    rules = EncodingRules(TINY.patch_kji, decay=0.9, point_radius=3)
    folder = export_model(network.state_dict(), TINY, rules, tmp_path / "model", half=half)
    assert read_design(folder) == (TINY, rules)
    session = nnInteractiveInferenceSession(torch.device("cpu"), torch_n_threads=1)
    session.initialize_from_trained_model_folder(str(folder))
    assert session.license == "CC BY 4.0"
    assert session.interaction_decay == 0.9
    image = np.random.default_rng(0).normal(size=(1, 30, 40, 20)).astype(np.float32)
    session.set_image(image)
    session.set_target_buffer(np.zeros(image.shape[1:], np.uint8))
    session.set_do_autozoom(False)
    session.add_point_interaction((15, 20, 10), True)
    with torch.no_grad():
        padded = torch.zeros(1, 8, 64, 64, 64)
        padded[0, 0, 17:47, 12:52, 22:42] = normalise(torch.from_numpy(image[0]))
        padded[0, 4, 29:36, 29:36, 29:36] = session.interactions[3, 12:19, 17:24, 7:14].float() * 0.9
        mine = load_network(folder)(padded)[0]
    proposal = torch.as_tensor(session.target_buffer).bool()
    expected = (mine[1] > mine[0])[17:47, 12:52, 22:42]
    assert (proposal == expected).float().mean() > 0.999


def test_an_export_replaces_the_one_before(tmp_path: Path) -> None:
    weights = build_network(TINY).state_dict()
    for number in (1, 2):
        export_model(weights, TINY, EncodingRules(), tmp_path / "model", about={"updates": number})
    assert json.loads((tmp_path / "model" / "training.json").read_text("utf-8")) == {"updates": 2}
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_damaged_models_are_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="does not hold"):
        load_network(tmp_path)
    folder = export_model(build_network(TINY).state_dict(), TINY, EncodingRules(), tmp_path / "model")
    (folder / CHECKPOINT).write_bytes((folder / CHECKPOINT).read_bytes()[:1000])
    with pytest.raises(ModelError, match="damaged"):
        load_network(folder)


def test_settings_are_checked_when_they_are_made() -> None:
    with pytest.raises(ConfigError, match="length"):
        PretrainSettings(minutes=0)
    with pytest.raises(ConfigError, match="phase"):
        PretrainSettings(sides=(32,))
    with pytest.raises(ConfigError, match="divisible"):
        NetworkDesign((4, 8, 16), patch_kji=(65, 64, 64))
    with pytest.raises(ConfigError, match="48"):
        NetworkDesign((4, 8), patch_kji=(48, 64, 64))
