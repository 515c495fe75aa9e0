"""Writes the module's CMakeLists.txt anew, so that it lists every file that has to be installed.

python scripts/update_module_files.py
"""

from __future__ import annotations

from pathlib import Path

MODULE = Path(__file__).resolve().parent.parent / "CLoPAAnnotator"
TEMPLATE = """\
# Written by scripts/update_module_files.py; a test compares it with the tree.
set(MODULE_NAME CLoPAAnnotator)

set(MODULE_PYTHON_SCRIPTS
{scripts}
  )

set(MODULE_PYTHON_RESOURCES
{resources}
  )

slicerMacroBuildScriptedModule(
  NAME ${{MODULE_NAME}}
  SCRIPTS ${{MODULE_PYTHON_SCRIPTS}}
  RESOURCES ${{MODULE_PYTHON_RESOURCES}}
  WITH_GENERIC_TESTS
  )

if(BUILD_TESTING)
  slicer_add_python_unittest(SCRIPT ${{MODULE_NAME}}.py)
endif()
"""


def module_files(module: Path = MODULE) -> tuple[list[str], list[str]]:
    """Python files and resources of the module, relative to its folder, sorted."""
    skipped = {"__pycache__"}
    files = sorted(
        path.relative_to(module).as_posix()
        for path in module.rglob("*")
        if path.is_file() and not skipped & set(path.parts) and path.name != "CMakeLists.txt"
    )
    scripts = [name for name in files if name.endswith(".py")]
    return scripts, [name for name in files if not name.endswith(".py")]


def render(module: Path = MODULE) -> str:
    """The text of the module's CMakeLists.txt."""
    scripts, resources = module_files(module)
    return TEMPLATE.format(
        scripts="\n".join(f"  {name}" for name in scripts),
        resources="\n".join(f"  {name}" for name in resources),
    )


if __name__ == "__main__":
    (MODULE / "CMakeLists.txt").write_text(render(), encoding="utf-8")
