"""Facts about this machine: what is installed, what computes, how much of it this process may use."""

import os
import platform
import re
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

CACHE_MB = "128"  # of GDAL: more than a row of windows at full scale, also of a raster that is stored by rows
CPU_FACTS = Path("/proc/cpuinfo")
BFLOAT16 = {"avx512_bf16", "amx_bf16", "bf16"}  # what Linux calls the instructions of x86 and Arm that compute in it
GPUS = "nvidia[0-9]*", "kfd", "dxg"  # devices of NVIDIA, AMD and WSL, without which PyTorch need not be asked
PACKAGES = ("torch", "timm", "zarr", "snakemake", "numpy", "pandas", "pillow", "scikit-learn")


def limit_gdal() -> None:
    """Hold GDAL's cache to :data:`CACHE_MB`, in a process that is all ours; else it takes a twentieth of the memory."""
    os.environ.setdefault("GDAL_CACHEMAX", CACHE_MB)


def versions() -> str:
    """smooseg, Python and the system."""
    return f"smooseg {version('smooseg')}, Python {platform.python_version()}, {platform.platform()}"


def packages() -> tuple[list[str], list[str]]:
    """The large dependencies with their versions, and the names of those that are missing."""
    found, missing = [], []
    for name in PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            missing.append(name)
    return found, missing


def interpreter_problem() -> str | None:
    """Why Snakemake cannot run scripts with this Python, whose path it gives to the shell as it is; None if it can."""
    if not re.search(r"[^\w@%+=:,./~-]", sys.executable):
        return None
    return (
        f"{sys.executable}: Snakemake starts no script with a Python whose path holds spaces or other characters that "
        f"shells read; put the environment elsewhere (make VENV=/some/other/folder run)"
    )


def home_cache() -> Path:
    """Folder where libraries keep caches."""
    return Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"))


def is_writable(folder: Path) -> bool:
    """Whether files can be made in a folder, which is created if it is not there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError:
        return False
    return True


def cache_variables(folder: Path) -> dict[str, str]:
    """Environment variables that give libraries a cache below a folder where their own cannot be written, else none."""
    if home_cache().is_absolute() and is_writable(home_cache()):
        return {}
    return {"XDG_CACHE_HOME": str(folder.absolute()), "MPLCONFIGDIR": str(folder.absolute() / "matplotlib")}


def usable_cores() -> int:
    """Cores that this process may use: those of its affinity mask, its cgroup's quota and its Slurm task."""
    from dask.system import cpu_count  # takes a tenth of a second

    return min(cpu_count(), int(os.environ.get("SLURM_CPUS_PER_TASK") or cpu_count()))


def devices() -> str:
    """Where tensors are computed.

    Raises:
        Exception: Whatever importing torch raises, also for a library that does not load.
    """
    import torch

    if not torch.cuda.is_available():
        return f"CPU, {usable_cores()} cores"
    gpu = torch.cuda.get_device_properties(0)
    return f"{torch.cuda.device_count()} x {gpu.name}, {gpu.total_memory / 1e9:.0f} GB, {usable_cores()} cores"


def fast_precision() -> str:
    """bfloat16 where the GPU, or without one the processor, has instructions for it, else float32."""
    if any(path for name in GPUS for path in Path("/dev").glob(name)):
        import torch

        if torch.cuda.is_available():
            return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    instructions = {*cpu_fact("flags").split(), *cpu_fact("Features").split()}
    return "bfloat16" if instructions & BFLOAT16 else "float32"


def processor() -> str:
    """The processor's name, where the system says it."""
    return cpu_fact("model name") or "processor unknown"


def cpu_fact(name: str) -> str:
    """What Linux says of the first core under a name; empty where it says nothing."""
    try:
        lines = CPU_FACTS.read_text("utf-8").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "")


def available_memory() -> int | None:
    """Bytes that can be had without swapping, where the system says so."""
    try:
        lines = Path("/proc/meminfo").read_text("utf-8").splitlines()
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        return None
