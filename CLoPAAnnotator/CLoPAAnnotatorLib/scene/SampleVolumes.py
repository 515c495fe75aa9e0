"""What Slicer's module Sample Data offers for this one: six generated volumes that lie beside the module."""

from __future__ import annotations

import hashlib
from pathlib import Path

from CLoPAAnnotatorLib.Texts import tr

RESOURCES = Path(__file__).resolve().parent.parent / "Resources"
CATEGORY, SAMPLE = "CLoPA Annotator", "CLoPACapsules"


def sampleFiles() -> tuple[Path, ...]:
    """The volumes, in order."""
    return tuple(sorted((RESOURCES / "SampleData").glob("*.nrrd")))


def registerSampleData() -> None:
    """Offer them; a Slicer built without the module Sample Data goes without."""
    try:
        from SampleData import SampleDataLogic
    except ImportError:
        return
    if hasattr(SampleDataLogic, "registerCustomSampleDataCategory"):  # newer than the sources themselves
        SampleDataLogic.registerCustomSampleDataCategory(CATEGORY, title=tr("CLoPA Annotator"))
    files = sampleFiles()
    SampleDataLogic.registerCustomSampleDataSource(
        category=CATEGORY,
        sampleName=SAMPLE,
        thumbnailFileName=str(RESOURCES / "Icons" / f"{SAMPLE}.png"),
        uris=[path.as_uri() for path in files],
        fileNames=[f"clopa-{path.name}" for path in files],
        nodeNames=[path.stem for path in files],
        # Slicer keeps a copy in its cache; a copy from before an update must not be taken for the new file.
        checksums=[f"SHA256:{hashlib.sha256(path.read_bytes()).hexdigest()}" for path in files],
    )
