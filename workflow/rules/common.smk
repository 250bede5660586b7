"""Configuration, paths and the functions that rules share. No heavy import: this runs at every parse."""

import logging
import os
import re
import sys
from functools import cache
from pathlib import Path
from types import SimpleNamespace

from snakemake.exceptions import WorkflowError

from smooseg.settings.catalogue import fetch_command, stated_needs
from smooseg.settings.config import compared_experiments, dataset_root, resolve, run_jobs, sweep_jobs, table_jobs
from smooseg.settings.files import over_catalogue, read_config
from smooseg.settings.schema import load_schema
from smooseg.settings.suite import suite_experiments
from smooseg.settings.heads import CHOOSING, SUPERVISED, head_schema, proposal_settings
from smooseg.images.datasets import open_dataset
from smooseg.images.sources import describe_source, fetch_dataset
from smooseg.errors import SmoosegError
from smooseg.running.codes import code, code_of_features, code_of_heads, code_of_maps, code_of_proposals
from smooseg.running.files import FOLDER
from smooseg.running.fingerprint import tree_state
from smooseg.running.machine import interpreter_problem, usable_cores
from smooseg.running.plugins import code_of, code_with_heads
from smooseg.running.spreadsheets import read_table
from smooseg.settings.shipped import shipped_path

if problem := interpreter_problem():
    raise WorkflowError(problem)
if not in_main_process():  # which says it once
    logging.getLogger("smooseg.settings.renamed").setLevel(logging.ERROR)
try:
    for path in given_configs():
        read_config(path)  # a key that stands twice is lost on Snakemake, which keeps the last
    # of a module the whole configuration is its user's, who may have left out ours
    resolved = resolve(over_catalogue(config, config if config_is_replaced() else read_config(OWN_CONFIG)))
except SmoosegError as error:
    raise WorkflowError(str(error)) from None
SUITE, SUITE_PROBLEM, MADE_BEFORE = {}, "", set(resolved["experiments"])
try:
    SUITE = suite_experiments(resolved)
except SmoosegError as error:  # of no concern to other targets: check_suite says it
    SUITE_PROBLEM = str(error)
MADE_FOR_SUITE = [name for name in SUITE if name not in MADE_BEFORE]
config.clear()
config.update(resolved)  # scripts see the complete configuration

if config["warm_starts"]:
    start_warm(path.stem for path in shipped_path("workflow/scripts").glob("*.py"))
ALL_CORES = run_cores(usable_cores())
SCHEMA = load_schema()
RESULTS = config["results"]  # as rules write it
PLACED = prefixed(RESULTS)  # where that lies
if os.path.isabs(RESULTS) and prefixed("results") != "results":
    raise WorkflowError(f"results: {RESULTS} is absolute, which a module's prefix cannot move; give a relative folder")
os.environ[FOLDER] = str(Path(PLACED).absolute())  # jobs share its lock: a kill of their run can leave them at work
RUN = config["runs"][config["run"]]
JOBS = run_jobs(config)  # (experiment, seed) pairs that the run's tables and report show
SWEPT = [job for name in RUN["sweeps"] for job in sweep_jobs(config["sweeps"][name])]  # and those of its sweeps
SCORED_ONLY = [*(name for sweep in config["sweeps"].values() for name, _ in sweep_jobs(sweep)), *MADE_FOR_SUITE]
# they need a score and no label map, unless the run shows them or somebody has named their clusters
SHOWN = dict(JOBS)
POINTS = {name: None for name in SCORED_ONLY if name not in SHOWN and not config["experiments"][name]["names"]}
GENERATED = [name for name, dataset in config["datasets"].items() if dataset["generate"]]


def one_of(names):
    """Regular expression that matches these names and no other."""
    return "|".join(map(re.escape, names)) or "(?!)"


# Rules name no environment, since reading them imports smooseg, on a cluster's nodes too: what can run a job has all
# of its environment already. One that Snakemake deployed beside it would be a copy of environment.yml without smooseg.
pathvars:
    results=RESULTS,
    logs="<results>/logs",


wildcard_constraints:
    dataset=one_of(config["datasets"]),
    backbone=one_of(config["backbones"]),
    experiment=one_of(config["experiments"]),
    table=one_of(config["tables"]),
    sweep=one_of(config["sweeps"]),
    view="train|eval",
    seed=r"\d+",
    postprocess="raw|crf",
    part=r"\d+",
    parts=r"\d+",


def dataset_settings(name):
    """A data set's entry with its root resolved."""
    return config["datasets"][name] | {"root": str(dataset_root(config | {"results": PLACED}, name))}


def reading_settings(name, view):
    """What reading a view's labels depends on."""
    settings = dataset_settings(name)
    keys = ("layout", "root", "settings", "classes", "void", "labels")
    return {key: settings[key] for key in keys} | {"split": settings[view]["split"]}


@cache
def fetch_problem(dataset):
    """Fetch a data set whose folder is missing, where the run may; why that failed, or nothing.

    This happens while the graph is built: only then it is known which data sets are needed, and what jobs depend on is
    the same as in a later run. A failure is reported when the run starts.
    """
    settings = dataset_settings(dataset)
    fetchable = isinstance(settings["source"], dict) and dataset not in GENERATED
    if not (config["fetch"] and fetchable and runs_jobs()) or os.path.lexists(settings["root"]):
        return ""
    print(f"Fetch {dataset}: {describe_source(settings['source'])}", file=sys.stderr, flush=True)
    try:
        fetch_dataset(dataset, settings["source"], Path(settings["root"]))
    except SmoosegError as error:
        return str(error)
    return ""


def existing(dataset, paths):
    """Sources as rule inputs, which no module's prefix changes; absent ones are reported when the run starts, so that
    dry runs need no data."""
    fetch_problem(dataset)
    return [local(str(p)) for p in paths if dataset in GENERATED or p.exists()]


# asked for by every job of a rule
code, code_of_heads, code_of_maps = cache(code), cache(code_of_heads), cache(code_of_maps)


@cache
def state_of(*paths):
    """Names, sizes and times of files below folders as this start finds them; several jobs of a rule ask."""
    return tree_state(paths)


def files_state(dataset, paths):
    """An input folder alone does not show what changes in its files."""
    return "" if dataset in GENERATED else state_of(*paths)


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
        open_dataset(settings).label_sources(settings[wildcards.view]["split"]),
    )


def store_path(wildcards, view=None):
    """Folder or URL of a feature store."""
    cache = config["extract"]["cache"] or f"{PLACED}/features"
    return f"{cache}/{wildcards.dataset}/{wildcards.backbone}/{view or wildcards.view}.zarr"


def feature_needs(dataset, backbone):
    """What a feature store must have been made from, as far as the configuration says."""
    resample, precision = config["datasets"][dataset]["resample"], config["extract"]["precision"]
    return stated_needs(config["backbones"][backbone], resample, precision)


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


def weights_file(wildcards):
    """A checkpoint on disk, where the weights are one; an absent one is reported when the run starts."""
    path = config["backbones"][wildcards.backbone]["weights"]["path"]
    return [local(path)] if path and Path(path).exists() else []


def names_file(wildcards):
    """What somebody calls an experiment's clusters, where anybody does; an absent one is reported as above."""
    path = config["experiments"][wildcards.experiment]["names"]
    return [local(path)] if path and Path(path).exists() else []


def names_rows(wildcards):
    """Rows of that file where it names other clusters than the experiment's: its head's finest ones need other maps."""
    try:
        rows = sum(len(read_table(Path(path))) for path in names_file(wildcards))
    except SmoosegError:
        return None  # scoring says why
    return rows if rows not in (0, config["experiments"][wildcards.experiment]["clusters"]) else None


def training_inputs(wildcards):
    """What a head is trained from: a finished cache and what it was made from, and what else its schema asks for."""
    inputs = {
        "complete": of_experiment(rules.finish_features.output.complete, "train")(wildcards),
        "manifest": of_experiment(rules.index_views.output[0], "train")(wildcards),
        "facts": of_experiment(rules.fetch_weights.output.facts)(wildcards),
    }
    further = {
        "weights": of_experiment(rules.fetch_weights.output.weights),
        "proposals": of_experiment(rules.propose_masks.output.complete),
        "pictures": of_experiment(rules.index_views.output[0], "train"),
        "base": base_head,
    }
    head = head_schema(SCHEMA, config["experiments"][wildcards.experiment]["head"])
    found = {name: further[name](wildcards) for name in head.get("inputs", [])}
    return inputs | {name: path for name, path in found.items() if path}


def base_head(wildcards):
    """The head that an experiment's is put on, of the same seed; None where it is put on features."""
    base = config["experiments"][wildcards.experiment]["settings"]["base"]
    return base and rules.train_head.output.head.format(experiment=base, seed=wildcards.seed)


def heads_of(experiment):
    """Names of an experiment's head, of the one that it is put on, and so on."""
    entry = config["experiments"][experiment]
    base = entry["settings"].get("base")
    return [entry["head"], *(heads_of(base) if base else [])]


def of_jobs(pattern, jobs, **values):
    """All files of a pattern for some (experiment, seed) pairs."""
    return [path for name, seed in jobs for path in expand(pattern, experiment=name, seed=seed, **values)]


def entries(section, names):
    """Entries of a section of the configuration that have some names, in the section's order."""
    return {name: entry for name, entry in config[section].items() if name in names}


def caption(kind):
    """The text below a kind of figure, in this report and in Snakemake's own."""
    return workflow.source_path(f"../report/{kind}.rst")


def is_supervised(experiment):
    """Whether an experiment's head is trained with labels."""
    return config["experiments"][experiment]["head"] in SUPERVISED


def facts_of_head(head):
    """What the report says of a head: title, description, and the page about it."""
    schema = head_schema(SCHEMA, head)
    return {key: schema.get(key, "") for key in ("title", "description", "page")}
