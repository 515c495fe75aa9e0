"""Faults of what is recorded and kept: confirmations, drafts, events, orders to train."""

from __future__ import annotations

from mutations import Mutant

DECISIONS_KEPT = (
    Mutant(
        "a record's annotator is dropped",
        "Prepared.record",
        "annotator=sent.annotator",
        'annotator=""',
        ("test_what_was_confirmed_is_read_back_voxel_by_voxel_and_word_by_word",),
    ),
    Mutant(
        "a record's prompts are dropped",
        "Prepared.record",
        "prompts=sent.prompts",
        "prompts=()",
        ("test_what_was_confirmed_is_read_back_voxel_by_voxel_and_word_by_word",),
    ),
    Mutant(
        "a record names other weights",
        "Prepared.record",
        "weights_version=int(sent.weights_version)",
        "weights_version=0",
        ("test_what_was_confirmed_is_read_back_voxel_by_voxel_and_word_by_word",),
    ),
    Mutant(
        "a repeated delivery is stored again",
        "CampaignStore.confirm",
        "ref = writer.earlier(prepared)",
        "ref = None",
        ("test_delivering_a_confirmation_again_changes_nothing",),
    ),
    Mutant(
        "another content under a known id is taken for the same",
        "Writer.earlier",
        'if found[0]["confirmation_hash"] != prepared.confirmation_hash:',
        "if False:",
        ("test_one_confirmation_id_with_two_contents_is_refused",),
    ),
    Mutant(
        "two people's versions are no conflict",
        "Writer._conflicts",
        "return bool(others)",
        "return False",
        ("test_two_people_confirming_from_the_same_parent_are_both_kept_and_flagged",),
    ),
    Mutant(
        "the draft is dropped before the confirmation is stored",
        "CampaignStore.confirm",
        "ref = writer.earlier(prepared)",
        "ref = writer.earlier(prepared); self._forget_draft(case_id, slot)",
        ("test_a_confirmation_that_could_not_be_stored_leaves_the_draft",),
    ),
    Mutant(
        "a withdrawal deletes",
        "CaseChanges.withdraw",
        "number = current.ref.case_version",
        "number = current.ref.case_version; self._layout.disk.remove(self._layout.path(current.ref.folder))",
        ("test_a_withdrawn_version_trains_no_more_and_stays_on_disk",),
    ),
    Mutant(
        "a withdrawn version trains on",
        "Index.add_mark",
        "UPDATE slots SET current = NULL, is_absent = 0",
        "UPDATE slots SET is_absent = 0",
        ("test_a_withdrawn_version_trains_no_more_and_stays_on_disk",),
    ),
    Mutant(
        "a mask that takes another's voxels is confirmed",
        "refuse_overlap",
        "if shared:",
        "if False:",
        ("test_a_mask_that_takes_anothers_voxels_is_refused_with_their_number",),
    ),
    Mutant(
        "two masks of one batch may share voxels",
        "_refuse_overlaps",
        "if shared:",
        "if False:",
        ("test_masks_of_one_batch_that_share_voxels_are_refused_with_all_of_it",),
    ),
    Mutant(
        "a target with records is removed",
        "check_change",
        "if target.key not in kept and there:",
        "if False:",
        ("test_a_target_with_records_is_not_removed",),
    ),
    Mutant(
        "a stale writer of settings drops a target",
        "CampaignStore.update_manifest",
        ".with_targets(self.targets)",
        "",
        ("test_settings_that_are_written_by_somebody_who_knew_fewer_targets_drop_none",),
    ),
    Mutant(
        "one id may stand for two targets' masks",
        "Prepared.confirmation_hash",
        "if sent.slot != FIRST:",
        "if False:",
        ("test_the_hash_of_a_confirmation_tells_what_it_is_of",),
    ),
    Mutant(
        "a mask's bytes are not compared with their hash",
        "check_version",
        "if sha256(data) != digest:",
        "if False:",
        ("test_every_flipped_bit_is_found",),
    ),
    Mutant(
        "a mask is read without its hash",
        "CampaignReader.read_mask",
        "if mask_hash(mask) != ref.mask_hash:",
        "if False:",
        ("test_a_mask_that_is_not_the_confirmed_one_is_not_read",),
    ),
    Mutant(
        "an image is read without its hash",
        "check_image",
        "if image_hash(voxels, geometry) != digest:",
        "if False:",
        ("test_an_image_that_is_not_the_added_one_is_not_read",),
    ),
    Mutant(
        "a record is read without its hash",
        "CampaignReader.record",
        "if record_hash != ref.record_hash:",
        "if False:",
        ("test_a_record_that_is_not_the_confirmed_one_is_not_read",),
    ),
    Mutant(
        "a document's checksum is skipped",
        "unseal",
        "if hashlib.sha256(document[match.end() :]).hexdigest().encode() != match.group(1):",
        "if False:",
        ("test_every_single_flipped_bit_of_a_document_is_found",),
    ),
)

LEFT_TO_DELIVER = (
    Mutant(
        "a kept confirmation is not flushed",
        "UndeliveredConfirmations.put",
        "write_bytes(path, message)",
        "path.write_bytes(message)",
        ("test_a_confirmation_that_waits_for_its_engine_is_on_the_disk_when_it_is_kept",),
    ),
    Mutant(
        "an unreadable kept confirmation is deleted",
        "UndeliveredConfirmations.waiting",
        'put_aside(path, ".unreadable")',
        "path.unlink()",
        ("test_an_unreadable_file_is_put_aside_not_deleted",),
    ),
    Mutant(
        "the event journal's numbers are used again",
        "Journal.__init__",
        "first=last + 1 if last == 0 else last + 1000",
        "first=1",
        ("test_event_numbers_go_on_after_a_restart",),
    ),
    Mutant(
        "an order to train is not on the disk",
        "write_job",
        "write_bytes(target, data)",
        "target.write_bytes(data)",
        ("test_an_order_to_train_is_on_the_disk_with_the_folders_above_it",),
    ),
    Mutant(
        "an episode's end is not on the disk",
        "write_result",
        "write_bytes(folder / RESULT, ",
        "(folder / RESULT).write_bytes(",
        ("test_how_an_episode_ended_is_on_the_disk_when_it_is_said",),
    ),
)

REVIEWED = (
    Mutant(
        "a returned version goes on training",
        "_mark",
        "row.case_version if returned else None",
        "None",
        ("test_a_returned_case_leaves_the_training_data_until_it_is_confirmed_anew",),
    ),
    Mutant(
        "people accept their own cases",
        "_allowed_by",
        "if row.annotator.strip().casefold() != judgement.reviewer.strip().casefold():",
        "if True:",
        ("test_nobody_reviews_their_own_case",),
    ),
    Mutant(
        "an accepted version is replaced without a question",
        "replaced_verdict",
        "if not confirmation.replaces_accepted:",
        "if False:",
        ("test_replacing_what_was_accepted_has_to_be_meant_and_is_recorded",),
    ),
    Mutant(
        "what the reviewer has not seen is judged",
        "_require_current",
        "judgement.seen is not None and judgement.seen != row.seen",
        "False",
        ("test_nobody_judges_what_has_changed_since_they_looked",),
    ),
    Mutant(
        "the second reader sees the first reading",
        "Readings.is_second",
        "return not second or second[-1].annotator == who",
        "return False",
        ("test_the_second_reader_sees_a_case_that_nobody_has_begun",),
    ),
    Mutant(
        "the second reading trains in place of the first",
        "Index.add_version",
        "if record.reading == 1:",
        "if True:",
        ("test_the_second_reading_lies_beside_the_first_and_does_not_train",),
    ),
    Mutant(
        "an annotator accepts and returns",
        "Identity.require_reviewer",
        "if not self.may_review:",
        "if False:",
        ("test_an_annotator_sees_the_list_of_a_review_and_judges_nothing",),
    ),
)

RECORDS = (*DECISIONS_KEPT, *REVIEWED, *LEFT_TO_DELIVER)
