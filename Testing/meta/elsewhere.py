"""A row of the tables of modules that a test file of another name tests."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Elsewhere:
    """Modules that a test file of another name tests.

    Attributes:
        by: the test file's name.
        why: why these have no file of their own.
        names: the modules' full names, with spaces between them.
        way: what the test file imports instead, which imports the next, and so on down to the modules.
    """

    by: str
    why: str
    names: str
    way: str = ""

    @property
    def modules(self) -> list[str]:
        """The modules."""
        return self.names.split()
