"""Configuration, paths and the functions that rules share. No heavy import: this runs at every parse."""

import os
from pathlib import Path
from types import SimpleNamespace

from snakemake.exceptions import WorkflowError

from smooseg.config import resolve
from smooseg.datasets import open_dataset
from smooseg.errors import SmoosegError
from smooseg.fingerprint import source_hash, tree_state

try:
    resolved = resolve(config)
except SmoosegError as error:
    raise WorkflowError(str(error)) from None
config.clear()
config.update(resolved)  # scripts see the complete configuration

ALL_CORES = workflow.resource_settings.cores or os.cpu_count()
RESULTS = config["results"]
RUN = config["runs"][config["run"]]
GENERATED = [name for name, dataset in config["datasets"].items() if dataset["generate"]]


wildcard_constraints:
    dataset="|".join(config["datasets"]),
    backbone="|".join(config["backbones"]),
    experiment="|".join(config["experiments"]),
    view="train|eval",
    seed=r"\d+",
    postprocess="raw|crf",
    part=r"\d+",
    parts=r"\d+",


def dataset_settings(name):
    """A data set's entry with its root resolved; the workflow's own lie below the results."""
    settings = config["datasets"][name]
    root = f"{RESULTS}/data/{name}" if settings["generate"] else f"{config['data_root']}/{settings['path']}"
    return settings | {"root": root}


def existing(dataset, paths):
    """Sources as rule inputs; absent ones are reported when the run starts, so that dry runs need no data."""
    return [str(p) for p in paths if dataset in GENERATED or p.exists()]


def files_state(dataset, paths):
    """Names, sizes and times of files below folders: an input folder alone does not show what changes in its files."""
    return "" if dataset in GENERATED else tree_state(paths)


def image_sources(wildcards):
    settings = dataset_settings(wildcards.dataset)
    return existing(
        wildcards.dataset,
        open_dataset(settings).image_sources(settings[wildcards.view]["split"]),
    )


def label_sources(wildcards):
    settings = dataset_settings(wildcards.dataset)
    return existing(
        wildcards.dataset,
        open_dataset(settings).label_sources(settings["eval"]["split"]),
    )


def store_path(wildcards, view=None):
    """Folder or URL of a feature store."""
    cache = config["extract"]["cache"] or f"{RESULTS}/features"
    return f"{cache}/{wildcards.dataset}/{wildcards.backbone}/{view or wildcards.view}.zarr"


def feature_needs(dataset, backbone):
    """What a feature store must have been made from, as far as the configuration says."""
    return {key: config["backbones"][backbone][key] for key in ("model", "block", "norm")} | {
        "resample": config["datasets"][dataset]["resample"],
        "precision": config["extract"]["precision"],
    }


def of_experiment(pattern, view="eval"):
    """Input function: a path pattern with the wildcards of an experiment's data set and backbone filled in."""

    def path(wildcards):
        entry = config["experiments"][wildcards.experiment]
        return pattern.format(dataset=entry["dataset"], backbone=entry["backbone"], view=view)

    return path


def experiment_settings(wildcards):
    """What a head's training depends on; published figures do not belong."""
    entry = config["experiments"][wildcards.experiment]
    return {key: entry[key] for key in ("dataset", "backbone", "head", "clusters", "settings")}


def needs_of_experiment(wildcards):
    """What the caches an experiment reads must have been made from."""
    entry = config["experiments"][wildcards.experiment]
    return feature_needs(entry["dataset"], entry["backbone"])


def store_of_experiment(view):
    """Input function: the feature store of an experiment's view."""

    def path(wildcards):
        return store_path(SimpleNamespace(**config["experiments"][wildcards.experiment]), view)

    return path


def code(*modules):
    """Hash of the library code behind a stage: a change that can alter its results makes it run again."""
    return " ".join(source_hash(module) for module in modules)


def of_run(pattern, **values):
    """All files of a pattern for the experiments and seeds of the selected run."""
    return expand(pattern, experiment=RUN["experiments"], seed=RUN["seeds"], **values)


def require_data():
    """Say which data folders are missing before anything is computed."""
    used = {config["experiments"][name]["dataset"] for name in RUN["experiments"]} - set(GENERATED)
    missing = [
        f"{name} at {dataset_settings(name)['root']}"
        for name in sorted(used)
        if not Path(dataset_settings(name)["root"]).is_dir()
    ]
    if missing:
        raise WorkflowError(
            f"Missing data: {', '.join(missing)}. The README says under 'Data sets' where each comes "
            f"from and how it must lie; then run again with --config data_root=FOLDER."
        )
