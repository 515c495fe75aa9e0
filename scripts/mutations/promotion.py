"""Faults of what promotes: the gate, the registry, the swap."""

from __future__ import annotations

from mutations import Mutant

_DECISION = ("test_a_decision_on_weights_is_on_the_disk_when_it_is_taken",)
_TAMPERED = ("test_a_flipped_bit_in_a_delta_is_found_and_never_becomes_current",)
_SWAP = ("test_a_version_is_the_base_with_the_deltas_tensors_in_place",)
_COMPARED = ("test_a_candidate_is_compared_on_the_held_out_cases_with_what_it_would_replace",)
_BOTH_SIDES = ("test_every_case_is_scored_with_the_weights_in_use_and_with_the_candidates",)

GATE = (
    Mutant(
        "the comparison is turned round",
        "_judge",
        "if gain <= settings.min_gain + _ROUNDING:",
        "if gain > settings.min_gain + _ROUNDING:",
        ("test_a_better_candidate_is_promoted_on_probation_with_its_numbers",),
    ),
    Mutant(
        "an equal candidate counts as better",
        "_judge",
        "if gain <= settings.min_gain + _ROUNDING:",
        "if gain < settings.min_gain - _ROUNDING:",
        ("test_an_equal_candidate_is_no_better",),
    ),
    Mutant(
        "the smallest gain is forgotten",
        "_judge",
        "if gain <= settings.min_gain + _ROUNDING:",
        "if gain <= _ROUNDING:",
        ("test_a_gain_below_the_smallest_one_is_rejected",),
    ),
    Mutant(
        "the limit on the worst case is dropped",
        "_judge",
        "if d.worst_change < -settings.worst_drop - _ROUNDING:",
        "if False:",
        ("test_the_limit_on_one_case_stops_what_is_better_on_all_others",),
    ),
    Mutant(
        "the worst case is the best one",
        "GateDecision.worst_change",
        "np.min(",
        "np.max(",
        ("test_the_limit_on_one_case_stops_what_is_better_on_all_others",),
    ),
    Mutant(
        "a gain that may be luck promotes",
        "_judge",
        "if not bool(rule.admits(evidence, first=first)):",
        "if False:",
        ("test_a_small_gain_on_one_case_may_be_luck",),
    ),
    Mutant(
        "every candidate is judged as leniently as the first",
        "Rule.gains",
        "self.first_belief if first else self.belief",
        "self.first_belief",
        ("test_of_the_first_episode_more_is_expected",),
    ),
    Mutant(
        "worse corrections are paid for by better first proposals",
        "Rule.harms",
        "| (self.worse_at(evidence.last) >= doubt)",
        "",
        ("test_a_better_start_that_makes_corrections_worse_is_not_promoted",),
    ),
    Mutant(
        "worse first proposals are paid for by better corrections",
        "Rule.harms",
        "(self.worse_at(evidence.first) >= doubt) |",
        "",
        ("test_better_corrections_do_not_pay_for_a_worse_first_proposal",),
    ),
    Mutant(
        "a score that is no number counts",
        "_numbers",
        "if not pairs or not all(map(math.isfinite, (*decision.before, *decision.after))):",
        "if not pairs:",
        ("test_a_score_that_is_not_a_number_is_rejected",),
    ),
    Mutant(
        "nothing held out promotes",
        "_judge",
        'return False, "Not promoted: no confirmed case',
        'return True, "Not promoted: no confirmed case',
        ("test_nothing_is_promoted_without_held_out_cases",),
    ),
    Mutant(
        "both sides have the candidate's weights",
        "compare",
        "((0, before), (1, after))",
        "((0, after), (1, after))",
        _BOTH_SIDES,
    ),
    Mutant(
        "the sides are exchanged",
        "compare",
        "zip(cases, *curves, strict=True)",
        "zip(cases, *curves[::-1], strict=True)",
        _BOTH_SIDES,
    ),
    Mutant(
        "the gate judges by training cases",
        "_decide",
        "held_out_cases(store, order.val, config, order.others)",
        "held_out_cases(store, order.train, config, order.others)",
        _COMPARED,
    ),
    Mutant(
        "a candidate is compared with the base",
        "_decide",
        "load_file(order.parent_path) if order.parent_path else {}",
        "{}",
        ("test_a_second_candidate_is_compared_with_the_version_in_use",),
    ),
    Mutant(
        "a later candidate is taken for the first",
        "_decide",
        "first=order.request.parent_version == 0",
        "first=True",
        ("test_a_second_candidate_is_compared_with_the_version_in_use",),
    ),
    Mutant(
        "the campaign's limits do not reach the gate",
        "gate_settings",
        "GateSettings(config.gate_min_gain, config.gate_worst_drop)",
        "GateSettings()",
        ("test_the_campaigns_limits_decide",),
    ),
)

REGISTRY = (
    Mutant(
        "damaged weights are promoted: the hash is skipped",
        "VersionFolders.delta",
        "if hashlib.sha256(data).hexdigest() != version.delta_hash:",
        "if False:",
        _TAMPERED,
    ),
    Mutant(
        "weights are put into use unread",
        "WeightsRegistry._record",
        "self.delta_tensors(number)",
        "self.version(number)",
        _TAMPERED,
    ),
    Mutant(
        "a rejected candidate can be promoted",
        "WeightsRegistry.promote",
        "if not decision.promoted:",
        "if False:",
        ("test_decisions_that_contradict_the_call_are_refused",),
    ),
    Mutant(
        "a roll-back forgets the pointer",
        "WeightsRegistry._record",
        "write_pointer(self.folder / CURRENT, number)",
        "pass",
        _DECISION,
    ),
    Mutant(
        "the pointer is written in place and not flushed",
        "write_pointer",
        "write_bytes(path, ",
        "path.write_bytes(",
        _DECISION,
    ),
    Mutant(
        "a roll-back is not written into the history",
        "WeightsRegistry._record",
        "self._history.append(what, number, by=by, decision=decision)",
        "pass",
        ("test_promotion_rejection_and_rollback_decide_what_is_current",),
    ),
    Mutant(
        "who rolled back is not recorded",
        "WeightsRegistry.rollback",
        "by=by",
        'by=""',
        ("test_promotion_rejection_and_rollback_decide_what_is_current",),
    ),
    Mutant(
        "an added version is the current one",
        "Course.follow",
        'if entry.what == "promoted":',
        'if entry.what in ("added", "promoted"):',
        ("test_a_candidate_has_its_lineage_and_the_bases_licence",),
    ),
    Mutant(
        "a torn line is kept before the next one",
        "History.append",
        "keep=length",
        "keep=self._path.stat().st_size if self._path.exists() else 0",
        ("test_a_line_torn_by_a_kill_leaves_nothing_behind_the_next_one",),
    ),
    Mutant(
        "a changed line of the history counts",
        "_entry",
        'if values.pop("check") != check_of(values):',
        'if values.pop("check") is None:',
        ("test_a_line_without_an_end_is_no_entry_and_one_that_was_changed_is_damage",),
    ),
    Mutant(
        "a version's changed record counts",
        "unsealed",
        'values.pop("check") == check_of(values)',
        'values.pop("check") is not None',
        ("test_a_damaged_record_is_left_out_and_the_rest_goes_on",),
    ),
    Mutant(
        "weights of another base are taken in",
        "WeightsRegistry._add",
        "if info.model_hash != draft.model_hash:",
        "if False:",
        ("test_unknown_versions_and_foreign_or_unfinished_weights_are_refused",),
    ),
    Mutant(
        "a version names another parent",
        "WeightsRegistry._draft",
        "number, parent, group",
        "number, 0, group",
        ("test_a_versions_parent_is_the_one_that_it_was_trained_from",),
    ),
    Mutant(
        "a version does not name the cases it was trained on",
        "WeightsRegistry._draft",
        "case_hashes=case_hashes",
        "case_hashes=()",
        ("test_a_candidate_has_its_lineage_and_the_bases_licence",),
    ),
)

SWAP = (
    Mutant(
        "a swap skips one tensor",
        "apply_version",
        "_copy(live, wanted)",
        "_copy(live[1:], wanted[1:])",
        ("test_every_tensor_is_written_and_every_one_comes_back",),
    ),
    Mutant(
        "what only the old version changed stays",
        "apply_version",
        "if n in delta or n not in clean",
        "if n in delta",
        ("test_another_version_restores_what_only_the_old_one_changed",),
    ),
    Mutant(
        "a swap does not wait for a prediction",
        "apply_version",
        "with target.lock, torch.no_grad():",
        "with torch.no_grad():",
        ("test_a_swap_waits_for_the_prediction_that_is_under_way",),
    ),
    Mutant(
        "a delta that does not fit is half applied",
        "apply_version",
        "_check(parameters, base, delta)",
        "pass",
        ("test_a_delta_that_does_not_fit_is_not_applied",),
    ),
    Mutant(
        "a network does not say which version it holds",
        "apply_version",
        "target.version, target.lineage = version, lineage",
        "pass",
        _SWAP,
    ),
    Mutant(
        "a prediction uses whatever version is there",
        "VersionedWeights.use",
        "if (self._model.lineage, self._model.version) == (wanted.line, wanted.version):",
        "if True:",
        ("test_sessions_keep_the_version_of_their_case_and_every_mask_is_pure",),
    ),
    Mutant(
        "two targets' versions of one number are taken for one",
        "VersionedWeights.use",
        "if (self._model.lineage, self._model.version) == (wanted.line, wanted.version):",
        "if self._model.version == wanted.version:",
        ("test_the_same_number_of_two_targets_is_two_versions",),
    ),
)

PROMOTION = (*GATE, *REGISTRY, *SWAP)
