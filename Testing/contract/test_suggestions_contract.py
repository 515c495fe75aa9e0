"""The in-process engine and a real one with a small network fulfil the contract of suggestions."""

from __future__ import annotations

from pathlib import Path

import pytest
from engine_contract import an_image, wait_for
from engine_support import ANNOTATOR, OWNER, a_model, add_version, make_campaign, serving
from suggestions_contract import SuggestionsContract, wait_for_suggestion

from clopa_annotator.campaign.composition import Campaign
from clopa_annotator.campaign.engine import EngineSettings
from clopa_annotator.campaign.idle.surroundings import SuggestionSettings
from clopa_annotator.client.http_client import HttpEngineClient
from clopa_annotator.errors import NotPermitted
from clopa_annotator.testing.fake_campaign import FakeCampaign
from clopa_annotator.testing.fake_engine import FakeEngineClient

EAGER = EngineSettings(suggestions=SuggestionSettings(quiet_s=0.0, look_s=0.02))


class TestFakeEngine(SuggestionsContract):
    @pytest.fixture
    def campaign(self):
        campaign = FakeCampaign(needed=5)
        campaign.suggestions.makes = True
        return campaign

    @pytest.fixture
    def make_client(self, campaign):
        return lambda: FakeEngineClient(campaign)

    @pytest.fixture
    def promote(self, campaign):
        def promote():
            campaign.learning.current += 1

        return promote


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return a_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def running(model: Path, tmp_path: Path):
    with serving(make_campaign(tmp_path / "campaign", model), EAGER) as running:
        yield running


class TestEngineProcess(SuggestionsContract):
    @pytest.fixture
    def make_client(self, running, tmp_path: Path):
        return lambda: HttpEngineClient(running.url, OWNER, tmp_path / "spool")

    @pytest.fixture
    def promote(self, running):
        def promote():
            known = len(running.engine.campaign.registry.versions())
            version = add_version(running, 1.0 + 0.1 * known)
            running.engine.events.publish("promoted", version=version, target="")

        return promote


def test_only_the_owner_switches_suggestions_and_the_campaign_remembers(running, model, tmp_path) -> None:
    owner, other = (HttpEngineClient(running.url, t, tmp_path / "s") for t in (OWNER, ANNOTATOR))
    with pytest.raises(NotPermitted, match="whether masks are suggested"):
        wait_for(other, other.switch_suggestions(False))
    wait_for(owner, owner.switch_suggestions(False))
    owner.close()
    other.close()
    with Campaign.open(running.folder, writer=False) as again:
        assert again.config.suggestions is False


def test_a_new_engine_shows_what_the_one_before_it_has_made(model, tmp_path) -> None:
    folder = make_campaign(tmp_path / "campaign", model)
    for turn in range(2):
        with serving(folder, EAGER) as running:
            client = HttpEngineClient(running.url, OWNER, tmp_path / "spool")
            if turn == 0:
                wait_for(client, client.prefetch_case("case 1", an_image(1)))
                version = add_version(running, 1.1)
                running.engine.events.publish("promoted", version=version, target="")
                wait_for_suggestion(client, "case 1", 1)
                made = wait_for(client, client.open_case("case 1", an_image(1))).suggestion.mark.made_at
                wait_for(client, client.leave_case())
            else:
                opened = wait_for(client, client.open_case("case 1", an_image(1)))
                assert opened.suggestion.mark.made_at == made
            client.close()
