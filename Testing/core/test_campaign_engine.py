"""One engine, several people, several weights versions at the same time."""

from __future__ import annotations

import shutil
import subprocess
import threading
from pathlib import Path

import engine_lines
import httpx
import numpy as np
import pytest
from engine_lines import CLICK, add_case, confirm
from engine_support import ANNOTATOR, OWNER, Running, add_version, an_image, make_campaign, serving
from nnInteractive.inference.remote.remote_session import nnInteractiveRemoteInferenceSession

from clopa_annotator.client.remote_session import RemoteSession
from clopa_annotator.client.transport import Transport, TransportSettings
from clopa_annotator.client.undelivered import confirmation_message
from clopa_annotator.errors import EngineUnreachable, InputError, UnknownVersion
from clopa_annotator.server.serve import tls_from
from clopa_annotator.types import Confirmation, PointPrompt

model, running, lines = engine_lines.model, engine_lines.running, engine_lines.lines


def open_and_click(stock: nnInteractiveRemoteInferenceSession, buffer: np.ndarray) -> None:
    stock.set_image(an_image().voxels[None].astype(np.float32))
    stock.set_target_buffer(buffer)
    stock.add_point_interaction(CLICK.position_kji, True)


def masks_by_version(sessions: list[RemoteSession]) -> dict[int, np.ndarray]:
    """What each session shows after a click; the first has version 0, the next 1, and so on."""
    masks = {}
    for version, session in enumerate(sessions):
        proposal = session.add_prompt(CLICK)
        assert proposal.weights_version == version
        masks[version] = proposal.mask
    return masks


def test_sessions_keep_the_version_of_their_case_and_every_mask_is_pure(
    running: Running, lines: dict[str, Transport]
) -> None:
    sessions = [RemoteSession(lines["Ada"])]
    sessions[0].set_image(an_image())
    stock = nnInteractiveRemoteInferenceSession(running.url, api_key=ANNOTATOR)
    buffer = np.zeros(an_image().voxels.shape, np.uint8)
    open_and_click(stock, buffer)
    # The stock session computes in fp32, ours in bf16 where the CPU likes that: each is compared with itself.
    stock_base = buffer.copy()
    for factor in (1.3, 0.7):
        add_version(running, factor)
        sessions.append(RemoteSession(lines["Bob"]))
        sessions[-1].set_image(an_image())
    assert [s.weights_version for s in sessions] == [0, 1, 2]
    pure = masks_by_version(sessions)
    assert not np.array_equal(pure[0], pure[1]) and not np.array_equal(pure[1], pure[2])

    def click(version: int) -> None:
        for _ in range(3):
            sessions[version].reset()
            again = sessions[version].add_prompt(CLICK)
            if again.weights_version != version or not np.array_equal(again.mask, pure[version]):
                mixed.append(version)

    mixed: list[int] = []
    threads = [threading.Thread(target=click, args=(v,)) for v in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(3):
        stock.reset_interactions()
        stock.add_point_interaction(CLICK.position_kji, True)
        np.testing.assert_array_equal(buffer, stock_base)
    for thread in threads:
        thread.join()
    assert not mixed
    open_and_click(stock, buffer)
    assert not np.array_equal(buffer, stock_base)
    stock.close()


def test_a_session_can_ask_for_a_version_that_exists(running: Running, lines: dict[str, Transport]) -> None:
    add_version(running, 1.3)
    add_case(lines["Ada"], "case 1")
    for version in (0, 1):
        answer, _ = lines["Ada"].exchange("session/open", {"case_id": "case 1", "version": version})
        assert answer["next_version"] == version
    with pytest.raises(UnknownVersion):
        lines["Ada"].exchange("session/open", {"case_id": "case 1", "version": 7})


def test_weights_at_once_reach_an_open_case(running: Running, lines: dict[str, Transport]) -> None:
    session = RemoteSession(lines["Ada"])
    session.set_image(an_image())
    add_version(running, 1.3)
    assert session.add_prompt(CLICK).weights_version == 0
    state, _ = lines["Ada"].exchange("state", {})
    assert (state["learning"]["weights_version"], state["learning"]["waiting_version"]) == (0, 1)
    lines["Ada"].exchange("weights/policy", {"policy": "at once"})
    assert session.add_prompt(CLICK).weights_version == 1
    lines["Ada"].exchange("weights/rollback", {"version": 0})
    assert session.add_prompt(CLICK).weights_version == 0


def test_exports_stay_in_the_campaign(running: Running, lines: dict[str, Transport]) -> None:
    add_case(lines["Ada"], "../case ä")
    confirm(lines["Ada"], "../case ä", "one")
    add_version(running, 1.3)
    exports = running.folder / "exports"
    for kind, name in (("segnrrd", "masks"), ("weights", "")):
        written = Path(lines["Ada"].exchange("export", {"format": kind, "folder": name})[0]["folder"])
        assert written.parent == exports and any(written.rglob("*.*"))
    for name in ("../out", "/tmp/out", "a/../../out", "C:\\out", "..", "~root", "masks"):
        with pytest.raises(InputError):
            lines["Ada"].exchange("export", {"format": "weights", "folder": name})
    assert sorted(p.name for p in exports.iterdir()) == ["masks", "weights"]


def test_events_can_be_joined_again_from_a_number(running: Running, lines: dict[str, Transport]) -> None:
    for number in range(3):
        add_case(lines["Ada"], f"case {number}")
    stream = lines["Bob"].events(0)
    seen = [event for event in (next(stream) for _ in range(5)) if event is not None]
    stream.close()
    assert [e.data["case_id"] for e in seen[:3]] == ["case 0", "case 1", "case 2"]
    again = lines["Bob"].events(seen[1].sequence)
    assert next(e for e in again if e is not None) == seen[2]
    again.close()
    ahead = lines["Bob"].events(10_000)
    gap = next(e for e in ahead if e is not None)
    assert gap.name == "gap" and gap.data["last"] == running.engine.events.last_sequence
    ahead.close()


def test_an_image_is_fetched_by_its_hash(running: Running, lines: dict[str, Transport]) -> None:
    add_case(lines["Ada"], "case 1")
    digest = running.engine.campaign.store.image_hash("case 1")
    headers = {"Authorization": f"Bearer {ANNOTATOR}"}
    answer = httpx.get(f"{running.url}/campaign/v2/images/{digest}", headers=headers)
    meta, arrays = lines["Bob"]._read(answer)
    np.testing.assert_array_equal(arrays["image"], an_image().voxels)
    assert meta["geometry"]["spacing_ijk_mm"] == list(an_image().geometry.spacing_ijk_mm)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl to make a certificate with")
def test_an_engine_can_be_spoken_to_over_tls(model: Path, tmp_path: Path) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    make = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=localhost",
    ]
    make += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(make, check=True, capture_output=True)
    folder = make_campaign(tmp_path / "campaign", model)
    with serving(folder, tls=tls_from(certificate, key)) as running:
        assert running.url.startswith("https://")
        line = Transport(running.url, OWNER, TransportSettings(certificate=certificate))
        assert line.exchange("hello", {})[0]["engine"]["annotator"] == "Ada"
        line.close()
        stranger = Transport(running.url, OWNER, TransportSettings(patience_s=0.2))
        with pytest.raises(EngineUnreachable):
            stranger.exchange("hello", {})
        stranger.close()


def test_a_strategy_learns_between_clicks_on_the_prediction_thread(model: Path, tmp_path: Path) -> None:
    with serving(make_campaign(tmp_path / "campaign", model, strategy="oaims")) as running:
        line = Transport(running.url, OWNER)
        add_case(line, "case 1")
        session = RemoteSession(line)
        session.open_case("case 1", an_image().geometry.shape_kji)
        first = session.add_prompt(CLICK)
        second = session.add_prompt(PointPrompt((5, 5, 5), False))
        threads = {t.name for t in threading.enumerate()}
        assert any(name.startswith("prediction") for name in threads)
        assert first.weights_version == 0 and second.weights_version < 0
        assert session.undo().weights_version == 0
        confirm(line, "case 1", "one")
        assert running.engine.campaign.model.version < 0
        line.close()


def test_a_held_out_case_teaches_nothing_when_it_is_confirmed_nor_when_it_is_corrected(
    model: Path, tmp_path: Path
) -> None:
    with serving(make_campaign(tmp_path / "campaign", model, strategy="oaims-pi")) as running:
        line = Transport(running.url, OWNER)
        live = running.engine.campaign.model

        def teaches(number: int, name: str) -> bool:
            add_case(line, f"case {number}", seed=number)
            session = RemoteSession(line)
            session.open_case(f"case {number}", an_image().geometry.shape_kji)
            session.add_prompt(CLICK)
            before = live.version
            confirm(line, f"case {number}", name, based_on=None)
            session.close()
            return live.version != before

        assert [teaches(number, f"first {number}") for number in range(4)] == [True, True, False, True]
        assert not teaches(2, "corrected"), "the third case is held out for life"
        assert teaches(0, "corrected too")
        line.close()


def test_a_corrected_case_has_no_quality_of_a_first_proposal(
    running: Running, lines: dict[str, Transport]
) -> None:
    """Weights may have learned from it by then."""
    add_case(lines["Ada"], "case 1")
    mask = np.zeros(an_image().voxels.shape, np.uint8)
    mask[5:9, 5:9, 5:9] = 1
    shown = []
    for name, quality in (("one", 0.5), ("two", 0.9)):
        confirmation = Confirmation(name, "case 1", mask, first_shown_dice=quality)
        message = confirmation_message(confirmation, 0 if name == "one" else 1)
        lines["Ada"].send("confirm", message, "application/octet-stream")
        shown.append(lines["Ada"].exchange("statistics", {})[0]["statistics"][-1]["first_shown_dice"])
    assert shown == [0.5, None]
