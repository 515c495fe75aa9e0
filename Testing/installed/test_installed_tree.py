"""The extension as it is packaged works: installed from the CMake lists alone, away from the checkout."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from installed_tree import REPOSITORY, files_below, fresh_environment, install, opened_below

HERE = Path(__file__).resolve().parent


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of scripted modules in a tree that CMake installed."""
    folder = tmp_path_factory.mktemp("installed tree")
    return install(folder / "build", folder / "prefix")


def run_away_from_the_checkout(modules: Path, folder: Path) -> dict[str, object]:
    script = folder / "one_click.py"
    shutil.copyfile(HERE / "one_click.py", script)
    done = subprocess.run(
        [sys.executable, str(script), str(folder)],
        cwd=folder,
        env=fresh_environment(modules, folder / "notes"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_a_campaign_an_engine_and_a_click_work_in_the_installed_tree(modules: Path, tmp_path: Path) -> None:
    found = run_away_from_the_checkout(modules, tmp_path)
    assert Path(str(found["package"])).parent == modules / "clopa_annotator"
    assert Path(str(found["model"])) == modules / "Resources" / "Models" / "clopa-base"
    assert int(str(found["voxels"])) > 100 and found["ended"] == 0
    model = {name for name in opened_below(tmp_path / "notes") if name.startswith("Resources/")}
    assert "Resources/Models/clopa-base/fold_0/checkpoint_final.pth" in model


@pytest.mark.slow
def test_every_file_that_the_code_opens_at_run_time_is_installed(modules: Path, tmp_path: Path) -> None:
    """The same in the checkout, where nothing is missing: what is opened there has to be in the lists."""
    run_away_from_the_checkout(REPOSITORY / "CLoPAAnnotator", tmp_path)
    opened = opened_below(tmp_path / "notes")
    assert "clopa_annotator/cli.py" in opened and len(opened) > 50
    assert not opened - files_below(modules)


def test_the_tree_holds_the_module_and_nothing_that_is_not_listed(modules: Path) -> None:
    sys.path.insert(0, str(REPOSITORY / "scripts"))
    from update_module_files import module_files

    scripts, resources = module_files()
    assert files_below(modules) == {*scripts, *resources}


def test_a_listed_file_that_is_missing_stops_cmake(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "CLoPAAnnotator").mkdir(parents=True)
    for name in ("CMakeLists.txt", "CLoPAAnnotator/CMakeLists.txt"):
        shutil.copyfile(REPOSITORY / name, source / name)
    with pytest.raises(RuntimeError, match="listed and not there"):
        install(tmp_path / "build", tmp_path / "prefix", source)
