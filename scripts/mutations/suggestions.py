"""Faults of suggestions: of other weights, kept damaged, foretold from what is confirmed no more."""

from __future__ import annotations

from mutations import Mutant

_DAMAGED = ("test_a_damaged_suggestion_goes_to_quarantine_and_is_made_again",)
_MIXED = ("test_masks_of_other_weights_are_never_mixed_in",)

SUGGESTIONS = (
    Mutant(
        "a suggestion of other weights counts as fresh",
        "is_stale",
        "suggestion.weights_version != version_in_use",
        "suggestion.weights_version > version_in_use",
        ("test_a_newer_one_replaces_it_and_only_other_weights_make_it_stale",),
    ),
    Mutant(
        "a suggestion's voxels are not compared with their hash",
        "SuggestionFolder._read",
        'mask_hash(mask) != values["mask_hash"]',
        "False",
        _DAMAGED,
    ),
    Mutant(
        "another case's suggestion is taken",
        "SuggestionFolder._read",
        "_subject(values) != subject",
        "False",
        _DAMAGED,
    ),
    Mutant(
        "a withdrawn case's outcome counts on",
        "calibration_of",
        "if (o.subject.case_id, o.sequence) in current",
        "if current is not None",
        ("test_only_what_is_confirmed_now_counts",),
    ),
    Mutant(
        "the base model suggests before it has proved able",
        "may_be_shown",
        "expected.known and expected.dice >= ABLE",
        "True",
        ("test_the_base_suggests_nothing_before_it_has_proved_able",),
    ),
    Mutant(
        "a Dice is foretold from too few cases",
        "Calibration.expect",
        "self.cases < self._settings.least",
        "self.cases < 2",
        ("test_nothing_is_known_before_enough_cases_are_confirmed",),
    ),
    Mutant("masks of two versions lie in one folder", "predict_folder", "earlier != about", "False", _MIXED),
    Mutant(
        "training sees another image than a suggestion does",
        "PromptCanvas._input_of_prompts",
        "look_input(self.image, None, self.look, self.rules.patch_kji)",
        "look_input(self.image * 0.5, None, self.look, self.rules.patch_kji)",
        ("test_an_episode_sees_what_a_suggestion_sees",),
    ),
    Mutant(
        "a suggestion that is withheld is shown",
        "SuggestedCases.suggestion",
        "_is_begun(row) or self._desk.withholds(case_id, slot)",
        "_is_begun(row)",
        ("test_a_withheld_suggestion_is_marked_and_compared_and_not_shown",),
    ),
    Mutant(
        "withheld cases are drawn anew when the lead changes the share",
        "CaseSettings.withholds",
        'draw(self.seed, "without a suggestion"',
        "draw(self.seed, str(self.without_suggestion)",
        ("test_the_share_without_a_suggestion_is_about_what_was_asked_for_and_grows_by_adding",),
    ),
    Mutant(
        "the most certain case comes where the least certain was asked for",
        "in_order",
        '1 if order == "least-certain" else -1',
        '-1 if order == "least-certain" else 1',
        ("test_cases_without_a_score_and_equal_ones_come_as_they_were_added",),
    ),
    Mutant(
        "figures with and without a suggestion are averaged into one",
        "by_use",
        "found[row.suggestion].append(row)",
        "found[SuggestionUse.NONE].append(row)",
        ("test_each_use_has_figures_of_its_own",),
    ),
)
