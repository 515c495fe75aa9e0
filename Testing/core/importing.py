"""A campaign of three cases, labels for them, and one import: for the tests of importing."""

from __future__ import annotations

from pathlib import Path

import pytest
from cache_helpers import a_quick_folder, a_store, an_image
from label_files import two_values, write_label

from clopa_annotator.cache.campaign_store import CampaignStore
from clopa_annotator.importers.import_run import run_import
from clopa_annotator.importers.receiver import StoreReceiver
from clopa_annotator.types.imports import ImportOrder


@pytest.fixture
def tmp_path(tmp_path: Path):
    with a_quick_folder(tmp_path) as folder:
        yield folder


@pytest.fixture
def store(tmp_path: Path):
    with a_store(tmp_path / "campaign") as store:
        for number in range(3):
            store.add_case(f"case {number}", an_image(number))
        yield store


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    for number in range(3):
        write_label(tmp_path / "labels" / f"case {number}.nii.gz", two_values(number))
    return tmp_path / "labels"


def bring(store: CampaignStore, path: Path, target: str = "target=2", **changes):
    order = ImportOrder(path, target=target, **changes)
    return run_import(order, StoreReceiver(store, "Ada"))


def reasons(report) -> dict[str, str]:
    return {o.case_id: o.reason for o in report.of("left out")}
