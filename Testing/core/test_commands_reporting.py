"""``clopa report``: the lead's page about a campaign's folder, which is only read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny_campaign
from cache_helpers import a_confirmation, an_image
from tiny_campaign import tiny_config

from clopa_annotator.campaign.composition import Campaign
from clopa_annotator.cli import main
from clopa_annotator.commands.reporting import confirmed_cases
from clopa_annotator.suggestions.suggestion_folder import SuggestionFolder
from clopa_annotator.types import Subject, Suggestion, SuggestionUse

model_folder = tiny_campaign.model_folder


@pytest.fixture
def folder(tmp_path: Path, model_folder: Path) -> Path:
    """Three confirmed cases: one without a suggestion, one with it taken, one with it withheld."""
    config = replace(tiny_config(model_folder), without_suggestion=0.5)
    uses = (SuggestionUse.NONE, SuggestionUse.TAKEN, SuggestionUse.WITHHELD)
    with Campaign.create(tmp_path / "campaign", config, device="cpu") as campaign:
        suggestions = SuggestionFolder(campaign.folder)
        for number, use in enumerate(uses):
            name = f"case {number}"
            campaign.store.add_case(name, an_image())
            sent = replace(a_confirmation(), case_id=name, confirmation_id=name, suggestion=use)
            if use is not SuggestionUse.NONE:
                suggestions.keep(Suggestion(Subject(name), sent.mask.astype(np.uint8), 1, {"agreement": 0.9}))
            ref = campaign.confirm(sent)
            suggestions.confirmed(Subject(name), sent.mask, ref.sequence)
    return tmp_path / "campaign"


def test_the_page_tells_the_uses_apart_and_reads_only(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(p.relative_to(folder) for p in folder.rglob("*"))
    assert main(["report", str(folder), "--out", str(tmp_path / "page.html")]) == 0
    assert "page.html" in capsys.readouterr().out.replace("\n", "")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    for told in (
        "no suggestion",
        "suggestion taken",
        "suggestion withheld",
        "3 of 3 confirmed",
        "50 % of",
    ):
        assert told in text
    assert sorted(p.relative_to(folder) for p in folder.rglob("*")) == before


def test_how_good_a_suggestion_was_is_known_of_shown_and_withheld_ones(folder: Path) -> None:
    with Campaign.open(folder, device="cpu", writer=False) as campaign:
        none, taken, withheld = confirmed_cases(campaign, "")
    assert (none.suggestion_dice, taken.suggestion_dice, withheld.suggestion_dice) == (None, 1.0, 1.0)
    assert withheld.suggestion is SuggestionUse.WITHHELD


def test_a_folder_that_is_no_campaign_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(tmp_path), "--out", str(tmp_path / "page.html")]) != 0
    assert "campaign" in capsys.readouterr().err and not (tmp_path / "page.html").exists()
