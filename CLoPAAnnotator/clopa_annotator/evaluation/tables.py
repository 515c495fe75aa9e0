"""The files of a finished run: ``summary.json``, ``cases.csv``, ``clicks.csv`` and ``episodes.csv``.

Written from the dataclasses of `rows` and read back into the same. JSON is strict: a number that is not
finite becomes null (in CSV: an empty field) and null becomes NaN again. A tuple in CSV is joined by ";".
Files are UTF-8 and are replaced in one step, so a reader never meets half a file.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
import os
import time
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from clopa_annotator.errors import DatasetError
from clopa_annotator.evaluation.case_rows import CaseRow, ClickRow
from clopa_annotator.evaluation.rows import EpisodeSummary, RunSummary

Row = TypeVar("Row")
_OF_SEVERAL = frozenset({"target", "targets", "detection"})
"""What only a run with targets, or with several of a kind, writes into its summary."""


def write_run(out: Path, summary: RunSummary, cases: Iterable[CaseRow], clicks: Iterable[ClickRow]) -> None:
    """Write all four files of a run; ``episodes.csv`` repeats the summary's episodes."""
    out.mkdir(parents=True, exist_ok=True)
    write_rows(out / "cases.csv", CaseRow, cases)
    write_rows(out / "clicks.csv", ClickRow, clicks)
    episodes = [*summary.episodes]
    for name, target in summary.targets.items():
        episodes += [dataclasses.replace(episode, target=name) for episode in target.episodes]
    write_rows(out / "episodes.csv", EpisodeSummary, episodes)
    write_summary(out, summary)


def write_summary(out: Path, summary: RunSummary) -> Path:
    """Write ``out/summary.json`` and return its path."""
    text = json.dumps(to_json(summary), ensure_ascii=False, indent=2, allow_nan=False)
    return replace_text(out / "summary.json", text + "\n")


def read_summary(out: Path) -> RunSummary:
    """Read ``out/summary.json``; keys that this version does not know are left aside.

    Raises:
        DatasetError: the file is missing or is not a run's summary.
    """
    path = out / "summary.json"
    try:
        return typing.cast(RunSummary, _from_json(RunSummary, json.loads(_read(path))))
    except (ValueError, TypeError, AttributeError) as error:
        raise DatasetError(
            f"{path} is not a run's summary ({error}); run simulate or evaluate again."
        ) from error


def read_cases(out: Path) -> tuple[CaseRow, ...]:
    """Read ``out/cases.csv``."""
    return read_rows(out / "cases.csv", CaseRow)


def read_clicks(out: Path) -> tuple[ClickRow, ...]:
    """Read ``out/clicks.csv``."""
    return read_rows(out / "clicks.csv", ClickRow)


def read_episodes(out: Path) -> tuple[EpisodeSummary, ...]:
    """Read ``out/episodes.csv``."""
    return read_rows(out / "episodes.csv", EpisodeSummary)


def write_rows(path: Path, kind: type[Row], rows: Iterable[Row]) -> Path:
    """Write dataclass instances as a CSV table with their field names as header.

    The column "target" is there only where a row has one, so that a run of one target looks as ever.
    """
    rows = tuple(rows)
    names = [name for name in _hints(kind) if name != "target" or any(getattr(r, name) for r in rows)]
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([_cell(getattr(row, name)) for name in names] for row in rows)
    return replace_text(path, buffer.getvalue())


def read_rows(path: Path, kind: type[Row]) -> tuple[Row, ...]:
    """Read what `write_rows` wrote; a missing column takes the field's default.

    Raises:
        DatasetError: the file is missing or does not hold such rows.
    """
    hints = _hints(kind)
    try:
        table = csv.DictReader(io.StringIO(_read(path), newline=""))
        parsed = [
            {name: _from_cell(hints[name], row[name]) for name in hints if name in row} for row in table
        ]
        return tuple(kind(**values) for values in parsed)
    except (ValueError, TypeError, AttributeError, csv.Error) as error:
        raise DatasetError(
            f"{path} is not a table of {kind.__name__} ({error}); run simulate or evaluate again."
        ) from error


def to_json(value: Any) -> Any:
    """Dataclasses, tuples and numbers as what strict JSON knows; numbers that are not finite become None."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        values = {f.name: to_json(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return {name: v for name, v in values.items() if v or name not in _OF_SEVERAL}
    if isinstance(value, dict):
        return {name: to_json(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_json(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value


def replace_text(path: Path, text: str) -> Path:
    """Write a UTF-8 text file beside ``path`` and move it into place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(text, encoding="utf-8", newline="\n")
    for attempt in range(20):
        try:
            temporary.replace(path)
            break
        except PermissionError:  # Windows, while a virus scanner or a viewer holds the old file
            if attempt == 19:
                raise
            time.sleep(0.05)
    return path


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(
            f"{path} cannot be read ({error}); give the output folder of a finished simulate or evaluate."
        ) from error


def _hints(kind: type[Any]) -> dict[str, Any]:
    hints = typing.get_type_hints(kind)
    return {f.name: hints[f.name] for f in dataclasses.fields(kind)}


def _from_json(hint: Any, value: Any) -> Any:
    if dataclasses.is_dataclass(hint):
        hints = _hints(typing.cast(type[Any], hint))
        return typing.cast(type[Any], hint)(
            **{name: _from_json(hints[name], value[name]) for name in hints if name in value}
        )
    if typing.get_origin(hint) is tuple:
        return tuple(_from_json(typing.get_args(hint)[0], item) for item in value)
    if typing.get_origin(hint) is Mapping:
        return {name: _from_json(typing.get_args(hint)[1], item) for name, item in value.items()}
    if hint is float:
        return math.nan if value is None else float(value)
    return value


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(float(value)) if math.isfinite(value) else ""
    if isinstance(value, tuple):
        return ";".join(_cell(item) for item in value)
    return "" if value is None else str(value)


def _from_cell(hint: Any, text: str) -> Any:
    if typing.get_origin(hint) is tuple:
        return tuple(_from_cell(typing.get_args(hint)[0], item) for item in text.split(";")) if text else ()
    if hint is float:
        return float(text) if text else math.nan
    if hint is bool:
        return _flag(text)
    if hint is int:
        return int(text)
    if type(None) in typing.get_args(hint):
        return _from_cell(typing.get_args(hint)[0], text) if text else None
    return text


def _flag(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError(f'"{text}" is neither true nor false')
    return text == "true"
