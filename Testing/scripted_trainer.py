"""A training process that obeys its leash like the real one, but makes its delta without training.

``python scripted_trainer.py JOB [SECONDS]``: works for about that long, resumes where a kill left it, and
writes a delta that depends only on the job, with a decision that promotes it.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from safetensors.torch import load_file

from clopa_annotator.cache.campaign_store import CampaignStore
from clopa_annotator.delta import DeltaInfo, pack_delta
from clopa_annotator.durable import write_bytes
from clopa_annotator.episode.folder import DELTA, PROGRESS, read_job, write_result
from clopa_annotator.episode.progress import Progress, ProgressFile, read_progress
from clopa_annotator.session.model import load_model
from clopa_annotator.training.trainer_process import Leash
from clopa_annotator.types import EpisodeResult, GateDecision

EPOCHS, STEPS = 4, 5


def main(job: Path, seconds: float) -> int:
    order = read_job(job)
    with Leash(job, grace_s=3.0) as leash:
        with CampaignStore.open(order.campaign, writer=False) as store:
            read = {ref.record_hash for ref in order.train if store.read_mask(ref) is not None}
        done = max((line.epoch for line in read_progress(job / PROGRESS)), default=0)
        progress = ProgressFile(job / PROGRESS)
        for epoch in range(done + 1, EPOCHS + 1):
            for _ in range(STEPS):
                leash.yield_to()
                if leash.should_stop():
                    write_result(job, EpisodeResult(order.request.number, "cancelled", "It was cancelled."))
                    return 0
                time.sleep(seconds / EPOCHS / STEPS)
            progress.write(
                Progress(
                    "training", epoch, EPOCHS, epoch * STEPS, EPOCHS * STEPS, 1 / epoch, None, epoch, 1.0
                )
            )
        progress.close()
        finish(job, len(read))
    return 0


def finish(job: Path, trained: int) -> None:
    order = read_job(job)
    model = load_model(order.model_folder, "cpu")
    parent = load_file(order.parent_path) if order.parent_path else {}
    base = model.base_state()
    names = [n for n, p in base.items() if "norm" in n and p.ndim == 1]
    number = order.request.number
    tensors = {n: (parent.get(n, base[n]).float() * (1 + 0.05 * number)) for n in names}
    info = DeltaInfo(
        model.model_hash, model.licence, order.settings.group, order.request.parent_version, number, 0, "test"
    )
    write_bytes(job / DELTA, pack_delta(tensors, info))
    result = EpisodeResult(
        number, "finished", "", job / DELTA, 1.0, EPOCHS * STEPS, EPOCHS, (1.0, 0.5), (0.5, 0.6)
    )
    decision = GateDecision(True, f"Better on {trained} cases.", ("held-out",), (0.5,), (0.6,))
    write_result(job, result, decision)


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else 1.0))
