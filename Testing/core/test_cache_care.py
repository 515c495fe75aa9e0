"""Damage and repair: verify, quarantine, the index, the lock, disks that fail."""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from cache_helpers import (
    a_campaign,
    a_confirmation,
    a_mask,
    a_quick_folder,
    a_store,
    an_image,
    data_files,
    flip_bit,
)

from clopa_annotator.cache import lock as lock_module
from clopa_annotator.cache.durable import Disk, native, publish_file, publish_folder, translate
from clopa_annotator.cache.store import CampaignStore, CaseDraft, rebuild_index
from clopa_annotator.errors import (
    CacheError,
    CampaignLocked,
    CorruptRecord,
    ReadOnlyCampaign,
    StorageFull,
    UnknownCase,
)
from clopa_annotator.types import CaseState

CORE = Path(__file__).resolve().parents[2] / "CLoPAAnnotator"


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A campaign with two cases, three versions, a mark and a draft."""
    folder = tmp_path_factory.mktemp("sound") / "campaign"
    with a_campaign(folder) as store:
        store.reopen("case 1", "B", "border")
        store.save_draft(CaseDraft("case 1", a_mask(3)))
    return folder


@pytest.fixture
def tmp_path(tmp_path: Path):
    with a_quick_folder(tmp_path) as folder:
        yield folder


@pytest.fixture
def campaign(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "campaign"))


def verified(folder: Path):
    with CampaignStore.open(folder, writer=True) as store:
        return store.verify(), store.confirmed(), {c.case_id: c for c in store.cases()}


def test_a_sound_campaign_has_no_findings(campaign):
    report, confirmed, _ = verified(campaign)
    assert report.ok
    assert (report.images, report.cases, report.versions, len(confirmed)) == (2, 2, 3, 2)


def data_file_names() -> list[str]:
    return ["campaign", "case", "image", "mark", "mask b2nd", "mask nrrd", "record", "voxels", "draft"]


def pick(folder: Path, what: str) -> Path:
    pattern = {
        "campaign": "campaign.json",
        "case": "cases/case-1*/case.json",
        "image": "images/*/image.json",
        "mark": "cases/*/m*.json",
        "mask b2nd": "cases/case-1*/v*/mask.b2nd",
        "mask nrrd": "cases/case-1*/v*/mask.seg.nrrd",
        "record": "cases/case-1*/v*/record.json",
        "voxels": "images/*/voxels.b2nd",
        "draft": "drafts/*.json",
    }[what]
    return sorted(folder.glob(pattern))[0]


@pytest.mark.parametrize("harm", ["flip", "truncate", "empty", "remove"])
@pytest.mark.parametrize("what", data_file_names())
def test_every_kind_of_damage_to_every_kind_of_file_is_found_named_and_moved(campaign, what, harm):
    path = pick(campaign, what)
    if harm == "flip":
        flip_bit(path, random.Random(what).randrange(8 * path.stat().st_size))
    elif harm == "truncate":
        os.truncate(path, path.stat().st_size // 2)
    elif harm == "empty":
        os.truncate(path, 0)
    else:
        path.unlink()
    if what == "campaign":
        # Opening for writing restores it from the index; the damaged one is in quarantine.
        report, _, cases = verified(campaign)
        assert report.ok
        assert harm == "remove" or list(campaign.glob("quarantine/*/campaign.json"))
        assert len(cases) == 2
        return
    if what in ("draft", "mark") and harm == "remove":
        return  # Nothing else knows of a draft; a mark that is gone changes the state only, see below.
    report, confirmed, _ = verified(campaign)
    relative = path.relative_to(campaign).as_posix()
    assert any(f.path == relative or relative.startswith(f.path + "/") for f in report.findings), report
    assert harm == "remove" or not path.exists() or what == "case"
    assert len(confirmed) >= 1
    again, confirmed_again, _ = verified(campaign)
    assert confirmed_again == confirmed
    assert again.ok or what in ("image", "voxels")


def test_every_flipped_bit_is_found(campaign):
    """Three bits at random of every file; Testing/crash/bits.py flips them all."""
    generator = random.Random(0)
    for original in data_files(campaign):
        if original.name == "campaign.json":
            continue
        content = original.read_bytes()
        for _ in range(3):
            flip_bit(original, generator.randrange(8 * len(content)))
            with CampaignStore.open(campaign) as store:
                assert not store.verify().ok, original
            original.write_bytes(content)
    with CampaignStore.open(campaign) as store:
        assert store.verify().ok


def test_a_damaged_version_leaves_and_the_case_goes_on_with_the_next_number(campaign):
    flip_bit(next(campaign.glob("cases/case-0*/v0002*/mask.seg.nrrd")), 4000)
    report, _, cases = verified(campaign)
    (finding,) = report.findings
    assert finding.moved_to.startswith("quarantine/0001/cases/case-0-")
    assert "do not fit" in finding.problem
    assert cases["case 0"].versions == 1
    with CampaignStore.open(campaign, writer=True) as store:
        ref = store.confirm(a_confirmation(200, "case 0"))
    assert (ref.case_version, ref.sequence) == (3, 5)


def test_numbers_in_quarantine_are_not_given_again_even_without_the_index(campaign):
    flip_bit(next(campaign.glob("cases/case-0*/v0002*/mask.seg.nrrd")), 4000)
    (next(campaign.glob("cases/*/m*.json"))).unlink()
    verified(campaign)
    (campaign / "index.sqlite").unlink()
    with CampaignStore.open(campaign, writer=True) as store:
        ref = store.confirm(a_confirmation(200, "case 0"))
    assert (ref.case_version, ref.sequence) == (3, 4)


def test_a_confirmation_that_was_lost_to_damage_can_be_delivered_again(campaign):
    flip_bit(next(campaign.glob("cases/case-1*/v0001*/record.json")), 999)
    verified(campaign)
    with CampaignStore.open(campaign, writer=True) as store:
        ref = store.confirm(a_confirmation(1, "case 1"))
        np.testing.assert_array_equal(store.read_mask(ref), a_mask(1))
        assert store.verify().ok


def test_a_case_whose_image_is_damaged_does_not_train_until_it_is_added_again(campaign):
    digest = an_image_hash(campaign, "case 0")
    flip_bit(campaign / "images" / digest / "voxels.b2nd", 3000)
    report, confirmed, _ = verified(campaign)
    assert [r.case_id for r in confirmed] == ["case 1"]
    assert any("'case 0'" in f.problem for f in report.findings)
    with CampaignStore.open(campaign, writer=True) as store:
        store.add_case("case 0", an_image(0))
        assert [r.case_id for r in store.confirmed()] == ["case 1", "case 0"]
        assert store.verify().ok


def test_adding_a_case_again_heals_its_image_without_a_check_before(campaign):
    digest = an_image_hash(campaign, "case 0")
    flip_bit(campaign / "images" / digest / "voxels.b2nd", 3000)
    with CampaignStore.open(campaign, writer=True) as store:
        store.add_case("case 0", an_image(0))
        np.testing.assert_array_equal(store.read_image(digest).voxels, an_image(0).voxels)
        assert store.verify().ok


def an_image_hash(folder: Path, case_id: str) -> str:
    with CampaignStore.open(folder) as store:
        return store.image_hash(case_id)


@pytest.mark.parametrize(
    "extra",
    [
        "images/notes.txt",
        "images/{image}/copy.b2nd",
        "cases/stray/x",
        "cases/{case}/notes.txt",
        "cases/{case}/v0009/record.json",
        "cases/{case}/{version}/mask (1).seg.nrrd",
        "drafts/old.json",
    ],
)
def test_what_does_not_belong_is_named_and_moved_and_nothing_else(campaign, extra):
    case = next(campaign.glob("cases/case-0*"))
    version = next(case.glob("v0001*"))
    image = next((campaign / "images").iterdir())
    path = campaign / extra.format(image=image.name, case=case.name, version=version.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("x")
    report, confirmed, _ = verified(campaign)
    assert len(report.findings) == 1
    assert not path.exists()
    assert len(confirmed) == 2
    assert verified(campaign)[0].ok


def test_what_file_browsers_leave_behind_is_no_finding(campaign):
    for name in (".DS_Store", "Thumbs.db"):
        (campaign / "cases" / name).write_text("x")
        (next(campaign.glob("cases/*/v*")) / name).write_text("x")
    assert verified(campaign)[0].ok


@pytest.mark.parametrize("pattern", ["cases/case-0*", "cases/case-0*/v0001*", "images/*"])
def test_a_missing_folder_is_named(campaign, pattern):
    path = sorted(campaign.glob(pattern))[0]
    shutil.rmtree(path)
    report, _, _ = verified(campaign)
    assert any("missing" in f.problem and path.name in f.path for f in report.findings)
    assert not any(f.moved_to for f in report.findings)


def test_a_case_record_is_written_again_from_the_versions_beside_it(campaign):
    next(campaign.glob("cases/case-0*/case.json")).write_text("{}")
    report, confirmed, cases = verified(campaign)
    assert "written again" in report.findings[0].problem
    assert len(confirmed) == 2
    assert cases["case 0"].image_hash


def test_checking_for_reading_only_reports_and_moves_nothing(campaign):
    flip_bit(pick(campaign, "record"), 500)
    before = sorted(campaign.rglob("*"))
    with CampaignStore.open(campaign) as store:
        report = store.verify()
    assert len(report.findings) == 1
    assert not report.findings[0].moved_to
    assert sorted(campaign.rglob("*")) == before


def test_a_quarantined_piece_says_what_it_is(campaign):
    flip_bit(pick(campaign, "record"), 500)
    verified(campaign)
    finding = json.loads((campaign / "quarantine" / "0001" / "finding.json").read_text())
    assert finding["path"].startswith("cases/case-1")
    assert "checksum" in finding["problem"]
    assert (campaign / "quarantine" / "0001" / finding["path"] / "mask.seg.nrrd").is_file()


# -- the index -----------------------------------------------------------------------------------------------


def a_removed_index(path: Path) -> None:
    path.unlink()


def a_truncated_index(path: Path) -> None:
    os.truncate(path, 5000)


def nonsense_as_index(path: Path) -> None:
    path.write_bytes(b"nonsense" * 1000)


def an_empty_index(path: Path) -> None:
    path.write_bytes(b"")


def an_index_of_another_version(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")


def zeros_in_the_index(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[4096 : 4096 * 3] = bytes(4096 * 2)
    path.write_bytes(bytes(content))


@pytest.mark.parametrize(
    "harm",
    [
        a_removed_index,
        a_truncated_index,
        nonsense_as_index,
        an_empty_index,
        an_index_of_another_version,
        zeros_in_the_index,
    ],
)
def test_the_index_is_made_again_from_the_files(campaign, harm):
    with CampaignStore.open(campaign) as store:
        before = store.cases(), store.confirmed(), [store.versions(c.case_id) for c in store.cases()]
    harm(campaign / "index.sqlite")
    with CampaignStore.open(campaign) as reader:
        if harm is not zeros_in_the_index:
            assert (reader.cases(), reader.confirmed()) == before[:2]
    with CampaignStore.open(campaign, writer=True) as store:
        store.verify()
        assert (
            store.cases(),
            store.confirmed(),
            [store.versions(c.case_id) for c in store.cases()],
        ) == before
        assert store.confirm(a_confirmation(300, "case 0")).sequence == 5


def test_an_index_that_says_something_else_than_the_files_is_corrected(campaign):
    with sqlite3.connect(campaign / "index.sqlite") as connection:
        connection.execute("UPDATE versions SET annotator = 'Mallory' WHERE sequence = 1")
    report, _, _ = verified(campaign)
    assert [f.path for f in report.findings] == ["index.sqlite"]
    with CampaignStore.open(campaign) as store:
        assert store.versions("case 0")[0].annotator == "Dr. Ä"


def test_rebuilding_counts_what_it_found_and_names_what_it_could_not_read(campaign):
    pick(campaign, "record").write_text("{}")
    report = rebuild_index(campaign)
    assert (report.cases, report.versions, report.marks, report.images) == (2, 2, 1, 2)
    assert len(report.skipped) == 1
    assert "record.json" in report.skipped[0]


def test_a_number_that_is_used_twice_is_entered_once(campaign):
    folder = next(campaign.glob("cases/case-0*"))
    version = next(folder.glob("v0001*"))
    shutil.copytree(version, folder / version.name.replace("v0001", "v0007"))
    assert "another folder" in rebuild_index(campaign).skipped[0]


# -- one writer ----------------------------------------------------------------------------------------------


def test_a_second_writer_is_told_who_writes_and_since_when(tmp_path):
    with a_store(tmp_path) as first:
        with pytest.raises(CampaignLocked, match=rf"process {os.getpid()} on .+ since 20\d\d-.*reading only"):
            CampaignStore.open(tmp_path, writer=True)
        first.add_case("case one", an_image())
    CampaignStore.open(tmp_path, writer=True).close()


WRITER = """
import sys, time
sys.path.insert(0, {core!r})
from pathlib import Path
from clopa_annotator.cache.store import CampaignStore
store = CampaignStore.open(Path({folder!r}), writer=True)
print("ready", flush=True)
time.sleep(60)
"""


def test_another_process_is_refused_and_its_lock_recovered_when_it_was_killed(campaign):
    script = textwrap.dedent(WRITER.format(core=str(CORE), folder=str(campaign)))
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline().strip() == "ready"
        with pytest.raises(CampaignLocked, match=f"process {process.pid} "):
            CampaignStore.open(campaign, writer=True)
        with pytest.raises(CampaignLocked):
            rebuild_index(campaign)
        with CampaignStore.open(campaign) as reader:
            assert len(reader.confirmed()) == 2
        process.send_signal(signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)
        process.wait()
        CampaignStore.open(campaign, writer=True).close()


def an_owner(**changes: object) -> str:
    import socket

    values = {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "since": "2020-01-01T00:00:00+00:00",
        "process_start": 0.0,
    }
    return json.dumps({**values, **changes})


@pytest.mark.parametrize(
    ("owner", "free"),
    [
        (an_owner(pid=2**22 + 12345), True),
        (an_owner(process_start=12.0), True),
        (an_owner(), False),
        (an_owner(host="elsewhere", pid=2**22 + 12345), False),
        ("torn {", True),
    ],
)
def test_without_locks_of_the_system_the_lock_file_decides(campaign, monkeypatch, owner, free):
    monkeypatch.setattr(lock_module, "_try_lock", lambda descriptor: None)
    (campaign / "writer.lock").write_text(owner)
    if free:
        CampaignStore.open(campaign, writer=True).close()
    else:
        with pytest.raises(CampaignLocked, match="since 2020-01-01"):
            CampaignStore.open(campaign, writer=True)


# -- disks that fail -----------------------------------------------------------------------------------------


class Broken:
    """A hook that raises an error at one kind of step, from the moment it is armed."""

    def __init__(self) -> None:
        self.step, self.number = "", 0

    def __call__(self, step: str, path: Path) -> None:
        if step == self.step:
            raise OSError(self.number, os.strerror(self.number), str(path))


STEPS = [
    "make folder",
    "create",
    "write",
    "flush",
    "close",
    "flush folder",
    "rename",
    "read back",
    "index begin",
    "index commit",
]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize(
    ("number", "error"),
    [(errno.ENOSPC, StorageFull), (errno.EIO, CacheError), (errno.EROFS, ReadOnlyCampaign)],
)
def test_a_failing_disk_confirms_nothing_says_why_and_the_store_goes_on(campaign, step, number, error):
    hook = Broken()
    with CampaignStore.open(campaign, writer=True, disk=Disk(hook)) as store:
        before = store.cases(), store.confirmed()
        hook.step, hook.number = step, number
        with pytest.raises(error, match="Could not confirm the case 'case 0'"):
            store.confirm(a_confirmation(50, "case 0"))
        hook.step = ""
        assert (store.cases(), store.confirmed()) == before
        ref = store.confirm(a_confirmation(50, "case 0"))
        assert ref in store.confirmed()
        assert store.verify().ok
    assert not list((campaign / "staging").iterdir())
    assert not list((campaign / "quarantine").iterdir())


def test_a_disk_that_gives_back_something_else_confirms_nothing(campaign):
    class Forgetful(Disk):
        def read_back(self, path: Path) -> bytes:
            return super().read_back(path)[:-1]

    with CampaignStore.open(campaign, writer=True, disk=Forgetful()) as store:
        with pytest.raises(CorruptRecord, match="did not keep"):
            store.confirm(a_confirmation(50, "case 0"))
        assert len(store.versions("case 0")) == 2


def test_a_folder_that_cannot_be_written_is_refused_with_a_sentence(campaign):
    hook = Broken()
    hook.step, hook.number = "lock", errno.EACCES
    with pytest.raises(ReadOnlyCampaign, match="permissions"):
        CampaignStore.open(campaign, writer=True, disk=Disk(hook))
    hook.step, hook.number = "make folder", errno.EROFS
    with pytest.raises(ReadOnlyCampaign, match="create the campaign"):
        a_store_on(campaign.parent / "new", Disk(hook))


def a_store_on(folder: Path, disk: Disk) -> CampaignStore:
    from clopa_annotator.cache.store import CampaignManifest

    return CampaignStore.create(folder, CampaignManifest("x", 1), disk)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_write_permission_can_be_read(campaign):
    for path in (campaign, *campaign.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        with pytest.raises(ReadOnlyCampaign):
            CampaignStore.open(campaign, writer=True)
        with CampaignStore.open(campaign) as store:
            assert len(store.confirmed()) == 2
    finally:
        for path in (campaign, *campaign.rglob("*")):
            path.chmod(0o755)


def test_a_draft_that_cannot_be_removed_does_not_spoil_the_confirmation(campaign):
    hook = Broken()
    with CampaignStore.open(campaign, writer=True, disk=Disk(hook)) as store:
        hook.step, hook.number = "remove", errno.EIO
        assert store.confirm(a_confirmation(50, "case 1")) in store.confirmed()


def test_a_rename_that_windows_refuses_for_a_moment_is_tried_again(tmp_path, monkeypatch):
    refused = iter([PermissionError(13, "used by another process")] * 3)
    rename, replace = Path.rename, Path.replace

    def reluctantly(move):
        def moved(self, target):
            for error in refused:
                raise error
            return move(self, target)

        return moved

    monkeypatch.setattr(Path, "rename", reluctantly(rename))
    monkeypatch.setattr(Path, "replace", reluctantly(replace))
    publish_file(Disk(patient=True), tmp_path / "staged", tmp_path / "target", b"data")
    assert (tmp_path / "target").read_bytes() == b"data"


def test_a_rename_that_stays_refused_fails_in_bounded_time(tmp_path, monkeypatch):
    def refuse(self, target):
        raise PermissionError(13, "used by another process")

    monkeypatch.setattr(Path, "replace", refuse)
    monkeypatch.setattr("clopa_annotator.cache.durable.REPLACE_WAITS_S", (0.0, 0.001))
    with pytest.raises(PermissionError):
        publish_file(Disk(patient=True), tmp_path / "staged", tmp_path / "target", b"data", overwrite=True)
    assert not list(tmp_path.iterdir())


def test_nothing_is_published_over_something_else(tmp_path):
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "kept").write_text("x")
    with pytest.raises(FileExistsError):
        publish_folder(Disk(), tmp_path / "staged", tmp_path / "target", {"new": b""})
    assert [p.name for p in (tmp_path / "target").iterdir()] == ["kept"]


def test_errors_of_the_system_become_sentences():
    assert "disk is full" in str(translate(OSError(errno.ENOSPC, "x"), "do it"))
    assert isinstance(translate(OSError(errno.EDQUOT, "x"), "do it"), StorageFull)
    assert "permissions" in str(translate(OSError(errno.EPERM, "x"), "do it"))
    assert 'reports "Input/output error"' in str(translate(OSError(errno.EIO, "x"), "do it"))
    assert "odd" in str(translate(OSError("odd"), "do it"))


def test_long_paths_get_windows_prefix(monkeypatch, tmp_path):
    assert native(tmp_path) == tmp_path
    monkeypatch.setattr("clopa_annotator.cache.durable.WINDOWS", True)
    assert str(native(tmp_path)) == "\\\\?\\" + str(tmp_path.resolve())


def test_an_unfinished_confirmation_of_a_killed_writer_is_entered_or_cleared(campaign):
    class Killed(BaseException):
        """Stands for the end of the process."""

    for step, entered in (("index committed", True), ("rename", False), ("index commit", None)):
        seen: list[str] = []

        def hook(at: str, path: Path, step: str = step, seen: list[str] = seen) -> None:
            seen.append(at)
            after_publication = "read back" in seen or step == "rename"
            if at == step and after_publication:
                raise Killed

        confirmation = a_confirmation(60, "case 0", confirmation_id=f"killed at {step}")
        store = CampaignStore.open(campaign, writer=True)
        store._layout.disk.hook = hook
        with pytest.raises(Killed):
            store.confirm(confirmation)
        store.close()
        with CampaignStore.open(campaign, writer=True) as again:
            ids = [again.record(v.ref).confirmation_id for v in again.versions("case 0")]
            assert (confirmation.confirmation_id in ids) == (entered is not False)
            assert not list((campaign / "staging").iterdir())
            assert again.verify().ok


def test_unknown_cases_are_named(campaign):
    with CampaignStore.open(campaign, writer=True) as store:
        for ask in (
            lambda: store.case("nobody"),
            lambda: store.versions("nobody"),
            lambda: store.marks("nobody"),
            lambda: store.load_draft("nobody"),
            lambda: store.reopen("nobody", ""),
            lambda: store.set_state("nobody", CaseState.TODO),
        ):
            with pytest.raises(UnknownCase, match="no case 'nobody'"):
                ask()
