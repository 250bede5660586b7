"""Whether this machine has what smooseg needs: one finding each, with its remedy."""

import importlib
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import files
from pathlib import Path

from ..errors import SmoosegError
from ..features.hub import hub_problem
from ..running import machine
from ..settings.catalogue import backbones, load_catalogue
from ..settings.shipped import PARTS, PLACE

ENGINES = {  # of the CRF: module, and what to do where it does not load
    "native": ("native", "pip install --force-reinstall numba"),
    "pydensecrf": ("library", "not needed; below Python 3.13 and with a C++ compiler: pip install pydensecrf2"),
}
ENOUGH_MEMORY, ENOUGH_DISK = 4, 5  # GB: what training holds by default; weights and the caches of the demo and CamVid
TIMEOUT = 5  # seconds that a server may take to answer


@dataclass(frozen=True)
class Finding:
    """One line of the examination.

    Args:
        state: "ok", "note" (works, with a limit) or "fail".
        what: What was looked at.
        found: What there is.
        remedy: What to do, where something is to be done.
    """

    state: str
    what: str
    found: str
    remedy: str = ""


def examine(config: Path | None = None) -> list[Finding]:
    """Look at everything. Only the reachability of weights asks the network, for some seconds at most."""
    findings = [parts()]
    try:
        catalogue = load_catalogue(config)
        findings.append(Finding("ok", "configuration", f"{len(catalogue['experiments'])} experiments"))
    except SmoosegError as error:
        catalogue = None
        findings.append(Finding("fail", "configuration", str(error), "correct the file, or give --config"))
    findings += [Finding("ok", "versions", machine.versions()), interpreter(), packages(), device(), memory()]
    findings += [disk(Path((catalogue or {}).get("results", "."))), caches(), *crf()]
    return findings + (weights(backbones(catalogue)) if catalogue else [])


def parts() -> Finding:
    """Whether all that smooseg comes with is there: workflow, schema and catalogue, and what its wheel held."""
    missing = [str(PLACE / name) for name in PARTS if not (PLACE / name).exists()]
    recorded = [file for file in files("smooseg") or () if file.suffix != ".pyc"]
    missing += [path for path in (str(file.locate()) for file in recorded) if not os.path.exists(path)]
    if missing:
        return Finding("fail", "parts", f"without {', '.join(dict.fromkeys(missing))}", "install smooseg again")
    return Finding("ok", "parts", f"workflow and catalogue at {PLACE}")


def interpreter() -> Finding:
    """Whether the workflow can start its scripts with this Python."""
    problem = machine.interpreter_problem()
    return Finding("fail", "Python", problem) if problem else Finding("ok", "Python", sys.executable)


def packages() -> Finding:
    """The large dependencies."""
    found, missing = machine.packages()
    if missing:
        return Finding("fail", "packages", f"without {', '.join(missing)}", "make run, or pip install -e .")
    return Finding("ok", "packages", ", ".join(found))


def device() -> Finding:
    """Where tensors are computed."""
    try:
        found = machine.devices()
    except Exception as error:  # also a library that does not load
        return Finding("fail", "device", f"torch does not import ({error})", "pip install --force-reinstall torch")
    if found.startswith("CPU"):
        return Finding("note", "device", found, "a CUDA GPU and a torch built for it make extraction fast")
    return Finding("ok", "device", found)


def memory() -> Finding:
    """Memory that is free for use."""
    available = machine.available_memory()
    if available is None:
        return Finding("note", "memory", "unknown on this system", f"{ENOUGH_MEMORY} GB are enough for the defaults")
    if available < 1e9 * ENOUGH_MEMORY:
        return Finding(
            "note", "memory", f"{available / 1e9:.1f} GB free", "lower train.memory_gb, or close other programs"
        )
    return Finding("ok", "memory", f"{available / 1e9:.1f} GB free")


def disk(results: Path) -> Finding:
    """Room for what the workflow writes."""
    place = next(path for path in (results.absolute(), *results.absolute().parents) if path.exists())
    free = shutil.disk_usage(place).free / 1e9
    if not os.access(place, os.W_OK):
        return Finding("fail", "disk", f"{place} cannot be written to", "set results to another folder")
    if free < ENOUGH_DISK:
        return Finding("note", "disk", f"{free:.1f} GB free at {place}", "set results or extract.cache to another disk")
    return Finding("ok", "disk", f"{free:.1f} GB free at {place}")


def caches() -> Finding:
    """Whether libraries can keep caches where they look for them."""
    folder = machine.home_cache()
    if machine.cache_variables(folder):
        remedy = "smooseg fit takes one below its results; for snakemake, set XDG_CACHE_HOME and MPLCONFIGDIR to others"
        return Finding("note", "caches", f"{folder} cannot be written to", remedy)
    return Finding("ok", "caches", str(folder))


def crf() -> list[Finding]:
    """Whether each engine of the CRF loads; the one that needs a compiler is missed only where it could be built."""
    findings = []
    for engine, (module, remedy) in ENGINES.items():
        try:
            importlib.import_module(f"smooseg.evaluation.crf.{module}")
            findings.append(Finding("ok", f"CRF: {engine}", "loads"))
        except Exception as error:  # also a library that does not load
            findings.append(Finding("fail" if engine == "native" else "note", f"CRF: {engine}", str(error), remedy))
    return findings


def weights(rows: list[dict]) -> list[Finding]:
    """For each source of weights: which backbones' are here, and whether the others' can be had."""
    findings = []
    for source in sorted({row["weights"] for row in rows}):
        mine = [row for row in rows if row["weights"] == source]
        waiting = [row for row in mine if not row["present"]]
        here = f"{len(mine) - len(waiting)} of {len(mine)} fetched"
        problem, remedy = REACH[source](waiting) if waiting else ("", "")
        state = "note" if problem else "ok"
        reach = problem or ("the others can be had" if waiting else "")
        findings.append(Finding(state, f"weights: {source}", ", ".join(filter(None, [here, reach])), remedy))
    return findings


def reach_hub(waiting: list[dict]) -> tuple[str, str]:
    """The problem with timm's hub and its remedy, or empty strings."""
    problem = hub_problem(tries=1)
    return (problem, "use a backbone whose weights are a wheel or a file") if problem else ("", "")


def reach_index(waiting: list[dict]) -> tuple[str, str]:
    """The problem with pip's package index and its remedy, or empty strings."""
    name = waiting[0]["needs"].split("==")[0]
    options = ["--timeout", str(TIMEOUT), "--retries", "0", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "index", "versions", name, *options]
    try:
        result = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", timeout=3 * TIMEOUT)
        problem = (result.stderr.strip() or "pip failed").splitlines()[-1] if result.returncode else ""
    except subprocess.TimeoutExpired:
        problem = "no answer in time"
    return (f"{name} cannot be reached ({problem})", "set pip's index (PIP_INDEX_URL)") if problem else ("", "")


def find_files(waiting: list[dict]) -> tuple[str, str]:
    """The checkpoints that are missing and the remedy, or empty strings."""
    missing = [path for row in waiting for path in row["missing"]]
    return (f"missing: {', '.join(missing)}", "put them there, or set weights.path") if missing else ("", "")


REACH = {"hub": reach_hub, "file": find_files, "wheel": reach_index}
