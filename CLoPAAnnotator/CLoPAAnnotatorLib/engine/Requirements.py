"""Which packages are needed where: two small ones in Slicer's Python, the rest in the engine's own."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import slicer

from clopa_annotator.errors import EngineError
from CLoPAAnnotatorLib.Texts import tr

CLIENT_PACKAGES = ("httpx>=0.27", "blosc2>=3.0")
ENGINE_FILE = Path(__file__).resolve().parent.parent / "Resources" / "engine-requirements.txt"


def engineRequirements() -> tuple[str, ...]:
    """The engine's packages, as pip wants them."""
    lines = ENGINE_FILE.read_text(encoding="utf-8").splitlines()
    return tuple(line.strip() for line in lines if line.strip() and not line.startswith("#"))


def ensureClientPackages() -> None:
    """Install what the client needs, if it is not there; nothing of Slicer's own is changed.

    Raises:
        EngineError: the user declined, or the installation failed.
    """
    missing = _missing()
    if not missing:
        return
    try:
        _install(missing)
    except Exception as error:
        raise EngineError(
            tr("The packages {names} could not be installed: {why}. Check the internet connection.").format(
                names=", ".join(missing), why=error
            )
        ) from error
    importlib.invalidate_caches()
    if _missing():
        raise EngineError(
            tr("The packages {names} are still missing. Install them in Slicer's Python console with "
               "slicer.util.pip_install.").format(names=", ".join(_missing()))
        )  # fmt: skip


def _missing() -> list[str]:
    return [p for p in CLIENT_PACKAGES if importlib.util.find_spec(p.split(">")[0]) is None]


def _install(packages: list[str]) -> None:
    try:
        packaging = importlib.import_module("slicer.packaging")  # Slicer 5.11 and later; asks the user
    except ImportError:
        slicer.util.pip_install(packages)
    else:
        packaging.pip_ensure(packages, requester="CLoPA Annotator")
