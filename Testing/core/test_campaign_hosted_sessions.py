"""The table of sessions: places are given back, and who missed answers is told all that changed."""

from __future__ import annotations

import numpy as np
import pytest

from clopa_annotator.campaign.hosted_sessions import SessionTable
from clopa_annotator.errors import EngineFull, InputError, NoImage, SessionExpired
from clopa_annotator.geometry import Geometry
from clopa_annotator.testing.fake_session import FakeSession
from clopa_annotator.types import Image, PointPrompt


def an_image() -> Image:
    return Image(
        np.random.default_rng(0).normal(size=(12, 12, 12)).astype(np.float32), Geometry((12, 12, 12))
    )


def test_places_are_given_back_when_nobody_is_heard_of() -> None:
    now = [0.0]
    table = SessionTable(FakeSession, max_sessions=1, expiry_s=10, clock=lambda: now[0])
    first = table.open("Ada", an_image(), 0, None)
    with pytest.raises(EngineFull):
        table.open("Bob", an_image(), 0, None)
    now[0] = 9
    table.get(first.key, "Ada")
    now[0] = 18
    assert table.sweep() == 0
    now[0] = 20
    table.open("Bob", an_image(), 0, None)
    with pytest.raises(SessionExpired):
        table.get(first.key, "Ada")
    with pytest.raises(NoImage):
        _ = first.session.proposal


def test_a_refused_image_takes_no_place() -> None:
    table = SessionTable(FakeSession, max_sessions=1)
    with pytest.raises(InputError):
        table.open("Ada", Image(np.zeros((4, 4, 4), np.float32), Geometry((4, 4, 4))), 0, None)
    assert len(table) == 0


def test_a_client_that_missed_answers_is_told_all_that_changed() -> None:
    hosted = SessionTable(FakeSession).open("Ada", an_image(), 0, None)
    start = hosted.session.proposal.revision
    before = hosted.session.proposal.mask.copy()
    for position in ((6, 6, 6), (2, 2, 2)):
        hosted.note(hosted.session.add_prompt(PointPrompt(position)))
    box = hosted.changed_since(start)
    differs = before != hosted.session.proposal.mask
    differs[tuple(slice(*side) for side in box)] = False
    assert not differs.any()
    assert hosted.changed_since(hosted.session.proposal.revision) is None
    assert hosted.changed_since(-5) == ((0, 12), (0, 12), (0, 12))
