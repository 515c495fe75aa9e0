"""The files against the index: what each knows and the other does not."""

from __future__ import annotations

import shutil
from pathlib import Path

import cache_helpers
import pytest
from cache_helpers import pick

from clopa_annotator.cache.campaign_store import CampaignStore
from clopa_annotator.cache.repair import check_campaign

sound, campaign, tmp_path = cache_helpers.sound, cache_helpers.campaign, cache_helpers.tmp_path


def problems(store: CampaignStore, repair: bool) -> list[str]:
    return [f.problem for f in check_campaign(store._layout, store._index, repair).findings]


def test_a_sound_campaign_and_its_index_agree(campaign: Path) -> None:
    with CampaignStore.open(campaign, writer=True) as store:
        report = check_campaign(store._layout, store._index, repair=True)
        assert (report.images, report.cases, report.versions, report.findings) == (2, 2, 3, ())


@pytest.mark.parametrize(
    ("what", "words"),
    [("mask b2nd", "Version 1 of case 'case 1' is missing"), ("case", "case 'case 1' is missing"),
     ("image", "images/")],
)  # fmt: skip
def test_what_the_index_knows_and_no_file_shows_is_named(campaign: Path, what: str, words: str) -> None:
    shutil.rmtree(pick(campaign, what).parent)
    with CampaignStore.open(campaign, writer=True) as store:
        assert any(words in problem for problem in problems(store, repair=False))


def test_what_the_files_say_and_the_index_does_not_is_entered_and_told(campaign: Path) -> None:
    with CampaignStore.open(campaign, writer=True) as store:
        with store._index.transaction():
            store._index._run("DELETE FROM versions WHERE case_id = 'case 1'")
        told = problems(store, repair=True)
        assert told == ["index.sqlite did not agree with the files; it was made again."]
        assert len(store.versions("case 1")) == 1


def test_looking_alone_moves_nothing_and_fills_nothing(campaign: Path) -> None:
    with CampaignStore.open(campaign, writer=True) as store:
        with store._index.transaction():
            store._index._run("DELETE FROM versions WHERE case_id = 'case 1'")
        problems(store, repair=False)
        assert store.versions("case 1") == ()


def test_a_damaged_manifest_is_a_finding(campaign: Path) -> None:
    with CampaignStore.open(campaign, writer=True) as store:
        (campaign / "campaign.json").write_text("{}")
        (found,) = problems(store, repair=False)
        assert "campaign.json is damaged" in found
