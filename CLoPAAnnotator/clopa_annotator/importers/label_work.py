"""A label on its way into a campaign: read once, whatever the number of targets that are in it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from clopa_annotator.importers.label_files import Content, LabelFile
from clopa_annotator.importers.receiver import KnownCase
from clopa_annotator.importers.target_choice import SlotChoice
from clopa_annotator.types import Image, Imported


@dataclass(frozen=True, eq=False)
class LabelCase:
    """A label's case: known to the campaign, or to be added with its image."""

    known: KnownCase
    image: Image | None = None
    source: str = ""


@dataclass(eq=False)
class LabelWork:
    """A label under way: read once, whatever the number of targets."""

    label: LabelFile
    case_id: str
    number: int
    read: Content | None = None
    new: LabelCase | None = None
    is_usable: bool = True
    """False once reading it, or finding its image, has failed: then it fails for every target."""

    def content(self) -> Content:
        """What is in the label."""
        if self.read is None:
            self.is_usable = False
            self.read = self.label.read()
            self.is_usable = True
        return self.read


@dataclass(frozen=True, eq=False)
class AbsentTarget:
    """A label without the target: imported as empty only if others have it."""

    work: LabelWork
    choice: SlotChoice
    case: LabelCase
    imported: Imported
    reason: str


@dataclass
class Unused:
    """Parts of labels that are no target, and in how many labels."""

    names: set[str] = field(default_factory=set)
    labels: int = 0

    def note(self, names: Collection[str]) -> None:
        """What no target has in one label."""
        self.names.update(names)
        self.labels += bool(names)

    @property
    def in_words(self) -> tuple[str, ...]:
        """One sentence, or none."""
        if not self.names:
            return ()
        where = f"{self.labels} labels hold" if self.labels > 1 else "1 label holds"
        shown = ", ".join(sorted(self.names)[:12]) + (", ..." if len(self.names) > 12 else "")
        return (f"{where} what no target stands for, and it was not taken: {shown}.",)
