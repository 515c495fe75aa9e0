"""The fake and the network in this process fulfil the contract of segmenting without a prompt."""

from __future__ import annotations

import pytest
import torch
from suggesting_contract import SuggestingContract

from clopa_annotator.session.model import load_model
from clopa_annotator.session.suggesting import LocalSuggester, PassGivenUp
from clopa_annotator.testing.fake_suggester import FakeSuggester
from clopa_annotator.testing.random_model import QUICKEST, write_random_model


class TestFakeSuggester(SuggestingContract):
    @pytest.fixture
    def suggester(self):
        self.fake = FakeSuggester()
        return self.fake

    def set_version(self, number):
        self.fake.version = number

    def fail_next_pass(self):
        self.fake.fail_next = "The pretended network gave up."


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    """A small network with random weights."""
    torch.set_num_threads(1)
    return load_model(write_random_model(tmp_path_factory.mktemp("model"), **QUICKEST), "cpu")


class TestLocalSuggester(SuggestingContract):
    @pytest.fixture
    def suggester(self, loaded):
        self.loaded = loaded
        yield LocalSuggester(loaded)
        loaded.version = 0

    def set_version(self, number):
        with self.loaded.lock:
            self.loaded.version = number

    def step_or_give_up(self, work, given_up):
        def give_up(module, inputs):
            if len(given_up) == done:
                given_up.append(1)
                raise PassGivenUp

        done = len(given_up)
        hook = self.loaded.network.register_forward_pre_hook(give_up)
        try:
            assert not work.step(), "nothing is answered by a pass that was given up"
        finally:
            hook.remove()
        return work.step()

    def fail_next_pass(self):
        def answer_nan(module, inputs, output):
            hook.remove()
            return output * float("nan")

        hook = self.loaded.network.register_forward_hook(answer_nan)
