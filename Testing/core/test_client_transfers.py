"""Exports and imports of a real engine: stopped, refused, resumed, and never in the way of a click."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from engine_support import ANNOTATOR, OWNER, a_model, an_image, confirm_three_cases, make_campaign, serving

from clopa_annotator import exporters
from clopa_annotator.campaign.engine import EngineSettings
from clopa_annotator.client.http_client import HttpEngineClient
from clopa_annotator.datasets.volumes import write_volume
from clopa_annotator.errors import ConfigError, InputError, NotPermitted
from clopa_annotator.session.model import load_model
from clopa_annotator.types import Targets
from clopa_annotator.types.exports import ExportOrder
from clopa_annotator.types.imports import ImportOrder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return a_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def running(model: Path, tmp_path: Path):
    settings = EngineSettings(export_anywhere=True)
    with serving(make_campaign(tmp_path / "campaign", model), settings) as running:
        confirm_three_cases(running.engine.campaign)
        yield running


@pytest.fixture
def make_client(running, tmp_path: Path):
    made = []

    def make(token: str = OWNER) -> HttpEngineClient:
        made.append(HttpEngineClient(running.url, token, tmp_path / "spool"))
        return made[-1]

    yield make
    for client in made:
        client.close()


def answer(client, call):
    box = {}
    call.then(lambda r: box.update(result=r), lambda e: box.update(error=e))
    for _ in range(6000):
        client.poll(0.01)
        if box:
            break
    if "error" in box:
        raise box["error"]
    return box["result"]


@pytest.fixture
def slow_export(monkeypatch):
    """An export whose second case waits until it is let go."""
    gate, reached = threading.Event(), threading.Event()
    write = exporters.folders.write_volume
    seen = []

    def slow(path, *rest):
        seen.append(path)
        if len(seen) == 3:
            reached.set()
            assert gate.wait(60)
        return write(path, *rest)

    monkeypatch.setattr(exporters.folders, "write_volume", slow)
    yield gate, reached
    gate.set()


def test_a_click_does_not_wait_behind_an_export(make_client, slow_export, tmp_path):
    client, (gate, reached) = make_client(), slow_export
    steps = []
    export = client.export(ExportOrder("nifti", str(tmp_path / "out")), steps.append)
    assert reached.wait(60)
    assert len(answer(client, client.cases())) == 3
    assert answer(client, client.open_case("case 0", an_image(0))).row.case_id == "case 0"
    assert not export.done
    gate.set()
    assert len(answer(client, export).written) == 3
    assert {step.total for step in steps} <= {0, 3}


def test_a_cancelled_export_leaves_nothing_and_the_next_one_may_start(make_client, slow_export, tmp_path):
    client, (gate, reached) = make_client(), slow_export
    (tmp_path / "out").mkdir()
    call = client.export(ExportOrder("nifti", str(tmp_path / "out")))
    assert reached.wait(60)
    call.cancel()
    again = client.export(ExportOrder("segnrrd", str(tmp_path / "other")))
    threading.Timer(0.5, gate.set).start()
    assert len(answer(client, again).written) == 3
    assert list((tmp_path / "out").iterdir()) == []


def test_the_model_in_use_is_exported_while_the_engine_runs(make_client, running, tmp_path):
    client = make_client()
    exported = answer(client, client.export(ExportOrder("model", str(tmp_path / "model"))))
    assert load_model(Path(exported.folder), "cpu").model_hash == running.engine.campaign.model.model_hash
    assert (tmp_path / "model" / "README.md").is_file()
    weights = answer(client, client.export(ExportOrder("weights", str(tmp_path / "weights"))))
    assert Path(weights.folder).is_dir() and weights.written == ()


def test_annotators_may_neither_export_nor_import(make_client, tmp_path):
    client = make_client(ANNOTATOR)
    for call in (
        client.export(ExportOrder("nifti", str(tmp_path / "out"))),
        client.import_labels(ImportOrder(tmp_path)),
    ):
        with pytest.raises(NotPermitted):
            answer(client, call)


def test_an_engine_elsewhere_writes_into_its_own_folder_only(model, tmp_path):
    with serving(make_campaign(tmp_path / "far", model)) as running:
        confirm_three_cases(running.engine.campaign)
        client = HttpEngineClient(running.url, OWNER, tmp_path / "spool")
        for name in (str(tmp_path / "out"), "../out"):
            with pytest.raises(InputError, match="without a path"):
                answer(client, client.export(ExportOrder("nifti", name)))
        exported = answer(client, client.export(ExportOrder("nifti", "mine")))
        assert Path(exported.folder) == tmp_path / "far" / "exports" / "mine"
        client.close()


def write_labels(folder: Path, *names: str) -> Path:
    folder.mkdir()
    for name in names:
        mask = np.zeros(an_image().voxels.shape, np.uint8)
        mask[10:22, 12:24, 8:20] = 1
        write_volume(folder / f"{name}.nii.gz", mask, an_image().geometry)
    return folder


def test_an_import_is_recorded_in_the_name_of_the_token_and_learning_is_asked_once(
    make_client, running, tmp_path, monkeypatch
):
    asked = []
    monkeypatch.setattr(running.engine.intake, "_on_done", asked.append)
    for number in (7, 8):
        running.engine.campaign.store.add_case(f"new {number}", an_image(number))
    client = make_client()
    events = []
    client.listen(events.append)
    report = answer(client, client.import_labels(ImportOrder(write_labels(tmp_path / "l", "new 7", "new 8"))))
    assert len(report.of("imported")) == 2 and asked == [""]
    store = running.engine.campaign.store
    records = [store.record(ref) for ref in store.confirmed()[-2:]]
    assert {record.annotator for record in records} == {"Ada"}
    assert all(record.imported is not None for record in records)
    for _ in range(200):
        client.poll(0.01)
    assert 0 < sum(event.name == "case_changed" for event in events) <= 3


def test_a_cancelled_import_stops_before_its_next_label_and_keeps_what_came(make_client, running, tmp_path):
    store = running.engine.campaign.store
    names = [f"many {number}" for number in range(12)]
    for number, name in enumerate(names):
        store.add_case(name, an_image(number))
    client = make_client()
    call = client.import_labels(
        ImportOrder(write_labels(tmp_path / "l", *names)), lambda step: step.done >= 2 and call.cancel()
    )
    for _ in range(600):
        client.poll(0.01)
        if call.done:
            break
    came = 0
    for _ in range(300):
        client.poll(0.01)
        came = len(store.confirmed())
    assert 3 + 2 <= came < 3 + 12
    assert store.verify().ok


def test_a_target_of_another_name_is_refused_before_anything_is_read(make_client, running, tmp_path):
    running.engine.campaign.store.set_targets(Targets.named(["lesion"]))
    client = make_client()
    with pytest.raises(ConfigError, match="called 'lesion'"):
        answer(client, client.import_labels(ImportOrder(tmp_path, target="liver=1")))
