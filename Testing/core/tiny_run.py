"""A finished run of a simulation with a tiny campaign, and what people do in its folder."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from tiny_campaign import tiny_dataset

from clopa_annotator.cache.campaign_store import CampaignStore
from clopa_annotator.datasets import MsdDataset
from clopa_annotator.experiments.permutations import _Log
from clopa_annotator.experiments.simulation import run_simulation
from clopa_annotator.experiments.simulation_settings import SimulationSettings
from clopa_annotator.types import Confirmation


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> MsdDataset:
    return tiny_dataset(tmp_path_factory.mktemp("dataset"), n=3)


@pytest.fixture(scope="module")
def settings(model_folder: Path) -> SimulationSettings:
    return SimulationSettings(str(model_folder), "static", clicks=0, device="cpu", report=False)


@pytest.fixture(scope="module")
def finished(
    tmp_path_factory: pytest.TempPathFactory, dataset: MsdDataset, settings: SimulationSettings
) -> Path:
    out = tmp_path_factory.mktemp("finished") / "run"
    run_simulation(dataset[:2], dataset[2:], settings, out, _Log(""))
    return out


@pytest.fixture
def run(tmp_path: Path, finished: Path) -> Path:
    """A finished run of its own for each test."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


def content_of(folder: Path) -> dict[str, bytes]:
    """Every file; the lock says when somebody looked, and an open file is nobody's work."""
    files = (p for p in sorted(folder.rglob("*")) if p.is_file() and p.name != "writer.lock")
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in files}


def confirm_as_a_person(campaign: Path) -> None:
    with CampaignStore.open(campaign, writer=True) as store:
        case = store.cases()[0]
        mask = np.zeros(store.geometry(case.image_hash).shape_kji, np.uint8)  # beside any other target
        store.confirm(Confirmation("a-persons", case.case_id, mask, annotator="Ada"))
