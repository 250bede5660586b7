"""A Dask cluster on this machine."""

import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

from tests.conftest import ROOT


@contextmanager
def cluster(folder: Path, workers: int, code: Path = ROOT):
    """Address of a scheduler, and its workers, which run in a folder of their own."""
    folder.mkdir()
    known, processes = folder / "scheduler.json", []

    def start(*arguments: str) -> subprocess.Popen:
        command = [sys.executable, "-m", "dask", *arguments, "--scheduler-file", str(known), "--no-dashboard"]
        environment = os.environ | {"PYTHONPATH": str(code), "DASK_TEMPORARY_DIRECTORY": str(folder)}
        process = subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.DEVNULL)
        processes.append(process)
        return process

    try:
        start("scheduler", "--host", "127.0.0.1", "--port", "0")
        options = ("--host", "127.0.0.1", "--no-nanny", "--nthreads", "1")
        started = [start("worker", *options) for _ in range(workers)]
        while not known.exists() or not known.read_text().strip():
            time.sleep(0.05)
        yield json.loads(known.read_text())["address"], started
    finally:
        for process in reversed(processes):
            process.kill()
            process.wait()
