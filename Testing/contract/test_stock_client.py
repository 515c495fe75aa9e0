"""nnInteractive's own client, unchanged, against our engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
import torch
from engine_support import OTHER, OWNER, Running, a_model, an_image, make_campaign, serving
from nnInteractive.inference.inference_session import nnInteractiveInferenceSession
from nnInteractive.inference.remote.remote_session import (
    ServerAtCapacityError,
    SessionExpiredError,
    nnInteractiveRemoteInferenceSession,
)

from clopa_annotator.session.model import load_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return a_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def running(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with serving(make_campaign(tmp_path_factory.mktemp("c") / "campaign", model)) as running:
        yield running


@pytest.fixture
def client(running: Running) -> Iterator[nnInteractiveRemoteInferenceSession]:
    with nnInteractiveRemoteInferenceSession(running.url, api_key=OWNER) as client:
        yield client


def bare_session(model: Path) -> nnInteractiveInferenceSession:
    session = nnInteractiveInferenceSession(torch.device("cpu"), torch_n_threads=torch.get_num_threads())
    session.initialize_from_loaded_artifacts(load_model(model, "cpu").artifacts)
    return session


def annotate(session: object) -> list[np.ndarray]:
    image = an_image().voxels[None].astype(np.float32)
    session.set_image(image, {"spacing": np.array([2.0, 0.9, 0.8])})
    buffer = np.zeros(image.shape[1:], np.uint8)
    session.set_target_buffer(buffer)
    seen = []
    session.add_point_interaction((15, 18, 14), True)
    seen.append(buffer.copy())
    session.add_point_interaction((3, 3, 3), False)
    seen.append(buffer.copy())
    session.add_bbox_interaction([[12, 20], [13, 22], [14, 15]], True)
    seen.append(buffer.copy())
    scribble = np.zeros(image.shape[1:], np.uint8)
    scribble[15, 14:20, 14] = 1
    session.add_scribble_interaction(scribble, True)
    seen.append(buffer.copy())
    session.undo()
    seen.append(buffer.copy())
    lasso = np.zeros((1, 8, 8), np.uint8)
    lasso[0, 2:6, 2:6] = 1
    session.add_lasso_interaction(lasso, True, interaction_bbox=[[15, 16], [14, 22], [10, 18]])
    seen.append(buffer.copy())
    session.add_initial_seg_interaction(scribble)
    seen.append(buffer.copy())
    session.reset_interactions()
    seen.append(buffer.copy())
    return seen


def test_the_stock_client_gets_the_masks_of_a_bare_session(client, model: Path) -> None:
    for step, (ours, bare) in enumerate(zip(annotate(client), annotate(bare_session(model)), strict=True)):
        np.testing.assert_array_equal(ours, bare, err_msg=f"step {step}")
    assert client.license == "CC0-1.0"
    assert client.ping()
    assert client.heartbeat() > 3600


def test_a_point_outside_the_image_is_refused_and_the_session_goes_on(client) -> None:
    annotate(client)
    with pytest.raises(httpx.HTTPStatusError) as failure:
        client.add_point_interaction((500, 0, 0), True)
    assert failure.value.response.status_code == 400
    assert "outside the image" in failure.value.response.json()["detail"]
    annotate(client)


def test_an_image_that_would_give_nan_everywhere_is_refused(client) -> None:
    image = np.ones((1, 20, 20, 20), np.float32)
    image[0, 3, 3, 3] = np.nan
    client.set_image(image)
    client.set_target_buffer(np.zeros(image.shape[1:], np.uint8))
    with pytest.raises(httpx.HTTPStatusError) as failure:
        client.add_point_interaction((10, 10, 10), True)
    assert failure.value.response.status_code == 400
    annotate(client)


def test_without_the_token_nothing_is_answered(running: Running) -> None:
    for headers in ({}, {"Authorization": "Bearer " + "x" * 40}, {"Authorization": "Basic abc"}):
        for path in ("/capabilities", "/claim", "/docs", "/openapi.json", "/campaign/v2/state", "/nowhere"):
            assert httpx.get(running.url + path, headers=headers).status_code == 401
    assert httpx.get(running.url + "/healthz").json() == {"ok": True}


def test_a_stolen_lease_is_worth_nothing(client, running: Running) -> None:
    annotate(client)
    stolen = {"Authorization": f"Bearer {OTHER}", "X-Lease-Token": client._lease_token}
    assert httpx.post(running.url + "/undo", headers=stolen).status_code == 410
    assert httpx.post(running.url + "/release", headers=stolen).status_code == 410
    client.heartbeat()


def test_a_released_lease_cannot_be_replayed(client, running: Running) -> None:
    replayed = dict(client._http.headers)
    client.close()
    assert httpx.post(running.url + "/heartbeat", headers=replayed).status_code == 410


def test_a_lost_session_is_told_in_the_stock_clients_own_words(client) -> None:
    client._http.headers["X-Lease-Token"] = "gone"
    with pytest.raises(SessionExpiredError):
        client.reset_interactions()


# -- the calls of the napari plugin (napari-nninteractive 2.5.4), in its order ---------------------------


def connect_as_napari(running: Running, key: str = OWNER) -> nnInteractiveRemoteInferenceSession:
    session = nnInteractiveRemoteInferenceSession(server_url=running.url, api_key=key)
    session.set_do_autozoom(True)
    return session


@pytest.mark.parametrize("dtype", [np.int16, np.uint8, np.float64, np.float32])
def test_napari_opens_an_image_of_any_type_and_learns_what_it_may_offer(
    running: Running, dtype: type[np.generic]
) -> None:
    with connect_as_napari(running) as session:
        voxels = np.clip(an_image().voxels, 0, 255).astype(dtype)
        session.set_image(voxels[np.newaxis], {"spacing": [2.0, 0.9, 0.8]})
        session.set_target_buffer(np.zeros(voxels.shape, np.uint8))
        offered = session.supported_interactions
        assert all(offered[name] for name in ("points", "bbox2d", "scribble", "lasso"))
        assert session.license and session.supports_undo
        assert session.preferred_scribble_thickness[0] > 0
        assert session.add_point_interaction((15, 18, 14), True, True) is not None


def test_napari_collects_prompts_and_predicts_when_told(running: Running) -> None:
    with connect_as_napari(running) as session:
        voxels = an_image().voxels
        buffer = np.zeros(voxels.shape, np.uint8)
        session.set_image(voxels[np.newaxis], {"spacing": [2.0, 0.9, 0.8]})
        session.set_target_buffer(buffer)
        assert session.add_point_interaction((15, 18, 14), True, False) is None
        assert session.add_bbox_interaction([[12, 20], [13, 22], [14, 15]], True, False) is None
        assert not buffer.any()
        changed = session._predict()
        assert changed is not None and buffer.any()
        inside = tuple(slice(low, high) for low, high in changed)
        assert buffer[inside].sum() == buffer.sum(), "the plugin looks at the changed box only"


def test_napari_draws_loads_undoes_and_takes_a_case_up_again(running: Running) -> None:
    crop = np.zeros((1, 8, 8), np.uint8)
    crop[0, 2:6, 3] = 1
    box = [[15, 16], [14, 22], [10, 18]]
    voxels = an_image().voxels
    buffer = np.zeros(voxels.shape, np.uint8)
    with connect_as_napari(running) as session:
        session.set_image(voxels[np.newaxis], {"spacing": [2.0, 0.9, 0.8]})
        session.set_target_buffer(buffer)
        session.add_scribble_interaction(crop, True, True, interaction_bbox=box)
        before = buffer.copy()
        session.add_lasso_interaction(crop, False, True, interaction_bbox=box)
        assert session.undo() is True
        np.testing.assert_array_equal(buffer, before)
        assert session.undo() is False, "a single level, as upstream"
        session.reset_interactions()
        assert not buffer.any()
        session.add_initial_seg_interaction(before, run_prediction=True)
        kept = (buffer > 0).astype(np.uint8)
    assert kept.any()
    with connect_as_napari(running) as again:
        again.set_image(voxels[np.newaxis], {"spacing": [2.0, 0.9, 0.8]})
        fresh = np.zeros(voxels.shape, np.uint8)
        again.set_target_buffer(fresh)
        again.add_initial_seg_interaction(kept, run_prediction=False)
        np.testing.assert_array_equal(fresh, kept)
        assert again.add_point_interaction((15, 18, 14), True, True) is not None


def test_napari_is_told_of_a_wrong_key_and_of_a_full_engine_in_ways_that_it_knows(
    running: Running,
) -> None:
    with pytest.raises(httpx.HTTPStatusError) as wrong:
        connect_as_napari(running, "x" * 40)
    assert wrong.value.response.status_code == 401
    sessions: list[nnInteractiveRemoteInferenceSession] = []
    try:
        with pytest.raises(ServerAtCapacityError):
            for _ in range(running.engine.settings.stock_sessions + 1):
                sessions.append(connect_as_napari(running))
    finally:
        for session in sessions:
            session.close()
