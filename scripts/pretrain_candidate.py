"""From generated volumes to a candidate for the bundled model, compared with it; for a card that is lent.

python scripts/pretrain_candidate.py RUN --minutes 30 [--session-minutes 8] [--data DIR] [--device auto]
                                     [--start FOLDER] [--batch N] [--cases 24] [--clicks 10]

Trains for one session, or goes on with the run in RUN, which may come from another machine: copy the folder.
On CUDA its state is saved every half minute: a session that is cut off loses no more. Then the weights go as
float16 to RUN/candidate, and RUN/candidate.json says how they do beside the bundled model, case by case, on
the development streams: generated volumes of a seed that no run trains on and, with ``--data`` (the folder of
Task04_Hippocampus), hippocampi that no published figure was measured on. Nothing is put into the box:
scripts/bundle_model.py does that.

Run it where the project is installed (`.venv` after scripts/test.py).
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY / "benchmarks"))

from base_model import VALIDATION_SEED, annotate  # noqa: E402
from tuning_trial import development_split  # noqa: E402

from clopa_annotator.datasets.msd import MsdDataset  # noqa: E402
from clopa_annotator.geometry import Geometry  # noqa: E402
from clopa_annotator.models import resolve  # noqa: E402
from clopa_annotator.pretrain.generator import GeneratorSettings, draw_volume  # noqa: E402
from clopa_annotator.pretrain.model_folder import export_model, load_network, read_design  # noqa: E402
from clopa_annotator.pretrain.pretrain_settings import PretrainProgress, PretrainSettings  # noqa: E402
from clopa_annotator.pretrain.train import run  # noqa: E402
from clopa_annotator.session.model import load_model  # noqa: E402
from clopa_annotator.types import Image  # noqa: E402

Case = tuple[str, Image, "np.ndarray[Any, Any]"]
Curves = dict[str, dict[str, list[float]]]


def train(given: argparse.Namespace, settings: PretrainSettings) -> tuple[Path, float]:
    """One session of the run; the model's folder, and how much of the run is done."""
    ends = time.monotonic() + 60 * given.session_minutes if given.session_minutes else math.inf
    done = 0.0

    def tell(progress: PretrainProgress) -> None:
        nonlocal done
        done = progress.fraction
        print(f"{progress.fraction:.0%}, loss {progress.loss:.3f}, {progress.volumes} volumes", flush=True)

    folder = run(
        settings, given.run, given.device, on_progress=tell, should_stop=lambda: time.monotonic() > ends
    )
    return folder, done


def candidate(model: Path, out: Path) -> Path:
    """The model as float16, as it would be bundled."""
    design, rules = read_design(model)
    about = json.loads((model / "training.json").read_text("utf-8"))
    return export_model(load_network(model).state_dict(), design, rules, out, half=True, about=about)


def streams(given: argparse.Namespace) -> Iterator[tuple[str, list[Case]]]:
    """The development streams by name."""
    drawn = (draw_volume((VALIDATION_SEED, n), GeneratorSettings()) for n in range(given.cases))
    generated = [
        (f"volume {n}", Image(v.image.numpy(), Geometry(tuple(v.image.shape))), v.target.numpy())
        for n, v in enumerate(drawn)
    ]
    yield "generated", generated
    if given.data is not None:
        _, tests = development_split(list(MsdDataset(given.data / "Task04_Hippocampus")), 0, given.cases, 0)
        read = ((case.case_id, *case.read()) for case in tests)
        yield "hippocampus", [(name, image, target > 0) for name, image, target in read]


def evaluate(model: Path, cases: list[Case], given: argparse.Namespace) -> dict[str, list[float]]:
    """Each case's Dice at the first prompts and after every correction."""
    loaded = load_model(model, given.device)
    return {
        name: [round(x, 4) for x in annotate(loaded, image, target, "clicks", given.clicks, name)[0]]
        for name, image, target in cases
    }


def compare(given: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Candidate and bundled model on every stream, paired."""
    models = {"candidate": folder, "bundled": resolve("bundled")}
    found: dict[str, Any] = {}
    for stream, cases in streams(given):
        curves: Curves = {name: evaluate(model, cases, given) for name, model in models.items()}
        means = {name: np.mean(list(rows.values()), axis=0) for name, rows in curves.items()}
        better = [curves["candidate"][c][-1] > curves["bundled"][c][-1] for c in curves["bundled"]]
        found[stream] = {
            "cases": len(cases),
            "better_at_the_end": sum(better),
            **{f"{n}_first": round(float(m[0]), 4) for n, m in means.items()},
            **{f"{n}_last": round(float(m[-1]), 4) for n, m in means.items()},
            "curves": curves,
        }
        print(stream, {k: v for k, v in found[stream].items() if k != "curves"}, flush=True)
    return found


def main(arguments: list[str] | None = None, settings: PretrainSettings | None = None) -> None:
    """The command; tests give smaller settings."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="folder of the run; one that is there is gone on with")
    parser.add_argument("--minutes", type=float, default=8.0, help="of training in all sessions together")
    parser.add_argument("--session-minutes", type=float, default=0.0, help="in this session; 0: to the end")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--start", default="", help="model folder to train further")
    parser.add_argument("--data", type=Path, help="folder with Task04_Hippocampus")
    parser.add_argument("--cases", type=int, default=24, help="of each development stream")
    parser.add_argument("--clicks", type=int, default=10)
    given = parser.parse_args(arguments)
    chosen = settings or PretrainSettings(minutes=given.minutes, batch=given.batch, log_s=10.0)
    model, done = train(given, replace(chosen, start=given.start))
    folder = candidate(model, given.run / "candidate")
    result = {"done": done, "training": json.loads((model / "training.json").read_text("utf-8"))}
    result["streams"] = compare(given, folder)
    (given.run / "candidate.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(f"The candidate is in {folder}; {given.run / 'candidate.json'} compares it with the bundled model.")


if __name__ == "__main__":
    main()
