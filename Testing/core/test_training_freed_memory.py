"""An engine that works for months keeps no memory for cases that are closed."""

from __future__ import annotations

import ctypes
import gc
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
from engine_support import OWNER, a_model, an_image, make_campaign, serving

from clopa_annotator.campaign.hosted_sessions import HostedSession
from clopa_annotator.client.http_client import HttpEngineClient
from clopa_annotator.server import app
from clopa_annotator.session.local import LocalSession
from clopa_annotator.session.undo_history import Step
from clopa_annotator.session.upstream import Core
from clopa_annotator.training import freed_memory
from clopa_annotator.types import Confirmation, Image, PointPrompt, Proposal
from clopa_annotator.wire.messages import Draft

LARGE = (HostedSession, LocalSession, Core, Step, Image, Proposal, Confirmation)
MB = 1 << 20


def ask(client: HttpEngineClient, call: object) -> object:
    box: dict[str, object] = {}
    call.then(lambda r: box.update(result=r), lambda e: box.update(error=e))
    while not box:
        client.poll(0.1)
    assert "error" not in box, box
    return box["result"]


def living() -> Counter[str]:
    gc.collect()
    return Counter(type(thing).__name__ for thing in gc.get_objects() if type(thing) in LARGE)


def test_a_confirmed_case_leaves_no_image_mask_or_session_behind(tmp_path: Path) -> None:
    campaign = make_campaign(tmp_path / "campaign", a_model(tmp_path / "model"))
    with serving(campaign) as running:
        client = HttpEngineClient(running.url, OWNER, tmp_path / "spool")
        counts = []
        for number in range(4):
            case, image = f"case {number}", an_image(number)
            ask(client, client.open_case(case, image))
            answer = ask(client, client.add_prompts([PointPrompt((15, 18, 14))]))
            mask = answer.proposal.mask
            ask(client, client.save_draft(Draft(mask)))
            ask(client, client.confirm(Confirmation(f"id {number}", case, mask)))
            del answer, mask, image
            ask(client, client.leave_case())
            counts.append(living())
            assert len(running.engine.sessions) == 0
        client.close()
    assert counts[1] == counts[2] == counts[3]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only glibc keeps what was freed")
def test_memory_that_was_freed_goes_back_to_the_system() -> None:
    if getattr(ctypes.CDLL(None), "malloc_trim", None) is None:
        pytest.skip("another C library than glibc")
    held = [np.ones(64 << 10, np.uint8) for _ in range(200 * MB // (64 << 10))]
    # Every eighth stays: the rest are holes, which the allocator cannot cut off at the end of its heap.
    kept = held[::8]
    del held
    before = psutil.Process().memory_info().rss
    assert freed_memory.give_back_freed_memory()
    assert before - psutil.Process().memory_info().rss > 100 * MB
    assert all(part.all() for part in kept)


def test_an_engine_gives_memory_back_when_it_looks_for_forgotten_sessions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done: list[str] = []
    monkeypatch.setattr(app, "give_back_freed_memory", lambda: done.append("memory"))
    app._tidy(SimpleNamespace(sessions=SimpleNamespace(sweep=lambda: done.append("sessions"))))
    assert done == ["sessions", "memory"]


def test_where_the_allocator_cannot_be_told_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(freed_memory, "_malloc_trim", lambda: None)
    assert not freed_memory.give_back_freed_memory()
