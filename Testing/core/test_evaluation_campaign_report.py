"""The lead's page about a campaign: figures and curves apart for what was made of suggestions."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from clopa_annotator.evaluation.campaigns.campaign_report import (
    ConfirmedCase,
    Section,
    suggestions_section,
    write_campaign_report,
)
from clopa_annotator.types import SuggestionUse

NONE, WITHHELD, UNTOUCHED, TAKEN, CLEARED = SuggestionUse


def cases() -> list[ConfirmedCase]:
    """Four without a suggestion; then half of the suggestions are withheld, and look worse."""
    found = [ConfirmedCase(f"early {n}", 0, 0.5 + 0.02 * n, None, 6, 80.0) for n in range(4)]
    for n in range(4):
        dice = 0.9 + 0.01 * n
        found.append(ConfirmedCase(f"shown {n}", 1, dice, dice, 2, 30.0, TAKEN if n else UNTOUCHED))
        found.append(ConfirmedCase(f"withheld {n}", 1, 0.7, 0.8 + 0.01 * n, 5, 60.0, WITHHELD))
    return found


def test_every_use_has_a_row_and_a_curve() -> None:
    section = suggestions_section("", cases())
    assert section.title == "What suggestions change"
    rows = {row[0]: row[1:] for row in section.rows}
    assert rows["no suggestion"] == (4, "0.530 ± 0.013", "–", "6.0 ± 0.0", "80 ± 0")
    assert rows["suggestion withheld"] == (4, "0.700 ± 0.000", "0.815 ± 0.006", "5.0 ± 0.0", "60 ± 0")
    assert rows["suggestion untouched"] == (1, "0.900", "0.900", "2.0", "30")
    assert rows["suggestion shown (all three)"][:3] == (4, "0.915 ± 0.006", "0.915 ± 0.006")
    assert "look better" in section.sentence and "more than chance" in section.sentence
    first, suggested, effort = (plot.svg for plot in section.plots)
    assert all(name in first for name in ("no suggestion (4)", "suggestion taken (3)", " v1"))
    assert "suggestion shown (4)" in suggested and "suggestion withheld (4)" in suggested
    assert "seconds per case" in effort


def test_a_campaign_without_suggestions_shows_its_curve_and_no_comparison() -> None:
    section = suggestions_section("liver", cases()[:4])
    assert section.title == "liver: what suggestions change"
    assert len(section.rows) == 1 and section.sentence == "" and len(section.plots) == 2
    assert "Nothing is confirmed" in suggestions_section("", []).sentence


def test_the_page_holds_every_section_and_is_whole_in_itself(tmp_path: Path) -> None:
    other = Section("Two people", "Blind.", ("pair", "Dice"), (("Ada, Bo <b>", 0.91),), "They agree.")
    path = write_campaign_report(
        tmp_path / "report.html", "Liver & co", [suggestions_section("", cases()), other], {"Cases": "12"}
    )
    text = path.read_text(encoding="utf-8")
    assert "Liver &amp; co" in text and "Ada, Bo &lt;b&gt;" in text and "They agree." in text
    assert text.count("<svg") == 3 and not re.search(r'(src|href)="https?:', text)


@pytest.mark.parametrize("first", [None, 0.8])
def test_a_correction_counts_for_its_cost_alone(first: float | None) -> None:
    section = suggestions_section("", [ConfirmedCase("one", 1, first, None, 3, 20.0)])
    assert section.rows[0][2] == ("–" if first is None else "0.800")
