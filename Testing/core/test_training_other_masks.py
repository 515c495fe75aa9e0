"""The network is told of other targets' confirmed masks where a campaign says so: clicks, episodes, gate."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tiny_campaign
import torch
from engine_support import OWNER, an_image, serving
from switch_race import wait_for
from tiny_campaign import tiny_config
from tiny_targets import KIDNEY, LESION, LIVER, confirm, opened, targets

from clopa_annotator.campaign.composition import Campaign
from clopa_annotator.client.http_client import HttpEngineClient
from clopa_annotator.config import CampaignConfig
from clopa_annotator.episode.folder import read_job
from clopa_annotator.errors import ConfigError
from clopa_annotator.session.background import NEGATIVE
from clopa_annotator.training import job_runner
from clopa_annotator.training.other_masks import others_before
from clopa_annotator.training.replay import ReplayOrder, read_replay, write_replay
from clopa_annotator.types import Confirmation, PointPrompt, Slot

model_folder = tiny_campaign.model_folder
CLICK = PointPrompt((15, 18, 14))


def told(folder: Path, model: Path, says_so: bool = True) -> Campaign:
    config = tiny_config(model, strategy="clopa-cn", others_as_background=says_so)
    return Campaign.create(folder, config, targets(), device="cpu")


def test_what_was_confirmed_before_of_targets_that_exclude_it_is_meant(
    tmp_path: Path, model_folder: Path
) -> None:
    with opened(tmp_path / "c", model_folder) as campaign:
        liver, first = confirm(campaign, 0, LIVER), confirm(campaign, 0, LESION)
        kidney, second = confirm(campaign, 0, KIDNEY), confirm(campaign, 0, LESION, 2)
        elsewhere = confirm(campaign, 1, KIDNEY)
        found = others_before(campaign.store, (liver, first, kidney, second, elsewhere))
        assert found == {
            first.record_hash: (liver,),
            kidney.record_hash: (liver, first),
            second.record_hash: (liver, first, kidney),
        }


def test_an_episode_its_gate_and_a_replay_are_given_what_the_session_was_told(
    tmp_path: Path, model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny_campaign.make_episodes_tiny(monkeypatch)
    with told(tmp_path / "c", model_folder) as campaign:
        livers = [confirm(campaign, number, LIVER) for number in range(5)]
        kidneys = [confirm(campaign, number, KIDNEY) for number in range(5)]
        assert not read_job(campaign.prepare_job(_due(campaign, LIVER))).others, "the liver came first"
        job = campaign.prepare_job(_due(campaign, KIDNEY))
        others = {kidney.record_hash: (liver,) for kidney, liver in zip(kidneys, livers, strict=True)}
        assert read_job(job).others == others
        heard: list[int] = []
        monkeypatch.setattr(
            "clopa_annotator.session.local.LocalSession.set_others",
            lambda self, mask: heard.append(0 if mask is None else int(mask.sum())),
        )
        result, _ = job_runner.run_episode_job(job, device="cpu")
        assert result.status == "finished", result.reason
        assert heard == 2 * [int(campaign.store.read_mask(livers[0]).sum())], "before and after"
        order = ReplayOrder(1, 0, (kidneys[0],), model_folder, 3, KIDNEY, others)
        assert read_replay(write_replay(tmp_path / "replay", order)) == order


def test_without_the_setting_nothing_is_written_of_it(tmp_path: Path, model_folder: Path) -> None:
    with told(tmp_path / "c", model_folder, says_so=False) as campaign:
        for number in range(5):
            confirm(campaign, number, LIVER)
            confirm(campaign, number, KIDNEY)
        job = campaign.prepare_job(_due(campaign, KIDNEY))
        assert "others" not in (job / "request.json").read_text(encoding="utf-8")
        assert "others" not in campaign.store.manifest.settings, "an older program would refuse it"


def test_a_strategy_that_learns_between_clicks_is_refused(tmp_path: Path, model_folder: Path) -> None:
    config = tiny_config(model_folder, strategy="oaims-pi", others_as_background=True)
    with pytest.raises(ConfigError, match="learns between clicks"):
        Campaign.create(tmp_path / "c", config, targets(), device="cpu")


@pytest.mark.parametrize("says_so", [True, False])
def test_a_click_shows_the_network_what_is_confirmed_of_others(
    tmp_path: Path, model_folder: Path, says_so: bool
) -> None:
    told(tmp_path / "c", model_folder, says_so).close()
    seen: list[torch.Tensor] = []
    with serving(tmp_path / "c") as running:
        assert CampaignConfig.from_dict(running.engine.campaign.store.manifest.settings).size == 8
        network = running.engine.campaign.model.network
        network.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0][0, NEGATIVE].clone()))
        client = HttpEngineClient(running.url, OWNER, tmp_path / "kept")
        wait_for(client, client.open_case("case", an_image(), slot=Slot(LIVER)))
        wait_for(client, client.add_prompts([CLICK]))
        assert not any(bool(channel.any()) for channel in seen), "nothing is confirmed"
        mask = np.zeros((40, 36, 32), np.uint8)
        mask[12:16, 12:16, 12:16] = 1
        wait_for(client, client.confirm(Confirmation("one", "case", mask, annotator="Ada")))
        wait_for(client, client.choose(Slot(KIDNEY)))
        seen.clear()
        wait_for(client, client.add_prompts([CLICK]))
        assert bool(seen) and int(seen[0].sum()) == (64 if says_so else 0)
        wait_for(client, client.choose(Slot(LIVER)))
        seen.clear()
        wait_for(client, client.add_prompts([CLICK]))
        assert not any(bool(channel.any()) for channel in seen), "its own mask is not another's"
        client.close()


def _due(campaign: Campaign, key: str):
    request = campaign.line(key).next_episode()
    assert request is not None
    return request
