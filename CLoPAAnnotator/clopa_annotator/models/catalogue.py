"""The list of models, and from a name to a folder."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from clopa_annotator.errors import ModelNotPresent
from clopa_annotator.models.presence import is_complete

BASE_NAME = "clopa-base"
"""Name of the bundled model's folder in the Slicer module's ``Resources/Models``."""
_CHECKPOINT_FILES = ("plans.json", "dataset.json")


@dataclass(frozen=True)
class ModelEntry:
    """A model that can be asked for by name.

    Attributes:
        name: what to write for ``--model``.
        title: for lists in a user interface.
        licence: short name; the one that has to be accepted before a download.
        licence_url: its text.
        about: one sentence.
        repository: Hugging Face repository to download from; empty for the bundled model.
        folder: the model's folder in that repository.
        revision: branch, tag or commit.
    """

    name: str
    title: str
    licence: str
    licence_url: str
    about: str
    repository: str = ""
    folder: str = ""
    revision: str = "main"

    @property
    def is_remote(self) -> bool:
        """Whether it has to be downloaded first."""
        return bool(self.repository)


BUNDLED = ModelEntry(
    "bundled",
    "CLoPA base model",
    "CC BY 4.0",
    "https://creativecommons.org/licenses/by/4.0/",
    "Small, fast on a laptop, trained on generated volumes only; free for any use.",
)
OFFICIAL = ModelEntry(
    "official",
    "nnInteractive",
    "CC BY-NC-SA 4.0",
    "https://creativecommons.org/licenses/by-nc-sa/4.0/",
    "The authors' own weights, about 400 MB, better and slower; not for commercial use.",
    "MIC-DKFZ/nnInteractive",
    "nnInteractive_v1.0",
)
ENTRIES = (BUNDLED, OFFICIAL)


@dataclass(frozen=True)
class ModelStatus:
    """An entry, and whether it can be used right now.

    Attributes:
        entry: the model.
        folder: where it lies, or would lie.
        present: complete on this machine; a damaged or interrupted download is not.
    """

    entry: ModelEntry
    folder: Path
    present: bool


def model_root() -> Path:
    """Folder for downloads: ``CLOPA_MODEL_DIR``, or ``.clopa/models`` in the home folder."""
    chosen = os.environ.get("CLOPA_MODEL_DIR")
    return Path(chosen).expanduser() if chosen else Path.home() / ".clopa" / "models"


def bundled_model_folder() -> Path:
    """The bundled model: inside an installed package, or in the resources of the Slicer module beside it.

    Raises:
        ModelNotPresent: this installation came without it.
    """
    package = Path(__file__).resolve().parents[1]
    for candidate in (package / "_models", package.parent / "Resources" / "Models"):
        if _looks_like_a_model(candidate / BASE_NAME):
            return candidate / BASE_NAME
    raise ModelNotPresent(
        "This installation came without the bundled model. Install it again, or give the folder of another "
        "model."
    )


def resolve(name_or_path: str, root: Path | None = None) -> Path:
    """The folder of a model.

    Args:
        name_or_path: "bundled", "official", or a folder in nnInteractive's checkpoint layout.
        root: folder for downloads; None for `model_root`.

    Raises:
        ModelNotPresent: not downloaded, not complete, or no such folder.
    """
    entry = next((e for e in ENTRIES if e.name == name_or_path), None)
    if entry is None:
        return _own_folder(Path(name_or_path).expanduser())
    if not entry.is_remote:
        return bundled_model_folder()
    folder = folder_of(entry, root)
    if not is_complete(folder):
        raise ModelNotPresent(
            f"The model {entry.title} is not on this machine, or its download was interrupted. Download it "
            f"first; its licence is {entry.licence}."
        )
    return folder


def list_models(root: Path | None = None) -> tuple[ModelStatus, ...]:
    """Every named model with its state on this machine; asks no server."""
    found = []
    for entry in ENTRIES:
        try:
            folder, present = resolve(entry.name, root), True
        except ModelNotPresent:
            folder, present = folder_of(entry, root), False
        found.append(ModelStatus(entry, folder, present))
    return tuple(found)


def folder_of(entry: ModelEntry, root: Path | None = None) -> Path:
    """Where a download of this entry lies when it is complete."""
    return (root or model_root()) / (entry.folder or BASE_NAME)


def _looks_like_a_model(folder: Path) -> bool:
    return all((folder / name).is_file() for name in _CHECKPOINT_FILES) and any(
        folder.glob("fold_*/checkpoint_final.pth")
    )


def _own_folder(folder: Path) -> Path:
    if not _looks_like_a_model(folder):
        names = ", ".join(f'"{e.name}"' for e in ENTRIES)
        raise ModelNotPresent(
            f"There is no model in {folder}: it needs plans.json, dataset.json and "
            f"fold_0/checkpoint_final.pth. Models with a name are {names}."
        )
    return folder
