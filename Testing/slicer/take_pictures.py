"""Take the pictures of the documents anew: the stories' tests, then their pictures to where they are shown.

    python Testing/slicer/take_pictures.py

Run it with the Python that ``scripts/test.py`` has set up (``.venv``); CONTRIBUTING says where the cases go.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "scripts"))
from shrink_pictures import WIDTH, shrink  # noqa: E402

TAKEN = REPOSITORY / "build" / "screenshots"
PICTURES = (
    *("1-start", "2-case-open", "3-first-click", "4-corrected", "5-engine-lost", "6-confirmed"),
    *("7-training", "8-promoted", "9-better-first-proposal", "plot-first-proposal"),
    *("10-dicom-first-mask", "11-suggestion"),
    *("targets", "targets-form", "suggested"),
    *("12-case-order", "13-suggestion-uses"),
    *("review-return", "review-returned"),
)
NARROW = {
    **dict.fromkeys(("3-first-click", "4-corrected", "5-engine-lost", "6-confirmed", "targets"), 1280),
    **dict.fromkeys(("7-training", "8-promoted", "9-better-first-proposal", "suggested"), 1280),
    **dict.fromkeys(("10-dicom-first-mask", "11-suggestion"), 1280),
    **{"review-return": 1100, "review-returned": 1000},
}
"""Pixels of width where less is enough: all pictures together have a limit."""
"""The README and Slicer's extension catalogue show two of these too, from the same place."""


def main() -> int:
    settings = {"QT_QPA_PLATFORM": "offscreen", "CLOPA_ARTIFACTS": str(TAKEN)}
    if sys.platform.startswith("linux"):
        settings["VTK_DEFAULT_OPENGL_WINDOW"] = "vtkEGLRenderWindow"
    names = ("test_story", "test_guide_pictures", "test_targets_story", "test_cases_in_order")
    names += ("test_suggestion_uses", "test_review_story", "test_suggestions_story")
    stories = [str(Path(__file__).with_name(f"{name}.py")) for name in names]
    wanted = "whole_story or lead_to_masks or three_targets or pictures_for_the_guides or mended_and_accepted"
    wanted += " or story_of_suggestions"
    command = [sys.executable, "-m", "pytest", *stories, "-k", wanted, "-q"]
    code = subprocess.run(command, cwd=REPOSITORY, env={**os.environ, **settings}, check=False).returncode
    if code == 0:
        for name in PICTURES:
            kept = REPOSITORY / "docs" / "pictures" / f"{name}.png"
            shutil.copyfile(TAKEN / f"{name}.png", kept)
            shrink(kept, NARROW.get(name, WIDTH))
    return code


if __name__ == "__main__":
    raise SystemExit(main())
