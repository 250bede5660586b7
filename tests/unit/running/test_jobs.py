"""What a stage says when the disk refuses: one sentence, whether or not its log can take it."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from smooseg.running.files import FOLDER

JOB = """
import logging, os, sys
from pathlib import Path
from smooseg.running.files import write_whole
from smooseg.running.jobs import job
with job(sys.argv[1], 1):
    logging.info("at work")
    assert os.environ["GDAL_CACHEMAX"] == "128"
    with write_whole(Path(sys.argv[2])) as aside:
        raise OSError(int(sys.argv[3]), "refused")
"""


@pytest.mark.parametrize(("number", "remedy"), [(errno.ENOSPC, "; free some space and run again"), (errno.EROFS, "")])
@pytest.mark.parametrize("log", ["/dev/full", "job.log"])
def test_a_disk_that_refuses_is_one_sentence(tmp_path, log, number, remedy):
    if log == "/dev/full" and not Path(log).exists():
        pytest.skip("this system has no /dev/full")
    arguments = [tmp_path / log, tmp_path / "head", str(number)]
    result = subprocess.run([sys.executable, "-c", JOB, *arguments], capture_output=True, text=True)
    assert result.returncode == 1
    assert result.stderr.startswith(f"at work\nerror: {tmp_path}/head: refused{remedy}")
    assert "Traceback" not in result.stderr
    written = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert written.keys() <= {"job.log"}
    assert "Traceback" not in written.get("job.log", "")


def test_finished_work_records_its_time_and_memory_and_failed_work_does_not(tmp_path):
    code = "import sys; from smooseg.running.jobs import job\nwith job(sys.argv[1], 1):\n    assert sys.argv[2] == 'well'\n"
    environment = os.environ | {FOLDER: str(tmp_path)}
    for name, status in ("well", 0), ("badly", 1):
        arguments = [f"{tmp_path}/logs/rule/a.b/{name}.log", name]
        assert subprocess.run([sys.executable, "-c", code, *arguments], env=environment).returncode == status
    (record,) = (tmp_path / "benchmarks").rglob("*.tsv")
    assert record == tmp_path / "benchmarks/rules/rule/a.b/well.tsv"
    found = pd.read_csv(record, sep="\t").iloc[0]
    assert found["s"] < 60 and found["cpu_time"] > 0 and 1 < found["max_rss"] < 10_000


def test_a_rule_of_somebody_else_with_a_log_elsewhere_records_nothing(tmp_path):
    code = "import sys; from smooseg.running.jobs import job\nwith job(sys.argv[1], 1):\n    pass\n"
    environment = os.environ | {FOLDER: str(tmp_path / "results")}
    assert not subprocess.run([sys.executable, "-c", code, tmp_path / "mine.log"], env=environment).returncode
    assert not (tmp_path / "results" / "benchmarks").exists()
