"""SIGKILL at random moments of every stage, and a disk that fills up: nothing lost, nothing false."""

import copy
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from smooseg.features.store import open_store
from smooseg.running.fingerprint import tree_state
from tests.conftest import write_images
from tests.support.extraction import Case, files, plan
from tests.support.project import Project

KILLS = 28
EXTRACT = """
import sys
from pathlib import Path
from tests.support.extraction import Case
case = Case(Path(sys.argv[1]), Path(sys.argv[2]))
store = case.plan(sys.argv[3])
print("ready", flush=True)
case.extract(store)
store.finish()
"""


@pytest.mark.slow
def test_an_extraction_killed_at_random_moments_ends_in_the_same_bytes(tmp_path, tiny_checkpoint):
    case = Case(tmp_path, tiny_checkpoint, images=60)
    whole = case.plan("whole.zarr")
    case.extract(whole)
    whole.finish()
    process = start(case, "timed.zarr")
    began = time.monotonic()
    assert process.wait() == 0
    duration = time.monotonic() - began
    rng, interrupted = random.Random(0), 0
    for round_ in range(KILLS):
        process = start(case, f"killed-{round_ % 4}.zarr")  # each store is killed several times before it may finish
        try:
            process.wait(timeout=rng.uniform(0, 0.9 * duration))
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            interrupted += 1
    assert interrupted >= 20
    for number in range(4):
        assert start(case, f"killed-{number}.zarr").wait() == 0
        assert files(tmp_path / f"killed-{number}.zarr") == files(tmp_path / "whole.zarr")


def start(case: Case, name: str) -> subprocess.Popen:
    """Start an extraction, and return once its first block is about to be computed."""
    arguments = [str(case.folder), str(case.checkpoint), name]
    process = subprocess.Popen([sys.executable, "-c", EXTRACT, *arguments], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    return process


@contextmanager
def small_disk(folder: Path, size: str):
    """A disk of its own at a folder, where mounting is allowed."""
    folder.mkdir(parents=True, exist_ok=True)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True).returncode:
        pytest.skip("mounting a small tmpfs needs root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


@pytest.mark.slow
def test_a_full_disk_is_an_error_and_freed_space_lets_it_finish(tmp_path, tiny_checkpoint):
    case = Case(tmp_path, tiny_checkpoint)
    with small_disk(tmp_path / "small", "200k") as small:
        store = plan(small / "s.zarr", 50)
        (small / "ballast").write_bytes(bytes(188_416))  # leaves room for one chunk
        with pytest.raises(OSError, match="No space left"):
            case.extract(store)
        (small / "ballast").unlink()
        again = plan(small / "s.zarr", 50)
        case.extract(again)
        again.finish()
        whole = case.plan("whole.zarr")
        case.extract(whole)
        whole.finish()
        assert files(small / "s.zarr") == files(tmp_path / "whole.zarr")
        open_store(small / "s.zarr", {"block": 3})


@pytest.mark.slow
def test_snakemake_killed_during_extraction_goes_on_where_it_stopped(tmp_path, tiny_checkpoint):
    project = Project(tmp_path, tiny_checkpoint)
    write_images(tmp_path / "data" / "tiny", "train", 800)
    chunks = tmp_path / "results/features/tiny/tiny/train.zarr"
    process = subprocess.Popen(
        **project.command("features"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    while process.poll() is None and len(list(chunks.glob("c.*.0"))) < 5:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    before = {path: path.stat().st_mtime_ns for path in chunks.glob("c.*.0")}
    assert 5 <= len(before) < 250  # of 250 chunks
    result = project.snakemake("features")
    assert result.returncode == 0, result.stderr
    assert len(list(chunks.glob("c.*.0"))) == 250
    assert {path: path.stat().st_mtime_ns for path in before} == before


RUN = {
    "runs": {"tiny": {"experiments": ["tiny_smooseg"]}},
    "experiments": {"tiny_smooseg": {"settings": {"steps": 400}}},
}
HEAD = "results/experiments/tiny_smooseg/0"
STAGES = {  # what says that a stage is at work
    "index": "results/logs/index_part/tiny/train/1-of-1.log",
    "weights": "results/logs/fetch_weights/tiny.log",
    "extract": "results/logs/extract_features/tiny/tiny/train/1-of-1.log",
    "train": f"{HEAD}/snapshot.pt",
    "predict": "results/logs/predict_labels/tiny_smooseg/0.log",
    "refine": "results/logs/refine_crf/tiny_smooseg/0.log",
    "score": "results/logs/score_labels/tiny_smooseg/0/*.log",
    "collect": "results/logs/make_tables.log",
}


def quick(folder: Path, checkpoint: Path) -> Project:
    """A project whose training writes snapshots all the time."""
    project = Project(folder, checkpoint)
    project.edit("heads/snapshot.py", "EVERY = 30.0", "EVERY = 0.02")
    return project


def outcome(project: Project) -> dict[str, bytes]:
    """What a run is for: head, label maps, scores and tables."""
    folders = [project.folder / "results" / name for name in ("experiments", "tables")]
    kept = [path for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()]
    return {
        str(path.relative_to(project.folder)): path.read_bytes()
        for path in kept
        if path.suffix != ".parquet" and path.name != "times.csv"  # of a history and the run, which hold times
    }


def start_run(project: Project) -> subprocess.Popen:
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen(**project.command("all", **RUN), **silent, start_new_session=True)


def wait_for(project: Project, pattern: str, process: subprocess.Popen) -> None:
    while not list(project.folder.glob(pattern)):
        assert process.poll() is None, f"the run ended without {pattern}"
        time.sleep(0.01)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, tiny_checkpoint) -> tuple[Project, subprocess.CompletedProcess]:
    """A project that ran once, and what a second run said that was started meanwhile."""
    project = quick(tmp_path_factory.mktemp("project with spaces"), tiny_checkpoint)
    data, before = project.folder / "data", tree_state([project.folder / "data"])
    for path in [data, *data.rglob("*")]:
        path.chmod(0o555)
    process = start_run(project)
    wait_for(project, "results/.lock", process)
    second = project.snakemake("all", **RUN)
    assert process.wait() == 0
    assert tree_state([data]) == before, "the data folder is read only"
    return project, second


@pytest.mark.slow
def test_a_second_run_says_that_another_is_at_work_and_leaves_it_alone(undisturbed):
    project, second = undisturbed
    assert second.returncode != 0
    assert "results: another run is at work here, or a job of one that was killed; wait" in second.stderr
    assert "Traceback" not in second.stderr
    assert project.planned("all", **RUN) == {}


@pytest.mark.slow
def test_kills_at_every_stage_change_nothing(undisturbed, tmp_path, tiny_checkpoint):
    project, rng = quick(tmp_path, tiny_checkpoint), random.Random(0)
    for sign in STAGES.values():
        process = start_run(project)
        wait_for(project, sign, process)
        time.sleep(rng.uniform(0, 0.2))
        os.killpg(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    result = project.snakemake("all", **RUN)
    assert result.returncode == 0, result.stderr
    assert "goes on after step" in (project.folder / "results/logs/train_head/tiny_smooseg/0.log").read_text()
    assert outcome(project) == outcome(undisturbed[0])


@pytest.mark.slow
def test_a_disk_that_fills_up_in_training_and_evaluation_is_one_sentence(undisturbed, tmp_path):
    project = copy.copy(undisturbed[0])
    project.folder = shutil.copytree(undisturbed[0].folder, tmp_path / "copy")
    shutil.rmtree(project.folder / HEAD)
    with small_disk(project.folder / "results" / "experiments", "300k") as small:
        for target, output in (("train", "head.safetensors"), ("evaluate", "*.zarr/complete.json")):
            fill(small / "ballast")
            result = project.snakemake(target, **RUN)
            assert result.returncode != 0
            assert "error: results/experiments" in result.stderr
            assert "free some" in result.stderr
            assert "Traceback" not in result.stderr
            assert not list((project.folder / HEAD).glob(output))
            (small / "ballast").unlink()
            result = project.snakemake(target, **RUN)
            assert result.returncode == 0, result.stderr
        assert outcome(project) == outcome(undisturbed[0])


def fill(path: Path) -> None:
    """Take all that a disk has left."""
    with open(path, "wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
