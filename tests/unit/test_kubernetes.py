"""The scripts of the Kubernetes profile, against a stand-in for kubectl: what they ask of it, and what they make of its answers."""

import os
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT

PROFILE = ROOT / "workflow" / "profiles" / "kubernetes"
VOLUME = {"SMOOSEG_IMAGE": "registry/smooseg", "SMOOSEG_CLAIM": "claim", "SMOOSEG_MOUNT": "/shared"}


@pytest.fixture
def kubectl(tmp_path):
    """Runs a script of the profile with a kubectl that keeps what it is given and says ``answer``."""

    def run(script: str, *arguments: str, answer: str, **environment: str) -> subprocess.CompletedProcess:
        stand_in = tmp_path / "kubectl"
        stand_in.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/asked\ncat > {tmp_path}/given\necho "{answer}"\n')
        stand_in.chmod(0o755)
        known = {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"} | environment
        command = [PROFILE / script, *arguments]
        return subprocess.run(command, env=known, cwd=tmp_path, input="", capture_output=True, text=True)

    return run


def test_a_job_gets_what_its_rule_asks_for(kubectl, tmp_path):
    result = kubectl("submit.sh", "4", "8000", "90", "1", "a job.sh", answer="job.batch/smooseg-x7", **VOLUME)
    assert result.stdout == "job.batch/smooseg-x7\n", result.stderr
    pod = yaml.safe_load((tmp_path / "given").read_text())["spec"]["template"]["spec"]
    container = pod["containers"][0]
    assert pod["activeDeadlineSeconds"] == 5400
    assert container["command"] == ["sh", "a job.sh"]
    assert Path(container["workingDir"]) == tmp_path
    assert container["resources"] == {
        "requests": {"cpu": "4", "memory": "8000M"},
        "limits": {"memory": "8000M", "nvidia.com/gpu": "1"},
    }
    assert pod["volumes"][0]["persistentVolumeClaim"] == {"claimName": "claim"}


def test_a_job_without_a_volume_is_not_submitted(kubectl):
    result = kubectl("submit.sh", "4", "8000", "90", "0", "job.sh", answer="", SMOOSEG_IMAGE="x", SMOOSEG_MOUNT="/x")
    assert result.returncode != 0
    assert "SMOOSEG_CLAIM" in result.stderr


@pytest.mark.parametrize(("answer", "state"), [("1/", "success"), ("/1", "failed"), ("/", "running")])
def test_a_jobs_state_is_said_in_snakemakes_words(kubectl, tmp_path, answer, state):
    assert kubectl("status.sh", "job.batch/smooseg-x7", answer=answer).stdout == f"{state}\n"
    assert (tmp_path / "asked").read_text().startswith("get job.batch/smooseg-x7 ")
