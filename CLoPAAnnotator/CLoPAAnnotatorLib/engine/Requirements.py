"""Which packages are needed where: two small ones in Slicer's Python, the rest in the engine's own.

Nothing is installed here, and nothing is looked at before somebody presses a button: see `PackageInstall`.
"""

from __future__ import annotations

import importlib
import importlib.metadata
from pathlib import Path
from typing import Any

from clopa_annotator.errors import EngineError
from CLoPAAnnotatorLib.Texts import tr

RESOURCES = Path(__file__).resolve().parent.parent / "Resources"
ENGINE_FILE = RESOURCES / "engine-requirements.txt"
CLIENT_FILE = RESOURCES / "slicer-requirements.txt"
SLICERS_OWN = ("numpy", "scipy", "SimpleITK", "pydicom", "requests")
"""Packages that Slicer brings and builds upon; pip must leave them as they are."""


def engineRequirements() -> tuple[str, ...]:
    """The engine's packages, as pip wants them."""
    return _lines(ENGINE_FILE)


def clientRequirements() -> tuple[str, ...]:
    """The packages that the client needs in Slicer's Python, as pip wants them."""
    return _lines(CLIENT_FILE)


def missingForClient() -> tuple[str, ...]:
    """The client's requirements that are not met: not there, or there in another version."""
    importlib.invalidate_caches()
    return tuple(line for line in clientRequirements() if not _isMet(line))


def installedVersion(requirement: str) -> str:
    """The version of a requirement's package that is there; empty if none is."""
    try:
        return importlib.metadata.version(packageName(requirement))
    except importlib.metadata.PackageNotFoundError:
        return ""


def keepSlicersOwn() -> str:
    """Constraints for pip: what Slicer brings stays at the version that it has now."""
    pinned = ((name, installedVersion(name)) for name in SLICERS_OWN)
    return "".join(f"{name}=={version}\n" for name, version in pinned if version)


def requireClientPackages() -> None:
    """Nothing if the client can be imported.

    Raises:
        EngineError: packages are missing, or too old or too new.
    """
    missing = missingForClient()
    if missing:
        raise EngineError(
            tr("Slicer's Python lacks {names}. Press Connect to install them.").format(names=inWords(missing))
        )


def inWords(requirements: tuple[str, ...]) -> str:
    """Requirements for a sentence, each with the version that is there."""
    there = {line: installedVersion(line) for line in requirements}
    found = tr(" (version {version} is there)")
    return ", ".join(
        line + (found.format(version=version) if version else "") for line, version in there.items()
    )


def _isMet(line: str) -> bool:
    version = installedVersion(line)
    return bool(version) and _parsed(line).specifier.contains(version, prereleases=True)


def packageName(requirement: str) -> str:
    """The name of a requirement's package."""
    return str(_parsed(requirement).name)


def _parsed(line: str) -> Any:
    try:
        requirements = importlib.import_module("packaging.requirements")
    except ImportError:  # a Python that has pip has a copy in it
        requirements = importlib.import_module("pip._vendor.packaging.requirements")
    return requirements.Requirement(line)


def _lines(path: Path) -> tuple[str, ...]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return tuple(line.strip() for line in lines if line.strip() and not line.startswith("#"))
