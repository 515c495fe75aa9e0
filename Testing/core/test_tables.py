"""What a run writes can be read back, by this project and by any other program."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import asdict, replace

import numpy as np
import pytest

from clopa_annotator.errors import DatasetError
from clopa_annotator.evaluation import pictures, tables
from clopa_annotator.evaluation.case_rows import CaseRow, ClickRow, case_row, click_rows, curves_from_clicks
from clopa_annotator.evaluation.curves import CaseCurve, summarise_versions
from clopa_annotator.evaluation.rows import (
    EpisodeSummary,
    RunSummary,
    TargetSummary,
    episode_summary,
    summarise_stream,
)
from clopa_annotator.geometry import Geometry
from clopa_annotator.types import EpisodeRequest, EpisodeResult, GateDecision, Image, Split

NAN = math.nan
CURVES = (
    CaseCurve("Fall, Ä\n2", 0, 0, (0.25, 0.5, 0.5), (NAN, 0.1, 0.1), (0.3, 0.2, 0.0), 1),
    CaseCurve("b", 0, 1, (0.5, 0.75, 1.0), (0.5, 0.75, 1.0), (0.3, 0.2, 0.1), 2),
)
EPISODE = EpisodeSummary(1, 5, 4, 1, 12.5, 100, 0.5, 0.7, True, 'better, by "0.2"', (1.5, 0.5), (0.3, NAN))
SUMMARY = RunSummary(
    "clopa-cn", "base", 3, "quick", 2, (EPISODE,), summarise_versions(CURVES, 0.6), dataset="Ä", seconds=NAN
)


def same(first, second):
    """Equality in which NaN equals NaN."""
    return json.dumps(asdict(first)) == json.dumps(asdict(second))


def test_a_run_reads_back_as_it_was_written(tmp_path):
    cases = [case_row(curve, "test", n) for n, curve in enumerate(CURVES, start=1)]
    clicks = [row for curve in CURVES for row in click_rows(curve, "test")]
    tables.write_run(tmp_path / "run", SUMMARY, cases, clicks)
    assert same(tables.read_summary(tmp_path / "run"), SUMMARY)
    for read, written in (
        (tables.read_cases(tmp_path / "run"), cases),
        (tables.read_clicks(tmp_path / "run"), clicks),
        (tables.read_episodes(tmp_path / "run"), SUMMARY.episodes),
    ):
        assert len(read) == len(written) and all(map(same, read, written))
    assert sorted(p.name for p in (tmp_path / "run").iterdir()) == [
        "cases.csv",
        "clicks.csv",
        "episodes.csv",
        "summary.json",
    ]


def test_the_summary_is_strict_json_with_the_promised_keys(tmp_path):
    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    text = tables.write_summary(tmp_path, SUMMARY).read_text(encoding="utf-8")
    raw = json.loads(text, parse_constant=refuse)
    assert {"strategy", "model", "seed", "schedule", "clicks", "episodes", "test", "stream"} <= set(raw)
    assert set(raw["episodes"][0]) >= {
        "version", "at_case", "train", "val", "seconds", "updates", "val_before", "val_after", "promoted",
        "reason",
    }  # fmt: skip
    assert set(raw["test"][0]) == {
        "version", "n", "dice_init", "dice_final", "dice_nauc", "nsd_init", "nsd_final", "nsd_nauc", "noi",
        "nnoi", "nof", "dice_zero", "nsd_zero",
    }  # fmt: skip
    assert set(raw["stream"]) == {"n", "dice_first_shown", "dice_confirmed", "clicks"}
    assert raw["test"][0]["nsd_init"] is None and raw["stream"]["dice_first_shown"] is None


def test_clicks_have_the_promised_columns(tmp_path):
    path = tables.write_rows(tmp_path / "clicks.csv", ClickRow, click_rows(CURVES[0], "test"))
    with path.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.reader(stream))
    assert rows[0][:7] == ["case", "run", "version", "click", "dice", "nsd", "seconds"]
    assert rows[1][:7] == ["Fall, Ä\n2", "0", "0", "0", "0.25", "", "0.3"]


def test_a_run_with_targets_says_everything_per_target_and_one_without_says_nothing_of_them(tmp_path):
    plain = json.loads(tables.write_summary(tmp_path / "plain", SUMMARY).read_text(encoding="utf-8"))
    assert "targets" not in plain and "target" not in plain["episodes"][0]
    of_target = TargetSummary(SUMMARY.episodes, SUMMARY.test, summarise_stream([]))
    several = replace(SUMMARY, episodes=(), test=(), targets={"liver": of_target, "Niere, links": of_target})
    curves = [replace(curve, target="liver") for curve in CURVES]
    cases = [case_row(curve, "test", n) for n, curve in enumerate(curves, start=1)]
    tables.write_run(tmp_path / "run", several, cases, [r for c in curves for r in click_rows(c, "test")])
    raw = json.loads((tmp_path / "run" / "summary.json").read_text(encoding="utf-8"))
    assert raw["episodes"] == raw["test"] == []
    assert list(raw["targets"]) == ["liver", "Niere, links"]
    assert raw["targets"]["liver"]["episodes"] == plain["episodes"], "with today's rows in each"
    assert raw["targets"]["liver"]["test"] == plain["test"]
    again = tables.read_summary(tmp_path / "run")
    assert same(again, several) and same(again.of("liver"), replace(SUMMARY, stream=summarise_stream([])))
    assert same(SUMMARY.of("liver"), SUMMARY), "a run without targets is about its only one"
    assert [e.target for e in tables.read_episodes(tmp_path / "run")] == ["liver", "Niere, links"]
    read = curves_from_clicks(tables.read_clicks(tmp_path / "run"))
    assert {c.target for c in read} == {c.target for c in tables.read_cases(tmp_path / "run")} == {"liver"}


def test_curves_come_back_from_their_clicks():
    rows = [row for curve in CURVES for row in click_rows(curve, "test")]
    back = curves_from_clicks(reversed(rows))
    assert [(c.case_id, c.version, c.dice, c.used) for c in reversed(back)] == [
        (c.case_id, c.version, c.dice, c.used) for c in CURVES
    ]
    assert curves_from_clicks(rows, "stream") == ()


def test_an_episode_is_told_from_its_request_result_and_decision():
    request = EpisodeRequest(1, 5, Split((1, 2, 3, 4), (5,)))
    result = EpisodeResult(1, "finished", seconds=3.0, updates=50, train_loss=(0.5,), val_score=(0.1, 0.2))
    decision = GateDecision(True, "better", ("a", "b"), (0.2, 0.4), (0.4, 0.6))
    row = episode_summary(request, result, 1, decision)
    assert (row.train, row.val, row.val_before, row.val_after) == (
        4,
        1,
        pytest.approx(0.3),
        pytest.approx(0.5),
    )
    assert row.promoted and row.reason == "better"
    failed = episode_summary(request, EpisodeResult(1, "failed", "no memory"), None, None)
    assert (failed.version, failed.promoted, failed.reason) == (None, False, "no memory")
    assert math.isnan(failed.val_before)


def test_the_stream_is_summed_up_without_the_test_cases():
    rows = [
        case_row(CURVES[0], "stream", 1),
        case_row(CURVES[1], "stream", 2),
        case_row(CURVES[1], "test", 1),
    ]
    stream = summarise_stream(rows)
    assert (stream.n, stream.dice_first_shown, stream.dice_confirmed, stream.clicks) == (2, 0.375, 0.75, 1.5)
    assert summarise_stream([]).n == 0


@pytest.mark.parametrize("text", ["", "[]", "{", '{"strategy": 1}', "\udcff"])
def test_a_damaged_summary_is_named_with_what_to_do(tmp_path, text):
    (tmp_path / "summary.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(DatasetError, match=r"summary\.json"):
        tables.read_summary(tmp_path)


def test_a_missing_or_damaged_table_is_named(tmp_path):
    with pytest.raises(DatasetError, match=r"cases\.csv cannot be read"):
        tables.read_cases(tmp_path)
    (tmp_path / "cases.csv").write_text("part,order\ntest,one\n", encoding="utf-8")
    with pytest.raises(DatasetError, match="not a table of CaseRow"):
        tables.read_cases(tmp_path)


def test_summaries_of_later_versions_with_more_keys_are_read(tmp_path):
    tables.write_summary(tmp_path, SUMMARY)
    raw = json.loads((tmp_path / "summary.json").read_text(encoding="utf-8")) | {"later": 1}
    (tmp_path / "summary.json").write_text(json.dumps(raw), encoding="utf-8")
    assert same(tables.read_summary(tmp_path), SUMMARY)


def test_writing_replaces_and_leaves_no_temporary_file(tmp_path):
    for _ in range(2):
        tables.write_rows(tmp_path / "cases.csv", CaseRow, [])
    assert [p.name for p in tmp_path.iterdir()] == ["cases.csv"]
    assert tables.read_cases(tmp_path) == ()


def a_case():
    voxels = np.random.default_rng(0).normal(size=(20, 30, 40)).astype(np.float32)
    reference = np.zeros((20, 30, 40), np.uint8)
    reference[5:9, 10:20, 12:30] = 1
    return Image(voxels, Geometry((20, 30, 40), (1.0, 1.0, 3.0))), reference


def test_pictures_of_all_versions_of_a_case_come_back_together(tmp_path):
    image, reference = a_case()
    for version in (0, 1):
        kept = {0: np.zeros_like(reference), 2: reference}
        curve = replace(CURVES[1], case_id="Ä", version=version, dice=(0.0, 0.5, 1.0), proposals=kept)
        pictures.record(tmp_path, curve, image, reference, number=3)
    (picture,) = pictures.load_all(tmp_path)
    assert (picture.case_id, picture.part, len(picture.planes)) == ("Ä", "test", 3)
    assert {(k.version, k.click): v for k, v in picture.dice.items()} == {
        (0, 0): 0.0, (0, 2): 1.0, (1, 0): 0.0, (1, 2): 1.0,
    }  # fmt: skip
    across_k = picture.planes[0]
    assert (across_k.axis, across_k.index, across_k.spacing_mm) == (0, 6, (1.0, 1.0))
    assert picture.planes[2].spacing_mm == (3.0, 1.0)
    assert across_k.reference.sum() == 10 * 18
    assert np.array_equal(across_k.proposals[pictures.PictureKey(1, 2)], across_k.reference)
    assert across_k.image.min() >= 0 and across_k.image.max() <= 1


def test_pictures_of_targets_lie_beside_each_other_whatever_their_names(tmp_path):
    names = {
        pictures.file_name("test", 1, 0, target) for target in ("", "Liver", "liver", "left-x", "left x")
    }
    assert len(names) == 5 and all(name.startswith("pictures/") for name in names)
    assert pictures.file_name("test", 1, 0) == "pictures/test-0001-v000.npz", "as before there were several"


def test_a_case_without_target_is_shown_through_the_middle_of_the_image(tmp_path):
    image, reference = a_case()
    picture = pictures.make_picture("a", image, np.zeros_like(reference), {}, {})
    assert [plane.index for plane in picture.planes] == [10, 15, 20]
    assert pictures.record(tmp_path, replace(CURVES[0]), image, reference, number=0) is None


def test_a_damaged_picture_is_named(tmp_path):
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "test-0001-v000.npz").write_bytes(b"PK\x03\x04 torn")
    with pytest.raises(DatasetError, match=r"test-0001-v000\.npz is not a picture"):
        pictures.load_all(tmp_path)
