"""Faults of what keeps data: files, the cache, its lock, its index, kept confirmations, the event journal."""

from __future__ import annotations

from mutations import Mutant

_SMALL = ("test_the_new_content_is_flushed_before_it_takes_the_olds_place_and_the_folder_after",)
_APPEND = ("test_an_appended_line_stays_after_a_power_cut",)
_FOLDER = ("test_a_folder_appears_whole_and_stays_after_a_power_cut",)
_ANSWERED = ("test_when_a_confirmation_is_answered_every_file_of_it_is_on_the_disk",)
_PUBLISHED = ("test_a_published_folder_is_on_the_disk_before_and_after_its_rename",)
_PUBLISHED_FILE = ("test_a_published_file_is_on_the_disk_before_and_after_its_rename",)
_FORGETFUL = ("test_a_disk_that_gives_back_something_else_confirms_nothing",)
_DAMAGE = ("test_every_kind_of_damage_to_every_kind_of_file_is_found_named_and_moved",)

FILES = (
    Mutant("a small file is not flushed", "write_bytes", "flush(file.fileno())", "pass", _SMALL),
    Mutant("its folder is not flushed", "write_bytes", "flush_folder(path.parent)", "pass", _SMALL),
    Mutant(
        "a small file is written in place",
        "write_bytes",
        'path.with_name(f".{path.name}.part")',
        "path",
        ("test_a_file_that_is_there_is_never_opened_for_writing",),
    ),
    Mutant(
        "the atomic replace is a copy",
        "write_bytes",
        "temporary.replace(path)",
        "shutil.copyfile(temporary, path)",
        _SMALL,
    ),
    Mutant(
        "a torn tail is kept",
        "append_bytes",
        "file.truncate(keep)",
        "pass",
        ("test_what_a_killed_writer_left_behind_is_cut_off_also_where_it_is_longer_than_what_follows",),
    ),
    Mutant("an appended line is not flushed", "append_bytes", "flush(file.fileno())", "pass", _APPEND),
    Mutant("a new log's folder is not flushed", "append_bytes", "flush_folder(path.parent)", "pass", _APPEND),
    Mutant("a folder's files are not flushed", "write_folder", "flush(file.fileno())", "pass", _FOLDER),
    Mutant("a folder is renamed unflushed", "write_folder", "flush_folder(temporary)", "pass", _FOLDER),
    Mutant("a folder's rename is not flushed", "write_folder", "flush_folder(path.parent)", "pass", _FOLDER),
    Mutant(
        "a folder that is there is replaced",
        "write_folder",
        "if path.exists():",
        "if path.exists() and shutil.rmtree(path):",
        ("test_a_folder_that_is_there_is_not_replaced",),
    ),
    Mutant("a flush asks nobody", "flush", "os.fsync(descriptor)", "pass", _SMALL),
    Mutant("a folder's flush asks nobody", "flush_folder", "flush(descriptor)", "pass", _FOLDER),
    Mutant(
        "a new folder's name is not flushed",
        "make_folder",
        "flush_folder(folder.parent)",
        "pass",
        ("test_folders_on_the_way_stay_after_a_power_cut",),
    ),
)

CACHE = (
    Mutant(
        "the hook is kept and the real flush gone",
        "Disk.write_new",
        "flush(file.fileno())",
        "pass",
        ("test_a_new_file_is_flushed_by_the_system_and_not_only_announced", *_ANSWERED),
    ),
    Mutant(
        "the hook is kept and the folder's real flush gone",
        "Disk.sync_folder",
        "flush_folder(path)",
        "pass",
        ("test_a_new_file_is_flushed_by_the_system_and_not_only_announced", *_ANSWERED),
    ),
    Mutant(
        "the atomic replace is a copy",
        "Disk.replace",
        "source.replace(target)",
        "target.write_bytes(source.read_bytes())",
        _PUBLISHED_FILE,
    ),
    Mutant(
        "something confirmed is moved over",
        "Disk.rename",
        "if target.exists():",
        "if target.exists() and shutil.rmtree(target):",
        ("test_nothing_is_published_over_something_else",),
    ),
    Mutant(
        "a folder is published unflushed", "publish_folder", "disk.sync_folder(staged)", "pass", _PUBLISHED
    ),
    Mutant(
        "a folder's rename is not flushed",
        "publish_folder",
        "disk.sync_folder(target.parent)",
        "pass",
        _PUBLISHED,
    ),
    Mutant(
        "what was written is not read back",
        "publish_folder",
        "_check_written(disk, target / name, data)",
        "pass",
        _FORGETFUL,
    ),
    Mutant(
        "a file's rename is not flushed",
        "publish_file",
        "disk.sync_folder(target.parent)",
        "pass",
        _PUBLISHED_FILE,
    ),
    Mutant(
        "a file is not read back",
        "publish_file",
        "_check_written(disk, target, data)",
        "pass",
        ("test_a_decision_or_draft_that_the_disk_did_not_keep_is_an_error",),
    ),
    Mutant(
        "drafts are not flushed",
        "save",
        "layout.publish_document(draft_path(draft.case_id), seal(values), overwrite=True)",
        "layout.path(draft_path(draft.case_id)).write_bytes(seal(values))",
        ("test_a_draft_is_on_the_disk_when_it_is_saved_and_the_one_before_is_never_torn",),
    ),
    Mutant(
        "the index does not wait for the disk",
        "Index._prepare",
        '"PRAGMA synchronous = EXTRA"',
        '"PRAGMA synchronous = OFF"',
        ("test_the_index_asks_sqlite_for_what_survives_a_power_cut",),
    ),
    Mutant(
        "sequence numbers are used again",
        "Index.announce",
        'self.set_meta("last_sequence", sequence)',
        "pass",
        ("test_sequence_numbers_are_shared_by_everything_and_grow",),
    ),
    Mutant(
        "version numbers of what was damaged are used again",
        "Index.raise_version",
        "max(last_version, ?)",
        "max(last_version, 0 * ?)",
        ("test_numbers_in_quarantine_are_not_given_again_even_without_the_index",),
    ),
    Mutant(
        "the lock is not taken",
        "WriterLock.__init__",
        "taken = _try_lock(self._descriptor)",
        "taken = True",
        ("test_another_process_is_refused_and_its_lock_recovered_when_it_was_killed",),
    ),
    Mutant(
        "a foreign process's lock file counts for nothing",
        "WriterLock.__init__",
        "(taken is None and before is not None and not _is_gone(before))",
        "False",
        ("test_without_locks_of_the_system_the_lock_file_decides",),
    ),
    Mutant(
        "what is damaged is deleted",
        "Layout.quarantine",
        "self.disk.rename(self.path(relative), self.path(target))",
        "self.disk.remove(self.path(relative))",
        _DAMAGE,
    ),
    Mutant(
        "the way into quarantine is not flushed",
        "Layout.quarantine",
        "self.disk.sync_folder(self.path(target).parent)",
        "pass",
        ("test_what_is_put_into_quarantine_is_not_lost_on_the_way",),
    ),
)

RECORDS = (
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
        "ref = writer.earlier(prepared); self._forget_draft(case_id)",
        ("test_a_confirmation_that_could_not_be_stored_leaves_the_draft",),
    ),
    Mutant(
        "a withdrawal deletes",
        "CampaignStore.withdraw",
        "number = self.version(current).ref.case_version",
        "number = self.version(current).ref.case_version; "
        "self._layout.disk.remove(self._layout.path(self.version(current).ref.folder))",
        ("test_a_withdrawn_version_trains_no_more_and_stays_on_disk",),
    ),
    Mutant(
        "a withdrawn version trains on",
        "Index.add_mark",
        '"UPDATE cases SET current = NULL WHERE case_id = ?"',
        '"UPDATE cases SET current = current WHERE case_id = ?"',
        ("test_a_withdrawn_version_trains_no_more_and_stays_on_disk",),
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

KEPT = (
    Mutant(
        "a kept confirmation is not flushed",
        "Spool.put",
        "write_bytes(path, message)",
        "path.write_bytes(message)",
        ("test_a_confirmation_that_waits_for_its_engine_is_on_the_disk_when_it_is_kept",),
    ),
    Mutant(
        "an unreadable kept confirmation is deleted",
        "Spool.waiting",
        'path.replace(path.with_suffix(".unreadable"))',
        "path.unlink()",
        ("test_an_unreadable_spool_file_is_put_aside_not_deleted",),
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

STORAGE = (*FILES, *CACHE, *RECORDS, *KEPT)
