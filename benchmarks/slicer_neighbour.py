r"""One real Slicer, two modules, the same images, clicks and network: ours beside SlicerNNInteractive.

python scripts/test_in_slicer.py --slicer SLICER --script benchmarks/slicer_neighbour.py DATASET \
    --neighbour DIR

DIR holds ``SlicerNNInteractive.py`` of https://github.com/coendevente/SlicerNNInteractive. Its remote mode is
used, against ``nninteractive-server`` of the project's environment with our bundled model (no compiling, on
the CPU). Slicer's Python needs ``nninteractive-client`` and ``scikit-image`` (``--python-packages``). Ours is
clicked at with the mouse, the other through the method that its own test calls. Both times end when the view
has drawn; a stall is the longest gap between two ticks of a 5 ms timer. Clicks go to the two by turns.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import bench
from slicer_real import Stalls, click, open_module, waiting


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def start_server(model: Path, threads: int, log: Path) -> tuple[subprocess.Popen[bytes], str]:
    """Their server with our network; its process and address."""
    port, python = free_port(), Path(os.environ["CLOPA_ENGINE_PYTHON"])
    program = python.with_name("nninteractive-server" + python.suffix)
    command = [str(program), "--model-dir", str(model), "--port", str(port), "--device", "cpu"]
    command += ["--no-torch-compile", "--torch-n-threads", str(threads)]
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "QT_", "LD_"))}
    with log.open("wb") as file:
        return subprocess.Popen(command, stdout=file, stderr=file, env=clean), f"http://127.0.0.1:{port}"


def listening(address: str, server: subprocess.Popen[bytes], log: Path) -> bool:
    """Whether the server takes connections.

    Raises:
        RuntimeError: it has ended.
    """
    if server.poll() is not None:
        raise RuntimeError(f"nninteractive-server ended: {log.read_text(errors='replace')[-2000:]}")
    with socket.socket() as probe:
        probe.settimeout(0.2)
        return probe.connect_ex(("127.0.0.1", int(address.rsplit(":", 1)[1]))) == 0


def their_widget(host: Any, folder: Path, volume: Any, address: str) -> Any:
    """Their module on a volume, connected, as its own test does it."""
    import qt

    settings = qt.QSettings()
    settings.setValue("SlicerNNInteractive/mode", "remote")
    settings.setValue("SlicerNNInteractive/server", address)
    widget = host.showModule(host.loadModule(folder / "SlicerNNInteractive.py"))
    node = widget.get_segmentation_node()
    widget.ui.editor_widget.setMRMLSegmentEditorNode(widget.segment_editor_node)
    widget.ui.editor_widget.setSegmentationNode(node)
    widget.ui.editor_widget.setSourceVolumeNode(volume)
    widget.make_new_segment()
    widget.server = address
    if not widget.ensure_session():
        raise RuntimeError("SlicerNNInteractive did not connect to its server")
    widget.previous_states.pop("image_data", None)
    if not widget.sync_image_to_session():
        raise RuntimeError("SlicerNNInteractive could not send its image")
    return widget


def their_click(driver: Any, widget: Any, number: int) -> float:
    """Seconds from a point prompt until the view has drawn the answer."""
    view, shape = driver.host.views["Red"], driver.workspace.case.grid.shape
    place = [int(n * (0.4 + 0.02 * ((number * step) % 11))) for n, step in zip(shape, (3, 5, 7), strict=True)]
    view.jumpTo(driver.world(None, place))
    driver.host.spin(0.3)
    drawn: list[int] = []
    window, start = view.renderWindow(), time.perf_counter()
    widget.point_prompt(xyz=place[::-1], positive_click=number % 3 != 2)
    tag = window.AddObserver("EndEvent", lambda *_args: drawn.append(1))
    waiting(driver, lambda: drawn or time.perf_counter() - start > 10, "the drawing")
    window.RemoveObserver(tag)
    return time.perf_counter() - start


def measure(options: bench.Options, folder: Path) -> bench.Figures:
    """Both, by turns."""
    from real_host import Host

    host, log = Host(), folder / "server.log"
    os.environ["HOME"] = os.environ["USERPROFILE"] = str(folder)
    os.environ.setdefault("CLOPA_ENGINE_PYTHON", os.environ.get("CLOPA_TEST_PYTHON", sys.executable))
    driver, took = open_module(host, folder, options)
    model = options.model or bench.REPOSITORY / "CLoPAAnnotator" / "Resources" / "Models" / "clopa-base"
    server, address = start_server(model, os.cpu_count() or 1, log)
    try:
        waiting(driver, lambda: listening(address, server, log), "their server")
        widget = their_widget(host, options.neighbour, driver.workspace.state.volume, address)
        seconds: dict[str, list[float]] = {"ours": [], "SlicerNNInteractive": []}
        stood: dict[str, list[float]] = {name: [] for name in seconds}
        ways = {
            "ours": lambda n: click(driver, n),
            "SlicerNNInteractive": lambda n: their_click(driver, widget, n),
        }
        stalls = Stalls()
        for number in range(options.clicks + 1):
            for name, way in ways.items():
                stalls.take_s()
                seconds[name].append(way(number))
                stood[name].append(stalls.take_s())
        host.closeModule(widget)
        host.closeModule(driver.widget)
    finally:
        server.terminate()
        server.wait(20)
    rows = {f"click to mask, {name}": bench.spread_ms(values[1:]) for name, values in seconds.items()}
    rows |= {f"longest stall, {name}": bench.spread_ms(values[1:]) for name, values in stood.items()}
    return {**took, "clicks": options.clicks, "ways": rows}


if __name__ == "__main__":
    bench.main(
        __doc__,
        measure,
        {
            "dataset": (Path, "folder with images"),
            "--neighbour": {"type": Path, "required": True, "help": "folder of SlicerNNInteractive.py"},
            "--clicks": (15, "measured clicks of each, after one to warm up"),
            "--model": (Path, "model folder; default: the bundled one"),
        },
    )
