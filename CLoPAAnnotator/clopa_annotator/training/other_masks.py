"""Which masks of other targets the network is told that a mask is not, where a campaign says so.

A session is told of what is confirmed while its target is annotated, so that is what an episode is given for
each of its masks: the others of the same image that were confirmed before it and that exclude it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from clopa_annotator.cache.campaign_store import CampaignReader
from clopa_annotator.config import CampaignConfig
from clopa_annotator.errors import ConfigError
from clopa_annotator.types import CaseRef


def require_episodes(config: CampaignConfig, learns_online: bool) -> None:
    """Refuse to tell a strategy of other targets that learns between clicks. Raises `ConfigError`."""
    if config.others_as_background and learns_online:
        raise ConfigError(
            f"The strategy {config.strategy} learns between clicks, from inputs without other targets. "
            "Leave others as background out, or choose a strategy that learns in episodes alone."
        )


def others_before(store: CampaignReader, refs: Iterable[CaseRef]) -> dict[str, tuple[CaseRef, ...]]:
    """The other targets' masks that were confirmed before each of these, by its record hash; none if empty.

    Args:
        store: the campaign.
        refs: confirmed masks.
    """
    targets, of_case = store.targets, defaultdict(list)
    for target in targets:
        for ref in store.confirmed(target.key):
            of_case[ref.case_id].append(ref)
    found = {}
    for ref in refs:
        others = tuple(
            other
            for other in sorted(of_case[ref.case_id], key=lambda other: other.sequence)
            if other.sequence < ref.sequence
            and other.slot != ref.slot
            and targets.exclude(ref.slot, other.slot)
        )
        if others:
            found[ref.record_hash] = others
    return found
