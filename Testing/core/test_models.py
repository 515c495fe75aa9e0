"""The list of models, and a download that is resumable, checked, and present only when complete."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import model_hub
import pytest
from model_hub import FILES, LARGE, Hub

from clopa_annotator import models
from clopa_annotator.errors import LicenceNotAccepted, ModelError, ModelNotPresent
from clopa_annotator.models.presence import SEAL, is_complete

LICENCE = models.OFFICIAL.licence
hub, get = model_hub.hub, model_hub.get


def test_a_download_is_complete_sealed_and_found_by_its_name(
    get: Callable[..., Path], tmp_path: Path
) -> None:
    folder = get()
    assert models.resolve("official", tmp_path) == folder
    assert all((folder / n).read_bytes() == data for n, data in FILES.items())
    assert (folder / "LICENSE").read_text("utf-8").startswith(LICENCE)
    assert [p.name for p in tmp_path.iterdir()] == [models.OFFICIAL.folder]
    assert [s.present for s in models.list_models(tmp_path) if s.entry.is_remote] == [True]
    models.verify("official", tmp_path)


def test_nothing_is_downloaded_before_the_licence_is_accepted(get: Callable[..., Path], hub: Hub) -> None:
    for answer in (None, "MIT"):
        with pytest.raises(LicenceNotAccepted, match="CC BY-NC-SA"):
            get(accepted_licence=answer)
    assert hub.sent == []


def test_after_a_cut_the_download_goes_on_by_itself(get: Callable[..., Path], hub: Hub) -> None:
    hub.cut_at = 1_500_000
    assert (get() / LARGE).read_bytes() == FILES[LARGE]
    assert hub.sent.count(LARGE) == 2


def test_a_download_that_breaks_off_does_not_count_and_a_new_try_keeps_whole_files(
    get: Callable[..., Path], hub: Hub, tmp_path: Path
) -> None:
    whole = hub.contents.pop(LARGE)
    with pytest.raises(ModelNotPresent, match="broke off"):
        get()
    with pytest.raises(ModelNotPresent, match="interrupted"):
        models.resolve("official", tmp_path)
    hub.contents[LARGE] = whole
    assert (get() / LARGE).read_bytes() == FILES[LARGE]
    assert sorted(hub.sent) == sorted(FILES)


def test_a_folder_that_is_not_whole_is_not_taken_for_one_when_the_server_is_gone(
    get: Callable[..., Path], hub: Hub, tmp_path: Path
) -> None:
    (tmp_path / f"{models.OFFICIAL.folder}.partial").mkdir()
    (tmp_path / f"{models.OFFICIAL.folder}.partial" / "plans.json").write_text("{}")
    hub.answers = 1
    with pytest.raises(ModelNotPresent, match="connection"):
        get()


def test_nobodys_token_and_nothing_of_the_machine_is_sent(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a process of its own: the library reads its settings when it is loaded first."""
    monkeypatch.setenv("HF_TOKEN", "hf_of_somebody")
    monkeypatch.delenv("HF_HUB_DISABLE_TELEMETRY", raising=False)
    program = (
        "import torch; from pathlib import Path; from clopa_annotator import models; "
        f"models.download('official', accepted_licence={LICENCE!r}, root=Path({str(tmp_path)!r}))"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
    assert len(hub.sent) == len(FILES)
    assert all(models.OFFICIAL.repository in path for path in hub.paths), "it asks for the model alone"
    for headers in hub.headers:
        sent = {name.lower(): value for name, value in headers.items()}
        assert "authorization" not in sent and "torch" not in sent["user-agent"]


def test_nothing_is_drawn_unless_the_caller_wants_a_bar(
    get: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    get()
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["plans.json", LARGE])
def test_a_file_that_is_not_what_the_server_listed_is_refused_and_deleted(
    get: Callable[..., Path], hub: Hub, tmp_path: Path, name: str
) -> None:
    hub.contents[name] = bytes(len(FILES[name]))
    with pytest.raises(ModelError, match="announced"):
        get()
    assert not (tmp_path / f"{models.OFFICIAL.folder}.partial" / models.OFFICIAL.folder / name).exists()
    hub.contents[name] = FILES[name]
    assert is_complete(get())


def test_no_connection_is_told_in_words(get: Callable[..., Path], hub: Hub) -> None:
    hub.answers = 0
    with pytest.raises(ModelNotPresent, match="connection"):
        get()


def test_a_complete_model_needs_no_server(get: Callable[..., Path], hub: Hub) -> None:
    folder = get()
    hub.answers = 0
    assert get(accepted_licence=None) == folder


def test_damage_after_the_download_is_found(get: Callable[..., Path], tmp_path: Path) -> None:
    folder = get()
    data = bytearray((folder / LARGE).read_bytes())
    data[1000] ^= 1
    (folder / LARGE).write_bytes(data)
    with pytest.raises(ModelError, match="damaged"):
        models.verify("official", tmp_path)
    (folder / LARGE).write_bytes(data[:-1])
    with pytest.raises(ModelNotPresent):
        models.resolve("official", tmp_path)


@pytest.mark.parametrize("content", ["", "[]", "{", '{"a": 1}', '{"a": {"size": "x", "sha256": ""}}'])
def test_a_damaged_seal_is_no_seal(tmp_path: Path, content: str) -> None:
    (tmp_path / SEAL).write_text(content, encoding="utf-8")
    assert not is_complete(tmp_path)


@pytest.mark.parametrize("name", ["../../evil", "..", "a/../../evil", "C:/evil", "..\\evil", "*", "a//b"])
def test_files_outside_the_models_folder_are_refused(
    get: Callable[..., Path], hub: Hub, tmp_path: Path, name: str
) -> None:
    hub.extra = {f"{models.OFFICIAL.folder}/{name}": 1}
    with pytest.raises(ModelError, match="list"):
        get()
    assert hub.sent == [] and list(tmp_path.iterdir()) == []


def test_other_folders_of_the_repository_stay_where_they_are(get: Callable[..., Path], hub: Hub) -> None:
    hub.extra = {"elsewhere/large.bin": 2**50, "README.md": 3}
    assert is_complete(get()) and len(hub.sent) == len(FILES)


def test_a_list_that_is_absurd_is_refused(get: Callable[..., Path], hub: Hub) -> None:
    hub.extra = {f"{models.OFFICIAL.folder}/huge": 2**50}
    with pytest.raises(ModelError, match="large"):
        get()
    hub.extra, hub.listed = {}, {}
    with pytest.raises(ModelError, match="empty"):
        get()


def test_a_folder_of_ones_own_is_found_by_its_path(get: Callable[..., Path], tmp_path: Path) -> None:
    folder = get()
    assert models.resolve(str(folder)) == folder
    with pytest.raises(ModelNotPresent, match=r"plans\.json"):
        models.resolve(str(tmp_path / "nothing"))
    with pytest.raises(ModelNotPresent, match='"official"'):
        models.download("bundled", accepted_licence=None)


def test_downloads_go_where_the_environment_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CLOPA_MODEL_DIR", str(tmp_path))
    assert models.model_root() == tmp_path
    monkeypatch.delenv("CLOPA_MODEL_DIR")
    assert models.model_root().parts[-2:] == (".clopa", "models")


def test_the_bundled_model_is_in_the_box_small_and_openly_licensed() -> None:
    folder = models.resolve("bundled")
    size = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
    assert size <= 20 * 2**20
    assert (folder / "LICENSE").read_text("utf-8").splitlines()[0] == models.BUNDLED.licence
