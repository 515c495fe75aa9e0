"""What the parts around an annotation session need of it: the open case, and what is on the screen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol, TypeVar

from clopa_annotator.client.engine_client import EngineClient
from clopa_annotator.errors import ClopaError
from clopa_annotator.types import Mask, Slot, SuggestionUse
from CLoPAAnnotatorLib.annotation.ActiveClock import ActiveClock
from CLoPAAnnotatorLib.annotation.AnnotationView import AnnotationView
from CLoPAAnnotatorLib.annotation.PromptHistory import PromptHistory

T = TypeVar("T")


class Drafts(Protocol):
    """Where unconfirmed work is kept."""

    def now(self, slot: Slot) -> None: ...

    def forget(self, slot: Slot) -> None: ...


class DecisionState(Protocol):
    """How far a decision has come."""

    isUnderWay: bool


class Work(Protocol):
    """`SlotWork`, as `Decision` and `DraftKeeper` see it."""

    slot: Slot
    history: PromptHistory
    firstShown: Mask | None
    isShown: bool
    weightsVersion: int

    @property
    def decision(self) -> DecisionState: ...

    def useOf(self, mask: Mask) -> SuggestionUse: ...


class OpenCase(Protocol):
    """`AnnotationSession`, as `Decision` and `DraftKeeper` see it."""

    view: AnnotationView
    clock: ActiveClock
    client: EngineClient | None
    caseId: str

    @property
    def drafts(self) -> Drafts: ...

    @property
    def works(self) -> Mapping[Slot, Work]: ...

    @property
    def isOpen(self) -> bool: ...

    def secondsOf(self, slot: Slot) -> float: ...

    def whileOpen(self, then: Callable[[T], None]) -> Callable[[T], None]: ...

    def failed(self, error: ClopaError) -> None: ...
