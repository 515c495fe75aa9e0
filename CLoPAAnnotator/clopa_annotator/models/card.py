"""The model card of an exported version: what it is made of, under which licence, with which figures."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from clopa_annotator import __version__
from clopa_annotator.types import WeightsVersion

CARD = "README.md"


def lineage(version: WeightsVersion, campaign: str) -> dict[str, Any]:
    """The card's facts for programs."""
    return {
        "format": "clopa-model/1",
        "campaign": campaign,
        "exported_by": __version__,
        **{key: value for key, value in asdict(version).items() if key != "delta_file"},
    }


def model_card(version: WeightsVersion, base: str, campaign: str, confirmed: int) -> str:
    """The card as Markdown.

    Args:
        version: the exported version.
        base: name of the base model.
        campaign: name of the campaign.
        confirmed: how many cases it has confirmed now.
    """
    rows = {
        "Base model": f"{base}, SHA-256 of its weights `{version.model_hash}`",
        "Licence": f"{version.licence} (the base's; weights adapted from it inherit it, see `LICENSE`)",
        "Campaign": f"{campaign}, {confirmed} confirmed cases at the export",
        "Version": _version(version),
        "Tuned": version.parameter_group or "nothing: this is the untouched base",
        "Trained on": f"{len(version.case_hashes)} confirmed cases, listed below",
        "Held-out cases": _figures(version),
        "Made": f"{version.created or 'not known'} by clopa-annotator {version.code_version}",
        "Seed": str(version.seed),
    }
    table = "\n".join(f"| {name} | {text.replace('|', '/')} |" for name, text in rows.items())
    hashes = "\n".join(f"- `{digest}`" for digest in version.case_hashes) or "None."
    return f"""# {campaign}, weights version {version.number}

A promptable 3D segmentation model in nnInteractive's checkpoint layout, made by CLoPA Annotator.

| | |
|---|---|
{table}

Load it with nnInteractive's own session:

    from nnInteractive.inference.inference_session import nnInteractiveInferenceSession
    session = nnInteractiveInferenceSession(device)
    session.initialize_from_trained_model_folder("this folder")

or use it as the base of a campaign: `clopa campaign create DIR --name N --size N --model "this folder"`.

It proposes; a person decides. It is not a medical device, and the figures above are of one campaign only.

## Training data

SHA-256 of the record of each confirmed case that it was trained on; the records lie in the campaign's folder.

{hashes}
"""


def _version(version: WeightsVersion) -> str:
    if version.parent is None:
        return f"{version.number}"
    episode = "without an episode" if version.episode is None else f"by episode {version.episode}"
    return f"{version.number}, from version {version.parent}, {episode}"


def _figures(version: WeightsVersion) -> str:
    decision = version.decision
    if decision is None or not decision.before:
        return "not compared"
    return (
        f"mean score {decision.mean_before:.3f} before, {decision.mean_after:.3f} after on "
        f"{len(decision.before)} cases; worst change of one case {decision.worst_change:+.3f}; "
        f"{'promoted' if decision.promoted else 'not promoted'}"
    )
