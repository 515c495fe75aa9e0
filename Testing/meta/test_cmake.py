"""What Slicer's build and the extensions index need to know is what is there."""

from __future__ import annotations

import re
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
MODULE = REPOSITORY / "CLoPAAnnotator"
sys.path.insert(0, str(REPOSITORY / "scripts"))


def test_every_file_of_the_module_is_listed_in_cmake():
    from update_module_files import render

    written = (MODULE / "CMakeLists.txt").read_text(encoding="utf-8")
    assert written == render(), "run: python scripts/update_module_files.py"


def test_a_file_that_is_not_listed_would_be_noticed(tmp_path):
    from update_module_files import module_files

    (tmp_path / "Lib").mkdir()
    (tmp_path / "Lib" / "New.py").write_text("")
    (tmp_path / "Lib" / "New.ui").write_text("")
    assert module_files(tmp_path) == (["Lib/New.py"], ["Lib/New.ui"])


def test_the_module_registers_its_self_test():
    text = (MODULE / "CMakeLists.txt").read_text(encoding="utf-8")
    assert "slicerMacroBuildScriptedModule(" in text and "slicer_add_python_unittest(" in text


def test_the_extension_describes_itself():
    text = (REPOSITORY / "CMakeLists.txt").read_text(encoding="utf-8")
    for name in (
        "HOMEPAGE",
        "CATEGORY",
        "CONTRIBUTORS",
        "DESCRIPTION",
        "ICONURL",
        "SCREENSHOTURLS",
        "DEPENDS",
    ):
        assert re.search(rf'set\(EXTENSION_{name} "[^"]+"\)', text), name
    assert "add_subdirectory(CLoPAAnnotator)" in text


def test_the_engines_requirements_are_those_of_the_package():
    text = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    block = text[text.index("dependencies = [") :].split("]\n", 1)[0]
    wanted = re.findall(r'"([^"]+)"', block)
    lines = (MODULE / "Resources" / "engine-requirements.txt").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line and not line.startswith("#")] == wanted
