"""Faults about people: who may do what, whose decision it is, what it was made on and when it is said."""

from __future__ import annotations

from mutations import Mutant

_SAYS = ("test_a_confirmation_says_what_was_on_the_screen_and_what_led_there",)

RIGHTS = (
    Mutant(
        "a token counts by its first 16 characters",
        "TokenBook.identify",
        "hmac.compare_digest(token, given)",
        "hmac.compare_digest(token[:16], given[:16])",
        ("test_a_token_counts_only_as_a_whole", "test_tokens_with_a_common_beginning_are_two_persons"),
    ),
    Mutant(
        "any token is the first one's",
        "TokenBook.identify",
        "if hmac.compare_digest(token, given):",
        "if hmac.compare_digest(token, given) or True:",
        ("test_a_wrong_token_is_refused",),
    ),
    Mutant(
        "nothing asks for a token",
        "RequestGuard._admit",
        'if request.path != "/healthz":',
        'if request.path == "/capabilities":',
        ("test_without_the_token_nothing_is_even_read",),
    ),
    Mutant(
        "an annotator may steer",
        "Identity.require_owner",
        'if self.role != "owner":',
        "if False:",
        ("test_only_the_owner_steers",),
    ),
    Mutant(
        "a confirmation is whoever's the message says",
        "CaseRoutes.confirm",
        "annotator=ask.who.name",
        'annotator=text(ask.meta, "annotator", "")',
        ("test_a_confirmation_belongs_to_the_token_whatever_it_says",),
    ),
    Mutant(
        "a stranger can use a session",
        "SessionTable.get",
        "if hosted is None or hosted.owner != owner:",
        "if hosted is None:",
        ("test_a_strangers_session_cannot_be_used",),
    ),
    Mutant(
        "a case in somebody's hands can be marked",
        "Cases.mark",
        "self._leases.take(case_id, who, slot)",
        "pass",
        ("test_a_case_in_somebodys_hands_is_told_and_refused",),
    ),
    Mutant(
        "others can read the tokens",
        "load_token_file",
        "& 0o077",
        "& 0",
        ("test_a_file_that_others_can_read_is_refused",),
    ),
)

DECISIONS = (
    Mutant(
        "undone states are kept: a confirmation records prompts that were taken back",
        "PromptHistory.follow",
        "[*self._states[: self._position + 1], (after, use)]",
        "[*self._states, (after, use)]",
        (
            "test_a_new_prompt_after_undo_forgets_what_was_undone",
            "test_prompts_that_were_taken_back_are_in_no_record",
        ),
    ),
    Mutant(
        "an undo goes back in nothing",
        "PromptHistory.follow",
        'if step.kind in ("undo", "take back"):',
        'if step.kind == "undo":',
        ("test_any_walk_through_undo_and_redo_meets_the_states_of_a_stack",),
    ),
    Mutant(
        "a stale proposal is confirmed",
        "AnnotationSession._isReady",
        "if not self.isSettled:",
        "if False:",
        ("test_nothing_is_confirmed_while_a_prompt_is_not_answered",),
    ),
    Mutant(
        "an answer reaches another case",
        "AnnotationSession.whileOpen",
        "if generation == self._generation else None",
        "if True else None",
        (
            "test_an_answer_for_the_case_before_does_not_reach_the_open_one",
            "test_a_confirmation_of_the_case_before_does_not_confirm_the_open_one",
        ),
    ),
    Mutant(
        "another case is confirmed",
        "Decision._confirmation",
        "session.caseId, mask",
        'session.caseId + " ", mask',
        _SAYS,
    ),
    Mutant(
        "a confirmation names nobody",
        "Decision._confirmation",
        "prompts, annotator,",
        'prompts, "",',
        _SAYS,
    ),
    Mutant(
        "a confirmation names other weights",
        "Decision._confirmation",
        "work.weightsVersion, first",
        "0, first",
        _SAYS,
    ),
    Mutant(
        "the first proposal's score is that of the last",
        "Decision._confirmation",
        "diceOf(work.firstShown, mask)",
        "diceOf(mask, mask)",
        ("test_the_first_proposal_is_compared_with_what_was_confirmed",),
    ),
    Mutant(
        "confirmed is said before it is stored",
        "Decision.confirm",
        "self.isUnderWay = self._wasMade = True",
        "self.isUnderWay = self._wasMade = self.isConfirmed = True",
        ("test_confirmed_is_said_only_after_the_engine_has_stored_it",),
    ),
    Mutant(
        "a change stays confirmed",
        "Decision.revoke",
        "self.isConfirmed = self._wasMade = self._isEmptyTold = False",
        "self._wasMade = self._isEmptyTold = False",
        ("test_a_change_after_a_confirmation_is_not_confirmed",),
    ),
    Mutant(
        "what could not be confirmed is not kept",
        "Decision.confirm",
        "session.drafts.now(slot)",
        "pass",
        ("test_a_confirmation_that_fails_is_none_and_the_work_is_kept_as_a_draft",),
    ),
    Mutant(
        "an empty mask is confirmed unasked",
        "Decision.confirm",
        "if not isAbsent and not self._isEmptyTold and not np.count_nonzero(mask):",
        "if False:",
        ("test_an_empty_mask_is_asked_about_once",),
    ),
    Mutant(
        "work on a case that is left is lost",
        "AnnotationSession.close",
        "self.drafts.save()",
        "pass",
        ("test_work_on_a_case_that_is_left_stays_with_the_engine",),
    ),
    Mutant(
        "a draft is saved over its confirmation",
        "Decision.confirm",
        "session.drafts.forget(slot)",
        "pass",
        ("test_a_confirmed_case_leaves_no_draft_that_would_come_back",),
    ),
    Mutant(
        "a confirmation is of the target that is chosen first",
        "Decision._confirmation",
        "slot=work.slot",
        "slot=type(work.slot)()",
        ("test_one_more_of_a_kind_is_a_mask_of_its_own",),
    ),
    Mutant(
        "an answer goes to the target that is chosen when it comes",
        "StepSender._answered",
        "work = session.slots.of(step.slot)",
        "work = session.slots.of(session.slot)",
        ("test_a_click_under_way_is_answered_to_its_own_target_and_the_next_goes_to_the_new_one",),
    ),
    Mutant(
        "a click is sent before its target is chosen",
        "Steps.next",
        "elif first.slot != self.chosen:",
        "elif False:",
        ("test_switching_to_and_fro_before_anything_is_answered_loses_no_click",),
    ),
    Mutant(
        "a neighbouring segment is written over",
        "ProposalSegment._isPrivate",
        "not self._isShared(labelmap)",
        "True",
        ("test_a_segment_that_joined_the_proposals_layer_survives",),
    ),
)

DELIVERY = (
    Mutant(
        "a confirmation is sent before it is kept",
        "Deliveries.confirm",
        "path = undelivered.put(confirmation.confirmation_id, message)",
        "path = self._folder / confirmation.confirmation_id",
        ("test_a_confirmation_is_kept_before_it_is_sent_and_until_it_is_answered",),
    ),
    Mutant(
        "an unanswered confirmation is forgotten",
        "Deliveries.confirm",
        "self.owes = True",
        "self.owes = True; undelivered.remove(path)",
        ("test_a_confirmation_is_kept_before_it_is_sent_and_until_it_is_answered",),
    ),
    Mutant(
        "an engine that is full for the moment loses what was kept",
        "Deliveries.deliver_kept",
        "except FOR_GOOD as error:",
        "except ClopaError as error:",
        ("test_a_kept_confirmation_waits_out_what_will_pass",),
    ),
    Mutant(
        "a refused confirmation is deleted",
        "Deliveries._refused",
        'put_aside(kept.path, ".refused")',
        "kept.path.unlink()",
        ("test_a_kept_confirmation_that_is_refused_for_good_is_put_aside_and_told",),
    ),
    Mutant(
        "nobody hears what a case was confirmed on",
        "ClientOperations.confirm",
        "self._based_on.get(place)",
        "None",
        ("test_a_confirmation_says_which_version_it_was_made_on",),
    ),
    Mutant(
        "a repeated request is carried out twice",
        "SessionRoutes._step",
        "if hosted.last_request != request:",
        "if True:",
        ("test_a_repeated_request_is_carried_out_once",),
    ),
)

PEOPLE = (*RIGHTS, *DECISIONS, *DELIVERY)
