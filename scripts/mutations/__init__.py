"""Faults that a silent mistake could leave in the program, each with the tests that have to see it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    """One fault, found by a function's name and its text, so that it survives a module's move.

    Attributes:
        fault: what would be wrong, as a person would tell it.
        where: qualified name of the function, for instance "Disk.write_new"; the package is searched for it.
        anchor: text inside this function; it must occur exactly once.
        instead: what to put in its place.
        tests: names of the test functions that must fail.
    """

    fault: str
    where: str
    anchor: str
    instead: str
    tests: tuple[str, ...]
