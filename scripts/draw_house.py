"""The house as it stands, or stood: rooms and who imports whom, circles, line counts; and its picture.

    python scripts/draw_house.py                          figures of the working tree, core and shell
    python scripts/draw_house.py afbbf00 --out OLD.svg    of a commit, and the picture of the core

A room is a folder of the package, or a module beside them. It stands one floor above the highest room that it
imports; rooms that import each other in a circle share a floor, and their arrows are red. The picture leaves
out arrows that follow from others. Imports inside functions and for type checking count.
"""

from __future__ import annotations

import argparse
import ast
import io
import subprocess
import tarfile
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
CORE, SHELL = "clopa_annotator", "CLoPAAnnotatorLib"
Graph = dict[str, set[str]]


def tree_of(commit: str, scratch: Path) -> Path:
    """The module's folder as it was in a commit."""
    packed = subprocess.run(
        ["git", "archive", commit, "CLoPAAnnotator"], cwd=REPOSITORY, capture_output=True, check=True
    ).stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(scratch, filter="data")
    return scratch / "CLoPAAnnotator"


def modules_of(top: Path, package: str) -> dict[str, Path]:
    """A package's modules by their dotted name."""
    files = sorted((top / package).rglob("*.py"))
    return {".".join(p.relative_to(top).with_suffix("").parts).removesuffix(".__init__"): p for p in files}


def imports(modules: Mapping[str, Path]) -> Graph:
    """Which of these modules import which."""
    found: Graph = {}
    for name, path in modules.items():
        names: set[str] = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                names.add(node.module or "")
                names.update(f"{node.module}.{alias.name}" for alias in node.names)
        found[name] = (names & modules.keys()) - {name}
    return found


def room_of(module: str) -> str:
    """The first name below the package."""
    return module.partition(".")[2].partition(".")[0]


def between_rooms(graph: Graph) -> Graph:
    """Which rooms import which; the package itself is none."""
    rooms: Graph = {room_of(m): set() for m in graph if room_of(m)}
    for module, others in graph.items():
        if room_of(module):
            rooms[room_of(module)] |= {room_of(o) for o in others} - {room_of(module), ""}
    return rooms


def reachable(graph: Graph, start: str) -> set[str]:
    """Everything that a node imports, directly or not."""
    seen, todo = set(), [start]
    while todo:
        for other in graph[todo.pop()] - seen:
            seen.add(other)
            todo.append(other)
    return seen


def circles(graph: Graph) -> list[set[str]]:
    """The largest sets of nodes that all import each other, directly or not."""
    reach = {node: reachable(graph, node) for node in graph}
    found = {frozenset({o for o in reach[n] if n in reach[o]}) for n in graph if n in reach[n]}
    return sorted(map(set, found), key=sorted)


def floors(graph: Graph) -> dict[str, int]:
    """The floor of each room."""
    whole = {node: next((c for c in circles(graph) if node in c), {node}) for node in graph}
    found: dict[str, int] = {}

    def floor(node: str) -> int:
        if node not in found:
            below = {o for n in whole[node] for o in graph[n]} - whole[node]
            height = max((floor(o) + 1 for o in below), default=0)
            found.update(dict.fromkeys(whole[node], height))
        return found[node]

    for node in graph:
        floor(node)
    return found


def needed(graph: Graph) -> Graph:
    """The arrows that do not follow from others; those of a circle all stay."""
    reach = {node: reachable(graph, node) for node in graph}

    def follows(a: str, b: str) -> bool:
        ways = (w for w in graph[a] - {b} if a not in reach[w] and w not in reach[b])
        return any(b in reach[way] for way in ways)

    return {a: {b for b in others if not follows(a, b)} for a, others in graph.items()}


def picture(graph: Graph, sizes: Mapping[str, int]) -> str:
    """The rooms on their floors as SVG, each with its number of modules."""
    height, places = floors(graph), {}
    top, wide, high = max(height.values()), 1000, 56
    boxes, lines = [], []
    for level in range(top + 1):
        row = sorted(room for room in graph if height[room] == level)
        for number, room in enumerate(row, start=1):
            x, y = wide * number // (len(row) + 1), high * (top - level) + 30
            places[room] = (x, y)
            text = f"{room} {sizes[room]}"
            w = 18 + 7 * len(text)
            box = f'<rect x="{x - w // 2}" y="{y - 11}" width="{w}" height="22" rx="4"/>'
            boxes.append(f'{box}<text x="{x}" y="{y + 4}">{text}</text>')
    for room, others in needed(graph).items():
        for other in sorted(others):
            (x, y), (u, v) = places[room], places[other]
            colour = "#c22" if height[room] == height[other] else "#8aa"
            bend = (y + v) // 2 - 40 * (y == v)
            lines.append(f'<path stroke="{colour}" d="M{x} {y}Q{(x + u) // 2} {bend} {u} {v}"/>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high * top + 60}" fill="none" '
        'font-family="sans-serif" font-size="12"><style>rect{fill:#eef3f8;stroke:#456}text{fill:#123}</style>'
        + "".join(lines)
        + f'<g text-anchor="middle">{"".join(boxes)}</g></svg>\n'
    )


def figures(top: Path, package: str) -> tuple[Graph, Counter[str]]:
    """Print what there is to say of a package; its rooms, and how many modules each has."""
    modules = modules_of(top, package)
    graph = imports(modules)
    rooms, sizes = between_rooms(graph), Counter(room_of(m) for m in graph)
    lines = sum(path.read_text(encoding="utf-8").count("\n") for path in modules.values())
    files = [p for p in modules.values() if p.name != "__init__.py"]
    largest, most = Counter(p.parent for p in files).most_common(1)[0]
    names = Counter(p.stem for p in files if p.parent.name != "commands")
    named = ", ".join(sorted(name for name, number in names.items() if number > 1))
    print(f"{package}: {len(modules)} modules, {lines} lines, {len(rooms)} rooms")
    print(f"  on {max(floors(rooms).values()) + 1} floors with {sum(map(len, rooms.values()))} arrows")
    print(f"  largest folder: {largest.name}, {most} modules; beside the folders: ", end="")
    print(sum(p.parent == top / package for p in files))
    for what, found in (("rooms", circles(rooms)), ("modules", circles(graph))):
        words = "; ".join(", ".join(sorted(c)) for c in found)
        print(f"  circles of {what}: {words or 'none'}")
    print(f"  names of several modules: {named or 'none'}")
    return rooms, sizes


def main() -> None:
    """Print the figures, and draw."""
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=plain)
    parser.add_argument("commit", nargs="?", help="default: the working tree")
    parser.add_argument("--out", type=Path, help="draw the core there, as SVG")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        top = tree_of(given.commit, Path(scratch)) if given.commit else REPOSITORY / "CLoPAAnnotator"
        core = figures(top, CORE)
        figures(top, SHELL)
    if given.out:
        given.out.write_text(picture(*core), encoding="utf-8")


if __name__ == "__main__":
    main()
