"""The suite: every head on every labelled data set that is there. Its experiments are made here, as those of sweeps."""

import json
from dataclasses import dataclass
from pathlib import Path

from ..errors import SmoosegError
from ..images.datasets import open_dataset
from .choices import fitting_backbone
from .config import dataset_root
from .heads import SUPERVISED, check_backbone, demands, head_names, head_schema
from .schema import load_schema, require_known, validate

DEFAULT = "default"  # preset without settings: every setting has its default


@dataclass(frozen=True)
class Variant:
    """A head under one preset, on the backbone that it needs.

    Args:
        head: Its name.
        preset: Name of the preset; :data:`DEFAULT` for none.
        backbone: Name of the backbone's entry.
        settings: Of the head, complete.
    """

    head: str
    preset: str
    backbone: str
    settings: dict


def suite_experiments(config: dict) -> dict[str, dict]:
    """Add the suite's experiments, and the backbones that their heads need, to a resolved configuration.

    An experiment that is there with the same data set, backbone, head, clusters and settings is taken as it is, so that
    its trained heads count here too.

    Args:
        config: Resolved; its sections experiments and backbones are added to.

    Returns:
        For each of the suite's experiments its data set, head and preset; data set by data set.

    Raises:
        SmoosegError: If nothing is there to compare, a head of another package does not load, or a preset or the
            backbone is unknown.
    """
    variants, sets = suite_variants(config), suite_datasets(config)
    if not sets:
        root = config["data_root"]
        raise SmoosegError(
            f"suite: no data set with labels is below {root}; set data_root, or name some in suite_datasets"
        )
    known = {content(entry): name for name, entry in config["experiments"].items() if entry["names"] is None}
    found = {}
    for dataset in sets:
        labels = may_train_with_labels(config, dataset)
        for variant in variants:
            if variant.head in SUPERVISED and not labels:
                continue
            entry = experiment(config, dataset, variant)
            name = known.get(content(entry), f"suite@{dataset},{variant.head},{variant.preset}")
            config["experiments"].setdefault(name, entry)
            found[name] = {"dataset": dataset, "head": variant.head, "preset": variant.preset}
    return found


def experiment(config: dict, dataset: str, variant: Variant) -> dict:
    """The entry of an experiment of the suite: as many clusters as classes."""
    return {
        "dataset": dataset,
        "backbone": variant.backbone,
        "head": variant.head,
        "clusters": len(config["datasets"][dataset]["classes"]),
        "names": None,
        "preset": None if variant.preset == DEFAULT else variant.preset,
        "settings": variant.settings,
    }


def content(entry: dict) -> str:
    """What decides an experiment's results, as text."""
    keys = ("dataset", "backbone", "head", "clusters", "settings")
    return json.dumps({key: entry[key] for key in keys}, sort_keys=True)


def suite_variants(config: dict) -> list[Variant]:
    """Every head of the suite under each of its presets, those that are trained with labels last.

    A head that has none of the presets has its defaults. Presets of equal settings count once, under the first name.
    """
    schema, wanted = load_schema(), config["suite"]["presets"]
    names = dict.fromkeys([DEFAULT, *(name for presets in config["presets"].values() for name in presets)])
    for name in wanted:
        require_known("suite.presets", name, names)
    require_known("suite.backbone", config["suite"]["backbone"], config["backbones"])
    heads = config["suite_heads"] or head_names(schema)
    found = []
    for head in sorted(heads, key=SUPERVISED.__contains__):
        presets = {DEFAULT: {}} | config["presets"].get(head, {})
        of_head: list[Variant] = []
        for preset in [name for name in wanted if name in presets] or [DEFAULT]:
            variant = complete_variant(config, schema, head, preset, presets[preset])
            if variant.settings not in [other.settings for other in of_head]:
                of_head.append(variant)
        found += of_head
    return found


def complete_variant(config: dict, schema: dict, head: str, preset: str, settings: dict) -> Variant:
    """A head with its complete settings; the backbone's entry that it needs is added if it is not there."""
    part, backbone = head_schema(schema, head), config["suite"]["backbone"]
    complete = validate(settings, part, schema, f"suite: {head}")
    name, entry = fitting_backbone(demands(part, complete), backbone, config["backbones"][backbone])
    entry = config["backbones"].setdefault(name, entry)
    check_backbone("suite", (head, part), complete, (name, entry))
    if complete.get("subtract_mean", False) is None:
        complete["subtract_mean"] = entry["subtract_mean"]
    return Variant(head, preset, name, complete)


def suite_datasets(config: dict) -> list[str]:
    """Data sets of the suite: those that are named, else those whose entries belong to it and whose files are there."""
    if config["suite_datasets"] is not None:
        return list(config["suite_datasets"])
    return [name for name, entry in config["datasets"].items() if entry["suite"] and is_there(config, name)]


def is_there(config: dict, name: str) -> bool:
    """Whether the pictures of both views and the labels of the evaluation views are there, or the run makes them so."""
    entry = config["datasets"][name]
    if entry["generate"]:
        return True
    root = dataset_root(config, name)
    if not all_exist([root]):
        return config["fetch"] and isinstance(entry["source"], dict)  # which the run fetches
    dataset, splits = open_dataset(entry | {"root": root}), [entry[view]["split"] for view in ("train", "eval")]
    return all_exist(
        [path for split in splits for path in dataset.image_sources(split)] + dataset.label_sources(splits[1])
    )


def may_train_with_labels(config: dict, name: str) -> bool:
    """Whether training views have labels; of a data set that is not there at all, a run says what is missing."""
    entry, root = config["datasets"][name], dataset_root(config, name)
    if entry["generate"] or not root.is_dir():
        return True
    return all_exist(open_dataset(entry | {"root": root}).label_sources(entry["train"]["split"]))


def all_exist(paths: list[Path]) -> bool:
    """Whether all of some files and folders are there, and may be looked at: every start asks."""
    try:
        return all(path.exists() for path in paths)
    except OSError:
        return False
