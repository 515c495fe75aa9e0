"""The folder of a run's results: what the run made in it, and what of it may be removed.

``clopa-run.jsonl`` is the run's stamp. Before a run makes a file it claims the name there, which works only
while nobody else's file has it; afterwards it notes the file's hash. ``--overwrite`` and a new demo remove
what the stamp of the same command lists, as it was written, and nothing else. A file that was changed since,
a name that somebody else's file has, a campaign in which a person has worked: each is a reason to remove
nothing at all and to say which file it is.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from clopa_annotator.cache.format.disk import explained
from clopa_annotator.durable import append_bytes
from clopa_annotator.errors import ConfigError
from clopa_annotator.experiments.simulated_campaign import only_simulated, remove_simulated
from clopa_annotator.models.presence import sha256_of

STAMP = "clopa-run.jsonl"
CAMPAIGN = "campaign/"
"""A name that ends in a slash is a campaign's folder; every other one is a file's."""
TABLES = ("summary.json", "cases.csv", "clicks.csv", "episodes.csv")
SUGGESTIONS = "suggestions.csv"
REPORT = "report.html"
RESULTS = (*TABLES, SUGGESTIONS, REPORT, "pictures", "campaign")
"""What a run needs to have to itself; ``pictures`` and ``campaign`` are folders."""
ELSEWHERE = "choose another folder with --out"


class RunFolder:
    """One command's view of a folder: what it made there it may replace; everything else stays."""

    def __init__(self, out: Path, command: str) -> None:
        """Read the folder's stamp; nothing is written yet.

        Args:
            out: the folder; need not exist.
            command: who asks, for instance "simulate"; files of other commands count as somebody else's.

        Raises:
            ConfigError: there is a file of the stamp's name that is none, or ``out`` is no folder.
        """
        self.out = out
        self._command = command
        self._made: dict[str, str] = {}
        self._others: set[str] = set()
        self._length = 0
        self._read()

    def _read(self) -> None:
        """What the stamp says; a line torn by a kill is no line, and the next one is written over it."""
        path = self.out / STAMP
        if self.out.exists() and not self.out.is_dir():
            raise ConfigError(f"{self.out} is a file; {ELSEWHERE}.")
        for line in path.read_bytes().splitlines(keepends=True) if path.exists() else []:
            if not line.endswith(b"\n"):
                break
            try:
                by, made, gone = _row(line)
            except (ValueError, KeyError, TypeError) as error:
                raise ConfigError(
                    f"{path} does not say what a run has made here: it is damaged, or not this program's. "
                    f"Nothing was changed; {ELSEWHERE}."
                ) from error
            self._note(by, made, gone)
            self._length += len(line)

    def _note(self, by: str, made: dict[str, str], gone: Iterable[str]) -> None:
        if by == self._command:
            self._made |= made
            self._made = {name: said for name, said in self._made.items() if name not in gone}
        else:
            self._others = (self._others | made.keys()) - set(gone)

    def _write(self, made: dict[str, str], gone: Iterable[str] = ()) -> None:
        with explained(f"make the folder {self.out}"):
            self.out.mkdir(parents=True, exist_ok=True)
        row = {"command": self._command, "made": made, "removed": list(gone)}
        line = json.dumps(row, ensure_ascii=False).encode() + b"\n"
        append_bytes(self.out / STAMP, line, keep=self._length)
        self._length += len(line)
        self._note(self._command, made, gone)

    # -- making --------------------------------------------------------------------------------------------

    def claim(self, *files: str) -> None:
        """Reserve names before their files are made; what this command made under them may be replaced.

        Args:
            files: relative to the folder, with forward slashes; `CAMPAIGN` for a campaign's folder.

        Raises:
            ConfigError: a file of another origin has one of the names, or what was made was changed since.
            CacheError: the stamp cannot be written.
        """
        for name in files:
            if self._is_there(name):
                self._check(name)
        self._write(dict.fromkeys(files, ""))

    def seal(self, *files: str) -> None:
        """Note that claimed files are made, and what they are; one that was not made is let go."""
        there = [name for name in files if (self.out / name).is_file()]
        made = {name: sha256_of(self.out / name) for name in there}
        self._write(made, [name for name in files if name not in there])

    @contextmanager
    def making(self, *files: str) -> Iterator[None]:
        """Claim names, let the block make the files, and seal them."""
        self.claim(*files)
        yield
        self.seal(*files)

    # -- replacing an earlier run --------------------------------------------------------------------------

    def begin(self, overwrite: bool, *needed: str) -> None:
        """Make sure that the folder is free for a run.

        Args:
            overwrite: whether an earlier run of this command may go; everything is checked first.
            needed: names that the run needs beside `RESULTS`.

        Raises:
            ConfigError: it holds an earlier run and ``overwrite`` is false, or something that this command
                did not make or that a person has worked on since; nothing was removed.
            CampaignLocked: a program works with the earlier run's campaign.
            CacheError: the disk failed.
        """
        wanted = {*RESULTS, *needed}
        self.refuse_strangers(*wanted)
        mine = [name for name in self._made if self._is_there(name)]
        if not overwrite and any(name.split("/")[0] in wanted for name in mine):
            raise ConfigError(
                f"{self.out} holds the results of an earlier run; choose another folder, or --overwrite."
            )
        self.clear()

    def refuse_strangers(self, *wanted: str) -> None:
        """Make sure that no file of another origin has a name that the run needs.

        Raises:
            ConfigError: naming the first that has.
        """
        for top in sorted(wanted):
            path = self.out / top
            if path.is_dir() and f"{top}/" not in self._made:
                files = [found for found in sorted(path.rglob("*")) if not found.is_dir()]
            else:
                files = [path] if path.exists() and not path.is_dir() else []
            for name in (file.relative_to(self.out).as_posix() for file in files):
                if name not in self._made:
                    raise self._in_the_way(name)

    def refuse_unless_mine(self) -> None:
        """Make sure that the folder is new, empty, or one that this command has made.

        Raises:
            ConfigError: it holds something, and none of it is this command's.
        """
        if self._made or not self.out.exists():
            return
        if not self.out.is_dir() or any(path.name != STAMP for path in self.out.iterdir()):
            raise ConfigError(
                f"{self.out} is no earlier {self._command} of this program, so nothing there is replaced; "
                f"{ELSEWHERE}."
            )

    def clear(self) -> None:
        """Remove what this command has made here, having looked at all of it first.

        Raises:
            ConfigError: a file was changed since, or a person has worked in the campaign.
            CampaignLocked: a program works with the campaign.
            CacheError: the disk failed.
        """
        mine = [name for name in self._made if self._is_there(name)]
        for name in mine:
            self._check(name)
        with explained(f"remove the earlier run in {self.out}"):
            for name in sorted(
                mine, key=lambda name: not name.endswith("/")
            ):  # what may be refused goes first
                if name.endswith("/"):
                    remove_simulated(self.out / name)
                else:
                    (self.out / name).unlink(missing_ok=True)
            for parent in sorted({p for name in mine for p in Path(name).parents if p.parts}, reverse=True):
                folder = self.out / parent
                if folder.is_dir() and not any(folder.iterdir()):
                    folder.rmdir()
        if self._made:
            self._write({}, list(self._made))

    def _is_there(self, name: str) -> bool:
        path = self.out / name
        if name.endswith("/") and path.is_dir():
            return any(path.iterdir())
        return path.exists() or path.is_symlink()

    def _check(self, name: str) -> None:
        """Refuse to touch what is not this command's, or is not as it was made."""
        if name not in self._made:
            raise self._in_the_way(name)
        path, sealed = self.out / name, self._made[name]
        if not path.resolve().is_relative_to(self.out.resolve()):
            raise self._in_the_way(name)  # a link leads out of the folder
        if name.endswith("/"):
            with only_simulated(path):
                return
        if path.is_symlink() or not path.is_file() or (sealed and sha256_of(path) != sealed):
            raise ConfigError(
                f"{path} has been changed since the run wrote it. Nothing was removed; move it away if you "
                f"want to keep it, or {ELSEWHERE}."
            )

    def _in_the_way(self, name: str) -> ConfigError:
        others = name in self._others or (CAMPAIGN in self._others and name.startswith(CAMPAIGN))
        origin = "another command" if others else "somebody else"
        return ConfigError(
            f"{self.out / name} is in the way: {origin} made it, not a run of clopa {self._command}, so it "
            f"stays as it is. Move it away, or {ELSEWHERE}."
        )


def _row(line: bytes) -> tuple[str, dict[str, str], list[str]]:
    """One line of the stamp: who, what was claimed or made, what was removed.

    Raises:
        ValueError, KeyError, TypeError: it is none, or it names something outside its folder.
    """
    row = json.loads(line)
    made, gone = {str(k): str(v) for k, v in row["made"].items()}, [str(name) for name in row["removed"]]
    for name in (*made, *gone):
        path = PurePosixPath(name)
        if path.is_absolute() or not path.parts or {"..", STAMP} & set(path.parts) or set(name) & set("\\:"):
            raise ValueError(f"{name!r} is no file of the run's folder")
        if name.endswith("/") and name != CAMPAIGN:
            raise ValueError(f"{name!r} is no campaign")
    return str(row["command"]), made, gone
