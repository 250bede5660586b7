"""What the configuration offers, what each entry needs on disk, and what of it is there. Nothing here needs torch."""

import os
import shlex
from collections.abc import Iterable
from pathlib import Path

from ..errors import SmoosegError
from ..images import sources
from ..images.datasets import open_dataset
from ..images.sources import describe_size, describe_source
from .config import dataset_root, plain_path, resolve
from .files import over_catalogue, read_config
from .heads import SUPERVISED, head_names, head_schema
from .held import HELD
from .schema import load_schema, similar, validate
from .shipped import shipped_path


def load_catalogue(path: Path | None = None, **changes: str | Path | None) -> dict:
    """A resolved configuration.

    Args:
        path: Its file; None takes config.yaml of this folder, else the one that smooseg comes with.
        changes: Values of top-level keys, as data_root; None leaves a key as it is.

    Raises:
        SmoosegError: If it is missing, does not parse or is wrong.
    """
    config = over_catalogue(read_config(path or catalogue_path()))
    return resolve(config | {key: str(value) for key, value in changes.items() if value is not None})


def catalogue_path() -> Path:
    """config.yaml of this folder, else the one that smooseg comes with."""
    return Path("config.yaml") if Path("config.yaml").is_file() else shipped_path("config.yaml")


def find_missing(paths: Iterable[Path]) -> list[str]:
    """Those of some paths that do not exist, each once."""
    return [str(path) for path in dict.fromkeys(paths) if not path.exists()]


def datasets(config: dict) -> list[dict]:
    """One row per data set: what it is, what it needs below its folder, and what of that is missing."""
    rows = []
    for name, entry in config["datasets"].items():
        drawn = entry["generate"] is not None
        root = dataset_root(config, name)
        dataset = open_dataset(entry | {"root": root})
        splits = [entry[view]["split"] for view in ("train", "eval")]
        needs = [path for split in splits for path in dataset.image_sources(split) + dataset.label_sources(split)]
        missing = find_missing(needs)
        rows.append(
            {
                "name": name,
                "layout": entry["layout"],
                "classes": len(entry["classes"]),
                "present": not missing,
                "folder": str(root),
                "missing": [] if drawn else [str(Path(path).relative_to(root)) for path in missing],
                "from": "drawn by the workflow" if drawn else describe_source(entry["source"]),
                "fetch": "" if drawn else describe_size(entry["source"]),
                "licence": entry["source"]["licence"] if isinstance(entry["source"], dict) else "",
                "citation": entry["source"]["citation"] if isinstance(entry["source"], dict) else "",
                "needs": [str(path.relative_to(root)) for path in dict.fromkeys(needs)],
            }
        )
    return rows


def fetch_dataset(config: dict, name: str) -> bool:
    """Fetch a data set's files; whether they had to be.

    Args:
        config: A resolved configuration.
        name: Of the data set.

    Raises:
        SmoosegError: If there is no such data set, its folder is there without all of its files, or fetching fails.
    """
    row = dataset_row(config, name)
    if row["present"] or config["datasets"][name]["generate"]:
        return False
    if os.path.lexists(row["folder"]):
        raise SmoosegError(
            f"{name} was not fetched: {row['folder']} is there already, but lacks {', '.join(row['missing'])}; "
            f"move it away"
        )
    sources.fetch_dataset(name, config["datasets"][name]["source"], Path(row["folder"]))
    if missing := dataset_row(config, name)["missing"]:
        raise SmoosegError(f"{name} was fetched into {row['folder']}, but its entry asks for {', '.join(missing)}, too")
    return True


def dataset_row(config: dict, name: str) -> dict:
    """The row of one data set.

    Raises:
        SmoosegError: If there is none of that name.
    """
    if name not in config["datasets"]:
        known = list(config["datasets"])
        raise SmoosegError(f"data set {name!r} is none of {', '.join(known)}{similar(name, known)}")
    (row,) = (row for row in datasets(config) if row["name"] == name)
    return row


def fetch_command(config: dict, name: str) -> str:
    """The command that fetches a data set to where a configuration looks for it."""
    root = "" if config["data_root"] == "data" else f" --data-root {shlex.quote(config['data_root'])}"
    return f"smooseg datasets fetch {name}{root}"


def backbones(config: dict) -> list[dict]:
    """One row per backbone: its model and block, where its weights come from, and whether they are there."""
    rows = []
    for name, entry in config["backbones"].items():
        weights, fetched = entry["weights"], weights_file(config, name)
        needs = weights["path"] or weights["requirement"] or f"timm/{entry['model']}"
        missing = find_missing([Path(weights["path"])]) if weights["path"] and not fetched.is_file() else []
        rows.append(
            {
                "name": name,
                "model": entry["model"],
                "block": "last" if entry["block"] == -1 else entry["block"],
                "weights": weights["source"],
                "present": fetched.is_file(),
                "missing": missing,
                "needs": needs,
            }
        )
    return rows


def weights_file(config: dict, backbone: str) -> Path:
    """Where the workflow keeps the weights of a backbone."""
    return Path(config["results"], "weights", f"{backbone}.safetensors")


def heads() -> list[dict]:
    """One row per head: what it is, whether it is trained with labels, and its settings: defaults, and what each means.

    Of another package's head all settings are common, if it says of none that it is.
    """
    schema, rows = load_schema(), []
    for name in head_names(schema):
        head = head_schema(schema, name)
        rows.append(
            {
                "name": name,
                "labels": "of the training views" if name in SUPERVISED else "none",
                "what": head["description"],
                "settings": {key: part["default"] for key, part in head["properties"].items()},
                "meanings": meanings(head["properties"]),
            }
        )
    return rows


def meanings(properties: dict) -> dict[str, dict]:
    """Title, description and whether people commonly change it, by setting."""
    marked = any(part.get("common") for part in properties.values())
    return {
        key: {
            "title": part.get("title", key),
            "description": part.get("description", ""),
            "common": part.get("common", not marked),
        }
        for key, part in properties.items()
    }


def experiments(config: dict) -> list[dict]:
    """One row per experiment, points of sweeps left out: what it is, and which of its seeds are trained and scored."""
    rows = []
    for name, entry in config["experiments"].items():
        if "@" in name:
            continue
        folder = Path(config["results"], "experiments", name)
        row = {"name": name} | {key: entry[key] for key in ("dataset", "backbone", "head", "clusters")}
        found = {"trained": seeds(folder, "head.safetensors"), "scored": seeds(folder, "raw.json")}
        rows.append(row | found | {"settings": entry["settings"]})
    return rows


def seeds(folder: Path, file: str) -> list[int]:
    """Seeds of an experiment for which a file is there."""
    return sorted(int(path.parent.name) for path in folder.glob(f"*/{file}") if path.parent.name.isdigit())


def find_backbone(backbone: str | dict) -> tuple[str, dict]:
    """Name and complete settings of a backbone, from the catalogue or as they are given."""
    if isinstance(backbone, dict):
        schema = load_schema()
        settings = validate(backbone, schema["$defs"]["backbone"], schema, "backbone")
        settings["weights"]["path"] = plain_path(settings["weights"]["path"])
        return backbone["model"], settings
    known = over_catalogue(read_config(catalogue_path()))["backbones"]
    if backbone not in known:
        raise SmoosegError(f"backbone {backbone!r} is none of {', '.join(known)}")
    return backbone, find_backbone(known[backbone])[1]


def stated_needs(backbone: dict, resample: str, precision: str) -> dict:
    """What a cache must have been made from, as far as the configuration says: precision ``auto`` says nothing.

    Args:
        backbone: Its entry.
        resample: Of the data set's entry.
        precision: extract.precision.
    """
    stated = {} if precision == "auto" else {"precision": precision}
    return {key: backbone[key] for key in HELD} | {"resample": resample} | stated
