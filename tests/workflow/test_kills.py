"""SIGKILL at random moments of an extraction, and a disk that fills up: nothing lost, nothing false."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest

from smooseg.store import open_store
from tests.conftest import write_images
from tests.unit.test_extraction import Case, files, plan
from tests.workflow.project import Project

KILLS = 28
EXTRACT = """
import sys
from pathlib import Path
from tests.unit.test_extraction import Case
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


@pytest.mark.slow
def test_a_full_disk_is_an_error_and_freed_space_lets_it_finish(tmp_path, tiny_checkpoint):
    case = Case(tmp_path, tiny_checkpoint)
    small = tmp_path / "small"
    small.mkdir()
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", small], capture_output=True)
    if mount.returncode:
        pytest.skip("mounting a small tmpfs needs root")
    try:
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
    finally:
        subprocess.run(["umount", small], check=True)


@pytest.mark.slow
def test_snakemake_killed_during_extraction_goes_on_where_it_stopped(tmp_path, tiny_checkpoint):
    project = Project(tmp_path, tiny_checkpoint)
    write_images(tmp_path / "data" / "tiny", "train", 800)
    chunks = tmp_path / "results/features/tiny/tiny/train.zarr/c"
    process = subprocess.Popen(
        **project.command("features"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    while process.poll() is None and len(list(chunks.glob("*"))) < 5:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    before = {path: path.stat().st_mtime_ns for path in chunks.rglob("0") if path.is_file()}
    assert 5 <= len(before) < 250  # of 250 chunks
    assert project.snakemake("--unlock").returncode == 0
    result = project.snakemake("features")
    assert result.returncode == 0, result.stderr
    assert len(list(chunks.glob("*"))) == 250
    assert {path: path.stat().st_mtime_ns for path in before} == before
