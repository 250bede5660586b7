"""How much of the machine a process takes: what it may use, however that was said."""

import os
import sys

import dask.system
import pytest
import torch

from smooseg.running import machine
from smooseg.running.device import threads as torch_threads
from smooseg.running.machine import (
    cache_variables,
    fast_precision,
    interpreter_problem,
    usable_cores,
)


@pytest.fixture
def eight(monkeypatch):
    """A process that may run on eight cores."""
    monkeypatch.delenv("SLURM_CPUS_PER_TASK", raising=False)
    monkeypatch.setattr(dask.system, "_try_extract_cgroup_cpu_quota", lambda: (None, None))
    monkeypatch.setattr(dask.system, "psutil", None)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)))
    monkeypatch.setattr(os, "process_cpu_count", lambda: 8, raising=False)


def test_the_smallest_of_affinity_quota_and_slurms_task_counts(eight, monkeypatch):
    assert usable_cores() == 8
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "4")
    assert usable_cores() == 4
    monkeypatch.setattr(dask.system, "_try_extract_cgroup_cpu_quota", lambda: (250_000, 100_000))
    assert usable_cores() == 3
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "64")
    assert usable_cores() == 3


def test_a_python_that_a_shell_would_take_apart_is_said(monkeypatch):
    for path, bad in (("/opt/Zürich-3.11/bin/python", False), ("/my clone/python", True), ("/a(1)/python", True)):
        monkeypatch.setattr(sys, "executable", path)
        assert bool(interpreter_problem()) == bad


def test_caches_lie_below_the_results_where_home_cannot_be_written(tmp_path, monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_variables(tmp_path / "results") == {}
    assert list((tmp_path / ".cache").iterdir()) == []
    monkeypatch.setenv("HOME", "/proc/nowhere")
    expected = {"XDG_CACHE_HOME": f"{tmp_path}/results", "MPLCONFIGDIR": f"{tmp_path}/results/matplotlib"}
    assert cache_variables(tmp_path / "results") == expected


def test_torch_takes_no_more_threads(eight, monkeypatch):
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        with torch_threads():
            assert torch.get_num_threads() == 2
        monkeypatch.setenv("SLURM_CPUS_PER_TASK", "1")
        with torch_threads():
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("flags\t\t: fpu avx512f avx512_bf16 avx512_vnni", "bfloat16"),
        ("flags\t\t: fpu avx512f avx512_vnni", "float32"),
        ("flags\t\t: fpu avx2 amx_bf16 amx_tile", "bfloat16"),
        ("Features\t: fp asimd svebf16", "float32"),
        ("Features\t: fp asimd i8mm bf16", "bfloat16"),
        ("", "float32"),
    ],
)
def test_without_a_gpu_the_processors_instructions_decide_the_precision(monkeypatch, tmp_path, said, expected):
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\n{said}\n")
    monkeypatch.setattr(machine, "CPU_FACTS", tmp_path / "cpuinfo")
    monkeypatch.setattr(machine, "GPUS", ())
    assert fast_precision() == expected


@pytest.mark.parametrize("native", [True, False])
def test_a_gpu_decides_before_the_processor(monkeypatch, native):
    monkeypatch.setattr(machine, "GPUS", ("null",))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: native or including_emulation)
    assert fast_precision() == ("bfloat16" if native else "float32")
