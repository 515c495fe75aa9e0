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
        "an episode's roles are mixed",
        "_train",
        "Sampler(source, job.train, job.val,",
        "Sampler(source, job.train + job.val, job.val,",
        ("test_an_episode_is_given_the_orders_roles",),
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
        "assigned = {ref.case_id for ref in (*train, *val)}",
        "assigned = {ref.case_id for ref in (*train, *val) if now.get(ref.case_id) == ref.sequence}",
        ("test_a_held_out_case_stays_held_out_through_corrections_and_later_episodes",),
    ),
    Mutant(
        "no case is held out",
        "_assign",
        "to_train = ceil(train_share * waiting)",
        "to_train = waiting",
        ("test_a_campaign_of_130_splits_as_the_paper_says",),
    ),
    Mutant(
        "an online strategy learns from a case that will be held out",
        "Campaign.learn_from",
        "not job_files.will_be_held_out(",
        "True or (",
        ("test_a_strategy_learns_from_no_confirmation_that_will_be_held_out",),
    ),
    Mutant(
        "an engine learns from a case that will be held out",
        "Engine._confirming",
        "and not held_out:",
        "and True:",
        ("test_an_engine_learns_from_no_confirmation_that_will_be_held_out",),
    ),
    Mutant(
        "it is foreseen one case too late who is held out",
        "will_be_held_out",
        "len(split.unassigned) >=",
        "len(split.unassigned) >",
        ("test_the_same_case_is_held_out_whether_learning_waits_for_the_episode_or_not",),
    ),
)

EPISODES = (
    Mutant(
        "an episode starts while another runs",
        "LearningDesk._start_if_due",
        "self.paused or self.supervisor.job is not None",
        "self.paused",
        ("test_confirmations_during_an_episode_wait_for_its_end",),
    ),
    Mutant(
        "an episode is started by hand while another runs",
        "LearningDesk.train_now",
        "if self.supervisor.job is not None:",
        "if False:",
        ("test_an_episode_is_not_started_by_hand_while_one_runs_or_nothing_is_new",),
    ),
    Mutant(
        "an overtaken candidate is put into use",
        "LearningDesk._adopt",
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
        "LearningDesk.recover",
        "elif (job / CANCEL).exists():",
        "elif False:",
        ("test_a_new_engine_records_a_cancellation_that_its_forerunner_did_not",),
    ),
    Mutant(
        "a finished job is lost at a restart",
        "LearningDesk.recover",
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
