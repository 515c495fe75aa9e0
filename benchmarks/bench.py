"""One way to run a benchmark and to write what it found: `main` around a function from options to figures.

`main` reads the command line, whose help is the module's docstring, makes a scratch folder, notes machine,
versions, date and load, and prints the figures as Markdown. ``--json FILE`` also writes them to FILE and, as
printed, beside it with the suffix ``.md``; ``--json`` alone takes ``benchmarks/results/NAME.json``.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
RESULTS = REPOSITORY / "benchmarks" / "results"
LIBRARIES = ("clopa_annotator", "torch", "nnInteractive", "SimpleITK", "slicer")
Options = argparse.Namespace
Figures = dict[str, Any]
"""Numbers and words by name; a list of dictionaries, or a dictionary of dictionaries, is a table."""


def options(
    about: str | None, declared: Mapping[str, Any], given: Iterable[str] | None = None
) -> argparse.Namespace:
    """The command line's options; ``--threads`` is given to PyTorch, where 0 leaves its own choice.

    Args:
        about: the module's docstring.
        declared: by name (``--clicks``, or ``dataset`` for an argument that has no dashes), the default,
            (default, help), or a dictionary of what `argparse` takes. A type stands for "none by default";
            a default that is a flag, a list or a type says how the words are read.
        given: the words; None takes the process's.
    """
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=about, formatter_class=plain)
    for name, meaning in declared.items():
        parser.add_argument(name, **(meaning if isinstance(meaning, dict) else _understood(meaning)))
    found = parser.parse_args(None if given is None else list(given))
    if getattr(found, "threads", 0):
        import torch

        torch.set_num_threads(found.threads)
    return found


def _understood(meaning: Any) -> dict[str, Any]:
    default, words = meaning if isinstance(meaning, tuple) else (meaning, None)
    if isinstance(default, bool):
        return {"action": argparse.BooleanOptionalAction if default else "store_true", "default": default} | {
            "help": words
        }
    if isinstance(default, type):
        return {"type": default, "help": words}
    if isinstance(default, list):
        return {"type": listed(type(default[0])), "default": default, "help": words}
    kind = Path if isinstance(default, Path) else type(default)
    return {"type": kind, "default": default, "help": words}


def listed(kind: Callable[[str], Any]) -> Callable[[str], list[Any]]:
    """A reader of values with commas between them."""
    return lambda text: [kind(part) for part in text.split(",")]


def stamp() -> Figures:
    """What figures hold for: the date, the machine, what else it does, and the libraries that are loaded."""
    versions: Figures = {}
    for name in LIBRARIES:
        try:
            versions |= {name: version(name)} if name in sys.modules else {}
        except PackageNotFoundError:
            versions[name] = getattr(sys.modules[name], "__version__", "unknown")
    torch = sys.modules.get("torch")
    return {
        "date": f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M}",
        "machine": f"{platform.processor() or platform.machine()}, {platform.system()}",
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        "python": platform.python_version(),
        **versions,
        **({} if torch is None else {"threads": torch.get_num_threads()}),
    }


def main(
    about: str | None,
    measure: Callable[[argparse.Namespace, Path], Figures],
    declared: Mapping[str, Any],
    given: Iterable[str] | None = None,
) -> Figures:
    """Run a benchmark: options, scratch folder (in ``--folder`` if there is one), stamp, figures, result.

    Args:
        about: the module's docstring.
        measure: the figures, from the options and an empty folder that is removed afterwards.
        declared: see `options`; ``--json`` is there already.
        given: the words of the command line; None takes the process's.

    Returns:
        The figures with their stamp.
    """
    name = Path(measure.__code__.co_filename).stem
    result = {"nargs": "?", "type": Path, "const": RESULTS / f"{name}.json", "metavar": "FILE"}
    found = options(
        about, {**declared, "--json": {**result, "help": "write the result; FILE is optional"}}, given
    )
    before = stamp()
    with tempfile.TemporaryDirectory(
        prefix=f"clopa-{name}-", dir=getattr(found, "folder", None), ignore_cleanup_errors=True
    ) as scratch:
        figures = measure(found, Path(scratch))
    figures = {**stamp(), "load": before["load"], **figures}
    text = f"# {name}\n\n{markdown(figures)}"
    print(text, flush=True)
    if found.json:
        write(found.json, figures)
        found.json.with_suffix(".md").write_text(text + "\n", encoding="utf-8")
    return figures


def write(path: Path, figures: object) -> None:
    """A result as JSON; the folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(figures, indent=1, default=str) + "\n", encoding="utf-8")


def markdown(figures: Figures) -> str:
    """Figures as Markdown: those with a name each first, then every table."""
    named = {k: {k: v} for k, v in figures.items() if isinstance(v, Mapping)}
    tables = {k: v for k, v in figures.items() if isinstance(v, list) and v and isinstance(v[0], Mapping)}
    for key, value in figures.items():
        if isinstance(value, Mapping) and value and all(isinstance(v, Mapping) for v in value.values()):
            tables[key] = [{"": name, **row} for name, row in value.items()]
            named.pop(key)
    single = [(k, shown(v)) for k, v in figures.items() if k not in tables and k not in named]
    single += [(f"{k}, {part}", shown(v)) for k, d in named.items() for part, v in d[k].items()]
    blocks = [table(("", ""), single)]
    for key, rows in tables.items():
        blocks.append(f"## {key}\n\n" + table(list(rows[0]), [[shown(v) for v in r.values()] for r in rows]))
    return "\n\n".join(blocks)


def shown(value: object) -> str:
    """A value as a cell has it; long lists by their length."""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple) and len(value) > 6:
        return f"{len(value)} values"
    return str(value)


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table in Markdown: the first column to the left, the others to the right."""
    head = [f"| {' | '.join(map(str, columns))} |", "|---|" + "---:|" * (len(columns) - 1)]
    return "\n".join([*head, *(f"| {' | '.join(map(str, row))} |" for row in rows)])


def a_model(name: str | None, device: str, scratch: Path, features: tuple[int, ...]) -> tuple[Any, Figures]:
    """The named model, else the bundled one, else one with random weights; and what to say of it."""
    from clopa_annotator.errors import ModelNotPresent
    from clopa_annotator.models import resolve
    from clopa_annotator.session.model import load_model
    from clopa_annotator.testing.random_model import write_random_model

    try:
        model, name = load_model(resolve(name or "bundled"), device), name or "bundled"
    except ModelNotPresent:
        if name is not None:
            raise
        model = load_model(write_random_model(scratch / "model", features=features), device)
        name = f"generated, features {features[0]}-{features[-1]}, random weights"
    parameters = sum(p.numel() for p in model.network.parameters())
    about = {"model": name, "parameters": parameters, "patch": list(model.patch_size_kji)}
    return model, {"device": str(model.device), **about}


def timed(action: Callable[[], object]) -> float:
    """Seconds of one call."""
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def rounds(
    ways: Mapping[str, Callable[[], object]], repeats: int, warm_up: int = 1
) -> dict[str, list[float]]:
    """Seconds of each way, side by side: one call of each in turn, and each round begins with another.

    A moment in which the machine is slow so hits all of them.
    """
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(warm_up + repeats):
        first = number % len(ways)
        for name in [*list(ways)[first:], *list(ways)[:first]]:
            took = timed(ways[name])
            if number >= warm_up:
                seconds[name].append(took)
    return seconds


def spread_ms(seconds: Sequence[float]) -> dict[str, float]:
    """Median, 95th percentile and longest of seconds, in milliseconds."""
    ordered = sorted(1e3 * s for s in seconds)
    p95 = ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]
    return {"median_ms": statistics.median(ordered), "p95_ms": p95, "longest_ms": ordered[-1]}


class Rows:
    """Rows of a run that may be stopped and goes on: a CSV file that is written row by row.

    Args:
        path: the file; made with its header when the first row comes.
        columns: the header.
        key: the columns that tell which part a row belongs to.
    """

    def __init__(self, path: Path, columns: Sequence[object], key: Sequence[str]) -> None:
        self.path, self._columns, self._key = path, columns, key

    def read(self) -> list[dict[str, str]]:
        """What is there."""
        if not self.path.exists():
            return []
        with self.path.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    def done(self) -> set[tuple[str, ...]]:
        """The parts that have a row."""
        return {tuple(row[name] for name in self._key) for row in self.read()}

    def add(self, *rows: Sequence[object]) -> None:
        """Append rows."""
        fresh = not self.path.exists()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([self._columns, *rows] if fresh else rows)
