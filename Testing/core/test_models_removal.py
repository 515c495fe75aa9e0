"""What can be removed of downloads, and what never is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from clopa_annotator.errors import ConfigError
from clopa_annotator.models import OFFICIAL
from clopa_annotator.models.presence import FileRecord, seal
from clopa_annotator.models.removal import downloaded_models, measure, remove


def a_download(root: Path) -> Path:
    folder = root / OFFICIAL.folder
    (folder / "fold_0").mkdir(parents=True)
    (folder / "fold_0" / "weights").write_bytes(bytes(1000))
    seal(folder, {"fold_0/weights": FileRecord(1000, "")})
    return folder


def test_a_download_is_removed_whole_and_its_size_told(tmp_path: Path) -> None:
    folder = a_download(tmp_path)
    partial = tmp_path / f"{OFFICIAL.folder}.partial"
    partial.mkdir()
    (partial / "x.part").write_bytes(bytes(50))
    found = downloaded_models(tmp_path)
    assert found == (folder, partial)
    size = sum(step.size for step in measure(found))
    assert size > 1050 and folder.is_dir()
    assert sum(step.size for step in remove(found)) == size
    assert list(tmp_path.iterdir()) == []


def test_a_model_without_the_downloads_seal_is_not_ours_to_remove(tmp_path: Path) -> None:
    (tmp_path / OFFICIAL.folder).mkdir()
    (tmp_path / OFFICIAL.folder / "plans.json").write_text("{}")
    assert downloaded_models(tmp_path) == () == downloaded_models(tmp_path / "nowhere")


def test_a_folder_with_a_campaign_is_refused_in_words(tmp_path: Path) -> None:
    folder = a_download(tmp_path)
    (folder / "campaign.json").write_text("{}")
    with pytest.raises(ConfigError, match="campaign in"):
        list(measure([folder]))


def test_a_file_that_resists_is_told_and_the_rest_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = a_download(tmp_path)
    unlink = Path.unlink

    def resist(path: Path, missing_ok: bool = False) -> None:
        if path.name == "weights":
            raise PermissionError(13, "in use")
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", resist)
    steps = list(remove([folder]))
    assert [s.problem for s in steps if s.problem] == ["in use"]
    assert [p.name for p in folder.rglob("*") if p.is_file()] == ["weights"]


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
def test_of_a_folder_that_is_a_link_only_the_link_is_removed(tmp_path: Path) -> None:
    elsewhere = a_download(tmp_path / "other disk")
    link = tmp_path / "engine"
    link.symlink_to(elsewhere)
    assert sum(step.size for step in measure([link])) == 0
    assert [step.path for step in remove([link])] == [link]
    assert not link.is_symlink() and (elsewhere / "fold_0" / "weights").is_file()


def test_slicers_python_can_ask_without_httpx() -> None:
    code = "import sys; sys.modules['httpx'] = None; import clopa_annotator.models.removal"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
