"""Which parts of a label are the campaign's targets."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from clopa_annotator.errors import ConfigError, DatasetError
from clopa_annotator.importers.label_files import Segment
from clopa_annotator.types import Slot, Targets
from clopa_annotator.types.targets import FIRST

ANY = "any"
PLAIN_LABEL = "target"
"""The label of a campaign whose target nobody has named."""
_SHOWN = 12


class NotThere(DatasetError):
    """A file does not hold the value that was asked for; perhaps others do."""


@dataclass(frozen=True)
class Target:
    """A target and what stands for it in the files.

    Attributes:
        name: of the target; empty for the campaign's own.
        wanted: values or segment names, joined if there are several; ``any`` is everything above 0; none
            leaves the choice to the files, if they leave no doubt.
    """

    name: str = ""
    wanted: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Target:
        """From ``NAME=VALUE``, ``NAME=VALUE,VALUE`` or only the values.

        Raises:
            ConfigError: nothing stands where something should.
        """
        name, equals, values = text.rpartition("=")
        wanted = tuple(part.strip() for part in values.split(",") if part.strip())
        if not wanted or (equals and not name.strip()):
            raise ConfigError(
                f"{text!r} does not say which target: write NAME=VALUE, for instance tumour=2 or tumour=2,3."
            )
        return cls(name.strip(), wanted)

    def check_for(self, label: str) -> None:
        """Refuse a name that is not the campaign's target.

        Raises:
            ConfigError: the campaign has another target.
        """
        if self.name and label not in (self.name, PLAIN_LABEL):
            raise ConfigError(
                f"This campaign's target is called {label!r}, not {self.name!r}; a campaign has one target. "
                f"Write --target {label}={','.join(self.wanted)} if it is the same thing."
            )

    @property
    def in_words(self) -> str:
        """What is taken, for records and messages."""
        return ", ".join(self.wanted)

    def choose(self, segments: Sequence[Segment], label: str, where: str) -> tuple[Segment, ...]:
        """The segments that make up the target.

        Args:
            segments: what the file holds or could hold.
            label: name of the campaign's target.
            where: how to call the file.

        Raises:
            DatasetError: more than one segment and none of them said to be the target.
            NotThere: the file does not have what was asked for.
        """
        if self.wanted == (ANY,):
            return tuple(segments)
        if not self.wanted:
            return self._only_one(segments, label, where)
        chosen = tuple(s for wanted in self.wanted for s in segments if s.is_called(wanted))
        missing = [wanted for wanted in self.wanted if not any(s.is_called(wanted) for s in segments)]
        if missing and not chosen:
            raise NotThere(f"{where} has no {', '.join(missing)}; it has {listed(segments)}.")
        return chosen

    def _only_one(self, segments: Sequence[Segment], label: str, where: str) -> tuple[Segment, ...]:
        named = tuple(s for s in segments if label != PLAIN_LABEL and s.is_called(label))
        if len(segments) == 1 or named:
            return named or tuple(segments)
        if not segments:
            raise NotThere(f"{where} has no label at all.")
        raise DatasetError(
            f"{where} has several labels: {listed(segments)}. Say which one is the target with "
            f"--target {label}=VALUE, or --target {label}={ANY} for all of them together."
        )


@dataclass(frozen=True)
class SlotChoice:
    """A target of the campaign, or one of several of a kind, and which part of a label is it.

    Attributes:
        slot: where the mask goes.
        name: what it is called in an outcome; empty in a campaign of one target.
        part: what stands for it in the files.
        is_asked: somebody asked for it; otherwise it is what is called like the target, where there is such.
    """

    slot: Slot = FIRST
    name: str = ""
    part: Target = Target()
    is_asked: bool = True


def choices(asked: Sequence[str], targets: Targets) -> tuple[SlotChoice, ...]:
    """What an import takes, in the campaign's order where nobody says which.

    Args:
        asked: as NAME=VALUE each; none leaves the choice to the names in the files.
        targets: the campaign's.

    Raises:
        ConfigError: a target that the campaign does not have, or one that is asked for twice.
    """
    parts = [Target.parse(text) for text in asked]
    if len(targets) == 1 and not targets[0].instances and len(parts) < 2:
        part = parts[0] if parts else Target()
        part.check_for(targets[0].name)
        return (SlotChoice(part=part, is_asked=bool(parts)),)
    if not parts:
        slots = [Slot(target.key) for target in targets]
        return tuple(by_name(slot, targets) for slot in slots)
    found: dict[Slot, SlotChoice] = {}
    for part in parts:
        if not part.name:
            raise ConfigError(
                f"This campaign has several targets: {targets.in_words}. Write which one is "
                f"{part.in_words}: --target NAME={','.join(part.wanted)}."
            )
        slot = slot_called(part.name, targets) or Slot(targets.by_name(part.name).key)
        if slot in found:
            raise ConfigError(f"{part.name} is asked for twice. Join values with a comma: {part.name}=2,3.")
        found[slot] = SlotChoice(slot, targets.name_of(slot), part)
    return tuple(found.values())


def by_name(slot: Slot, targets: Targets) -> SlotChoice:
    """A slot that takes what a file calls like it."""
    name, title = targets.name_of(slot), targets.by_key(slot.target).name
    wanted = (name, title) if slot.instance == 1 and name != title else (name,)
    return SlotChoice(slot, name, Target(title, wanted), is_asked=False)


def slot_called(name: str, targets: Targets) -> Slot | None:
    """The slot that a name is of: a target's, or one with a number behind it where there may be several."""
    plain = name.strip().casefold()
    for target in targets:
        title = target.name.strip().casefold()
        if plain == title:
            return Slot(target.key)
        match = re.fullmatch(re.escape(title) + r"[ _-]?([1-9]\d{0,3})", plain) if target.instances else None
        if match is not None:
            return Slot(target.key, int(match.group(1)))
    return None


def listed(segments: Sequence[Segment]) -> str:
    """What there is, in words."""
    if not segments:
        return "no label at all"
    names = [segment.in_words for segment in segments]
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
