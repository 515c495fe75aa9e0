"""Makes a campaign with a tiny network of random weights: ``python campaign_folder.py FOLDER``."""

from __future__ import annotations

import sys
from pathlib import Path

from clopa_annotator.campaign.composition import Campaign
from clopa_annotator.config import CampaignConfig
from clopa_annotator.testing.random_model import write_random_model


def make(folder: Path) -> None:
    """FOLDER/model and FOLDER/campaign."""
    model = write_random_model(folder / "model", patch_size_kji=(56, 56, 56), features=(4, 8, 8))
    config = CampaignConfig("Real", 100, model=str(model), strategy="clopa-in")
    Campaign.create(folder / "campaign", config, device="cpu").close()


if __name__ == "__main__":
    make(Path(sys.argv[1]))
