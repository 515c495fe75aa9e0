"""Faults of a probation: what is replayed, with which weights, what the verdict is and what it does."""

from __future__ import annotations

from mutations import Mutant

_KEPT_OR_LOST = ("test_a_version_on_probation_is_confirmed_or_taken_back",)
_ONCE = ("test_cases_that_validated_or_trained_are_not_replayed_and_new_ones_are_once",)
_LATER = ("test_a_version_that_replaces_one_on_probation_is_compared_with_the_settled_one",)
_WEIGHTS = ("test_a_replay_annotates_with_the_settled_weights_before_and_the_versions_after",)

VERDICT = (
    Mutant(
        "one ruined case does not take a version back",
        "settle",
        "if decision.worst_change < -settings.worst_drop - _ROUNDING:",
        "if False:",
        ("test_one_case_that_gets_much_worse_takes_a_version_back",),
    ),
    Mutant(
        "a replay whose score is no number counts",
        "settle",
        "[p for p in replays if all(map(math.isfinite, (*p.before, *p.after)))]",
        "list(replays)",
        ("test_a_replay_whose_score_is_no_number_is_left_out",),
    ),
    Mutant(
        "a verdict depends on how many cases come at once",
        "settle",
        "_numbers(known[:seen], False, settings)",
        "_numbers(known, False, settings)",
        ("test_it_makes_no_difference_how_many_cases_come_at_once",),
    ),
    Mutant(
        "a verdict forgets the held-out cases",
        "settle",
        "evidence_of(held_out) + evidence_of(decision), seen",
        "evidence_of(decision), seen",
        ("test_the_held_out_cases_count_in_a_verdict",),
    ),
    Mutant(
        "a verdict is turned round",
        "Rule.standing",
        "np.where(confirmed, 1, np.where(lost, -1, 0))",
        "np.where(confirmed, -1, np.where(lost, 1, 0))",
        ("test_cases_that_go_on_getting_better_confirm_a_version",),
    ),
    Mutant(
        "a probation never ends",
        "Rule.standing",
        "seen >= self.probation",
        "seen < 0",
        ("test_a_version_that_shows_nothing_is_taken_back_when_its_time_is_over",),
    ),
    Mutant(
        "nothing is ever on probation",
        "Course.follow",
        '"on probation" if decision and decision.probation else "promoted"',
        '"promoted"',
        _KEPT_OR_LOST,
    ),
    Mutant(
        "a version on probation is the one to return to",
        "Course._use",
        'if standing != "on probation":',
        "if True:",
        _KEPT_OR_LOST,
    ),
    Mutant(
        "a verdict is given twice: a confirmed version stays on probation",
        "Course.follow",
        'self.standings[number] = "confirmed"',
        "pass",
        _KEPT_OR_LOST,
    ),
    Mutant(
        "a confirmed version is not the one to return to",
        "Course.follow",
        "number if number == self.current else self.settled",
        "self.settled",
        _KEPT_OR_LOST,
    ),
    Mutant(
        "a take-back goes to the base instead of the settled version",
        "Course.follow",
        "entry.to or 0",
        "0",
        _KEPT_OR_LOST,
    ),
    Mutant(
        "a person's choice does not end a probation",
        "Course._use",
        'self.standings[self.current] = "replaced"',
        "pass",
        ("test_a_persons_choice_ends_a_probation_and_wins",),
    ),
    Mutant(
        "a late verdict is carried out on another version",
        "WeightsRegistry._require_probation",
        "if probation is None or probation[0] != number:",
        "if probation is None:",
        ("test_a_verdict_on_a_version_that_is_not_in_use_any_more_is_refused",),
    ),
    Mutant(
        "a take-back forgets the pointer",
        "WeightsRegistry.take_back",
        "write_pointer(self.folder / CURRENT, settled)",
        "pass",
        ("test_a_decision_on_weights_is_on_the_disk_when_it_is_taken",),
    ),
    Mutant(
        "a take-back is not in the history",
        "WeightsRegistry.take_back",
        'self._history.append("taken_back", number, decision=verdict, to=settled)',
        "pass",
        _KEPT_OR_LOST,
    ),
    Mutant(
        "a take-back returns to weights unread",
        "WeightsRegistry.take_back",
        "self.delta_tensors(settled)",
        "self.version(settled)",
        ("test_damaged_weights_are_not_returned_to",),
    ),
    Mutant(
        "a take-back does not reach the live network",
        "Probation.settle",
        "self._line.activate(reference)",
        "pass",
        ("test_a_version_that_gets_worse_is_taken_back_visibly_and_the_old_weights_are_live",),
    ),
    Mutant(
        "a verdict that a killed engine owed is never given",
        "EpisodeController.recover",
        "self._probation.settle()",
        "pass",
        ("test_a_verdict_that_a_killed_engine_owed_is_given_by_the_next",),
    ),
)

REPLAY = (
    Mutant(
        "a replay is judged with the weights exchanged",
        "_compare",
        "registry.delta_tensors(order.reference),\n            registry.delta_tensors(order.version),",
        "registry.delta_tensors(order.version),\n            registry.delta_tensors(order.reference),",
        _WEIGHTS,
    ),
    Mutant(
        "a replay compares a version with itself",
        "_compare",
        "registry.delta_tensors(order.reference)",
        "registry.delta_tensors(order.version)",
        _WEIGHTS,
    ),
    Mutant(
        "a case that trained proves the version that learned from it",
        "Probation._unseen",
        "(*order.train, *order.val)",
        "order.val",
        _ONCE,
    ),
    Mutant(
        "the held-out cases that let a version in prove it again",
        "Probation._unseen",
        "(*order.train, *order.val)",
        "order.train",
        _ONCE,
    ),
    Mutant(
        "a version is proved by an image that it learned from under another name",
        "Probation._unseen",
        "if known.isdisjoint((ref.case_id, ref.image_hash))",
        "if ref.case_id not in known",
        ("test_an_image_that_trained_under_another_name_is_not_replayed",),
    ),
    Mutant(
        "a case is replayed again and again",
        "Probation.next_replay",
        "if ref.record_hash not in tried",
        "if True",
        _ONCE,
    ),
    Mutant(
        "a mask that was corrected since counts",
        "curves_so_far",
        "if pair is not None and ref.record_hash in now:\n            found[now[ref.record_hash]] = pair",
        "if pair is not None:\n            found[now.get(ref.record_hash, 0)] = pair",
        _ONCE,
    ),
    Mutant(
        "another version's replays count",
        "_pairs",
        "or (order.version, order.reference)",
        "or (version, reference)",
        _LATER,
    ),
    Mutant(
        "a cancelled comparison is never made",
        "_pairs",
        'or result.status == "cancelled"',
        "",
        ("test_the_training_process_runs_a_replay_and_stops_when_asked",),
    ),
)

PROBATION = (*VERDICT, *REPLAY)
