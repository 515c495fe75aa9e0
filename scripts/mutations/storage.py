"""Faults of what reaches the disk: files, folders, the cache, its lock and its index."""

from __future__ import annotations

from mutations import Mutant

_SMALL = ("test_the_new_content_is_flushed_before_it_takes_the_olds_place_and_the_folder_after",)
_APPEND = ("test_an_appended_line_stays_after_a_power_cut",)
_FOLDER = ("test_a_folder_appears_whole_and_stays_after_a_power_cut",)
_ANSWERED = ("test_when_a_confirmation_is_answered_every_file_of_it_is_on_the_disk",)
_PUBLISHED = ("test_a_published_folder_is_on_the_disk_before_and_after_its_rename",)
_PUBLISHED_FILE = ("test_a_published_file_is_on_the_disk_before_and_after_its_rename",)
_TOGETHER = ("test_when_several_are_answered_every_file_of_them_is_on_the_disk",)
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
        "check_written(disk, target / name, data)",
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
        "check_written(disk, target, data)",
        "pass",
        ("test_a_decision_or_draft_that_the_disk_did_not_keep_is_an_error",),
    ),
    Mutant(
        "the folders of a target are not flushed",
        "Layout.make_slot_folders",
        "self.disk.sync_folder(folder)",
        "pass",
        ("test_a_mask_of_another_target_is_on_the_disk_with_its_folders",),
    ),
    Mutant(
        "a folder that a killed writer made is taken to be flushed",
        "Layout.make_slot_folders",
        "known = inside in self._flushed",
        "known = True",
        ("test_a_folder_that_a_killed_writer_made_is_flushed_by_the_next",),
    ),
    Mutant(
        "drafts are not flushed",
        "save",
        "layout.publish_document(relative, document(draft, shape_kji), overwrite=True)",
        "layout.path(relative).write_bytes(document(draft, shape_kji))",
        ("test_a_draft_is_on_the_disk_when_it_is_saved_and_the_one_before_is_never_torn",),
    ),
    Mutant(
        "several files are flushed by nobody",
        "Disk._together",
        "flushing(one)",
        "id(one)",
        _TOGETHER,
    ),
    Mutant(
        "only the first of the files that a thread has to flush is flushed",
        "Disk._together",
        "what[first::FLUSHES]:",
        "what[first::FLUSHES][:1]:",
        _TOGETHER,
    ),
    Mutant(
        "several folders are published unflushed",
        "publish_folders",
        "disk.sync_folders([staged for staged, _, _ in folders])",
        "pass",
        _TOGETHER,
    ),
    Mutant(
        "the renames of several are not flushed",
        "publish_folders",
        "disk.sync_folders(sorted({target.parent for _, target, _ in folders}))",
        "pass",
        _TOGETHER,
    ),
    Mutant(
        "several are not read back",
        "publish_folders",
        "check_written(disk, target / name, data)",
        "pass",
        ("test_a_disk_that_gives_back_something_else_stores_none_of_them",),
    ),
    Mutant(
        "what appeared of several is left there",
        "publish_folders",
        "take_back(disk, staged, target if target in moved else staged)",
        "pass",
        ("test_a_disk_that_fails_at_any_step_leaves_all_or_none_and_can_be_tried_again",),
    ),
    Mutant(
        "several drafts are not flushed",
        "replace_files",
        "disk.sync_folders(sorted({target.parent for _, target, _ in files}))",
        "pass",
        ("test_several_drafts_are_on_the_disk_when_they_are_saved",),
    ),
    Mutant(
        "a label is called imported before it is stored",
        "LabelBatch.settled",
        "until = self._waiting[0][0] if self._waiting else len(self.outcomes)",
        "until = len(self.outcomes)",
        ("test_nothing_is_called_imported_before_it_is_stored",),
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

STORAGE = (*FILES, *CACHE)
