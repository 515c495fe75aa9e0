"""What the parts around an annotation session need of it: the open case, and what is on the screen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from clopa_annotator.client.engine_client import EngineClient
from clopa_annotator.errors import ClopaError
from clopa_annotator.types import Mask
from CLoPAAnnotatorLib.annotation.ActiveClock import ActiveClock
from CLoPAAnnotatorLib.annotation.AnnotationView import AnnotationView, GivenPrompt

T = TypeVar("T")


class Drafts(Protocol):
    """Where unconfirmed work is kept."""

    def now(self) -> None: ...

    def forget(self) -> None: ...


class OpenCase(Protocol):
    """`AnnotationSession`, as `Decision` and `DraftKeeper` see it."""

    view: AnnotationView
    clock: ActiveClock
    client: EngineClient | None
    caseId: str
    firstShown: Mask | None
    weightsVersion: int

    @property
    def drafts(self) -> Drafts: ...

    @property
    def isOpen(self) -> bool: ...

    @property
    def isConfirming(self) -> bool: ...

    @property
    def answered(self) -> tuple[GivenPrompt, ...]: ...

    def whileOpen(self, then: Callable[[T], None]) -> Callable[[T], None]: ...

    def failed(self, error: ClopaError) -> None: ...
