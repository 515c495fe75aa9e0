"""``clopa report``: what a campaign's annotations cost, and what suggestions change, as one page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clopa_annotator.commands.output import console

if TYPE_CHECKING:
    from clopa_annotator.campaign.composition import Campaign
    from clopa_annotator.evaluation.campaigns.campaign_report import ConfirmedCase, Section


def register(app: typer.Typer) -> None:
    """Add this module's command."""
    app.command()(report)


def report(
    campaign: Annotated[Path, typer.Argument(metavar="DIR", help="The campaign's folder; it is only read.")],
    out: Annotated[Path, typer.Option("--out", help="The page; replaced if it is there.")] = Path(
        "report.html"
    ),
) -> None:
    """Write the lead's page: time, prompts and first masks, apart for what was made of suggestions."""
    from clopa_annotator.campaign.composition import Campaign
    from clopa_annotator.evaluation.campaigns.campaign_report import write_campaign_report

    with Campaign.open(campaign, device="cpu", writer=False) as opened:
        sections = sections_of(opened)
        written = write_campaign_report(out, opened.config.name, sections, facts_of(opened))
    console.print(f"Report: {written}", markup=False)


def sections_of(campaign: Campaign) -> tuple[Section, ...]:
    """The report's parts: what suggestions change, a target after the other; how well people agree."""
    from clopa_annotator.evaluation.campaigns.campaign_report import suggestions_section
    from clopa_annotator.review.agreement_section import agreement_section

    several = len(campaign.targets) > 1
    parts = [
        suggestions_section(target.name if several else "", confirmed_cases(campaign, target.key))
        for target in campaign.targets
    ]
    agreement = agreement_section(campaign.store)
    return tuple(parts if agreement is None else [*parts, agreement])


def confirmed_cases(campaign: Campaign, target: str) -> tuple[ConfirmedCase, ...]:
    """What each confirmation of a target cost, in order of arrival; withdrawn ones are left out."""
    from clopa_annotator.evaluation.campaigns.campaign_report import ConfirmedCase
    from clopa_annotator.suggestions.suggestion_folder import SuggestionFolder

    suggested = {o.sequence: o.dice for o in SuggestionFolder(campaign.folder).outcomes(target)}
    return tuple(
        ConfirmedCase(
            v.ref.case_id,
            v.weights_version,
            v.first_shown_dice if v.ref.case_version == 1 else None,
            suggested.get(v.ref.sequence),
            v.prompts,
            v.seconds_active,
            v.suggestion,
            v.annotator,
        )
        for v in campaign.store.confirmed_versions(target)
    )


def facts_of(campaign: Campaign) -> dict[str, str]:
    """What the campaign is, in words."""
    from clopa_annotator.case_order import IN_WORDS, CaseSettings
    from clopa_annotator.types import CaseState

    cases, manifest = campaign.store.cases(), campaign.store.manifest
    settings = CaseSettings.of(campaign.config)
    done = sum(case.state is CaseState.CONFIRMED for case in cases)
    people = {slot.annotator for case in cases for slot in case.slots if slot.annotator}
    return {
        "Cases": f"{done} of {len(cases)} confirmed, {campaign.config.size} planned",
        "Targets": campaign.targets.in_words,
        "Annotators": ", ".join(sorted(people)) or "nobody yet",
        "Strategy": f"{campaign.config.strategy} ({campaign.config.schedule} schedule)",
        "Base model": manifest.model_id,
        "Licence of the weights": manifest.licence or "not stated",
        "Cases come": IN_WORDS[settings.order],
        "Without a suggestion": f"{100 * settings.without_suggestion:g} % of the cases, drawn once",
    }
