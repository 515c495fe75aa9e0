"""The simulated annotator clicks where its scheme says, and the same way each time."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from clopa_annotator.errors import ConfigError, GeometryError
from clopa_annotator.evaluation.annotator import AnnotatorOptions, SimulatedAnnotator, case_rng
from clopa_annotator.types import BoxPrompt, PointPrompt

SHAPE = (6, 7, 8)


def mask(*voxels):
    flags = np.zeros(SHAPE, np.uint8)
    for voxel in voxels:
        flags[voxel] = 1
    return flags


def reference_block():
    flags = np.zeros(SHAPE, np.uint8)
    flags[1:4, 2:5, 3:6] = 1
    return flags


def annotator(scheme="paper", seed=0, **options):
    return SimulatedAnnotator(np.random.default_rng(seed), scheme, AnnotatorOptions(**options))


def test_the_paper_starts_with_one_point_inside_and_one_outside():
    reference = reference_block()
    for seed in range(20):
        outside, inside = annotator(seed=seed).initial(reference)
        assert inside.positive and reference[inside.position_kji] == 1
        assert not outside.positive and reference[outside.position_kji] == 0


def test_an_empty_reference_gets_no_positive_point_and_a_full_one_no_negative():
    (only,) = annotator().initial(mask())
    assert not only.positive
    (only,) = annotator().initial(np.ones(SHAPE, np.uint8))
    assert only.positive


def test_oaims_on_an_empty_reference_says_where_the_target_is_not():
    (only,) = annotator("oaims").initial(mask())
    assert not only.positive


def test_a_perfect_proposal_needs_no_click():
    for scheme in ("paper", "oaims"):
        assert annotator(scheme).correct(reference_block(), reference_block()) == ()
        assert annotator(scheme).correct(mask(), mask()) == ()


def test_the_paper_corrects_each_kind_of_error_once_and_skips_the_kind_without_error():
    reference = mask((1, 1, 1), (1, 1, 2))
    both = annotator().correct(mask((1, 1, 1), (4, 4, 4)), reference)
    assert both == (PointPrompt((4, 4, 4), False), PointPrompt((1, 1, 2), True))
    missed = annotator().correct(mask((1, 1, 1)), reference)
    assert missed == (PointPrompt((1, 1, 2), True),)
    extra = annotator().correct(mask((1, 1, 1), (1, 1, 2), (5, 6, 7)), reference)
    assert extra == (PointPrompt((5, 6, 7), False),)


def test_points_are_uniform_over_the_errors():
    voxels = [(0, 0, 0), (0, 0, 7), (0, 6, 0), (5, 6, 7), (3, 3, 3)]
    clicker = annotator(seed=1)
    counts = Counter(clicker.correct(mask(), mask(*voxels))[0].position_kji for _ in range(5000))
    assert set(counts) == set(voxels)
    # Binomial with p = 0.2: standard deviation 28; 5 of them leave a chance of one in a million.
    assert all(abs(count - 1000) < 142 for count in counts.values())


def test_oaims_localises_inside_and_clicks_at_random_in_the_largest_error_component():
    reference = reference_block()
    starts = {annotator("oaims", seed).initial(reference) for seed in range(30)}
    assert len(starts) > 10 and all(p.positive and reference[p.position_kji] for (p,) in starts)
    (start,) = annotator("oaims", placement="deepest").initial(reference)
    assert start == PointPrompt((2, 3, 4), True), "the middle of a 3x3x3 block lies deepest"
    large_extra = mask((5, 5, 5), (5, 5, 6), (5, 5, 7))
    proposal = reference & (1 - mask((1, 2, 3), (1, 2, 4))) | large_extra
    (click,) = annotator("oaims").correct(proposal, reference)
    assert not click.positive and large_extra[click.position_kji]


def test_oaims_answers_a_missed_part_first_when_both_errors_are_equally_large():
    (click,) = annotator("oaims").correct(mask((5, 5, 5)), mask((1, 1, 1)))
    assert click == PointPrompt((1, 1, 1), True)


def test_parts_that_touch_at_a_corner_are_one_component():
    chain = [(1, 1, 1), (2, 2, 2), (3, 3, 3)]
    (click,) = annotator("oaims").correct(mask(), mask(*chain, (5, 0, 0), (5, 0, 1)))
    assert click.position_kji in chain


def test_wrong_clicks_hit_where_the_model_was_right():
    reference, proposal = reference_block(), mask((1, 2, 3), (1, 2, 4), (0, 0, 0), (0, 0, 1))
    for seed in range(20):
        (wrong,) = annotator("oaims", seed, wrong_click_probability=1.0).correct(proposal, reference)
        place = wrong.position_kji
        assert wrong.positive and not reference[place] and not proposal[place]
        only_extra = reference | proposal
        (wrong,) = annotator("oaims", seed, wrong_click_probability=1.0).correct(only_extra, reference)
        assert not wrong.positive and reference[wrong.position_kji], "a negative one on target that was found"
    everywhere = np.ones_like(reference)
    (wrong,) = annotator("oaims", wrong_click_probability=1.0).correct(0 * everywhere, everywhere)
    assert not wrong.positive, "where nothing is right, the sign alone is wrong"


def test_wrong_clicks_can_keep_their_place_and_carry_the_opposite_sign():
    reference = mask((1, 1, 1))
    ours = {"wrong_where": "error"}
    (wrong,) = annotator("oaims", wrong_click_probability=1.0, **ours).correct(mask(), reference)
    assert wrong == PointPrompt((1, 1, 1), False)
    clicker = annotator("oaims", wrong_first=2, **ours)
    signs = [clicker.correct(mask(), reference)[0].positive for _ in range(4)]
    assert signs == [False, False, True, True]
    clicker.initial(reference)
    assert not clicker.correct(mask(), reference)[0].positive, "a new case starts counting anew"


def test_forty_percent_wrong_clicks_are_about_forty_percent():
    clicker = annotator("oaims", wrong_click_probability=0.4, wrong_where="error")
    wrong = sum(not clicker.correct(mask(), mask((1, 1, 1)))[0].positive for _ in range(2000))
    assert abs(wrong - 800) < 110  # five standard deviations


def test_a_box_comes_first_when_asked_for_and_is_flat_around_the_largest_slice():
    reference = reference_block()
    reference[2, 1:6, 1:7] = 1
    (box,) = annotator(box_first=True).initial(reference)
    assert box == BoxPrompt(((2, 3), (1, 6), (1, 7)))
    assert isinstance(annotator(box_first=True).initial(mask())[0], PointPrompt), "no target, no box"


def test_placement_can_be_asked_for():
    (click,) = annotator(placement="deepest").correct(mask(), reference_block())
    assert click.position_kji == (2, 3, 4)
    places = {annotator("oaims", seed, placement="uniform").initial(reference_block()) for seed in range(10)}
    assert len(places) > 1


def test_a_case_gets_the_same_clicks_whatever_ran_before_it():
    def clicks(seed, run, case):
        return SimulatedAnnotator(case_rng(seed, run, case)).initial(reference_block())

    first = clicks(3, 1, "Fall Ä")
    clicks(3, 1, "another")
    assert clicks(3, 1, "Fall Ä") == first
    others = {clicks(4, 1, "Fall Ä"), clicks(3, 2, "Fall Ä"), clicks(3, 1, "fall ä")}
    assert first not in others and len(others) == 3


def test_what_cannot_be_is_refused_in_words():
    with pytest.raises(ConfigError, match='not like "random"'):
        annotator("random")
    with pytest.raises(ConfigError, match="chance of a wrong click"):
        AnnotatorOptions(wrong_click_probability=1.2)
    with pytest.raises(GeometryError, match="must lie on one grid"):
        annotator().correct(mask()[1:], mask())
