"""Which weights are in the live network: versions kept in memory, brought in before a prediction.

Sessions may work with different versions at the same time, of different targets: what differs between two
versions is their deltas, so the right one is put in place before each prediction, in milliseconds, rather
than holding two networks or making promoted weights wait until nobody has a case open. Versions count per
line of learning (`campaign.lines`), so weights are named by the line's key together with the number.
"""

from __future__ import annotations

import logging
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from clopa_annotator.campaign.prediction import LineVersion
from clopa_annotator.errors import UnknownVersion
from clopa_annotator.swap import apply_version, ready_delta

if TYPE_CHECKING:
    import torch

    from clopa_annotator.campaign.composition import Campaign
    from clopa_annotator.session.model import LoadedModel

logger = logging.getLogger(__name__)


class VersionedWeights:
    """The live network of an engine; fulfils `prediction.LiveWeights`."""

    def __init__(
        self,
        model: LoadedModel,
        read_delta: Callable[[str, int], Mapping[str, torch.Tensor]],
        current: Callable[[str], int],
        bring_in: Callable[[str], None],
        kept: int = 8,
    ) -> None:
        """Wrap a loaded model.

        Args:
            model: with its base weights.
            read_delta: tensors of a line's version, empty for the base.
            current: version of a line that a case opened now works with.
            bring_in: puts a line's weights in place with what was learned between clicks, if they are not.
            kept: deltas kept in memory, beside the newest used one of each line.
        """
        self._model, self._read, self._current, self._kept = model, read_delta, current, kept
        self._bring_in = bring_in
        self._deltas: OrderedDict[tuple[str, int], Mapping[str, torch.Tensor]] = OrderedDict()

    @classmethod
    def of(cls, campaign: Campaign) -> VersionedWeights:
        """The weights of a campaign's live network."""
        return cls(
            campaign.model,
            lambda line, version: campaign.line(line).registry.delta_tensors(version),
            lambda line: campaign.line(line).registry.current().number,
            lambda line: campaign.line(line).bring_in(),
        )

    def current(self, line: str = "") -> int:
        """Version of a line that a case opened now works with."""
        return self._current(line)

    def held(self) -> AbstractContextManager[Any]:
        """The lock that predictions and swaps hold."""
        lock: AbstractContextManager[Any] = self._model.lock
        return lock

    def use(self, wanted: LineVersion) -> None:
        """Bring weights into the live network; nothing happens if they are there already.

        Raises:
            UnknownVersion: the registry has no such version.
            DeltaMismatch: its delta does not fit; the network is as it was.
        """
        if wanted.version is None:
            self._bring_in(wanted.line)
            return
        if (self._model.lineage, self._model.version) == (wanted.line, wanted.version):
            return
        delta = self.delta(wanted.line, wanted.version)
        seconds = apply_version(self._model, self._model.base, delta, wanted.version, wanted.line)
        logger.debug("%s is in the network after %.1f ms", wanted, 1e3 * seconds)

    def delta(self, line: str, version: int) -> Mapping[str, torch.Tensor]:
        """The tensors of a version, from memory or from the registry."""
        if version < 0:
            raise UnknownVersion("Weights that were learned between clicks have no version to return to.")
        name = (line, version)
        if name not in self._deltas:
            read = self._read(line, version)
            self._deltas[name] = ready_delta(self._model.network, self._model.base, read)
        self._deltas.move_to_end(name)
        self._drop_oldest()
        return self._deltas[name]

    def _drop_oldest(self) -> None:
        """Beyond what is kept, the oldest go, but the newest of each line stays: its target is in use."""
        of_line = Counter(line for line, _ in self._deltas)
        for name in list(self._deltas):
            if len(self._deltas) <= self._kept:
                return
            if of_line[name[0]] > 1:
                of_line[name[0]] -= 1
                del self._deltas[name]
