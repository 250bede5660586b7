"""How many clusters to ask for, where there are features and no head yet."""

import numpy as np

from ...errors import SmoosegError
from ...features.store import Store
from ...settings.heads import AUTO
from ...settings.schema import load_schema, validate
from ..base import Head
from .head import FINEST, SmooSegPlusHead


def advising_head(
    store: Store, most: int | None, *, subtract_mean: bool, budget: int, pictures: np.ndarray | None = None
) -> Head:
    """A head of the default settings, seed 0, which has chosen its number of clusters.

    Args:
        store: Training features.
        most: Number of the finest clusters, :data:`.head.FINEST` at least; None takes that.
        subtract_mean: As the backbone's entry says.
        budget: Bytes of features to hold in memory.
        pictures: Number of the picture that each view is of; None takes every view for a picture.

    Raises:
        SmoosegError: If the store does not hold features.
    """
    if "model" not in store.provenance:
        raise SmoosegError(f"{store.path}: holds no features; give a train.zarr of results/features, or a head")
    schema = load_schema()
    settings = validate({"subtract_mean": subtract_mean}, schema["$defs"]["heads"]["smooseg_plus"], schema, "settings")
    clusters = most if most and most > FINEST else AUTO
    head, _ = SmooSegPlusHead.fit(store, clusters, settings, seed=0, budget=budget, pictures=pictures)
    return head
