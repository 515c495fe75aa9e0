"""Fixtures for every suite: where the real data lies."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import pytest

with suppress(ImportError):  # not in Slicer's own Python
    from hypothesis import settings

    settings.register_profile("untimed", deadline=None)  # a busy machine is no fault of the program
    settings.load_profile("untimed")

REPOSITORY = Path(__file__).resolve().parent.parent


def find_test_data() -> Path | None:
    """The folder of real cases: ``CLOPA_TEST_DATA``, or ``shared/data`` beside the checkout."""
    candidates = [Path(os.environ["CLOPA_TEST_DATA"])] if "CLOPA_TEST_DATA" in os.environ else []
    candidates.append(REPOSITORY.parent / "shared" / "data")
    return next((c for c in candidates if (c / "Task04_Hippocampus").is_dir()), None)


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder of real cases; the test is skipped where there is none."""
    found = find_test_data()
    if found is None:
        pytest.skip("no real cases here: set CLOPA_TEST_DATA to a folder that holds Task04_Hippocampus")
    return found
