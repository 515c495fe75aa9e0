"""Job folders: they name their cases, can be moved, and are refused in words when damaged."""

from __future__ import annotations

from pathlib import Path

import pytest
import tiny_episode
from tiny_episode import QUICK, run, tiny_job, tiny_reader

from clopa_annotator.episode.folder import read_job, read_result, write_job, write_result
from clopa_annotator.errors import EpisodeError
from clopa_annotator.session.model import LoadedModel
from clopa_annotator.types import EpisodeRequest, EpisodeResult, GateDecision, Split

loaded, one_thread = tiny_episode.loaded, tiny_episode.one_thread


def test_a_job_names_its_cases_and_can_be_moved_with_its_campaign(tmp_path: Path) -> None:
    campaign = tmp_path / "campaign"
    request = EpisodeRequest(2, 5, Split((1, 3), (5,)), parent_version=1, seed=4)
    folder = campaign / "episodes" / "0002"
    write_job(folder, request, QUICK, tiny_reader().refs, tmp_path / "model", campaign=campaign)
    moved = tmp_path / "moved"
    campaign.rename(moved)
    order = read_job(moved / "episodes" / "0002")
    assert order.request == request
    assert order.settings == QUICK
    assert [c.sequence for c in order.train] == [1, 3]
    assert [c.case_id for c in order.val] == ["case 5"]
    assert order.campaign == moved
    assert order.parent_path is None


def test_a_case_that_is_not_there_and_a_folder_in_use_are_refused(tmp_path: Path) -> None:
    with pytest.raises(EpisodeError, match="sequence number 9"):
        tiny_job(tmp_path / "job", train=(1, 9))
    tiny_job(tmp_path / "job")
    tiny_job(tmp_path / "job")
    with pytest.raises(EpisodeError, match="another episode"):
        tiny_job(tmp_path / "job", seed=8)


def test_a_folder_without_a_job_and_a_damaged_one_are_refused(tmp_path: Path, loaded: LoadedModel) -> None:
    with pytest.raises(EpisodeError, match="no episode to run"):
        run(tmp_path, loaded)
    for text in ("{", '{"format": "clopa-episode/9"}', '{"format": "clopa-episode/1"}', "[]"):
        (tmp_path / "request.json").write_text(text)
        with pytest.raises(EpisodeError):
            read_job(tmp_path)


def test_results_with_decisions_are_read_back(tmp_path: Path) -> None:
    result = EpisodeResult(3, "finished", "", tmp_path / "delta.safetensors", 1.5, 4, 1, (0.5,), (0.1, 0.2))
    decision = GateDecision(True, "Promoted.", ("a",), (0.1,), (0.2,))
    write_result(tmp_path, result)
    assert read_result(tmp_path) == (result, None)
    write_result(tmp_path, result, decision)
    assert read_result(tmp_path) == (result, decision)
    (tmp_path / "result.json").write_text("{}")
    with pytest.raises(EpisodeError, match="damaged"):
        read_result(tmp_path)
