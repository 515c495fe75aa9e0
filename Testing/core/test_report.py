"""The report of a run with known numbers says those numbers, stands alone, and survives odd runs."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import numpy as np
import pytest
from report_support import NAN, write_run, write_run_with_targets

from clopa_annotator.errors import DatasetError
from clopa_annotator.evaluation import slices
from clopa_annotator.evaluation.figures import version_colours
from clopa_annotator.evaluation.orientation import view_across
from clopa_annotator.evaluation.pictures import CasePicture, PictureKey, load_all
from clopa_annotator.evaluation.report import choose_pictures, write_report
from clopa_annotator.geometry import Geometry

VOID = {"meta", "img", "br", "link", "input", "path", "use", "rect"}


class Outline(HTMLParser):
    """Collects texts and addresses, and checks that elements are closed in order."""

    def __init__(self):
        super().__init__()
        self.open, self.text, self.addresses, self.tags = [], [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.addresses += [value for name, value in attributes if name in ("src", "href", "xlink:href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.addresses += [value for name, value in attributes if name in ("src", "href", "xlink:href")]

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def read(path):
    outline = Outline()
    outline.feed(path.read_text(encoding="utf-8"))
    assert outline.open == []
    return outline, " ".join(" ".join(outline.text).split())


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    return read(write_report(write_run(tmp_path_factory.mktemp("learned"))))


def test_the_headline_says_what_was_learned_and_from_how_many_cases(learned):
    # Dice starts at 0.2 (0.6) plus 0.01 per case number 0..8: means 0.24 and 0.64.
    assert "It learned: the first proposal's mean Dice on unseen cases went from 0.24 to 0.64" in learned[1]
    assert "after 2 confirmed cases" in learned[1]
    assert "p = 0.004" in learned[1].replace("\u00a0", " "), "nine gains out of nine: 2 / 512"


def test_the_interactions_to_the_threshold_are_told(learned):
    # Base: at most 0.58, never above 0.855. Version 1: 0.6 + 0.01 n + 0.1 click is above at click 3 for
    # n = 0..5 and at click 2 for n = 6, 7, 8 (0.86 and more): NoI 4 x 6 and 3 x 3, mean 3.67.
    assert "took 4.0 interactions per case with the base model and 3.7 now" in learned[1]
    assert "100 % of the cases never got there before, 0 % now" in learned[1]


def test_the_page_needs_nothing_from_elsewhere(learned):
    outline, _ = learned
    assert outline.addresses and all(a.startswith(("data:", "#")) for a in outline.addresses)
    assert "script" not in outline.tags and "link" not in outline.tags


def test_every_part_is_there(learned):
    outline, text = learned
    for title in (
        "Weights versions on unseen cases",
        "The stream of confirmed cases",
        "Episodes",
        "What was proposed",
    ):
        assert title in text
    assert outline.tags.count("svg") == 5, "clicks, pairs, stream, shown and confirmed, episodes"
    assert outline.tags.count("img") == 3, "best, median and worst case"
    for word in ("Best case: case 8", "Median case: case 4", "Worst case: case 0"):
        assert word in text
    assert "Better: 0.60 instead of 0.20." in text


def test_figures_follow_the_pages_theme_and_their_ids_do_not_clash(tmp_path):
    text = write_report(write_run(tmp_path, with_pictures=False)).read_text(encoding="utf-8")
    assert "var(--ink)" in text and "prefers-color-scheme: dark" in text and "#0a0b0c" not in text
    clips = re.findall(r'<clipPath id="([^"]+)"', text)
    assert clips and len(set(clips)) == len(clips)


def test_the_same_run_gives_the_same_page(tmp_path):
    run = write_run(tmp_path)
    first = write_report(run).read_bytes()
    assert write_report(run).read_bytes() == first


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"levels": (0.5, 0.5)}, "No clear change"),
        ({"levels": (0.5, 0.3)}, "It got worse"),
        ({"levels": (0.5,)}, "No episode ran"),
        ({"levels": (0.5,), "command": "evaluate", "n_stream": 0}, "Mean Dice 0.54 at the first proposal"),
        ({"levels": (0.5,), "n_test": 0, "n_stream": 1}, "No episode ran"),
        ({"n_test": 1, "n_stream": 1}, "No clear change"),
        ({"threshold": NAN, "tolerance_mm": NAN}, "It learned"),
    ],
)
def test_odd_runs_have_a_report_too(tmp_path, options, sentence):
    _, text = read(write_report(write_run(tmp_path, with_pictures=False, **options)))
    assert sentence in text
    assert "nan" not in text.lower().split()


def test_an_episode_that_was_not_better_is_told_with_its_reason(tmp_path):
    from dataclasses import replace

    from clopa_annotator.evaluation.tables import read_summary, write_summary

    write_run(tmp_path, with_pictures=False, levels=(0.4,))
    summary = read_summary(tmp_path)
    row = write_run(tmp_path / "other", with_pictures=False)
    failed = replace(read_summary(row).episodes[0], promoted=False, version=None, reason="Not better: 0.1.")
    write_summary(tmp_path, replace(summary, episodes=(failed,)))
    _, text = read(write_report(tmp_path))
    assert "The only episode did not make better weights" in text and "Not better: 0.1." in text


def test_several_targets_have_a_line_each_and_a_part_each_with_pictures(tmp_path):
    run = write_run_with_targets(tmp_path, {"liver": (0.2, 0.6), "left <kidney>": (0.5,)})
    outline, text = read(write_report(run))
    assert "2 targets: liver, left <kidney>" in text
    assert "liver 6 version 1 0.240 0.640 0.540 0.940" in text, "the line of the overview"
    assert "left <kidney> 6 base model 0.540 0.540 0.840 0.840" in text
    assert text.count("Weights versions on unseen cases") == 2 and text.count("What was proposed") == 2
    assert outline.tags.count("img") == 6, "best, median and worst case of each"
    assert text.count("Better liver.") == 1 and "Better left" not in text
    assert "from 0.24 to 0.64" in text and "No episode ran" in text


def test_names_from_outside_are_escaped(tmp_path):
    path = write_report(write_run(tmp_path, with_pictures=False, reason="<script>alert('&')</script>"))
    outline, text = read(path)
    assert "script" not in outline.tags and "<script>alert('&')</script>" in text


def test_a_folder_without_a_run_is_refused_in_words(tmp_path):
    with pytest.raises(DatasetError, match="finished simulate or evaluate"):
        write_report(tmp_path)


def test_cases_are_chosen_by_the_newest_versions_first_proposal():
    def case(name, dice):
        return CasePicture(
            name, (), {PictureKey(0, 0): 1 - dice, PictureKey(1, 0): dice, PictureKey(1, 5): 0.5}
        )

    cases = [case("b", 0.5), case("a", 0.9), case("c", 0.1), case("d", 0.2)]
    assert [(w, p.case_id) for w, p in choose_pictures(cases)] == [
        ("Best", "a"),
        ("Median", "d"),
        ("Worst", "c"),
    ]
    assert [w for w, _ in choose_pictures(cases[:2])] == ["Best", "Worst"]
    assert [w for w, _ in choose_pictures(cases[:1])] == ["Only"]
    assert choose_pictures([]) == ()


def test_with_many_versions_the_base_and_the_newest_are_shown():
    picture = CasePicture("a", (), {PictureKey(v, c): 0.5 for v in range(6) for c in (0, 10)})
    keys = slices.shown_keys(picture)
    assert [(k.version, k.click) for k in keys] == [(0, 0), (4, 0), (5, 0), (0, 10), (4, 10), (5, 10)]


def test_a_slice_is_drawn_in_true_proportions(tmp_path):
    (picture,) = load_all(write_run(tmp_path, n_test=1, levels=(0.5,)))
    by_name = {plane.name: plane for plane in picture.planes}
    assert set(by_name) == {"axial", "coronal", "sagittal"}
    assert by_name["coronal"].spacing_mm == (2.5, 1.0)
    assert slices.draw_case(picture).startswith("data:image/png;base64,iVBOR")


def test_outlines_follow_the_voxel_edges_in_millimetres():
    flags = np.zeros((3, 4), np.uint8)
    flags[1, 2] = 1
    ((xs, ys),) = slices._outline(flags, (2.0, 0.5))
    assert (np.nanmin(xs), np.nanmax(xs), np.nanmin(ys), np.nanmax(ys)) == (1.0, 1.5, 2.0, 4.0)
    assert slices._outline(np.zeros((3, 4), np.uint8), (1, 1)) == []


def test_slices_are_turned_the_way_clinicians_look():
    # LPS axes as they come: k up (superior), j to posterior, i to the left.
    views = [view_across(Geometry((4, 5, 6)), axis) for axis in range(3)]
    assert [v.name for v in views] == ["axial", "coronal", "sagittal"]
    assert [(v.transpose, v.flip_rows, v.flip_columns) for v in views] == [
        (False, False, False),
        (False, True, False),
        (False, True, False),
    ]
    # RAS axes: i to the right, j to anterior: an axial slice is turned round.
    ras = Geometry((4, 5, 6), direction=(-1.0, 0, 0, 0, -1.0, 0, 0, 0, 1.0))
    axial = view_across(ras, 0)
    assert (axial.flip_rows, axial.flip_columns) == (True, True)
    assert np.array_equal(axial.apply(np.array([[1, 2], [3, 4]])), [[4, 3], [2, 1]])


def test_a_volume_stored_across_is_transposed():
    # i runs to superior, j to the left, k to posterior: a slice across k is coronal, and its rows j become
    # columns.
    geometry = Geometry((4, 5, 6), (1.0, 2.0, 3.0), direction=(0, 1.0, 0, 0, 0, 1.0, 1.0, 0, 0))
    view = view_across(geometry, 0)
    assert (view.name, view.transpose, view.flip_rows, view.flip_columns) == ("coronal", True, True, False)
    assert view.spacing(2.0, 1.0) == (1.0, 2.0)


def test_the_base_is_grey_and_later_versions_differ():
    colours = version_colours([0, 1, 2, 3])
    assert len(set(colours.values())) == 4
