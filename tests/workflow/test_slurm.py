"""The workflow through a real Slurm of one node on this machine: the shipped profile, and the same bytes as without."""

import importlib.util
import re
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.support.project import Project
from tests.support.slurm import NoSlurm, slurm

PROFILE = (
    "--workflow-profile=workflow/profiles/slurm",
    "--slurm-status-command=squeue",  # sacct needs a database of accounts, which this Slurm has not
    "--slurm-init-seconds-before-status-checks=2",
)
RUN = {"runs": {"tiny": {"experiments": ["tiny_smooseg"]}}, "extract": {"jobs": 2}}


@pytest.fixture
def cluster():
    """Environment of programs that use a running Slurm."""
    if importlib.util.find_spec("snakemake_executor_plugin_slurm") is None:
        pytest.skip("snakemake-executor-plugin-slurm is not installed")
    with tempfile.TemporaryDirectory(prefix="slurm") as folder:  # of the system: a socket's path must be short
        try:
            with slurm(Path(folder)) as environment:
                yield environment
        except NoSlurm as error:
            pytest.skip(f"no Slurm here: {error}")


def jobs_of(environment: dict) -> dict[str, list[str]]:
    """What Slurm recorded of each job, by the rule it ran."""
    command = ["scontrol", "show", "jobs", "--oneliner"]
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    rules: dict[str, list[str]] = {}
    for job in said.splitlines():
        rules.setdefault(re.search(r"Comment=rule_([a-z_]+?)(?:_wildcards|\s)", job)[1], []).append(job)
    return rules


@pytest.mark.slow
def test_every_rule_runs_through_slurm_to_the_same_bytes_as_without(tmp_path, tiny_checkpoint, cluster):
    project = Project(tmp_path, tiny_checkpoint)
    how = project.command("all", *PROFILE, results="slurm", **RUN)
    result = subprocess.run(**how | {"env": how["env"] | cluster}, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    jobs = jobs_of(cluster)
    assert {rule: len(jobs[rule]) for rule in ("plan_features", "extract_features", "train_head", "refine_crf")} == {
        "plan_features": 2,
        "extract_features": 4,
        "train_head": 1,
        "refine_crf": 1,
    }
    assert all("JobState=COMPLETED" in job for listed in jobs.values() for job in listed)
    assert {rule for rule, listed in jobs.items() if re.search("TresPerJob=gres.gpu:1", listed[0])} == {
        "extract_features",
        "train_head",
    }
    assert "MinMemoryNode=2501M" in jobs["train_head"][0]  # its cache of 20 kB, and what PyTorch takes
    assert "TimeLimit=00:11:00" in jobs["train_head"][0]
    local = project.snakemake("all", results="local", **RUN)
    assert local.returncode == 0, local.stderr
    names = ["tables/scores.csv", "tables/class_iou.csv", "experiments/tiny_smooseg/0/head.safetensors"]
    for name in names:
        assert (tmp_path / "slurm" / name).read_bytes() == (tmp_path / "local" / name).read_bytes()


@pytest.mark.slow
def test_points_of_a_sweep_share_a_job_of_slurm(tmp_path, tiny_checkpoint, cluster):
    project = Project(tmp_path, tiny_checkpoint)
    (profile,) = (tmp_path / "workflow" / "profiles" / "slurm").iterdir()
    with open(profile, "a", encoding="utf-8") as file:
        file.write("groups: [train_head=points, score_point=points]\ngroup-components: [points=4]\n")
    grid = {"experiment": "tiny_kmeans", "settings": {"epochs": [1, 2, 3, 4]}}
    run = {"runs": {"tiny": {"sweeps": ["grid"]}}, "sweeps": {"grid": grid}}
    how = project.command("grid", *PROFILE, results="slurm", **run)
    result = subprocess.run(**how | {"env": how["env"] | cluster}, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    jobs = jobs_of(cluster)
    assert len(jobs["points_score_point_train_head"]) == 1  # eight jobs of Snakemake
    assert not {"train_head", "score_point"} & set(jobs)
    local = project.snakemake("grid", results="local", **run)
    assert local.returncode == 0, local.stderr
    for path in sorted((tmp_path / "local" / "experiments").rglob("*")):
        if path.name in ("head.safetensors", "raw.json", "measures.json"):
            assert (tmp_path / "slurm" / path.relative_to(tmp_path / "local")).read_bytes() == path.read_bytes()
