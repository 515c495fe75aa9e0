"""A campaign in which a person has worked is never removed; one that a simulation alone has made may be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tiny_campaign
import tiny_run
from tiny_run import confirm_as_a_person, content_of

import clopa_annotator.experiments.simulated_campaign as simulated_campaign
from clopa_annotator.cache.campaign_store import CampaignStore, CaseDraft
from clopa_annotator.errors import CampaignLocked, ClopaError, ConfigError
from clopa_annotator.experiments.run_folder import RunFolder
from clopa_annotator.registry.weights_registry import WeightsRegistry

model_folder = tiny_campaign.model_folder
dataset, settings, finished, run = tiny_run.dataset, tiny_run.settings, tiny_run.finished, tiny_run.run


def keep_a_draft(campaign: Path) -> None:
    with CampaignStore.open(campaign, writer=True) as store:
        case = store.cases()[0]
        mask = np.ones(store.geometry(case.image_hash).shape_kji, np.uint8)
        store.save_draft(CaseDraft(case.case_id, mask, annotator="Ada"))


def withdraw_a_case(campaign: Path) -> None:
    with CampaignStore.open(campaign, writer=True) as store:
        store.withdraw(store.cases()[0].case_id, annotator="Ada", reason="too noisy")


def roll_back(campaign: Path) -> None:
    WeightsRegistry(campaign / "weights").rollback(0, by="Ada")


def serve(campaign: Path) -> None:
    (campaign / "tokens.json").write_text("{}")


def put_a_note(campaign: Path) -> None:
    (campaign / "images" / "notes.txt").write_text("of mine")


def damage_a_record(campaign: Path) -> None:
    next(campaign.glob("cases/*/v*/record.json")).write_bytes(b"{}")


WORK = (confirm_as_a_person, keep_a_draft, withdraw_a_case, roll_back, serve, put_a_note, damage_a_record)


@pytest.mark.parametrize("work", WORK, ids=lambda work: work.__name__)
def test_a_campaign_in_which_a_person_has_worked_survives_overwrite(
    work: Callable[[Path], None], run: Path
) -> None:
    work(run / "campaign")
    before = content_of(run)
    with pytest.raises(ClopaError, match=r"Nothing was removed; choose another folder with --out"):
        RunFolder(run, "simulate").begin(True)
    assert content_of(run) == before


def test_the_sentence_names_the_person_and_the_case(run: Path) -> None:
    confirm_as_a_person(run / "campaign")
    with pytest.raises(ConfigError, match=r"a person has confirmed \('phantom_00\d', by Ada\)"):
        RunFolder(run, "simulate").begin(True)


def test_a_campaign_that_a_program_works_with_is_not_removed(run: Path) -> None:
    with CampaignStore.open(run / "campaign", writer=True):
        before = content_of(run)
        with pytest.raises(CampaignLocked, match=r"being written by process \d+.*Nothing was removed"):
            RunFolder(run, "simulate").begin(True)
        assert content_of(run) == before


def test_a_removal_that_was_killed_half_way_is_completed_by_the_next(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = simulated_campaign.native, []

    def dies(path: Path) -> Path:
        calls.append(path)
        if len(calls) == 6:
            raise KeyboardInterrupt
        return real(path)

    monkeypatch.setattr(simulated_campaign, "native", dies)
    with pytest.raises(KeyboardInterrupt):
        RunFolder(run, "simulate").begin(True)
    monkeypatch.undo()
    assert (run / "campaign" / "campaign.json").exists()
    RunFolder(run, "simulate").begin(True)
    assert not (run / "campaign").exists()
