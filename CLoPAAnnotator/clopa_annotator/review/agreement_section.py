"""The report's part on how well people agree who annotated the same cases blind to each other."""

from __future__ import annotations

from clopa_annotator.cache.reader import CampaignReader
from clopa_annotator.evaluation import page
from clopa_annotator.evaluation.campaigns.campaign_report import Section
from clopa_annotator.review.agreement import by_pair, double_readings
from clopa_annotator.types.review import PairAgreement

HEADER = ("people", "target", "masks", "Dice", "lowest Dice", "NSD at 1 mm", "volumes differ by")
NOTE = (
    "Masks of the same image by two people, neither of whom had seen the other's. Means over the masks; what "
    "was mended later does not count. The first reading trains."
)


def agreement_section(store: CampaignReader) -> Section | None:
    """The section; None where nothing was read by two people."""
    pairs = by_pair(double_readings(store))
    if not pairs:
        return None
    return Section("How well people agree", NOTE, HEADER, tuple(_row(store, pair) for pair in pairs))


def _row(store: CampaignReader, pair: PairAgreement) -> tuple[page.Cell, ...]:
    figures = (page.number(v, 3) for v in (pair.dice, pair.lowest_dice, pair.nsd))
    volume = page.number(100 * pair.volume_difference, 0) + " %"
    target = next((t.name for t in store.targets if t.key == pair.target), pair.target)
    return (f"{pair.one}, {pair.two}", target, pair.readings, *figures, volume)
