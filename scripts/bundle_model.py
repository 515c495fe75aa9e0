"""Put a pretrained model into the box: as float16, under Resources/Models/clopa-base.

python scripts/bundle_model.py RUN/model [--start FOLDER --share S] [--suffix=-third] [--out FOLDER]

With ``--share 0.35`` the weights lie 35 % of the way from another model, for instance the one that the run
started from, to the one it ended with: a short run towards one ability then costs little of the others.
With ``--out`` they go to a folder of one's own, for a run to start from, and the results stay as they are.

Run it where the project is installed (`.venv` after scripts/test.py). The figures in docs/results/ belong to
the model that lies there, so measure again afterwards.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import torch

from clopa_annotator.pretrain.model_folder import export_model, load_network, read_design

REPOSITORY = Path(__file__).resolve().parent.parent
RESULTS = REPOSITORY / "docs" / "results" / "base-model"
BUNDLED = REPOSITORY / "Resources" / "Models" / "clopa-base"


def main() -> None:
    """Write the bundled model; keep the run's curves and settings with the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path, help="folder 'model' of a run of clopa pretrain")
    parser.add_argument("--start", type=Path, help="the model to mix with")
    parser.add_argument("--share", type=float, default=1.0, help="how far to go from there to MODEL")
    parser.add_argument("--suffix", default="", help="added to the names of the curves and settings kept")
    parser.add_argument("--out", type=Path, default=BUNDLED, help="where the model goes; the box by default")
    given = parser.parse_args()
    source: Path = given.model
    network = load_network(source)
    design, rules = read_design(source)
    about = json.loads((source / "training.json").read_text("utf-8"))
    if given.start is not None:
        start = dict(load_network(given.start).named_parameters())
        with torch.no_grad():
            for name, parameter in network.named_parameters():
                parameter.copy_(torch.lerp(start[name], parameter, given.share))
        about["share"] = given.share
    folder = export_model(network.state_dict(), design, rules, given.out, half=True, about=about)
    for name in ("curves.csv", "settings.json"):
        if given.out == BUNDLED and (source.parent / name).is_file():
            stem, kind = name.split(".")
            shutil.copyfile(source.parent / name, RESULTS / f"{stem}{given.suffix}.{kind}")
    size_mb = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file()) / 1e6
    print(f"{folder}: {size_mb:.1f} MB, {about}")


if __name__ == "__main__":
    main()
