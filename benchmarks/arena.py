"""Every strategy in one arena: three streams, permutations of each, one report.

    python benchmarks/arena.py --data DIR --out DIR [--model FOLDER] [--permutations 3] [--cases 10]
                               [--test 8] [--clicks 20] [--workers 2] [--minutes M] [--report-only]
    python benchmarks/arena.py --data DIR --out DIR --streams hippocampus --no-studies --strategies A,B
    python benchmarks/arena.py --data DIR --out DIR --only studies --study-names worst-first,50-clicks

``--data`` is the hippocampus dataset of the Medical Segmentation Decathlon; the vessel tree and the lesion
are generated. Every strategy sees the same cases, unseen cases and seeds. What strategies have in common (the
base's curves, equal episodes) is computed once, see `clopa_annotator.experiments.result_cache`. The command
can be stopped and started again; ``arena.md`` reports on what is finished and says what is missing. A call
for a part of it runs that part; the report then covers it and whatever else lies finished in the folder from
the same options.

Permutation p is tested with inference run p: other clicks each time. Every weights version is tested for the
first permutation (the trajectories), the last version for the others and for what learns from each click.
"""

from __future__ import annotations

import argparse
import logging
import shlex
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import bench
import torch
from arena_report import write_report
from arena_studies import TOPICS, Domain, Study, run_study

from clopa_annotator.evaluation.runner import spread
from clopa_annotator.evaluation.tables import replace_text
from clopa_annotator.experiments.permutations import StreamPlan, Unit, run_unit
from clopa_annotator.experiments.simulation_settings import SimulationSettings
from clopa_annotator.strategies import get_strategy, strategy_names

STREAMS = ("hippocampus", "vessels", "lesion")
TOLERANCE_MM = {"hippocampus": 1.0, "vessels": 1.0, "lesion": 2.0}
NOT_IN_THE_TABLES = ("ia-sa", "tsca")
"""Ten updates per click cost an hour per stream; they are measured with OAIMS' own protocol instead."""
FIRST = ("static", "clopa-cn", "clopa-all", "oaims-pi", "clopa-in", "pi-then-clopa", "evosam", "oaims")
"""The order; clopa-2phase comes last, when the episodes of clopa-in that it begins with are there."""


@dataclass(frozen=True)
class Task:
    """A unit or a study, with the time after which it is not begun any more."""

    work: Unit | Study
    device: str
    until: float

    @property
    def name(self) -> str:
        """Folder or file of its result."""
        return Path(self.work.out).name


def run_task(task: Task) -> str:
    """Run a task; returns why it has no result, or nothing."""
    if time.time() > task.until:
        return "not begun in time"
    torch.set_num_threads(1)
    try:
        if isinstance(task.work, Unit):
            run_unit(task.work)
        else:
            run_study(task.work, task.device)
    except Exception as error:  # one method's failure must not cost the others their numbers
        logging.getLogger("arena").exception("%s failed", task.name)
        return f"{type(error).__name__}: {error}"
    return ""


def plans(options: bench.Options) -> dict[str, StreamPlan]:
    """The streams; the unseen hippocampus cases are among those that tuning leaves alone."""
    return {name: _plan(options, name) for name in options.streams}


def _plan(options: bench.Options, name: str) -> StreamPlan:
    if name == "hippocampus":
        where, size, keep = str(options.data), (48, 24), (options.cases, options.test)
    else:
        where, size = f"generated:{name}", (24, 16)
        keep = (options.generated_cases, options.generated_test)
    return StreamPlan(where, None, None, *size, str(options.out / "volumes"), options.seed, *keep)


def units(options: bench.Options) -> list[Unit]:
    """Every campaign: permutation by permutation, method by method, stream by stream."""
    streams, made = plans(options), []
    for permutation in range(options.permutations):
        for strategy, first_prompt in _methods(options.strategies):
            for name, plan in streams.items():
                variant = "box first" if first_prompt == "box" else ""
                settings = SimulationSettings(
                    model=options.model,
                    strategy=strategy,
                    schedule=options.schedule,
                    clicks=options.clicks,
                    stream_clicks=options.stream_clicks,
                    seed=options.seed,
                    first_run=permutation,
                    first_prompt=first_prompt,
                    test_versions=_versions(strategy, permutation),
                    variant=variant,
                    tolerance_mm=TOLERANCE_MM[name],
                    device=options.device,
                    report=False,
                )
                folder = f"{name}-{strategy}{'-box' if variant else ''}-{permutation}"
                out = str(options.out / "units" / folder)
                made.append(Unit(plan, settings, permutation, out, str(options.out / "recall")))
    return made


def _versions(strategy: str, permutation: int) -> Literal["all", "last"]:
    """Every version for a trajectory, once per stream; where each click is a training step, too dear."""
    return "all" if permutation == 0 and not get_strategy(strategy).learns_within_case else "last"


def _methods(strategies: Iterable[str]) -> list[tuple[str, str]]:
    """Strategies with their first prompt; a base with a box first is what evosam has to beat."""
    ordered = sorted(strategies, key=lambda s: FIRST.index(s) if s in FIRST else len(FIRST))
    methods = [(strategy, "strategy") for strategy in ordered]
    if any(get_strategy(strategy).box_first for strategy in ordered):
        methods.append(("static", "box"))
    return methods


def studies(options: bench.Options) -> list[Study]:
    """Every topic's studies, on the first stream; those of two domains take `second_domain` too."""
    names = (options.streams[0], second_domain(options))
    # A study has its own sizes: how much of a stream the campaigns keep is nothing to it.
    domains = tuple(Domain(n, replace(_plan(options, n), keep=None, keep_test=None)) for n in names)
    made = []
    for name, topic in TOPICS.items():
        for method in topic.methods:
            file = f"{names[0]}-{name}-{method}.json".replace(" ", "_").replace(",", "")
            study = Study(
                topic=name,
                method=method,
                clicking=topic.clicking,
                order=topic.order,
                model=options.model,
                domains=domains[: topic.domains],
                cases=options.study_cases,
                tests=options.study_test,
                clicks=options.study_clicks if topic.clicks is None else topic.clicks,
                stream_clicks=options.study_stream_clicks,
                out=str(options.out / "studies" / file),
                seed=options.seed,
                recall=str(options.out / "recall"),
            )
            made.append(study)
    return made


def second_domain(options: bench.Options) -> str:
    """The domain that studies of two domains add to the first stream; a generated one needs no data."""
    if options.second_domain:
        return str(options.second_domain)
    return next(name for name in ("lesion", "vessels") if name != options.streams[0])


def in_order(campaigns: Sequence[Unit], extras: Sequence[Study]) -> list[Unit | Study]:
    """The most telling first: the first stream once, the claims, the others once, then permutations."""
    first = campaigns[0].stream if campaigns else None

    def stage(work: Unit | Study) -> int:
        if isinstance(work, Study):
            return 3 if work.topic == "baselines" else 1
        if work.permutation == 0:
            return 0 if work.stream == first else 2
        return 4 if work.stream == first else 5

    return sorted([*campaigns, *extras], key=stage)


def chosen(options: bench.Options) -> list[Unit | Study]:
    """What this call is about, in the order in which it is run."""
    campaigns, extras = units(options), studies(options)
    if options.only == "studies":
        campaigns = []
    if options.only == "campaigns" or not options.studies:
        extras = []
    return in_order(campaigns, [study for study in extras if study.topic in options.study_names])


def run(options: bench.Options, command: str) -> None:
    """Everything that is chosen and not finished, then the report, which names the command."""
    works = chosen(options)
    started = time.time()
    todo = [Task(work, options.device, started + 60 * options.minutes) for work in works if not work.finished]
    if not options.report_only:
        _draw_once(todo)  # generated volumes are written once, before the processes start
        for done, (task, failure) in enumerate(spread(todo, run_task, options.workers), start=1):
            minutes = (time.time() - started) / 60
            print(f"{done}/{len(todo)} {minutes:5.1f} min  {task.name}  {failure}", flush=True)
        _note(options.out, started, len(todo), command)
    shown = [unit for unit in units(options) if unit in works or unit.finished]
    extras = [study for study in studies(options) if study in works or study.finished]
    write_report(options.out, shown, extras, command)


def _draw_once(todo: Sequence[Task]) -> None:
    found = []
    for task in todo:
        found += [d.plan for d in task.work.domains] if isinstance(task.work, Study) else [task.work.stream]
    for plan in dict.fromkeys(found):
        plan.draw()


def _note(out: Path, started: float, tasks: int, command: str) -> None:
    """A line about this call: what, when, where, how long."""
    path = out / "calls.txt"
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    about = ", ".join(f"{name} {value}" for name, value in bench.stamp().items())
    line = f"{about}, {tasks} tasks, {(time.time() - started) / 60:.1f} minutes: `{command}`\n"
    replace_text(path, before + line)


def main(arguments: list[str] | None = None) -> None:
    """Read the options and run."""
    options = bench.options(__doc__, {**_campaign_options(), **_study_options()}, arguments)
    if options.second_domain == options.streams[0]:
        raise SystemExit("the second domain must not be the first stream")
    if options.only == "studies" and not options.studies:
        raise SystemExit("--only studies and --no-studies leave nothing to run")
    given = sys.argv[1:] if arguments is None else arguments
    run(options, shlex.join(["python", "benchmarks/arena.py", *given]))


def _names_of(known: Iterable[str]) -> Callable[[str], list[str]]:
    """A reader of lists of names; one that is unknown is refused before hours are spent."""
    every = list(known)

    def names(text: str) -> list[str]:
        unknown = [name for name in text.split(",") if name not in every]
        if unknown:
            raise argparse.ArgumentTypeError(f"no {', '.join(unknown)}; there are {', '.join(every)}")
        return text.split(",")

    return names


def _campaign_options() -> dict[str, Any]:
    every = [s for s in strategy_names() if s not in NOT_IN_THE_TABLES]
    return {
        "--data": {"type": Path, "required": True, "help": "Task04_Hippocampus"},
        "--out": {"type": Path, "required": True},
        "--model": "bundled",
        "--device": "auto",
        "--schedule": "brief",
        "--strategies": {"type": _names_of(strategy_names()), "default": every},
        "--streams": {"type": _names_of(STREAMS), "default": list(STREAMS)},
        "--permutations": 3,
        "--cases": (10, "length of a stream"),
        "--test": (8, "unseen cases"),
        "--generated-cases": (10, "the same for generated streams"),
        "--generated-test": 8,
        "--clicks": (20, "corrections per unseen case"),
        "--stream-clicks": (5, "most corrections in the stream"),
        "--seed": 0,
        "--workers": (2, "processes with one thread each"),
        "--minutes": (1e6, "begin nothing new after so long"),
        "--only": {"choices": ("campaigns", "studies"), "help": "run only these"},
        "--report-only": (False, "run nothing"),
    }


def _study_options() -> dict[str, Any]:
    topics = list(TOPICS)
    second = "default: lesion, or vessels where lesion is the first"
    return {
        "--studies": True,
        "--study-names": {"type": _names_of(topics), "default": topics, "help": f"of {', '.join(topics)}"},
        "--study-cases": (8, "to learn from, of each domain"),
        "--study-test": (6, "unseen cases of each domain"),
        "--study-clicks": (9, "corrections per unseen case; 50-clicks gives 49"),
        "--study-stream-clicks": (3, "corrections per case of the stream"),
        "--second-domain": {"choices": STREAMS, "help": second},
    }


if __name__ == "__main__":
    main()
