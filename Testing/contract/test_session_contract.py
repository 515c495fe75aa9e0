"""The fake and nnInteractive in this process fulfil the session contract."""

from __future__ import annotations

import pytest
import torch
from session_contract import SessionContract

from clopa_annotator.session.local import LocalSession
from clopa_annotator.session.model import load_model
from clopa_annotator.testing.fake_session import FakeSession
from clopa_annotator.testing.random_model import QUICKEST, write_random_model


class TestFakeSession(SessionContract):
    @pytest.fixture
    def session(self):
        return FakeSession()

    def fail_next_prediction(self, session):
        session.fail_next = "The pretended network gave up."

    def set_version(self, session, number):
        session.version = number


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    """A small network with random weights that answer to prompts."""
    torch.set_num_threads(1)
    return load_model(write_random_model(tmp_path_factory.mktemp("model"), **QUICKEST), "cpu")


class TestLocalSession(SessionContract):
    @pytest.fixture
    def session(self, loaded):
        yield LocalSession(loaded)
        loaded.version = 0

    @pytest.fixture(autouse=True)
    def network(self, loaded):
        self.network = loaded.network
        self.loaded = loaded

    def fail_next_prediction(self, session):
        def answer_nan(module, inputs, output):
            hook.remove()
            return output * float("nan")

        hook = self.network.register_forward_hook(answer_nan)

    def set_version(self, session, number):
        with self.loaded.lock:
            self.loaded.version = number
