"""What Slicer/ExtensionsIndex asks of an extension before it is listed, as far as a checkout shows it.

Written from its check of description files and its checklist for new extensions (read on 2026-11-28). Each
rule is a function from the extension's folder to what is wrong with it, in words; an empty list is good.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from urllib.parse import urlsplit

KEYS = {
    "$schema": str,
    "category": str,
    "scm_url": str,
    "scm_revision": str,
    "scm_type": str,
    "build_dependencies": list,
    "build_subdirectory": str,
    "enabled": bool,
    "tier": int,
}
"""The catalogue entry's schema 1.0.1: these keys and no other; the first three have to be there."""
SLICERS_CMAKE = "3.28.0...3.28.0 FATAL_ERROR"
"""What Slicer's template of an extension asks CMake for."""
PREFIXES = ("Slicer", "Slicer-", "Slicer_", "SlicerExtension-", "SlicerExtension_")
LICENCES = ("LICENSE", "LICENCE", "LICENSE.txt", "COPYING")
PICTURES = (".png", ".jpg", ".jpeg", ".gif")


def entry_of(folder: Path, name: str) -> dict[str, object]:
    """The catalogue entry; KeyError and ValueError are a fault of it."""
    return json.loads((folder / f"{name}.json").read_text("utf-8"))


def wrong_entry(folder: Path, name: str) -> list[str]:
    """The catalogue entry: JSON with line feeds, the schema's keys, a name without Slicer in front."""
    entry = entry_of(folder, name)
    found = [f"{key} is missing" for key in list(KEYS)[:3] if not entry.get(key)]
    found += [f"{key} is not known" for key in entry if key not in KEYS]
    found += [
        f"{key} is no {KEYS[key].__name__}"
        for key in entry
        if not isinstance(entry[key], KEYS.get(key, object))
    ]
    if b"\r" in (folder / f"{name}.json").read_bytes():
        found.append("lines end with CR")
    if name.lower().startswith("slicer"):
        found.append("the extension's name starts with Slicer")
    return found


def wrong_repository(folder: Path, name: str) -> list[str]:
    """The repository's address: a scheme that git clones from, a name with Slicer in front."""
    address = urlsplit(str(entry_of(folder, name)["scm_url"]).strip("/"))
    repository = address.path.split("/")[-1].removesuffix(".git")
    found = [] if address.scheme in ("git", "https") else [f"scheme {address.scheme}"]
    if not repository.startswith(PREFIXES):
        found.append(f"the repository's name {repository} does not start with Slicer")
    return found


def cmake_value(text: str, name: str) -> str:
    """What a line ``set(NAME "...")`` says, as the index's regular expression reads it: variables stay."""
    match = re.search(rf'set\s*\({name}\s*"([^"]+)"\s*\)', text, re.IGNORECASE)
    return match.group(1).strip() if match else ""


def wrong_cmake(folder: Path, name: str) -> list[str]:
    """The top CMakeLists.txt: the project's name, literal addresses of icon and screenshots."""
    text = (folder / "CMakeLists.txt").read_text("utf-8")
    project = re.search(r"project\s*\(\s*([^\s)]+)", text, re.IGNORECASE)
    found = [] if project and project.group(1) == name else ["project() has another name than the entry"]
    if f"cmake_minimum_required(VERSION {SLICERS_CMAKE})" not in text:
        found.append(f"cmake_minimum_required is not {SLICERS_CMAKE}")
    for variable in ("EXTENSION_ICONURL", "EXTENSION_SCREENSHOTURLS"):
        addresses = cmake_value(text, variable).split()
        found += [] if addresses else [f"no {variable}"]
        found += [f"{variable}: {a} is no address" for a in addresses if not re.match(r"https?://[^$]+$", a)]
        found += [f"{variable}: {a} is no picture" for a in addresses if not a.lower().endswith(PICTURES)]
    return found


def wrong_licence(folder: Path, _name: str) -> list[str]:
    """A licence file in the root, named in the README."""
    found = [] if any((folder / n).is_file() for n in LICENCES) else ["no licence file in the root"]
    return (
        found
        if re.search(r"^## Licence", (folder / "README.md").read_text("utf-8"), re.M)
        else [*found, "README"]
    )


def wrong_homepage(folder: Path, _name: str) -> list[str]:
    """The README: a picture, a publication, a sentence for each module, how to remove what was downloaded."""
    text = (folder / "README.md").read_text("utf-8")
    found = [] if re.search(r"!\[[^\]]+\]\([^)]+\.png\)", text) else ["no picture"]
    found += [] if re.search(r"arxiv\.org|doi\.org", text) else ["no publication"]
    modules = re.findall(r"add_subdirectory\((\w+)\)", (folder / "CMakeLists.txt").read_text("utf-8"))
    found += [
        f"no sentence about {m}"
        for m in modules
        if not re.search(rf"^- \*\*{_title(folder, m)}\*\*", text, re.M)
    ]
    for section in (
        "## Modules",
        "## What the bundled model was tried on",
        "## Removing what was downloaded",
    ):
        found += [] if f"\n{section}\n" in text else [f"no section {section[3:]!r}"]
    return found


def _title(folder: Path, module: str) -> str:
    source = (folder / module / f"{module}.py").read_text("utf-8")
    return re.search(r'parent\.title = _\("([^"]+)"\)', source).group(1)


RULES = (wrong_entry, wrong_repository, wrong_cmake, wrong_licence, wrong_homepage)
