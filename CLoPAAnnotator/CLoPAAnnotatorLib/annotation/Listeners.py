"""Who is told what happens: the panels subscribe, the workspace tells."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from clopa_annotator.types import Event
from CLoPAAnnotatorLib.Texts import Mood


@dataclass
class Listeners:
    """Who is told what; each a list of functions."""

    said: list[Callable[[str, Mood], object]] = field(default_factory=list)
    busy: list[Callable[[], object]] = field(default_factory=list)
    cases: list[Callable[[], object]] = field(default_factory=list)
    opened: list[Callable[[], object]] = field(default_factory=list)
    targets: list[Callable[[], object]] = field(default_factory=list)
    engine: list[Callable[[], object]] = field(default_factory=list)
    events: list[Callable[[Event], object]] = field(default_factory=list)
    ticks: list[Callable[[], object]] = field(default_factory=list)
