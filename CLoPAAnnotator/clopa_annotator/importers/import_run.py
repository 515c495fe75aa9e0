"""One import: every label is matched, compared and handed on, or left out with a sentence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from clopa_annotator.importers.detect import find_labels
from clopa_annotator.importers.import_course import ImportCourse
from clopa_annotator.importers.label_volumes import stem, volumes_in
from clopa_annotator.importers.read_ahead import ReadAhead
from clopa_annotator.importers.receiver import LabelReceiver
from clopa_annotator.types.imports import ImportOrder, ImportReport, Outcome


def images_in(folder: Path) -> dict[str, Path]:
    """Image files of a folder by case, without nnU-Net's ``_0000``.

    Raises:
        DatasetError: the folder cannot be read.
    """
    inner = folder / "imagesTr"
    files = volumes_in(inner if inner.is_dir() else folder)
    return {stem(file).removesuffix("_0000"): file for file in files}


OnStep = Callable[[int, int, Outcome], object]


def run_import(
    order: ImportOrder,
    receiver: LabelReceiver,
    on_step: OnStep | None = None,
    stop: Callable[[], bool] | None = None,
) -> ImportReport:
    """Import what lies under a path.

    Args:
        order: what and how.
        receiver: where to.
        on_step: told (done, total, outcome) of each label and target, counting labels.
        stop: asked before each label whether to stop.

    Raises:
        ConfigError: a target that the campaign does not have.
        DatasetError: nothing there, or no file has the target.
        CacheError, EngineError: nothing more can be stored; what was stored stays.
    """
    course = ImportCourse(order, receiver)
    found = find_labels(order.path, order.confirmed, order.format)
    stopped = False

    def tell() -> None:
        for number, outcome in course.batch.settled():
            if on_step is not None:
                on_step(number, len(found.labels), outcome)

    with ReadAhead(found.labels) as labels:
        for label in labels:
            if stop is not None and stop():
                stopped = True
                break
            course.one(label)
            tell()
    course.batch.take_in()
    tell()
    outcomes = course.finish()
    if not order.dry_run and any(o.became == "imported" for o in outcomes):
        receiver.done()
    remarks = (*found.remarks, *course.remarks())
    return ImportReport(found.format, order.confirmed, order.dry_run, outcomes, remarks, stopped)
