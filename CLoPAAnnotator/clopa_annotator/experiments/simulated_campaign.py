"""Taking away a campaign that a simulation made, and never one in which a person has worked.

A run may be repeated in its folder; its campaign then makes room. What a simulation leaves in a campaign is
known to the last file name, so everything else is somebody's: a confirmation, a draft, a mark, a roll-back,
the tokens and logs of an engine that has served it, a file put there by hand. One such trace, and nothing is
removed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from clopa_annotator.cache.format import names
from clopa_annotator.cache.format.disk import Disk, explained, native
from clopa_annotator.cache.format.layout import Layout
from clopa_annotator.cache.lock import WriterLock
from clopa_annotator.episode.folder import CHECKPOINT, DELTA, PARENT, PROGRESS, REQUEST, RESULT, START
from clopa_annotator.errors import CacheError, CampaignLocked, ConfigError, CorruptRecord
from clopa_annotator.registry.files import DELTA_FILE, VERSION_FILE
from clopa_annotator.registry.version_history import History
from clopa_annotator.registry.weights_registry import CURRENT, HISTORY, MANIFEST, VERSIONS
from clopa_annotator.suggestions.suggestion_folder import FILES as SUGGESTION_FILES
from clopa_annotator.suggestions.suggestion_folder import FOLDER as SUGGESTIONS
from clopa_annotator.training.replay import ORDER, REPLAYS
from clopa_annotator.training.replay import RESULT as REPLAYED
from clopa_annotator.training.roles import ROLES

SIMULATED_ANNOTATOR = "simulated annotator"
"""Who confirms in a simulation; every other name is a person's."""
_ELSEWHERE = "Nothing was removed; choose another folder with --out."


def _one_of(*files: str) -> str:
    return f"({'|'.join(re.escape(name) for name in files)})"


_LINE = rf"({names.TARGETS}/({names.TARGET_FOLDER.pattern})/)?"
"""Where a target's learning lies: the first one's in the campaign's folder itself."""
_SLOT = rf"({names.TARGETS}/({names.TARGET_FOLDER.pattern})/({names.INSTANCE_FOLDER.pattern}/)?)?"
"""Where a target's masks lie in a case's folder."""
_CASE, _VERSION = names.CASE_FOLDER.pattern, names.VERSION_FOLDER.pattern
_KNOWN = re.compile(
    "|".join(
        (
            _one_of(names.MANIFEST, names.INDEX, f"{names.INDEX}-journal", names.LOCK),
            f"{names.IMAGES}/{names.IMAGE_FOLDER.pattern}/{_one_of(names.IMAGE_RECORD, names.IMAGE_VOXELS)}",
            f"{names.CASES}/{_CASE}/{_one_of(names.CASE_RECORD)}",
            f"{names.CASES}/{_CASE}/{_SLOT}{_VERSION}/{_one_of(names.RECORD, names.MASK, names.MASK_CHUNKS)}",
            f"{names.STAGING}/.+",
            _LINE
            + r"episodes/\d+/\.?"
            + _one_of(REQUEST, PROGRESS, PARENT, START, CHECKPOINT, DELTA, RESULT)
            + r"(\.part)?",
            _LINE + r"episodes/\.?" + _one_of(ROLES) + r"(\.part)?",
            rf"{_LINE}{REPLAYS}/\d+/\.?" + _one_of(ORDER, REPLAYED, PROGRESS) + r"(\.part)?",
            _LINE + r"weights/\.?" + _one_of(MANIFEST, HISTORY, CURRENT) + r"(\.part)?",
            f"{SUGGESTIONS}/{SUGGESTION_FILES}",
            rf"{_LINE}weights/{VERSIONS}/\.?\d+(\.part)?/{_one_of(DELTA_FILE, VERSION_FILE)}",
        )
    )
)
"""Files that a simulation makes in its campaign, with what a killed one leaves half done."""


@contextmanager
def only_simulated(folder: Path) -> Iterator[None]:
    """Hold a campaign's lock, having made sure that nothing but a simulation has written to it.

    Args:
        folder: the campaign's; one that holds nothing yet will do.

    Raises:
        CampaignLocked: a program works with it.
        ConfigError: a person has worked in it, or it holds a file that no simulation makes.
        CacheError: the disk does not say.
    """
    with explained(f"look into the campaign in {folder}"):
        lock = _lock(folder)
        try:
            _refuse_traces_of_people(folder)
            yield
        finally:
            lock.release()


def _lock(folder: Path) -> WriterLock:
    try:
        return WriterLock(native(folder / names.LOCK), Disk())
    except CampaignLocked as error:
        raise CampaignLocked(f"{error} Nothing was removed.") from error


def _refuse_traces_of_people(folder: Path) -> None:
    layout, found = Layout(folder, Disk()), sorted(folder.rglob("*"))
    for path in found:
        if path.name == names.RECORD and names.CASES in path.relative_to(folder).parts[:1]:
            _refuse_if_a_person_confirmed(layout, path.parent.relative_to(folder).as_posix())
    for path in found:
        relative = path.relative_to(folder).as_posix()
        if path.is_symlink() or not (path.is_dir() or _KNOWN.fullmatch(relative)):
            raise ConfigError(
                f'The campaign in {folder} holds "{relative}", which no simulation makes: somebody has '
                f"worked there. {_ELSEWHERE}"
            )
    lines = [folder, *folder.glob(f"{names.TARGETS}/*")]
    if any(e.what == "rolled_back" for line in lines for e in History(line / "weights" / HISTORY).entries()):
        raise ConfigError(
            f"In the campaign in {folder} somebody has put other weights into use. {_ELSEWHERE}"
        )


def _refuse_if_a_person_confirmed(layout: Layout, version: str) -> None:
    try:
        record, _ = layout.case_record(version)
    except (CacheError, ConfigError) as error:
        raise CorruptRecord(
            f"Who confirmed {version} in {layout.root} cannot be read ({error}) {_ELSEWHERE}"
        ) from error
    if record.annotator != SIMULATED_ANNOTATOR:
        raise ConfigError(
            f"The campaign in {layout.root} holds what a person has confirmed ({record.case_id!r}, by "
            f"{record.annotator or 'somebody without a name'}); such a campaign is never removed. "
            f"{_ELSEWHERE}"
        )


def remove_simulated(folder: Path) -> None:
    """Remove a campaign in which only a simulation has worked; one that is not there is removed already.

    A kill on the way leaves a part that a second call removes: the records go before the files that name the
    folder a campaign.

    Raises:
        CampaignLocked: a program works with it.
        ConfigError: a person has worked in it.
        CacheError: the disk failed.
    """
    if not folder.exists():
        return
    lock = folder / names.LOCK
    with only_simulated(folder):
        files = [path for path in folder.rglob("*") if path.is_file() and path != lock]
        for path in sorted(files, key=lambda path: (path.parent == folder, path)):
            native(path).unlink()
    # Windows keeps an open file: the lock goes last, when there is no campaign left to take.
    with explained(f"remove {folder}"):
        native(lock).unlink(missing_ok=True)
        for path in sorted((p for p in folder.rglob("*") if p.is_dir()), reverse=True):
            path.rmdir()
        folder.rmdir()
