"""Which part of a label is the campaign's target. A campaign has one target today; several may follow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from clopa_annotator.errors import ConfigError, DatasetError
from clopa_annotator.importers.label_files import Segment

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


def listed(segments: Sequence[Segment]) -> str:
    """What there is, in words."""
    if not segments:
        return "no label at all"
    names = [segment.in_words for segment in segments]
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
