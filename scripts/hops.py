"""Through which files of the core a click passes, and a confirmed mask: a real client and engine, watched.

    python scripts/hops.py                    this tree
    python scripts/hops.py ../before          another checkout, for instance of an older commit

Client and engine run in one process, so that every function that is entered is seen; what Slicer's own panel
does before and after is not. Files are named in the order in which they are first entered. Run it where the
project is installed (`.venv` after scripts/test.py).
"""

from __future__ import annotations

import argparse
import importlib
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

CLIENTS = ("clopa_annotator.client.http_client", "clopa_annotator.engine.client")
"""Where `HttpEngineClient` is, and was before there were rooms."""


class Watch:
    """Notes which files below a folder are entered, in every thread that is started after it."""

    def __init__(self, core: Path) -> None:
        self._core, self.files, self.is_on = f"{core}/", [], False
        threading.setprofile(self._entered)
        sys.setprofile(self._entered)

    def _entered(self, frame: FrameType, event: str, _: object) -> None:
        path = frame.f_code.co_filename
        if self.is_on and event == "call" and path.startswith(self._core):
            name = path.removeprefix(self._core)
            if name not in self.files:
                self.files.append(name)

    def during(self, action: Callable[[], object]) -> list[str]:
        """The files of an action, and of what the engine still does just after it."""
        time.sleep(1)
        self.files, self.is_on = [], True
        action()
        time.sleep(0.5)
        self.is_on = False
        return self.files


def ask(client: Any, call: Any) -> None:
    """Wait for a call."""
    box: list[object] = []
    call.then(lambda _: box.append(None), box.append)
    while not box:
        client.poll(0.05)
    if isinstance(box[0], Exception):
        raise box[0]


def client_class() -> Any:
    """The client over HTTP, wherever the tree has it."""
    for name in CLIENTS:
        if importlib.util.find_spec(name.rpartition(".")[0]):
            return importlib.import_module(name).HttpEngineClient
    raise SystemExit("This tree has no client that is known.")


def walk(tree: Path, folder: Path) -> dict[str, list[str]]:
    """The files of a click and of a confirmation."""
    sys.path[:0] = [str(tree / "CLoPAAnnotator"), str(tree / "Testing")]
    import engine_support
    import numpy as np

    from clopa_annotator.types import Confirmation, PointPrompt

    watch = Watch(tree / "CLoPAAnnotator" / "clopa_annotator")
    campaign = engine_support.make_campaign(folder / "campaign", engine_support.a_model(folder / "model"))
    image = engine_support.an_image()
    confirmation = Confirmation("one", "case", np.ones(image.voxels.shape, np.uint8))
    with engine_support.serving(campaign) as running:
        client = client_class()(running.url, engine_support.OWNER, folder / "kept")
        ask(client, client.open_case("case", image))
        ask(client, client.add_prompts([PointPrompt((15, 15, 12))]))  # the first one loads and warms up
        found = {
            "a click": watch.during(lambda: ask(client, client.add_prompts([PointPrompt((16, 16, 12))]))),
            "a confirmed mask": watch.during(lambda: ask(client, client.confirm(confirmation))),
        }
        client.close()
    return found


def main() -> None:
    """Walk, and print."""
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=plain)
    parser.add_argument("tree", nargs="?", type=Path, default=Path(__file__).resolve().parents[1])
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for what, files in walk(given.tree.resolve(), Path(folder)).items():
            print(f"{what}: {len(files)} files\n  " + " -> ".join(files))


if __name__ == "__main__":
    main()
