"""From what a person types to a folder: names that no file can have become sentences too. Pure Python."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from clopa_annotator.errors import ConfigError
from CLoPAAnnotatorLib.Texts import tr


def typedPath(text: str) -> Path:
    """A path as typed, with ~ for the home folder.

    Raises:
        ConfigError: no computer has such a path.
    """
    text = text.strip()
    try:
        path = Path(text).expanduser()
        with suppress(FileNotFoundError, NotADirectoryError):
            path.stat()  # unlike `exists`, this says what is wrong with a name
    except (OSError, ValueError, RuntimeError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise ConfigError(
            tr("{path} cannot be looked at ({why}). Choose another one.").format(path=text, why=why)
        ) from error
    return path


def isCampaign(text: str) -> bool:
    """Whether what was typed is the folder of a campaign that is there."""
    try:
        return bool(text.strip()) and (typedPath(text) / "campaign.json").is_file()
    except (ConfigError, OSError):
        return False


def campaignFolder(text: str) -> Path:
    """A folder that is a campaign, or may become one.

    Raises:
        ConfigError: nothing typed, a file, a folder with other files, in nowhere, or out of reach.
    """
    if not text.strip():
        raise ConfigError(tr("Choose a folder for the campaign first."))
    folder = typedPath(text)
    if folder.is_file():
        raise ConfigError(tr("{path} is a file. Choose a folder.").format(path=folder))
    try:
        holdsOthers = folder.is_dir() and any(folder.iterdir()) and not (folder / "campaign.json").is_file()
    except OSError as error:
        raise ConfigError(
            tr("{path} cannot be read ({why}). Choose another folder.").format(
                path=folder, why=error.strerror
            )
        ) from error
    if holdsOthers:
        raise ConfigError(
            tr("{path} holds other files and is not a campaign. Choose an empty folder.").format(path=folder)
        )
    if not folder.parent.is_dir():
        raise ConfigError(tr("{path} does not exist. Choose a folder that does.").format(path=folder.parent))
    return folder
