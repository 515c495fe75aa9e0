"""The fake session beyond the contract: what its masks mean, and what can be pretended with it."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from clopa_annotator.errors import ConfigError, PredictionFailed, UnsupportedPrompt
from clopa_annotator.geometry import Geometry
from clopa_annotator.testing.fake_session import FakeSession
from clopa_annotator.types import BoxPrompt, Image, PointPrompt, PromptKind, ScribblePrompt


@pytest.fixture
def voxels():
    """Two bright cubes in the dark, six voxels apart."""
    voxels = np.zeros((20, 20, 30), np.int16)
    voxels[5:10, 5:10, 5:10] = voxels[5:10, 5:10, 16:21] = 100
    return voxels


@pytest.fixture
def session(voxels):
    session = FakeSession(radius=20)
    session.set_image(Image(voxels, Geometry(voxels.shape)))
    return session


def test_a_click_takes_what_is_similar_and_connected(session):
    mask = session.add_prompt(PointPrompt((7, 7, 7))).mask
    assert mask[5:10, 5:10, 5:10].all() and mask.sum() == 125


def test_a_negative_click_gives_it_back(session):
    session.add_prompts((PointPrompt((7, 7, 7)), PointPrompt((7, 7, 18))))
    mask = session.add_prompt(PointPrompt((6, 6, 6), False)).mask
    assert mask[5:10, 5:10, 16:21].all() and mask.sum() == 125


def test_a_click_reaches_as_far_as_its_ball_and_further_with_every_version(voxels):
    session = FakeSession(radius=2)
    session.set_image(Image(voxels, Geometry(voxels.shape)))
    sizes = []
    for session.version in range(3):
        session.reset()
        sizes.append(int(session.add_prompt(PointPrompt((7, 7, 7))).mask.sum()))
    assert sizes == [33, 125 - 8, 125]  # a ball of radius 2; a 5^3 cube without its corners; all of it


def test_a_box_takes_its_middle_intensity_and_a_drawing_what_is_drawn(session):
    mask = session.add_prompt(BoxPrompt(((7, 8), (5, 10), (5, 12)))).mask
    assert mask.sum() == 25 and mask[7, 5:10, 5:10].all()
    drawn = np.eye(3, dtype=np.uint8)[None]
    mask = session.add_prompt(ScribblePrompt(drawn, ((0, 1), (0, 3), (0, 3)))).mask
    assert mask.sum() == 28


def test_it_can_pretend_not_to_know_a_kind_of_prompt_or_to_know_deep_boxes(voxels):
    session = FakeSession(supported=frozenset({PromptKind.BOX}), takes_3d_boxes=True)
    session.set_image(Image(voxels, Geometry(voxels.shape)))
    assert session.add_prompt(BoxPrompt(((5, 10), (5, 10), (5, 10)))).mask.sum() == 125
    with pytest.raises(UnsupportedPrompt, match="It knows: box"):
        session.add_prompt(PointPrompt((1, 1, 1)))


def test_it_fails_once_when_told_to(session):
    session.fail_next = "Out of luck."
    with pytest.raises(PredictionFailed, match=r"Out of luck\."):
        session.add_prompt(PointPrompt((7, 7, 7)))
    assert session.add_prompt(PointPrompt((7, 7, 7))).mask.any()


@pytest.mark.parametrize("options", [{"radius": 0}, {"tolerance": -1.0}])
def test_impossible_settings_are_refused(options):
    with pytest.raises(ConfigError, match="fake session needs"):
        FakeSession(**options)


def test_it_needs_no_torch():
    code = "import sys, clopa_annotator.testing.fake_session; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
