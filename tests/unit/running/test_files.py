"""Who works in a folder: one run and its jobs, until their processes end."""

import subprocess
import sys

from smooseg.errors import SmoosegError

WORK = """
import os, sys
from pathlib import Path
from smooseg.running.files import FOLDER, share_folder
from smooseg.running.jobs import job
def work():
    print("at work", flush=True)
    sys.stdin.read()
if sys.argv[2] == "run":
    share_folder(Path(sys.argv[1]), begin=True)
    work()
else:
    os.environ[FOLDER] = sys.argv[1]
    with job(sys.argv[1] + "/log", 1):
        work()
"""


def work(folder, role: str) -> subprocess.Popen:
    """A process that works in a folder until it is killed; it may be refused."""
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    return subprocess.Popen([sys.executable, "-c", WORK, str(folder), role], text=True, **pipes)


def kill(process: subprocess.Popen) -> None:
    process.kill()
    process.communicate()


def test_a_run_begins_where_neither_a_run_nor_a_job_is_at_work(tmp_path):
    run, other = work(tmp_path / "results", "run"), work(tmp_path / "elsewhere", "run")
    assert run.stdout.readline() == other.stdout.readline() == "at work\n"
    job = work(tmp_path / "results", "job")
    assert job.stdout.readline() == "at work\n"
    for ended in (run, job):
        refused = work(tmp_path / "results", "run")
        _, said = refused.communicate()
        assert refused.returncode == 1
        assert f"{SmoosegError.__name__}: {tmp_path}/results: another run is at work here, or a job" in said
        kill(ended)
    again = work(tmp_path / "results", "run")
    assert again.stdout.readline() == "at work\n"
    kill(again)
    kill(other)
