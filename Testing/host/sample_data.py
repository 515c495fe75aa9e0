"""Slicer's module Sample Data as a module's registration and a user's download see it (Slicer 5.12).

Stands in with the documented interface: sources by category on ``slicer.modules``, files copied into the
cache and checked, nodes loaded under the names that were registered.
"""

from __future__ import annotations

import hashlib
import types
import urllib.request
from pathlib import Path
from typing import Any

import slicer

FIELDS = ("uris", "fileNames", "nodeNames", "checksums")


class SampleDataSource:
    """One entry: parallel lists of addresses, file names, node names and checksums."""

    def __init__(self, sampleName: str, thumbnailFileName: str | None, **lists: list[str]) -> None:
        self.sampleName, self.thumbnailFileName = sampleName, thumbnailFileName
        for name in FIELDS:
            setattr(self, name, lists[name])
        if len({len(lists[name]) for name in FIELDS}) != 1:
            raise ValueError("All fields of sample data source must have the same length")

    def __eq__(self, other: object) -> bool:
        return vars(self) == vars(other)

    __hash__ = None


class SampleDataLogic:
    """Registering is static; downloading needs an instance."""

    @staticmethod
    def registerCustomSampleDataCategory(category: str, title: str) -> None:
        _on_modules("sampleDataSourceCategories").setdefault(category, {})["title"] = title

    @staticmethod
    def registerCustomSampleDataSource(
        category: str = "Custom", sampleName: str | None = None, uris: Any = None, fileNames: Any = None,
        nodeNames: Any = None, customDownloader: Any = None, thumbnailFileName: str | None = None,
        loadFileTypes: Any = None, loadFiles: Any = None, loadFileProperties: Any = None,
        checksums: Any = None,
    ) -> None:  # fmt: skip
        lists = {"uris": uris, "fileNames": fileNames, "nodeNames": nodeNames, "checksums": checksums}
        source = SampleDataSource(sampleName, thumbnailFileName, **lists)
        sources = _on_modules("sampleDataSources").setdefault(category, [])
        if source not in sources:
            sources.append(source)

    def downloadSamples(self, sampleName: str) -> list[Any]:
        sources = [s for kept in _on_modules("sampleDataSources").values() for s in kept]
        source = next(s for s in sources if s.sampleName == sampleName)
        return [self._load(source, number) for number in range(len(source.uris))]

    def _load(self, source: SampleDataSource, number: int) -> Any:
        path = Path(slicer.app.temporaryPath) / source.fileNames[number]
        urllib.request.urlretrieve(source.uris[number], path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        if source.checksums[number] != f"SHA256:{digest}":
            raise ValueError(f"Checksum of {path.name} is different from the expected one")
        return slicer.util.loadVolume(str(path), {"name": source.nodeNames[number]})


def _on_modules(name: str) -> dict[str, Any]:
    if not hasattr(slicer.modules, name):
        setattr(slicer.modules, name, {})
    return getattr(slicer.modules, name)


def as_module() -> types.ModuleType:
    """``import SampleData`` inside Slicer."""
    module = types.ModuleType("SampleData")
    module.SampleDataLogic, module.SampleDataSource = SampleDataLogic, SampleDataSource
    return module
