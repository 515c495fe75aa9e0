"""What a campaign segments: an ordered list of named targets, and which of them a mask belongs to.

A target is known by its key, which is made once and never changes; its name, colour and code may. The first
target's key is "" in a campaign of format version 1, so that "" always means the first target.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from clopa_annotator.errors import ConfigError

Rgb = tuple[int, int, int]

MOST_TARGETS = 64
RESERVED = frozenset({"con", "prn", "aux", "nul", *(f"{d}{n}" for d in ("com", "lpt") for n in range(10))})
"""Names that Windows keeps for devices; no key is one, because keys name folders."""
KEY = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")

COLOURS: tuple[Rgb, ...] = (
    (128, 174, 128), (241, 214, 145), (177, 122, 101), (111, 184, 210), (216, 101, 79), (221, 130, 101),
    (144, 238, 144), (192, 104, 88), (220, 245, 20), (78, 63, 0), (255, 250, 220), (230, 220, 70),
    (200, 200, 235), (250, 250, 210), (244, 214, 49), (0, 151, 206), (183, 156, 220), (183, 214, 211),
    (152, 189, 207), (178, 212, 242),
)  # fmt: skip
"""Colours of targets for which nobody chose one, in order."""


@dataclass(frozen=True)
class CodedTerm:
    """A term of a coding scheme, as DICOM and Slicer's terminologies name it.

    Attributes:
        scheme: coding scheme designator, for instance "SCT".
        value: code value, for instance "10200004".
        meaning: code meaning, for instance "Liver".
    """

    scheme: str
    value: str
    meaning: str

    def __post_init__(self) -> None:
        if not (self.scheme.strip() and self.value.strip() and self.meaning.strip()):
            raise ConfigError(
                "A coded term needs a scheme, a value and a meaning, for instance SCT:10200004:Liver."
            )


@dataclass(frozen=True)
class Target:
    """One structure that a campaign segments.

    Attributes:
        name: for people; unique in the campaign, whatever the case of its letters.
        key: names files and messages; made of the name once, then kept. See `new_target`.
        colour: red, green, blue, 0 to 255.
        category: coded category of the structure; None if nobody chose one.
        code: coded type of the structure; None if nobody chose one.
        overlaps: its voxels may belong to other targets too.
        instances: there may be several of the kind in one image, each a mask of its own.
    """

    name: str
    key: str = ""
    colour: Rgb = COLOURS[0]
    category: CodedTerm | None = None
    code: CodedTerm | None = None
    overlaps: bool = False
    instances: bool = False

    def __post_init__(self) -> None:
        if not self.name.strip() or any(
            unicodedata.category(c) in ("Cc", "Zl", "Zp", "Cs") for c in self.name
        ):
            raise ConfigError(f"A target needs a name without line breaks, not {self.name!r}.")
        if self.key and not KEY.fullmatch(self.key):
            raise ConfigError(f"A target's key is made of a-z, 0-9 and hyphens, not {self.key!r}.")
        if len(self.colour) != 3 or not all(isinstance(c, int) and 0 <= c <= 255 for c in self.colour):
            raise ConfigError(
                f"The colour of {self.name} is three numbers from 0 to 255, not {self.colour!r}."
            )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {**asdict(self), "colour": list(self.colour)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Target:
        """The inverse of `to_dict`; keys of a newer version are ignored.

        Raises:
            ConfigError: incomplete, or values out of their range.
        """
        known = {f.name: values[f.name] for f in fields(cls) if f.name in values}
        try:
            for name in ("category", "code"):
                if known.get(name) is not None:
                    known[name] = CodedTerm(
                        **{k: str(known[name][k]) for k in ("scheme", "value", "meaning")}
                    )
            if "colour" in known:
                red, green, blue = (int(c) for c in known["colour"])
                known["colour"] = (red, green, blue)
            return cls(**known)
        except (TypeError, ValueError, KeyError) as error:
            raise ConfigError(f"A target of the campaign is incomplete: {dict(values)!r}.") from error


@dataclass(frozen=True)
class Slot:
    """What one mask of a case is of: a target and, where there are several of a kind, which of them.

    Attributes:
        target: key of the target; "" is the campaign's first.
        instance: 1 for the first or only one.
    """

    target: str = ""
    instance: int = 1

    def __post_init__(self) -> None:
        if self.target and not KEY.fullmatch(self.target):
            raise ConfigError(f"{self.target!r} is no target's key.")
        if (
            isinstance(self.instance, bool)
            or not isinstance(self.instance, int)
            or not 1 <= self.instance <= 9999
        ):
            raise ConfigError(f"Instances count from 1 to 9999, not {self.instance!r}.")


FIRST = Slot()
"""The campaign's first target."""


def key_of(name: str, taken: Iterable[str] = ()) -> str:
    """A key for a target of this name that none of ``taken`` has."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:36].strip("-") or "target"
    used, key, number = {*taken, *RESERVED}, slug, 2
    while key in used:
        key, number = f"{slug}-{number}", number + 1
    return key


class Targets(Sequence[Target]):
    """The targets of a campaign in their order; immutable, at least one, names and keys unique."""

    def __init__(self, targets: Iterable[Target]) -> None:
        """Check them.

        Raises:
            ConfigError: none, too many, or two of one name or key.
        """
        self._all = tuple(targets)
        if not self._all:
            raise ConfigError("A campaign needs at least one target.")
        if len(self._all) > MOST_TARGETS:
            raise ConfigError(f"A campaign has at most {MOST_TARGETS} targets, not {len(self._all)}.")
        names = [t.name.strip().casefold() for t in self._all]
        for target, name in zip(self._all, names, strict=True):
            if names.count(name) > 1:
                raise ConfigError(f"Two targets are called {target.name}. Give each its own name.")
        if len({t.key for t in self._all}) < len(self._all):
            raise ConfigError("Two targets of the campaign have one key.")

    @classmethod
    def named(cls, names: Iterable[str]) -> Targets:
        """Targets of these names, with keys and colours of their own; the first has the key ""."""
        made: list[Target] = []
        for number, name in enumerate(names):
            key = key_of(name, (t.key for t in made)) if number else ""
            made.append(Target(name.strip(), key, COLOURS[number % len(COLOURS)]))
        return cls(made)

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[Target]:
        return iter(self._all)

    def __getitem__(self, index: Any) -> Any:
        return self._all[index]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Targets) and self._all == other._all

    def __hash__(self) -> int:
        return hash(self._all)

    def __repr__(self) -> str:
        return f"Targets({list(self._all)!r})"

    def by_key(self, key: str) -> Target:
        """The target with a key.

        Raises:
            ConfigError: there is none; the sentence names those that there are.
        """
        for target in self._all:
            if target.key == key:
                return target
        raise ConfigError(f"The campaign has no target {key!r}; it has {self.in_words}.")

    def by_name(self, name: str) -> Target:
        """The target of a name, whatever the case of its letters, or with that key.

        Raises:
            ConfigError: there is none; the sentence names those that there are.
        """
        wanted = name.strip().casefold()
        for target in self._all:
            if target.name.strip().casefold() == wanted:
                return target
        return self.by_key(name)

    def with_new(self, target: Target) -> Targets:
        """These and one more, whose key is made here. Raises `ConfigError`."""
        return Targets(
            (*self._all, replace(target, key=key_of(target.name, ("", *(t.key for t in self._all)))))
        )

    @property
    def is_plain(self) -> bool:
        """One target as campaigns of format version 1 have it: no code, alone of its kind."""
        only = self._all[0]
        plain = not (only.category or only.code or only.overlaps or only.instances)
        return len(self._all) == 1 and plain and not only.key

    def of(self, slot: Slot) -> Target:
        """The target that a slot is of.

        Raises:
            ConfigError: the campaign does not have it, or not several of the kind.
        """
        target = self.by_key(slot.target)
        if slot.instance > 1 and not target.instances:
            raise ConfigError(f"There is one {target.name} in an image; {slot.instance} of them cannot be.")
        return target

    def exclude(self, slot: Slot, other: Slot) -> bool:
        """Whether no voxel may belong to both. Raises `ConfigError` for a target that is not there."""
        one, two = self.by_key(slot.target), self.by_key(other.target)
        if one.key == two.key:
            return slot.instance != other.instance
        return not (one.overlaps or two.overlaps)

    def name_of(self, slot: Slot) -> str:
        """For a sentence: "liver", or "lesion 2" where there may be several."""
        target = self.by_key(slot.target)
        return f"{target.name} {slot.instance}" if target.instances else target.name

    @property
    def in_words(self) -> str:
        """Their names, for a sentence."""
        return ", ".join(t.name for t in self._all)
