"""How well two people agree who read the same cases blind to each other, per pair of people and target."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from clopa_annotator.cache.reader import CampaignReader
from clopa_annotator.cache.summaries import VersionSummary
from clopa_annotator.evaluation.metrics import dice, nsd
from clopa_annotator.types import Mask, Slot
from clopa_annotator.types.review import Agreement, PairAgreement

TOLERANCE_MM = 1.0
"""Of the surface Dice, as everywhere."""


def double_readings(store: CampaignReader) -> tuple[Agreement, ...]:
    """Every slot that two people have read, with how well they agree; in the order of the cases."""
    found = []
    for case in store.cases():
        for summary in case.slots:
            pair = _pair(store, case.case_id, summary.slot)
            if pair is not None:
                found.append(_measured(store, *pair))
    return tuple(found)


def _pair(store: CampaignReader, case_id: str, slot: Slot) -> tuple[VersionSummary, VersionSummary] | None:
    """The two readings as they were when nobody knew of the other's; None if there are not two."""
    versions = store.versions(case_id, slot)
    second = next((v for v in versions if v.reading > 1 and not v.withdrawn), None)
    if second is None:
        return None
    before = [v for v in versions if v.reading == 1 and v.ref.sequence < second.ref.sequence]
    return (before[-1], second) if before else None


def _measured(store: CampaignReader, first: VersionSummary, second: VersionSummary) -> Agreement:
    ref = first.ref
    spacing = store.geometry(ref.image_hash).spacing_kji_mm
    hashes = (ref.mask_hash, second.ref.mask_hash)
    known = _KNOWN.get((*hashes, spacing))
    if known is None:
        known = compare_masks(store.read_mask(ref), store.read_mask(second.ref), spacing)
        if len(_KNOWN) < MOST_KNOWN:
            _KNOWN[(*hashes, spacing)] = known
    return Agreement(ref.case_id, ref.slot, first.annotator, second.annotator, *known)


MOST_KNOWN = 10_000
_KNOWN: dict[tuple[str, str, tuple[float, float, float]], tuple[float, float, float]] = {}
"""Masks are named by their hashes and never change, so what was measured once holds."""


def compare_masks(
    first: Mask, second: Mask, spacing_kji_mm: tuple[float, float, float]
) -> tuple[float, float, float]:
    """Dice, surface Dice at 1 mm, and difference of the volumes (second minus first) in shares of their mean.

    Of two empty masks the surface Dice and the difference are NaN.
    """
    volumes = int(np.count_nonzero(first)), int(np.count_nonzero(second))
    mean = sum(volumes) / 2
    difference = (volumes[1] - volumes[0]) / mean if mean else math.nan
    return dice(first, second), nsd(first, second, spacing_kji_mm, TOLERANCE_MM), difference


def by_pair(readings: Iterable[Agreement]) -> tuple[PairAgreement, ...]:
    """The readings of each pair of people and target together; people in the order of their names."""
    together: dict[tuple[str, str, str], list[Agreement]] = {}
    for reading in readings:
        one, two = sorted((reading.first, reading.second), key=str.casefold)
        together.setdefault((one, two, reading.slot.target), []).append(reading)
    return tuple(
        PairAgreement(
            one,
            two,
            target,
            len(found),
            _mean([r.dice for r in found]),
            min(r.dice for r in found),
            _mean([r.nsd for r in found]),
            _mean([abs(r.volume_difference) for r in found]),
        )
        for (one, two, target), found in sorted(together.items(), key=lambda item: item[0])
    )


def _mean(values: Sequence[float]) -> float:
    """Of what is known; NaN if nothing is."""
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan
