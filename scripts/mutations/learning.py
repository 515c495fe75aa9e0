"""Faults of what learns: who is held out, when an episode starts, what becomes of it."""

from __future__ import annotations

from mutations import Mutant

_ROLL_BACK = ("test_a_roll_back_during_an_episode_keeps_its_candidate_out_of_use",)

ROLES = (
    Mutant(
        "held-out cases train",
        "Sampler._train_sample",
        "divmod(number, len(self._train))",
        "divmod(number, len(self._train + self._val)); self._train += self._val",
        ("test_training_reads_no_held_out_case_and_validation_nothing_else",),
    ),
    Mutant(
        "a held-out case teaches what its clicks and its confirmation show",
        "Campaign.learn_from",
        '== "train"',
        'in ("train", "held out")',
        ("test_what_clicks_teach_in_a_case_stays_only_with_the_confirmation_of_a_training_case",),
    ),
    Mutant(
        "a look that the session throws away becomes the mask",
        "_one_step",
        "if r.tour is None or r.tour.keeps:",
        "if True:",
        ("test_a_window_looks_from_afar_then_refines_with_the_coarse_mask_then_clicks",),
    ),
    Mutant(
        "an episode's roles are mixed",
        "_train",
        "source, job.train, shown, settings",
        "source, job.train + job.val, shown, settings",
        ("test_an_episode_is_given_the_orders_roles",),
    ),
    Mutant(
        "the epoch that is handed over is chosen on the held-out cases",
        "_train",
        'if settings.keep == "last" else job.train',
        'if settings.keep == "last" else job.val',
        ("test_what_an_episode_hands_over_does_not_depend_on_the_held_out_cases",),
    ),
    Mutant(
        "a job trains on every case",
        "write_job",
        "for n in request.split.train]",
        "for n in (*request.split.train, *request.split.val)]",
        ("test_a_job_orders_the_roles_that_the_scheduler_gave",),
    ),
    Mutant(
        "a corrected held-out case trains",
        "current_split",
        "for ref in (*train, *val)}",
        "for ref in (*train, *val) if now.get((ref.case_id, ref.slot)) == ref.sequence}",
        ("test_a_held_out_case_stays_held_out_through_corrections_and_later_episodes",),
    ),
    Mutant(
        "one target's mask counts as learned from because another's was",
        "current_split",
        "waiting = tuple(sorted(n for mask, n in now.items() if mask not in assigned))",
        "waiting = tuple(sorted(n for mask, n in now.items() if mask[0] not in {m[0] for m in assigned}))",
        ("test_several_of_a_kind_are_masks_of_one_case",),
    ),
    Mutant(
        "a target works with another's version of the same number",
        "LiveLine.bring_in",
        "self._campaign.model.lineage == self.key",
        "self._campaign.model.version == self.registry.current().number",
        ("test_versions_count_per_target_and_the_network_says_whose_it_holds",),
    ),
    Mutant(
        "a target's weights come back without what its open case has taught",
        "LiveLine.step_aside",
        "online.live()",
        "online.persisted()",
        ("test_a_target_is_answered_as_in_a_campaign_of_its_own",),
    ),
    Mutant(
        "a target that is taken up again begins its case anew",
        "AdaptingSession.switch",
        "to is None or to.version != self._session.weights_version",
        "True",
        ("test_a_target_is_answered_as_in_a_campaign_of_its_own",),
    ),
    Mutant(
        "training is not told of other targets",
        "PromptCanvas.network_input",
        "self.others is None or not self._prompted",
        "True",
        ("test_a_window_beside_other_targets_is_encoded_as_the_session_does",),
    ),
    Mutant(
        "training is told of what was confirmed later",
        "others_before",
        "other.sequence < ref.sequence",
        "other.sequence != ref.sequence",
        ("test_what_was_confirmed_before_of_targets_that_exclude_it_is_meant",),
    ),
    Mutant(
        "a target is passed over for ever",
        "whose_turn",
        "if late:",
        "if False:",
        ("test_no_target_starves_whatever_the_others_may_gain",),
    ),
    Mutant(
        "no case is held out",
        "next_is_held_out",
        "return place >= length - left",
        "return False",
        ("test_each_interval_holds_as_many_out_as_clopa_does_and_the_first_of_all_comes_third",),
    ),
    Mutant(
        "a waiting case trains whatever its role",
        "_assign",
        "if n not in held_out",
        "if True",
        ("test_a_case_gets_the_role_that_it_was_given_whenever_the_episode_starts",),
    ),
    Mutant(
        "a strategy learns from a held-out case",
        "Campaign.learn_from",
        'and self.roles.of(case_id) == "train"',
        "and self.roles.of(case_id)",
        ("test_correcting_a_held_out_case_teaches_nothing",),
    ),
    Mutant(
        "an engine teaches past the book of roles",
        "Engine._confirming",
        "line.learn_from(hosted.session, case_id, mask)",
        "hosted.session.after_confirm(mask)",
        ("test_a_held_out_case_teaches_nothing_when_it_is_confirmed_nor_when_it_is_corrected",),
    ),
    Mutant(
        "a role is decided anew",
        "RoleBook.decide",
        "if known is not None:",
        "if False:",
        ("test_asking_for_a_role_again_decides_and_writes_nothing",),
    ),
    Mutant(
        "a role is not on the disk",
        "RoleBook.decide",
        "append_bytes(self._path, line, keep=self._length)",
        "pass",
        ("test_roles_are_on_the_disk_and_a_reader_sees_them",),
    ),
    Mutant(
        "one patient stands on both sides",
        "RoleBook._next",
        "if entry.image_hash == image_hash:",
        "if False:",
        ("test_the_same_image_under_two_names_stays_on_one_side",),
    ),
)

EPISODES = (
    Mutant(
        "an episode starts while another runs",
        "TrainingDesk.start_next",
        "if self.job is not None:",
        "if False:",
        ("test_confirmations_during_an_episode_wait_for_its_end",),
    ),
    Mutant(
        "an episode is started by hand while another runs",
        "EpisodeController.train_now",
        "if running is not None and not replays(running):",
        "if False:",
        ("test_an_episode_is_not_started_by_hand_while_one_runs_or_nothing_is_new",),
    ),
    Mutant(
        "a paused target trains",
        "TrainingDesk._start_due",
        "paused = {c.key for c in self.controllers() if c.paused}",
        "paused: set[str] = set()",
        ("test_a_paused_target_lets_the_others_train",),
    ),
    Mutant(
        "an overtaken candidate is put into use",
        "EpisodeController._adopt",
        "hold_back_if_overtaken(job, registry.current().number)",
        "pass",
        _ROLL_BACK,
    ),
    Mutant(
        "an overtaken candidate is not recognised",
        "hold_back_if_overtaken",
        "or parent == current:",
        "or parent <= max(parent, current):",
        ("test_a_candidate_that_was_compared_with_other_weights_than_those_in_use_is_held_back",),
    ),
    Mutant(
        "a rejected candidate goes live",
        "Campaign.adopt",
        "return self.registry.reject(version.number, decision)",
        "self.activate(version.number); return self.registry.reject(version.number, decision)",
        ("test_a_rejected_candidate_is_never_in_the_network",),
    ),
    Mutant(
        "a roll-back does not reach the live network",
        "Campaign.roll_back",
        "self.activate(restored.number)",
        "pass",
        ("test_roll_back_restores_the_base_to_the_bit",),
    ),
    Mutant(
        "an engine resumes a cancelled job",
        "EpisodeController.recover",
        "elif (job / CANCEL).exists():",
        "elif False:",
        ("test_a_new_engine_records_a_cancellation_that_its_forerunner_did_not",),
    ),
    Mutant(
        "a finished job is lost at a restart",
        "EpisodeController.recover",
        "self._register_if_left(job)",
        "pass",
        ("test_a_new_engine_registers_a_finished_job_once",),
    ),
    Mutant(
        "a candidate is adopted unchecked",
        "Campaign.adopt",
        'if result.status == "finished" and decision is None:',
        "if False:",
        ("test_a_check_that_was_killed_is_done_again",),
    ),
    Mutant(
        "another base model is taken",
        "Campaign.model",
        "if model.model_hash != self.registry.base.model_hash:",
        "if False:",
        ("test_another_base_model_is_refused",),
    ),
)

LEARNING = (*ROLES, *EPISODES)
