"""The tree in errors.py's docstring is the tree of the classes."""

from __future__ import annotations

import inspect
import re

import clopa_annotator.errors as errors


def tree_from_docstring() -> dict[str, str]:
    """Child to parent, as drawn."""
    parents: dict[str, str] = {}
    stack: list[tuple[int, str]] = []
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"^(    [ │├└─]*)([A-Z]\w+)", line)
        if match is None:
            continue
        depth = len(match.group(1))
        while stack and stack[-1][0] >= depth:
            stack.pop()
        if stack:
            parents[match.group(2)] = stack[-1][1]
        stack.append((depth, match.group(2)))
    return parents


def test_the_drawn_tree_is_the_real_one() -> None:
    classes = [c for _, c in inspect.getmembers(errors, inspect.isclass) if c.__module__ == errors.__name__]
    real = {c.__name__: c.__bases__[0].__name__ for c in classes if c is not errors.ClopaError}
    assert tree_from_docstring() == real
