"""Put a pretrained model into the box: as float16, under Resources/Models/clopa-base.

python scripts/bundle_model.py RUN/model

Run it where the project is installed (`.venv` after scripts/test.py). The figures in docs/results/ belong to
the model that lies there, so measure again afterwards.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

from clopa_annotator.pretrain.checkpoint import export_model, load_network, read_design

REPOSITORY = Path(__file__).resolve().parent.parent
BUNDLED = REPOSITORY / "Resources" / "Models" / "clopa-base"


def main() -> None:
    """Write the bundled model; keep the run's curves and settings with the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path, help="folder 'model' of a run of clopa pretrain")
    source = parser.parse_args().model
    network = load_network(source)
    design, rules = read_design(source)
    about = json.loads((source / "training.json").read_text("utf-8"))
    folder = export_model(network.state_dict(), design, rules, BUNDLED, half=True, about=about)
    for name in ("curves.csv", "settings.json"):
        if (source.parent / name).is_file():
            shutil.copyfile(source.parent / name, REPOSITORY / "docs" / "results" / "base-model" / name)
    size_mb = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file()) / 1e6
    print(f"{folder}: {size_mb:.1f} MB, {about}")


if __name__ == "__main__":
    main()
