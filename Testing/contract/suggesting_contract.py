"""What every `Suggester` must do, whoever segments; mixed into a test class that makes them.

A subclass provides the fixture ``suggester``; ``set_version(number)`` pretends or makes a swap and
``fail_next_pass()`` makes the next pass fail.
"""

from __future__ import annotations

import numpy as np
import pytest
from session_examples import SHAPE, an_image, refused_images

from clopa_annotator.errors import ImageError, PredictionFailed, SuggestionStopped
from clopa_annotator.geometry import Geometry
from clopa_annotator.session.suggesting import suggest
from clopa_annotator.types import Image


def a_large_image(shape=(70, 66, 90)) -> Image:
    rng = np.random.default_rng(4)
    voxels = rng.normal(0, 1, shape).astype(np.float32)
    voxels[20:50, 20:40, 30:70] += 4
    return Image(voxels, Geometry(shape))


class SuggestingContract:
    """The sentences."""

    def set_version(self, number):
        raise NotImplementedError

    def fail_next_pass(self):
        raise NotImplementedError

    @pytest.mark.parametrize("image", [an_image(), a_large_image()], ids=["small", "large"])
    def test_an_image_of_any_size_is_answered_on_its_own_grid(self, suggester, image):
        answer = suggest(suggester, image)
        assert answer.mask.shape == image.voxels.shape == answer.foreground.shape
        assert answer.mask.dtype == answer.foreground.dtype == np.uint8
        assert np.array_equal(answer.mask == 1, answer.foreground > 127)
        assert not answer.mask.flags.writeable
        assert 0 <= answer.agreement <= 1
        assert answer.passes >= 1 and answer.seconds >= 0

    def test_the_same_image_is_answered_the_same(self, suggester):
        first, second = (suggest(suggester, an_image()) for _ in range(2))
        assert np.array_equal(first.mask, second.mask) and np.array_equal(first.foreground, second.foreground)
        assert first.agreement == second.agreement

    def test_whoever_owns_the_thread_is_asked_between_passes_and_may_end_the_work(self, suggester):
        class Enough(Exception):
            pass

        asked = []

        def after_two():
            asked.append(1)
            if len(asked) == 2:
                raise Enough

        with pytest.raises(Enough):
            suggest(suggester, a_large_image(), after_two)
        assert len(asked) == 2

    def test_progress_grows_to_the_number_of_passes(self, suggester):
        work = suggester.begin(a_large_image())
        assert work.progress[0] == 0
        seen = []
        while not work.step():
            seen.append(work.progress[0])
        assert seen == list(range(1, len(seen) + 1))
        assert work.progress == (work.answer().passes, work.answer().passes)
        assert work.step(), "a further step changes nothing"

    def test_a_pass_that_is_given_up_counts_for_nothing_and_is_taken_again(self, suggester):
        whole = suggest(suggester, a_large_image())
        work, given_up, seen = suggester.begin(a_large_image()), [], []
        while not self.step_or_give_up(work, given_up):
            seen.append(work.progress[0])
        assert given_up and np.array_equal(work.answer().mask, whole.mask)
        assert work.answer().passes == whole.passes == work.progress[0]

    def step_or_give_up(self, work, given_up):
        """Every pass is given up once before it is taken, by a suggester that has layers."""
        given_up.append(1)
        return work.step()

    def test_there_is_no_answer_before_the_last_pass(self, suggester):
        work = suggester.begin(a_large_image())
        work.step()
        with pytest.raises(SuggestionStopped, match="take the other steps first"):
            work.answer()

    def test_the_answer_names_the_version_that_made_it(self, suggester):
        self.set_version(3)
        assert suggest(suggester, an_image()).weights_version == 3

    def test_two_versions_never_meet_in_one_answer(self, suggester):
        work = suggester.begin(a_large_image())
        work.step()
        self.set_version(2)
        with pytest.raises(SuggestionStopped, match="weights changed"):
            while not work.step():
                pass

    def test_a_pass_that_fails_says_so_in_words_and_the_next_image_goes_well(self, suggester):
        self.fail_next_pass()
        with pytest.raises(PredictionFailed) as caught:
            suggest(suggester, an_image())
        assert "click" not in str(caught.value).lower(), "nobody had clicked"
        suggest(suggester, an_image())

    @pytest.mark.parametrize("what", refused_images())
    def test_what_a_session_refuses_is_refused(self, suggester, what):
        voxels = refused_images()[what]
        shape = voxels.shape if voxels.ndim == 3 and voxels.size else SHAPE
        with pytest.raises(ImageError, match=what):
            suggester.begin(Image(voxels, Geometry(shape)))
