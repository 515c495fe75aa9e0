"""The in-process engine fulfils the engine contract; so does the engine process (see the class for it)."""

from __future__ import annotations

import pytest
from case_order_contract import CaseOrderContract
from engine_contract import EngineContract, an_image, confirm_case, wait_for, wait_until
from review_contract import ReviewContract
from shared_case_contract import SharedCaseContract
from targets_contract import KIDNEY, LIVER, TARGETS, TargetsContract, block, confirm
from transfer_contract import TransferContract

from clopa_annotator.client.engine_client import EngineClient
from clopa_annotator.errors import EngineUnreachable
from clopa_annotator.testing.fake_campaign import FakeCampaign
from clopa_annotator.testing.fake_engine import FakeEngineClient
from clopa_annotator.testing.fake_learning import ScriptedEpisode


class TestFakeEngine(EngineContract, CaseOrderContract, TransferContract):
    @pytest.fixture
    def campaign(self):
        return FakeCampaign(needed=5)

    @pytest.fixture
    def make_client(self, campaign):
        return lambda: FakeEngineClient(campaign)

    def test_it_is_an_engine_client(self, client):
        assert isinstance(client, EngineClient)

    def test_five_confirmations_start_an_episode_that_is_promoted_and_used_from_the_next_case(self, client):
        names = []
        client.listen(lambda event: names.append(event.name))
        for number in range(5):
            confirm_case(client, f"case {number}", seed=number)
        wait_until(client, lambda: "promoted" in names)
        state = wait_for(client, client.learning())
        assert state.weights_version == 0 and state.waiting_version == 1
        confirm_case(client, "case 5", seed=5)
        assert wait_for(client, client.learning()).weights_version == 1 and "swapped" in names
        assert wait_for(client, client.roll_back(0)).weights_version == 0
        (row,) = wait_for(client, client.episodes())
        assert row.promoted and row.mean_after > row.mean_before and len(row.train_loss) == 4

    def test_a_failed_episode_says_why_and_changes_no_weights(self, client, campaign):
        campaign.learning.script = (ScriptedEpisode(failure="The device ran out of memory."),)
        confirm_case(client, "case 1")
        confirm_case(client, "case 2", seed=2)
        wait_for(client, client.train_now())
        wait_until(client, lambda: campaign.learning.state().phase == "failed")
        assert len(campaign.learning.versions) == 1

    def test_a_running_episode_can_be_cancelled(self, client, campaign):
        campaign.learning.held = True
        confirm_case(client, "case 1")
        confirm_case(client, "case 2", seed=2)
        wait_for(client, client.train_now())
        assert wait_for(client, client.cancel_episode()).phase == "cancelled"

    def test_a_confirmation_to_a_lost_engine_is_delivered_later_and_once(self, client, campaign):
        confirm_case(client, "case 1")
        client.lost = True
        with pytest.raises(EngineUnreachable, match="kept"):
            confirm_case_again(client)
        client.lost = False
        wait_for(client, client.connect())
        assert len(campaign.statistics()) == 2


def confirm_case_again(client):
    import numpy as np
    from engine_contract import SHAPE, a_confirmation

    wait_for(client, client.confirm(a_confirmation("case 1", np.ones(SHAPE, np.uint8))))


class TestFakeEngineWithTargets(TargetsContract, SharedCaseContract, ReviewContract):
    @pytest.fixture
    def make_target_client(self):
        campaign = FakeCampaign(needed=5, targets=TARGETS)
        return lambda person: FakeEngineClient(campaign, annotator=person)

    def test_episodes_of_two_targets_run_one_after_the_other(self, make_target_client):
        client = make_target_client("Ada")
        told = []
        client.listen(lambda event: told.append((event.name, event.data.get("target"))))
        for number in range(5):
            wait_for(client, client.open_case(f"case {number}", an_image(number)))
            for slot in (LIVER, KIDNEY):
                confirm(client, slot, block(0, 0), f"case {number}")
        wait_until(client, lambda: ("promoted", "left-kidney") in told)
        course = [target for name, target in told if name in ("episode_progress", "promoted")]
        assert course == ["" for _ in course[:5]] + ["left-kidney" for _ in course[5:]]
        client.close()
