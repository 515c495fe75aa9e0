"""Jobs over processes: the same numbers whatever the number of workers, and nothing done twice."""

from __future__ import annotations

import functools
import importlib.util
import json
import sys

import pytest

from clopa_annotator.errors import ConfigError
from clopa_annotator.evaluation.annotator import case_rng
from clopa_annotator.evaluation.curves import CaseCurve
from clopa_annotator.evaluation.runner import JOURNAL, Job, read_journal, run_jobs

JOBS = [Job(f"Fall {n} Ä", run, version) for n in range(3) for run in range(2) for version in (0, 1)]


def make_curve(job, seed=0):
    """A curve of random numbers that depend on nothing but the job."""
    dice = tuple(float(v) for v in case_rng(seed, job.run, job.case_id).random(4) / (2 - job.version))
    return CaseCurve(job.case_id, job.run, job.version, dice, (float("nan"),) * 4, (0.1,) * 4, 3)


def refuse_the_last(job):
    if job == JOBS[-1]:
        raise ConfigError("this one cannot be computed")
    return make_curve(job)


def numbers(curves):
    return [(c.case_id, c.run, c.version, c.dice, c.used) for c in curves]


def test_two_workers_give_the_numbers_of_one(tmp_path):
    function = functools.partial(make_curve, seed=3)
    alone = run_jobs(JOBS, function, tmp_path / "one")
    together = run_jobs(list(reversed(JOBS)), function, tmp_path / "two", workers=2)
    assert numbers(alone) == numbers(reversed(together))
    assert [Job(c.case_id, c.run, c.version) for c in alone] == JOBS


def test_a_second_start_skips_what_is_done(tmp_path):
    run_jobs(JOBS[:5], make_curve, tmp_path)
    told = []
    curves = run_jobs(JOBS, make_curve, tmp_path, on_done=lambda job, curve: told.append(job))
    assert told == JOBS[5:]
    assert numbers(curves) == numbers(map(make_curve, JOBS))


def test_a_torn_last_line_is_left_out_and_its_job_runs_again(tmp_path):
    run_jobs(JOBS, make_curve, tmp_path)
    whole = (tmp_path / JOURNAL).read_bytes()
    for cut in (1, 2, 30, 100):
        (tmp_path / JOURNAL).write_bytes(whole[:-cut])
        before = set(read_journal(tmp_path / JOURNAL))
        curves = run_jobs(JOBS, make_curve, tmp_path)
        assert set(JOBS) - before == set([] if cut == 1 else JOBS[-1:]), (
            "without its line end only, the last line is whole"
        )
        assert numbers(curves) == numbers(map(make_curve, JOBS))
        assert set(read_journal(tmp_path / JOURNAL)) == set(JOBS)


@pytest.mark.parametrize("line", [b"\xff\xfe", b"[1]", b'{"case": "a"}', b"null", b'{"dice": [], "nsd": []}'])
def test_lines_that_are_no_jobs_are_left_out(tmp_path, line):
    (tmp_path / JOURNAL).write_bytes(line + b"\n")
    assert read_journal(tmp_path / JOURNAL) == {}


@pytest.mark.parametrize("workers", [1, 2])
def test_what_a_job_raises_comes_out_and_finished_jobs_stay(tmp_path, workers):
    with pytest.raises(ConfigError, match="cannot be computed"):
        run_jobs(JOBS, refuse_the_last, tmp_path, workers=workers)
    kept = read_journal(tmp_path / JOURNAL)
    assert JOBS[-1] not in kept
    if workers == 1:
        assert set(kept) == set(JOBS[:-1])
    assert len(run_jobs(JOBS, make_curve, tmp_path)) == len(JOBS)


def test_the_journal_is_strict_json_lines(tmp_path):
    run_jobs(JOBS[:1], make_curve, tmp_path)
    (line,) = (tmp_path / JOURNAL).read_text(encoding="utf-8").splitlines()
    assert json.loads(line)["nsd"] == [None] * 4


def test_jobs_twice_or_no_worker_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="may occur once"):
        run_jobs([JOBS[0], JOBS[0]], make_curve, tmp_path)
    with pytest.raises(ConfigError, match="at least one worker"):
        run_jobs(JOBS, make_curve, tmp_path, workers=0)


def test_without_ray_the_cluster_is_refused_in_words(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match="needs Ray, which is not installed"):
        run_jobs(JOBS, make_curve, tmp_path, cluster=True)


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed: pip install ray")
def test_a_local_ray_gives_the_same_numbers(tmp_path, monkeypatch):
    import ray

    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False)
    try:
        ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # its workers cannot import tests
        curves = run_jobs(JOBS[:3], make_curve, tmp_path, cluster=True)
    finally:
        ray.shutdown()
    assert numbers(curves) == numbers(map(make_curve, JOBS[:3]))
