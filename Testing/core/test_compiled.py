"""An episode through `torch.compile`: the same training, and the network given back as it was."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import tiny_episode
import torch
from tiny_episode import QUICK, delta_of, run, tiny_job

from clopa_annotator.episode import job
from clopa_annotator.episode.hardware.compiled import compiled
from clopa_annotator.episode.parameters import unwrap
from clopa_annotator.session.model import LoadedModel

loaded, one_thread = tiny_episode.loaded, tiny_episode.one_thread


def test_unless_asked_for_nothing_is_compiled() -> None:
    network = torch.nn.Linear(2, 2)
    assert compiled(network, False) is network
    assert unwrap(compiled(network, True)) is network


@pytest.mark.parametrize("checkpointing", [False, True])
def test_a_compiled_episode_trains_as_another_does(
    checkpointing: bool, loaded: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a compiler that only collects the graphs; what a real one makes of them is its own affair."""
    graphs, deltas = [], []

    def collecting(graph, _inputs):
        graphs.append(graph)
        return graph.forward

    monkeypatch.setattr(job, "compiled", lambda network, wanted: compiled(network, wanted, collecting))
    for wanted in (False, True):
        settings = replace(QUICK, compiled=wanted, gradient_checkpointing=checkpointing)
        deltas.append(delta_of(run(tiny_job(tmp_path / str(wanted), settings), loaded)))
        assert bool(graphs) == wanted
    torch.testing.assert_close(deltas[0], deltas[1], rtol=1e-3, atol=1e-5)
    assert "_pass" not in vars(loaded.network)
