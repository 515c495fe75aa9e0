"""Which weights are in the live network: versions kept in memory, brought in before a prediction.

Sessions may work with different versions at the same time: what differs between two versions is their deltas,
about 0.1 MB each, so the right one is put in place before each prediction, in milliseconds, rather than
holding two networks or making promoted weights wait until nobody has a case open.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from clopa_annotator.errors import UnknownVersion
from clopa_annotator.swap import apply_version

if TYPE_CHECKING:
    import torch

    from clopa_annotator.session.model import LoadedModel

logger = logging.getLogger(__name__)


class VersionedWeights:
    """The live network of an engine; fulfils `prediction.LiveWeights`."""

    def __init__(
        self,
        model: LoadedModel,
        read_delta: Callable[[int], Mapping[str, torch.Tensor]],
        current: Callable[[], int],
        kept: int = 8,
    ) -> None:
        """Wrap a loaded model.

        Args:
            model: with its base weights.
            read_delta: tensors of a version, empty for the base.
            current: version that a case opened now works with.
            kept: deltas kept in memory.
        """
        self._model, self._read, self._current, self._kept = model, read_delta, current, kept
        self._base = model.base_state()
        self._deltas: OrderedDict[int, Mapping[str, torch.Tensor]] = OrderedDict()

    @property
    def current(self) -> int:
        """Version that a case opened now works with."""
        return self._current()

    def held(self) -> AbstractContextManager[Any]:
        """The lock that predictions and swaps hold."""
        lock: AbstractContextManager[Any] = self._model.lock
        return lock

    def use(self, version: int) -> None:
        """Bring a version into the live network; nothing happens if it is there already.

        Raises:
            UnknownVersion: the registry has no such version.
            DeltaMismatch: its delta does not fit; the network is as it was.
        """
        if self._model.version == version:
            return
        seconds = apply_version(self._model, self._base, self.delta(version), version)
        logger.debug("Version %d is in the network after %.1f ms", version, 1e3 * seconds)

    def delta(self, version: int) -> Mapping[str, torch.Tensor]:
        """The tensors of a version, from memory or from the registry."""
        if version < 0:
            raise UnknownVersion("Weights that were learned between clicks have no version to return to.")
        if version not in self._deltas:
            self._deltas[version] = self._read(version)
            while len(self._deltas) > self._kept:
                self._deltas.popitem(last=False)
        self._deltas.move_to_end(version)
        return self._deltas[version]
