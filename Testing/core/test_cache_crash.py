"""The crash harness and the bit flips, small; large: ``python Testing/crash/harness.py --kills 1000``, also
with ``--targets 3``, and ``python Testing/crash/bits.py``."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from cache_helpers import a_quick_folder

sys.path.append(str(Path(__file__).resolve().parents[1] / "crash"))

import bits
import faults
import harness

from clopa_annotator.cache.format.layout import Layout, slot_path
from clopa_annotator.cache.verify import VerifyReport


@pytest.fixture
def folder(tmp_path: Path):
    with a_quick_folder(tmp_path) as name:
        yield name


@pytest.mark.parametrize(("targets", "every"), [(1, 19), (3, 37)])
def test_no_promise_is_broken_by_kills_power_cuts_and_failing_disks(folder, targets, every):
    tally = harness.run(kills=35, seed=1, folder=folder, every=every, targets=targets)
    assert tally.kills >= 35
    assert tally.power_cuts >= 10
    assert set(tally.by_error) == {"ENOSPC", "EIO", "EROFS"}
    assert tally.acknowledged > 50


def test_a_flipped_bit_of_any_file_of_three_targets_is_noticed(folder):
    found = bits.run(folder / "campaign", every=1999)
    assert found["unnoticed"] == {} and found["flips"] > 40
    assert list((folder / "campaign" / "cases").glob("*/targets/lesion/*")), "other targets are among them"


def test_flips_that_a_check_does_not_see_are_told(folder, monkeypatch):
    monkeypatch.setattr(bits, "check_campaign", lambda *_, **__: VerifyReport(0, 0, 0))
    found = bits.run(folder / "campaign", every=9973)
    assert sum(len(missed) for missed in found["unnoticed"].values()) == found["flips"]


class CarelessDisk(faults.PowerCutDisk):
    """A disk that does not flush its folders."""

    def sync_folder(self, path: Path) -> None:
        self.hook("flush folder", path)


def test_the_harness_notices_a_cache_that_does_not_flush(folder, monkeypatch):
    monkeypatch.setattr(harness, "PowerCutDisk", CarelessDisk)
    with pytest.raises(harness.BrokenPromise, match="power-"):
        harness.kills_at_steps(folder, 9, True, harness.Tally())


class HastyLayout(Layout):
    """A layout that flushes none of the folders that it makes for a target."""

    def make_slot_folders(self, case_id, slot):
        folder = self.path(slot_path(case_id, slot))
        missing = [p for p in (folder.parent.parent, folder.parent, folder) if not p.is_dir()]
        for path in missing:
            self.disk.make_folder(path)


def test_the_harness_notices_a_cache_that_does_not_flush_a_targets_folder(folder, monkeypatch):
    monkeypatch.setattr("clopa_annotator.cache.opening.Layout", HastyLayout)
    with pytest.raises(harness.BrokenPromise, match="power-"):
        harness.kills_at_steps(folder, 7, True, harness.Tally(), 3)


class ForgetfulStore(harness.CampaignStore):
    """A cache that acknowledges before it has stored anything."""

    def confirm(self, confirmation, based_on_version=None):
        ref = super().confirm(confirmation, based_on_version)
        self._layout.disk.remove(self._layout.path(ref.folder))
        return ref


def test_the_harness_notices_a_cache_that_loses_what_it_acknowledged(folder, monkeypatch):
    monkeypatch.setattr("scenario.CampaignStore", ForgetfulStore)
    with pytest.raises((harness.BrokenPromise, harness.CacheError)):
        harness.random_kills(folder, 3, 0, harness.Tally())
