"""The workflow's stages as calls, for scripts and notebooks: extract features, fit a head (see :mod:`smooseg`)."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .errors import SmoosegError
from .features.extraction import extract_features
from .features.planning import plan_features
from .features.provenance import feature_needs
from .features.store import Store, open_store
from .features.weights import fetch_weights
from .heads import Snapshot, find_head, save_head
from .heads.inputs import picture_numbers
from .images.datasets import Dataset, Entry
from .images.indexing import index_views
from .images.manifests import write_manifest
from .running.fingerprint import source_hash
from .running.machine import keep_to_usable_cores
from .running.plugins import code_of
from .settings.catalogue import find_backbone, stated_needs
from .settings.heads import SUPERVISED, check_backbone, head_names, head_schema
from .settings.schema import checked, load_schema


class Images(Dataset):
    """Every image below a folder, without labels."""

    def image_sources(self, split: str) -> list[Path]:
        return [self.root]

    def label_sources(self, split: str) -> list[Path]:
        return []

    def entries(self, split: str) -> list[Entry]:
        return [Entry(path.relative_to(self.root).as_posix(), None) for path in self.pictures(self.root)]


@dataclass(frozen=True)
class Features:
    """Finished features of a folder of images.

    Args:
        images: The folder.
        out: Folder that results go to, as the workflow's.
        backbone: Name of the backbone.
        settings: Its entry of the catalogue.
        needs: What the features were made from.
    """

    images: Path
    out: Path
    backbone: str
    settings: dict
    needs: dict

    @property
    def path(self) -> Path:
        """Folder of the store."""
        return self.out / "features" / f"{self.backbone}.zarr"

    @property
    def store(self) -> Store:
        """The features, checked."""
        return open_store(self.path, self.needs)

    def input(self, name: str, head: str) -> Any:
        """What a head asks for besides features.

        Raises:
            SmoosegError: If only the workflow makes it.
        """
        if name == "pictures":
            return picture_numbers(self.out / "manifests" / f"{self.backbone}.parquet")
        if name != "weights":
            raise SmoosegError(f"head {head} is trained from {name}, which only the workflow makes")
        return self.out / "weights" / f"{self.backbone}.safetensors"


def extract(
    images: str | Path,
    out: str | Path,
    backbone: str | dict = "dinov2_s14_focus",
    *,
    crops: str = "five",
    size: int = 224,
    resample: str = "bilinear",
    precision: str = "auto",
    batch: int = 32,
    workers: int = 2,
) -> Features:
    """Cache the patch features of a folder's images; what an earlier call finished is kept.

    Args:
        images: Folder, searched recursively.
        out: Folder for weights and features.
        backbone: Name in config.yaml's catalogue, or an entry as there: model, weights, block, norm.
        crops: "five" or "whole", see :func:`smooseg.images.views.crop_boxes`.
        size: Side of a view in pixels, before rounding to the patch.
        resample: Key of :data:`smooseg.images.imaging.RESAMPLING`.
        precision: Key of :data:`smooseg.features.backbones.DTYPES`; auto takes the fast one, or an earlier call's.
        batch: Views in a forward pass, a multiple of 16.
        workers: Decoding threads.

    Raises:
        SmoosegError: If the weights cannot be had, or images are bad (all are named).
    """
    keep_to_usable_cores()
    images, out = Path(images), Path(out)
    name, settings = find_backbone(backbone)
    facts = fetch_once(name, settings, out)
    manifest = index_views(Images(images), "", crops, size, False, workers)
    listed = out / "manifests" / f"{name}.parquet"
    write_manifest(listed, [manifest])
    chosen = stated_needs(settings, resample, precision)
    features = Features(images, out, name, settings, feature_needs(chosen, listed, facts))
    code = " ".join(source_hash(module) for module in ("features.backbones", "images.imaging"))
    store = plan_features(
        len(manifest), features.path, features.needs, code=code, codec="raw", batch=batch, replace=True
    )
    weights = facts.with_suffix(".safetensors")
    extract_features(listed, images, weights, store, part=1, parts=1, batch=batch, workers=workers)
    store.finish()
    return replace(features, needs=features.needs | {"precision": store.provenance["precision"]})


def fetch_once(name: str, settings: dict, out: Path) -> Path:
    """The JSON file of facts about a backbone's weights, which lie beside it; fetched where they are not there."""
    facts = out / "weights" / f"{name}.json"
    weights = facts.with_suffix(".safetensors")
    if not (
        facts.is_file() and weights.is_file() and json.loads(facts.read_text("utf-8"))["source"] == settings["weights"]
    ):
        facts.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(fetch_weights(settings["model"], settings["weights"], weights), indent=1)
        facts.write_text(text, "utf-8")
    return facts


def fit(
    features: Features,
    clusters: int,
    head: str = "smooseg",
    *,
    name: str | None = None,
    seed: int = 0,
    memory_gb: float = 4,
    **settings,
) -> Path:
    """Fit a head to features alone, and return its file; its history lies beside it.

    A call that was killed is gone on with by the same call.

    Args:
        features: What :func:`extract` returned.
        clusters: Number of clusters.
        head: Key of :data:`smooseg.heads.HEADS` that needs no labels.
        name: Folder of the head below ``out/experiments``; the head's key where not given.
        seed: Fixes initialisation and order.
        memory_gb: Features to hold in memory.
        settings: Hyperparameters; defaults are the configuration's.

    Raises:
        SmoosegError: If a setting is unknown, or the head needs labels.
    """
    keep_to_usable_cores()
    schema = load_schema()
    if head not in (names := sorted(set(head_names(schema)) - SUPERVISED)):
        raise SmoosegError(f"head {head!r} is none of {', '.join(names)}")
    entry = head_schema(schema, head)
    settings = checked(settings, entry, schema, head)
    check_backbone("fit", (head, entry), settings, (features.backbone, features.settings))
    if settings.get("subtract_mean", False) is None:
        settings["subtract_mean"] = features.settings["subtract_mean"]
    path = features.out / "experiments" / (name or head) / str(seed) / "head.safetensors"
    facts = {"dataset": features.images.name, "backbone": features.backbone, "head": head, "clusters": clusters}
    facts |= {"settings": settings, "seed": seed, "features": features.needs}
    circumstances = {"code": code_of("heads", head), "memory_gb": memory_gb}
    store = features.store
    snapshot = Snapshot(path, facts | circumstances, [store])
    budget = int(1e9 * memory_gb)
    inputs = {name: features.input(name, head) for name in entry.get("inputs", [])}
    fitted, history = find_head(head).fit(
        store, clusters, settings, seed=seed, budget=budget, snapshot=snapshot, **inputs
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    history.to_parquet(path.with_name("history.parquet"))
    save_head(fitted, head, facts, path)
    snapshot.remove()
    return path
