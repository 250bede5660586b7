"""What a feature store will be, before a backbone is loaded: shape, size on disk, provenance."""

import logging
from importlib.metadata import version
from pathlib import Path

from ..errors import SmoosegError
from ..running.machine import fast_precision
from .store import CIRCUMSTANCES, Store, create_store, open_store

LOG = logging.getLogger(__name__)
CHUNK = 16  # views in a chunk: 3 MB at ViT-S/14, large enough to read at memory speed


def plan_features(
    views: int, path: str | Path, needs: dict, *, code: str, codec: str, batch: int, replace: bool
) -> Store:
    """Create the store that a manifest's features go to, keeping what an earlier run with the same needs left.

    Args:
        views: Number of views.
        path: Folder or URL of the store.
        needs: What :func:`smooseg.features.provenance.feature_needs` returned for it; without a precision, the fast
            one is taken, or that of an earlier store.
        code: Hash of the code that decides the features.
        codec: Key of :data:`smooseg.features.store.CODECS`.
        batch: Views in a forward pass: it can decide a feature's last bit.
        replace: Whether a finished store of other needs may be replaced.

    Raises:
        SmoosegError: If the disk has no room for it, or a store of other needs must stay.
    """
    tokens = needs["prefix"] + (needs["size"] // needs["patch"]) ** 2
    made_with = {package: version(package) for package in ("smooseg", "torch", "timm")} | {"batch": batch}
    facts = needs | {"code": code}
    facts = {"precision": earlier_precision(path, facts) or fast_precision()} | facts
    LOG.info("%s: features in %s", path, facts["precision"])
    facts[CIRCUMSTANCES] = made_with
    return create_store(path, (views, tokens, needs["channels"]), "float16", CHUNK, facts, codec, replace)


def earlier_precision(path: str | Path, facts: dict) -> str | None:
    """Precision of the store that lies at a path, finished or not, if it is of the same facts."""
    try:
        before = Store(path).provenance
    except SmoosegError:
        return None
    return before.get("precision") if all(before.get(key) == value for key, value in facts.items()) else None


def find_finished(path: str | Path, facts: dict) -> Store | None:
    """The store that lies at a path, if it is complete and of these facts; nothing of it is touched."""
    try:
        return open_store(path, facts)
    except SmoosegError:
        return None
