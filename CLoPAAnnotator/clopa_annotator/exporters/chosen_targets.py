"""Which targets an export takes, and how several masks of a case become one volume of labels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from clopa_annotator.cache.campaign_store import CampaignReader
from clopa_annotator.errors import ConfigError, InputError
from clopa_annotator.types import CaseRef, Mask, Target, Targets


@dataclass(frozen=True)
class ExportTargets:
    """What is asked for, by names.

    Attributes:
        names: which targets; none for all of the campaign.
        priority: to whom voxels go that masks share, in a volume of labels: the first named wins. None named:
            masks that share voxels are refused there.
        instances: in a volume of labels, each of several of a kind has a value of its own.
    """

    names: tuple[str, ...] = ()
    priority: tuple[str, ...] = ()
    instances: bool = False

    def of(self, targets: Targets) -> tuple[Target, ...]:
        """The chosen targets in the campaign's order.

        Raises:
            ConfigError: the campaign has no such target, or the priority names one that is not chosen.
        """
        wanted = {targets.by_name(name).key for name in self.names} or {t.key for t in targets}
        for name in self.priority:
            if targets.by_name(name).key not in wanted:
                raise ConfigError(f"{name} has a priority, but is not among the targets to be exported.")
        return tuple(t for t in targets if t.key in wanted)


@dataclass(frozen=True)
class CaseMasks:
    """The confirmed masks of a case that go into an export.

    Attributes:
        case_id: name of the case.
        image_hash: its image.
        refs: one for each slot, targets in the campaign's order, several of a kind in theirs.
    """

    case_id: str
    image_hash: str
    refs: tuple[CaseRef, ...]


def confirmed_masks(store: CampaignReader, targets: Sequence[Target]) -> tuple[CaseMasks, ...]:
    """Every case with a confirmed mask of one of these targets, in order of arrival."""
    place = {target.key: number for number, target in enumerate(targets)}
    found: dict[str, list[CaseRef]] = {}
    for ref in sorted((r for t in targets for r in store.confirmed(t.key)), key=lambda r: r.sequence):
        found.setdefault(ref.case_id, []).append(ref)

    def shown(ref: CaseRef) -> tuple[int, int]:
        return place[ref.slot.target], ref.slot.instance

    return tuple(
        CaseMasks(c, refs[0].image_hash, tuple(sorted(refs, key=shown))) for c, refs in found.items()
    )


@dataclass(frozen=True)
class LabelValues:
    """Which value stands for which mask in a volume of labels.

    Attributes:
        targets: the chosen ones, which have the values 1, 2, ... in this order.
        priority: keys of targets whose voxels are taken first; None: no voxel may be shared.
        instances: every mask has its own value, counting through the case's.
    """

    targets: tuple[Target, ...]
    priority: tuple[str, ...] | None = None
    instances: bool = False

    @property
    def names(self) -> dict[str, int]:
        """Value of each target by its name."""
        return {target.name: number for number, target in enumerate(self.targets, 1)}

    def of(self, refs: Sequence[CaseRef]) -> tuple[int, ...]:
        """The value of each mask of a case."""
        if self.instances:
            return tuple(range(1, len(refs) + 1))
        keys = [target.key for target in self.targets]
        return tuple(keys.index(ref.slot.target) + 1 for ref in refs)

    def volume(self, case_id: str, refs: Sequence[CaseRef], masks: Sequence[Mask]) -> npt.NDArray[np.generic]:
        """The (k, j, i) label volume of a case.

        Raises:
            InputError: two masks share voxels, and nobody said whose they are.
        """
        values = self.of(refs)
        labels = np.zeros(masks[0].shape, np.uint8 if max(values) <= 255 else np.uint16)
        if self.priority is None:
            for number, mask in enumerate(masks):
                self._refuse_shared(case_id, refs[: number + 1], values, labels, mask)
                labels[mask.astype(bool)] = values[number]
            return labels
        for number in sorted(range(len(refs)), key=lambda n: self._rank(refs[n]), reverse=True):
            labels[masks[number].astype(bool)] = values[number]
        return labels

    def _rank(self, ref: CaseRef) -> int:
        """Lower is taken before; what has no priority comes after what has, in the campaign's order."""
        first = self.priority or ()
        rest = (target.key for target in self.targets if target.key not in first)
        return [*first, *rest].index(ref.slot.target)

    def _refuse_shared(
        self,
        case_id: str,
        refs: Sequence[CaseRef],
        values: Sequence[int],
        labels: npt.NDArray[np.generic],
        mask: Mask,
    ) -> None:
        under = labels[mask.astype(bool)]
        shared = {int(v) for v in np.unique(under[under > 0])} - {values[len(refs) - 1]}
        if not shared:
            return
        others = sorted(
            {_name(self.targets, ref) for ref, v in zip(refs[:-1], values, strict=False) if v in shared}
        )
        named = [*others, _name(self.targets, refs[-1])]
        count = int(np.count_nonzero(np.isin(under, list(shared))))
        chosen = ",".join(target.name for target in self.targets)
        raise InputError(
            f"In case {case_id!r}, {' and '.join(named)} share {count} voxels, and a volume of labels holds "
            f"one label for each. Say whose they are (--priority {chosen!r}; in Slicer, by the list of "
            "segments), or export segnrrd."
        )


def _name(targets: Iterable[Target], ref: CaseRef) -> str:
    return Targets(targets).name_of(ref.slot)
