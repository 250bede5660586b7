"""A program that is stopped takes with it what it started."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ATTEND = """
import sys
from smooseg.errors import SmoosegError
from smooseg.running.processes import run_attended
try:
    print(run_attended(["sh", "-c", sys.argv[1]]))
except SmoosegError as error:
    sys.exit(f"Error: {error}")
"""


def attend(script: str) -> subprocess.Popen:
    """A process that attends to a shell script."""
    pipes = dict.fromkeys(("stdout", "stderr"), subprocess.PIPE)
    return subprocess.Popen([sys.executable, "-c", ATTEND, script], text=True, **pipes)


def is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{process}/stat").read_text("utf-8").rpartition(")")[2].split()[0] != "Z"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_program_and_its_children(number):
    process = attend("sleep 600 & echo $!; wait")
    child = int(process.stdout.readline())
    process.send_signal(number)
    said = process.communicate()[1]
    assert (process.returncode, said.count("\n")) == (1, 1)
    assert said.startswith(f"Error: stopped by {number.name}; finished work is kept")
    assert not is_running(child)


def test_a_second_signal_ends_one_that_does_not_listen():
    process = attend("trap 'echo no' TERM; echo $$; while :; do sleep 0.1; done")
    child = int(process.stdout.readline())
    process.terminate()
    assert process.stdout.readline() == "no\n"
    assert is_running(child)
    process.terminate()
    process.communicate()
    assert process.returncode == 1
    time.sleep(0.1)
    assert not is_running(child)


def test_its_exit_status_is_given_back():
    assert attend("exit 3").communicate()[0] == "(3, None)\n"
