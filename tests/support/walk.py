"""The stages of the workflow, one after the other in this process, for experiments of a catalogue.

Each stage calls what its script in ``workflow/scripts`` calls, with what its rule gives: another stage's files, and the
resolved configuration.
"""

import json
from functools import cache
from pathlib import Path

import pandas as pd

from smooseg.evaluation.measures import head_measures
from smooseg.evaluation.prediction import predict_labels, refine_labels, require_same_precision
from smooseg.evaluation.proposals import propose_masks
from smooseg.evaluation.scoring import read_labels, score_labels
from smooseg.features.extraction import extract_features
from smooseg.features.planning import plan_features
from smooseg.features.provenance import feature_needs
from smooseg.features.store import Store, open_store
from smooseg.features.weights import fetch_weights
from smooseg.heads import load_head
from smooseg.heads.fitting import Fitting, fit_head
from smooseg.heads.inputs import read_inputs
from smooseg.images.datasets import open_dataset
from smooseg.images.indexing import index_part, join_parts
from smooseg.images.manifests import write_manifest
from smooseg.settings.catalogue import stated_needs
from smooseg.settings.config import dataset_root
from smooseg.settings.heads import SUPERVISED, head_schema, proposal_settings
from smooseg.settings.schema import load_schema

SEED, CODE = 0, "1"
COMPLETE = "complete.json"


class Walk:
    """Every stage of a configuration, each at most once; results lie below its ``results``."""

    def __init__(self, config: dict):
        self.config, self.results = config, Path(config["results"])
        for stage in ("weights", "manifest", "features", "labels", "proposals", "head"):  # jobs of their own
            setattr(self, stage, cache(getattr(self, stage)))

    def dataset(self, name: str) -> dict:
        return self.config["datasets"][name] | {"root": str(dataset_root(self.config, name))}

    def weights(self, backbone: str) -> tuple[Path, Path]:
        """Files of weights and of their facts."""
        entry, output = self.config["backbones"][backbone], self.results / "weights" / f"{backbone}.safetensors"
        output.parent.mkdir(parents=True, exist_ok=True)
        facts = output.with_suffix(".json")
        facts.write_text(json.dumps(fetch_weights(entry["model"], entry["weights"], output)))
        return output, facts

    def manifest(self, name: str, view: str) -> Path:
        path, settings = self.results / "manifests" / name / f"{view}.parquet", self.dataset(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        write_manifest(part, index_part(open_dataset(settings), **settings[view], evaluation=view == "eval", workers=1))
        join_parts([part], name, path)
        return path

    def features(self, name: str, backbone: str, view: str) -> tuple[Store, dict]:
        """A finished cache, and what it was made from."""
        weights, facts = self.weights(backbone)
        manifest, extract = self.manifest(name, view), self.config["extract"]
        stated = stated_needs(
            self.config["backbones"][backbone], self.config["datasets"][name]["resample"], extract["precision"]
        )
        needs, path = (
            feature_needs(stated, manifest, facts),
            self.results / "features" / name / backbone / f"{view}.zarr",
        )
        views = len(pd.read_parquet(manifest, columns=["mirror"]))
        store = plan_features(
            views, path, needs, code=CODE, codec=extract["codec"], batch=extract["batch"], replace=True
        )
        how = {"batch": extract["batch"], "workers": 1}
        extract_features(manifest, Path(self.dataset(name)["root"]), weights, store, part=1, parts=1, **how)
        store.finish()
        return open_store(path, needs), needs

    def labels(self, name: str, backbone: str, view: str) -> Path:
        path, settings = self.results / "labels" / name / backbone / f"{view}.zarr", self.dataset(name)
        store, _ = self.features(name, backbone, view)
        split = settings[view]["split"]
        read_labels(self.manifest(name, view), open_dataset(settings), split, str(store.path), path, code=CODE)
        return path

    def proposals(self, name: str, backbone: str) -> Path:
        path, store = self.results / "proposals" / name / f"{backbone}.zarr", self.features(name, backbone, "train")[0]
        settings = proposal_settings(self.config["proposals"], self.config["backbones"][backbone])
        root = Path(self.dataset(name)["root"])
        propose_masks(store, path, CODE, self.manifest(name, "train"), root, settings, self.config["crf"])
        return path

    def inputs(self, name: str) -> dict[str, str]:
        """Files of what an experiment's head is trained from, besides features."""
        entry = self.config["experiments"][name]
        dataset, backbone = entry["dataset"], entry["backbone"]
        ways = {
            "weights": lambda: self.weights(backbone)[0],
            "proposals": lambda: self.proposals(dataset, backbone) / COMPLETE,
            "pictures": lambda: self.manifest(dataset, "train"),
            "base": lambda: entry["settings"]["base"] and self.head(entry["settings"]["base"]),
            "labels": lambda: self.labels(dataset, backbone, "train") / COMPLETE,
        }
        asked = head_schema(load_schema(), entry["head"]).get("inputs", [])
        asked = [*asked, "labels"] if entry["head"] in SUPERVISED else asked
        return {key: str(path) for key in asked if (path := ways[key]())}

    def head(self, name: str) -> Path:
        """The fitted head of an experiment."""
        entry, path = self.config["experiments"][name], self.results / "experiments" / name / str(SEED)
        store, needs = self.features(entry["dataset"], entry["backbone"], "train")
        files = self.inputs(name)
        decisive = {key: entry[key] for key in ("dataset", "backbone", "head", "clusters", "settings")}
        base, memory = Path(files["base"]) if "base" in files else None, self.config["train"]["memory_gb"]
        fitting = Fitting(decisive, SEED, store, needs, memory, read_inputs(files, needs), base)
        path.mkdir(parents=True)
        return fit_head(fitting, path / "head.safetensors")

    def scores(self, name: str) -> dict[str, dict]:
        """Scores of an experiment, without and with the CRF, and measures without labels."""
        entry, head = self.config["experiments"][name], self.head(name)
        store, _ = self.features(entry["dataset"], entry["backbone"], "eval")
        require_same_precision(store, head)
        raw, crf = (head.with_name(f"{kind}.zarr") for kind in ("raw", "crf"))
        predict_labels(store, head, raw, CODE)
        settings, manifest = self.dataset(entry["dataset"]), self.manifest(entry["dataset"], "eval")
        refine_labels(store, head, crf, CODE, manifest, Path(settings["root"]), self.config["crf"])
        labels = open_store(self.labels(entry["dataset"], entry["backbone"], "eval"), {})
        fitted, matched = load_head(head)[0], entry["head"] not in SUPERVISED
        found = {"measures": head_measures(fitted, store, SEED)}
        for path in (raw, crf):
            maps = open_store(path, {})
            found[path.stem] = score_labels(maps, labels, fitted.clusters, settings["classes"], matched=matched)
        return found
