"""What a run looks at before anything is computed: data, weights, labels and names that are there, and its folder."""

from pathlib import Path

from snakemake.exceptions import WorkflowError

from smooseg.errors import SmoosegError, raise_problems
from smooseg.images.datasets import open_dataset
from smooseg.running.files import share_folder


def absent_sources(jobs):
    """(data set, files and folders that jobs read and that are not there)."""
    sources = {"index_part": "image_sources", "read_labels": "label_sources"}
    for job in jobs:
        if job.rule.name in sources and job.wildcards.dataset not in GENERATED:
            settings = dataset_settings(job.wildcards.dataset)
            list_sources = getattr(open_dataset(settings), sources[job.rule.name])
            yield from (
                (job.wildcards.dataset, path)
                for path in list_sources(settings[job.wildcards.view]["split"])
                if not path.exists()
            )


def how_to_get(name):
    """Where a missing data set comes from, and what fetches it; or why that has failed."""
    settings = dataset_settings(name)
    said = fetch_problem(name) or describe_source(settings["source"])
    if isinstance(settings["source"], str) or config["fetch"] or os.path.lexists(settings["root"]):
        return said
    return f"--config fetch=true or {fetch_command(config, name)} fetches {said}"


def needed_but_missing(jobs):
    """What jobs read and is not there: a data set's folder or the parts of it, with where to get it; weights files."""
    absent = sorted(set(absent_sources(jobs)))
    for name in dict.fromkeys(name for name, _ in absent):
        settings = dataset_settings(name)
        parts = [str(path) for owner, path in absent if owner == name]
        where = ", ".join(parts) if Path(settings["root"]).is_dir() else settings["root"]
        yield f"{name} at {where}" + (f" ({said})" if (said := how_to_get(name)) else "")
    for name in sorted({job.wildcards.backbone for job in jobs if job.rule.name == "fetch_weights"}):
        path = config["backbones"][name]["weights"]["path"]
        if path and not Path(path).is_file():
            yield f"the weights of {name} at {path}"
    for name in sorted({job.wildcards.experiment for job in jobs if job.rule.name == "score_labels"}):
        path = config["experiments"][name]["names"]
        if path and not Path(path).is_file():
            yield f"the names of the clusters of {name} at {path}"


def require_data(jobs):
    """Say what is missing before anything is computed."""
    missing = list(needed_but_missing(jobs))
    if missing:
        raise WorkflowError(
            f"Missing data: {'; '.join(missing)}; docs/reference/data-sets.md says how each must lie below data_root, "
            f"and docs/reference/backbones.md which checkpoints are files"
        )
    try:
        require_labels(jobs)
    except SmoosegError as error:
        raise WorkflowError(str(error)) from None


def require_labels(jobs):
    """Name the images whose labels jobs read and that have none, before features are extracted."""
    for job in jobs:
        if job.rule.name == "read_labels" and job.wildcards.dataset not in GENERATED:
            settings = dataset_settings(job.wildcards.dataset)
            missing = open_dataset(settings).find_unlabelled(settings[job.wildcards.view]["split"])
            raise_problems(f"{job.wildcards.dataset}: these images have no label", missing)


def check_suite(jobs):
    """Say why the suite cannot run, where a run is to collect it."""
    if SUITE_PROBLEM and any(job.rule.name == "collect_suite" for job in jobs):
        raise WorkflowError(SUITE_PROBLEM)


def begin_run():
    """Say that another run is at work on the same results, before anything is computed."""
    try:
        share_folder(Path(PLACED), begin=True)
    except SmoosegError as error:
        raise WorkflowError(str(error)) from None
    except OSError as error:
        raise WorkflowError(
            f"{error.filename}: {error.strerror}; set results to a folder that can be written"
        ) from None
