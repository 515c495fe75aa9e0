"""The list of models, and a download that is resumable, checked, and present only when complete."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from clopa_annotator import models
from clopa_annotator.errors import LicenceNotAccepted, ModelError, ModelNotPresent
from clopa_annotator.models.presence import SEAL, is_complete

FILES = {
    "plans.json": b'{"plans": 1}',
    "dataset.json": b"{}",
    "fold_0/checkpoint_final.pth": bytes(range(256)) * 9000,
}
LARGE = "fold_0/checkpoint_final.pth"
LICENCE = models.OFFICIAL.licence


class Hub:
    """A server like Hugging Face's, in this process."""

    def __init__(self) -> None:
        self.contents = dict(FILES)
        self.listed = dict(FILES)
        self.ranges: list[str | None] = []
        self.extra: list[dict[str, object]] = []
        self.down = False

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if self.down:
            raise httpx.ConnectError("no route")
        if "/api/models/" in request.url.path:
            return httpx.Response(200, json=[*map(self._row, self.listed), *self.extra])
        name = request.url.path.split(f"/{models.OFFICIAL.folder}/")[1]
        wanted = request.headers.get("Range")
        self.ranges.append(wanted)
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0
        return httpx.Response(206 if wanted else 200, content=self.contents[name][start:])

    def _row(self, name: str) -> dict[str, object]:
        data, path = self.listed[name], f"{models.OFFICIAL.folder}/{name}"
        row: dict[str, object] = {"type": "file", "path": path, "size": len(data)}
        if name == LARGE:
            return {**row, "oid": "x", "lfs": {"oid": hashlib.sha256(data).hexdigest(), "size": len(data)}}
        return {**row, "oid": hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()}


@pytest.fixture
def hub() -> Hub:
    return Hub()


@pytest.fixture
def get(hub: Hub, tmp_path: Path) -> Callable[..., Path]:
    client = httpx.Client(transport=httpx.MockTransport(hub))

    def download(**options: object) -> Path:
        given = {"accepted_licence": LICENCE, "root": tmp_path, "client": client, **options}
        return models.download("official", **given)  # type: ignore[arg-type]

    return download


def test_a_download_is_complete_sealed_and_found_by_its_name(
    get: Callable[..., Path], tmp_path: Path
) -> None:
    told: list[models.DownloadProgress] = []
    folder = get(on_progress=told.append)
    assert models.resolve("official", tmp_path) == folder
    assert all((folder / n).read_bytes() == data for n, data in FILES.items())
    assert (folder / "LICENSE").read_text("utf-8").startswith(LICENCE)
    assert told[-1].done == told[-1].total == sum(map(len, FILES.values()))
    assert [s.present for s in models.list_models(tmp_path) if s.entry.is_remote] == [True]
    models.verify("official", tmp_path)


def test_nothing_is_downloaded_before_the_licence_is_accepted(get: Callable[..., Path], hub: Hub) -> None:
    for answer in (None, "MIT"):
        with pytest.raises(LicenceNotAccepted, match="CC BY-NC-SA"):
            get(accepted_licence=answer)
    assert hub.ranges == []


def test_a_stopped_download_does_not_count_and_goes_on_where_it_stopped(
    get: Callable[..., Path], hub: Hub, tmp_path: Path
) -> None:
    asked: list[int] = []

    def stop() -> bool:
        asked.append(1)
        return len(asked) > 3

    with pytest.raises(ModelNotPresent, match="stopped"):
        get(should_stop=stop)
    with pytest.raises(ModelNotPresent, match="interrupted"):
        models.resolve("official", tmp_path)
    folder = get()
    assert any(r and int(r.removeprefix("bytes=").removesuffix("-")) > 0 for r in hub.ranges)
    assert (folder / LARGE).read_bytes() == FILES[LARGE]


def test_a_server_that_ignores_ranges_starts_the_file_again(get: Callable[..., Path], tmp_path: Path) -> None:
    part = tmp_path / f"{models.OFFICIAL.folder}.partial" / f"{LARGE}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"something else entirely")
    whole = Hub()
    client = httpx.Client(
        transport=httpx.MockTransport(
            lambda r: whole(httpx.Request("GET", r.url)) if "resolve" in r.url.path else whole(r)
        )
    )
    assert (get(client=client) / LARGE).read_bytes() == FILES[LARGE]


@pytest.mark.parametrize("name", ["plans.json", LARGE])
def test_a_file_that_is_not_what_the_server_listed_is_refused_and_deleted(
    get: Callable[..., Path], hub: Hub, tmp_path: Path, name: str
) -> None:
    hub.contents[name] = bytes(len(FILES[name]))
    with pytest.raises(ModelError, match="announced"):
        get()
    assert not list(tmp_path.rglob(Path(name).name + "*"))
    hub.contents[name] = FILES[name]
    assert is_complete(get())


def test_a_file_that_breaks_off_is_kept_and_completed(get: Callable[..., Path], hub: Hub) -> None:
    hub.contents[LARGE] = FILES[LARGE][:1_500_000]
    with pytest.raises(ModelNotPresent, match="in part"):
        get()
    hub.contents[LARGE] = FILES[LARGE]
    assert is_complete(get())
    assert hub.ranges[-1] == "bytes=1500000-"


def test_no_connection_is_told_in_words(get: Callable[..., Path], hub: Hub) -> None:
    hub.down = True
    with pytest.raises(ModelNotPresent, match="connection"):
        get()


def test_a_complete_model_needs_no_server(get: Callable[..., Path], hub: Hub) -> None:
    folder = get()
    hub.down = True
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


def test_files_outside_the_models_folder_are_refused(get: Callable[..., Path], hub: Hub) -> None:
    hub.extra = [{"type": "file", "path": f"{models.OFFICIAL.folder}/../../evil", "size": 1, "oid": "x"}]
    with pytest.raises(ModelError, match="list"):
        get()
    hub.extra = [{"type": "file", "path": "elsewhere/evil", "size": 1, "oid": "x"}]
    with pytest.raises(ModelError, match="list"):
        get()


def test_a_list_that_is_absurd_is_refused(get: Callable[..., Path], hub: Hub) -> None:
    path = f"{models.OFFICIAL.folder}/huge"
    hub.extra = [{"type": "file", "path": path, "size": 2**50, "oid": "x"}]
    with pytest.raises(ModelError, match="large"):
        get()
    hub.extra, hub.listed = [], {}
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
