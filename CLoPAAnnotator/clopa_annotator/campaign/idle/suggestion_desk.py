"""Suggests for the coming cases while nobody clicks and nothing trains, in a thread of its own."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable, Mapping, Sequence

from clopa_annotator.campaign.idle.coming import Coming, ComingSlot, NextFirst, coming_slots
from clopa_annotator.campaign.idle.making import Abandoned, SuggestionMaker
from clopa_annotator.campaign.idle.ready_suggestions import ReadySuggestions
from clopa_annotator.campaign.idle.surroundings import SuggestionSettings, Surroundings
from clopa_annotator.campaign.idle.wanted import WantedSuggestions
from clopa_annotator.errors import CacheError, ClopaError, EngineUnreachable, StorageFull, SuggestionStopped
from clopa_annotator.suggestions.scores import certainty
from clopa_annotator.suggestions.suggestion_folder import SuggestionFolder
from clopa_annotator.types import Event, Mask, Slot, Subject
from clopa_annotator.wire.suggestion_messages import Suggested, SuggestionMark, SuggestionState

logger = logging.getLogger(__name__)

REST_S = 60.0
"""With nothing to do, look again after so long whatever happens: a lease may have run out."""
_NO_NEWS = frozenset({"suggested", "suggestions", "episode_progress"})


class SuggestionDesk:
    """The suggestions of one campaign; thread-safe.

    Attributes:
        order: see `coming.Coming`; an order of cases that the campaign has goes here.
        needs_all: whether that order is known only once every case has a suggestion.
        withholds: whether the suggestion for a slot is made, but not to be shown.
        next_first: the order unless there is another; told which cases clients send and open.
        wanted: what was asked for, and what was passed over.
    """

    def __init__(
        self,
        around: Surroundings,
        folder: SuggestionFolder,
        ready: ReadySuggestions,
        settings: SuggestionSettings | None = None,
    ) -> None:
        """Nothing happens before `start`.

        Args:
            around: the engine, see `Surroundings`.
            folder: where suggestions are kept.
            ready: which of them are ready.
            settings: see `SuggestionSettings`.
        """
        self._around, self._folder, self._ready = around, folder, ready
        self._settings = settings or SuggestionSettings()
        self.next_first = NextFirst()
        self.order: Coming = self.next_first
        self.needs_all: Callable[[], bool] = lambda: False
        self.withholds: Callable[[str, Slot], bool] = lambda _case_id, _slot: False
        self.wanted = WantedSuggestions()
        self._stop, self._wake = threading.Event(), threading.Event()
        self._maker = SuggestionMaker(around, folder, self._settings.quiet_s, self.off, self._stop)
        self._thread = threading.Thread(target=self._run, name="suggestions", daemon=True)
        self._working = ""

    # -- life ----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin; nothing happens if this engine is not to suggest."""
        if self._settings.runs:
            self._around.events.subscribe(self._heard)
            self._thread.start()

    def let_go(self) -> None:
        """Begin to end, without waiting."""
        self._stop.set()
        self._wake.set()

    def close(self, patience_s: float = 10.0) -> None:
        """`let_go`, and wait for what is under way."""
        self.let_go()
        if self._thread.ident is not None:
            self._thread.join(patience_s)

    def _heard(self, event: Event) -> None:
        if event.name not in _NO_NEWS:
            self._wake.set()

    # -- asked by others -----------------------------------------------------------------------------------

    def off(self) -> str:
        """Why no suggestions are made or shown, in words; empty if they are."""
        return self._around.off() if self._settings.runs else "This engine makes no suggestions."

    def opened(self, case_id: str) -> None:
        """A client opens a case: those after it are likely to come next."""
        self.next_first.sent(self._around.store.case(case_id).number)

    def sent(self, case_id: str) -> None:
        """A client has sent a case's image: it is likely to come next, and whole again if it was damaged."""
        self.opened(case_id)
        self.wanted.again(case_id)
        self._wake.set()

    def mark(self, case_id: str, slot: Slot) -> SuggestionMark | None:
        """The suggestion for a slot, if there is one to show."""
        subject = Subject(case_id, slot.target, slot.instance)
        found = None if self.off() else self._ready.shown(subject, self._version(slot))
        if found is None:
            return None
        head, expected = found
        score = certainty(head.scores)
        sure = score if math.isfinite(score) else None
        dice, low, high = (
            v if expected.known else None for v in (expected.dice, expected.low, expected.high)
        )
        return SuggestionMark(head.weights_version, sure, dice, low, high, expected.cases, head.made_at)

    def suggestion(self, case_id: str, slot: Slot) -> Suggested | None:
        """The same with its mask; None too if its file was damaged: it is in quarantine, and made again."""
        mark = self.mark(case_id, slot)
        if mark is None:
            return None
        subject, store = Subject(case_id, slot.target, slot.instance), self._around.store
        try:
            found = self._folder.load(subject, store.geometry(store.image_hash(case_id)).shape_kji)
        except CacheError as error:
            logger.warning("The suggestion for %s cannot be shown: %s", case_id, error)
            return None
        if found is None or found.weights_version != mark.version:
            self._ready.gone(subject)
            self._wake.set()
            return None
        found.mask.flags.writeable = False
        return Suggested(found.mask, mark)

    def confirmed(self, case_id: str, slot: Slot, mask: Mask, sequence: int) -> None:
        """A case was confirmed: note how good its suggestion was. Never fails what is safe already."""
        try:
            self._folder.confirmed(Subject(case_id, slot.target, slot.instance), mask, sequence)
        except Exception:
            logger.exception("How good the suggestion for %s was is not known", case_id)
        self._ready.learned()

    def told(self, target: str) -> Mapping[int, float]:
        """How good the suggestions of confirmed cases were, by the number of the confirmation."""
        return self._ready.told(target)

    def want_all(self) -> SuggestionState:
        """Suggest for every open case, not only for the next ones."""
        self.wanted.all()
        self.wanted.left(len(self._todo()))
        self._tell()
        self._wake.set()
        return self.state()

    def cancel(self) -> SuggestionState:
        """Suggest for the next cases only; what is made stays."""
        self.wanted.cancel()
        self._tell()
        return self.state()

    def switched(self) -> SuggestionState:
        """The campaign's setting was changed."""
        self._tell()
        self._wake.set()
        return self.state()

    def state(self) -> SuggestionState:
        """What is being done."""
        waiting = coming_slots(self._around.store, self._around.leases)
        ready = sum(self.mark(c.case_id, c.slot) is not None for c in waiting)
        is_held = self._around.is_training or self._around.quiet_s < self._settings.quiet_s
        return self.wanted.state(
            ready,
            len(waiting) - ready,
            off=self.off(),
            full=self._folder.full,
            working=self._working,
            is_held=is_held,
        )

    # -- the thread ----------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stop.is_set():
            self._wake.clear()
            is_time = worked = False
            try:
                is_time = self._is_time()
                worked = is_time and self._one()
            except EngineUnreachable:
                return
            except Exception:
                if not self._stop.is_set():  # else the campaign was closed meanwhile
                    logger.exception("Suggesting failed; it goes on in a while")
            if self._folder.full:
                self._stop.wait(self._settings.retry_s)
            elif not worked:
                self._wake.wait(REST_S if is_time else self._settings.look_s)

    def _is_time(self) -> bool:
        """Whether anything may be made now."""
        around = self._around
        return not self.off() and not around.is_training and around.quiet_s >= self._settings.quiet_s

    def _todo(self) -> Sequence[ComingSlot]:
        """Slots that have no suggestion of the version in use, in order."""
        coming = self.order(coming_slots(self._around.store, self._around.leases))
        wanted = coming if self.wanted.is_all or self.needs_all() else coming[: self._settings.ahead]
        return [c for c in wanted if not self._is_made(c)]

    def _is_made(self, coming: ComingSlot) -> bool:
        version, head = self._version(coming.slot), self._ready.get(coming.subject)
        is_fresh = head is not None and head.weights_version == version
        return is_fresh or self.wanted.is_passed_over(coming, version)

    def _version(self, slot: Slot) -> int:
        return self._around.in_use(slot.target).version or 0

    def _one(self) -> bool:
        """Make the next suggestion; False if there is nothing to do, or no room for it."""
        todo = self._todo()
        if self.wanted.left(len(todo)):
            self._tell()
        if not todo:
            return False
        coming, version = todo[0], self._version(todo[0].slot)
        self._working = coming.case_id
        try:
            self._make(coming)
        except (Abandoned, SuggestionStopped) as reason:
            logger.debug("The suggestion for %s is given up: %s", coming.case_id, reason)
        except StorageFull as error:
            logger.warning("Suggestions stop: %s", error)
            self._tell()
            return False
        except EngineUnreachable:
            raise
        except (ClopaError, MemoryError) as error:
            why = str(error) or "There is too little memory for this image."
            logger.warning("No suggestion for %s: %s", coming.case_id, why)
            self.wanted.pass_over(coming, version, why)
            self._tell()
        finally:
            self._working = ""
        return True

    def _make(self, coming: ComingSlot) -> None:
        was_full = bool(self._folder.full)
        kept = self._maker.make(coming)
        self._ready.note(kept.head)
        if was_full:
            self._tell()
        if self.mark(coming.case_id, coming.slot) is not None:
            self._around.events.publish(
                "suggested",
                case_id=coming.case_id,
                version=kept.weights_version,
                target=coming.slot.target,
                instance=coming.slot.instance,
            )

    def _tell(self) -> None:
        self._around.events.publish("suggestions")
