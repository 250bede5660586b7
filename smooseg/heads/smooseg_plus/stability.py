"""How many clusters? Stability over K: what random halves of the views agree on is in the images."""

from collections.abc import Sequence
from itertools import combinations

import pandas as pd
import torch
from sklearn.metrics import adjusted_rand_score

from ...errors import SmoosegError
from ...features.reader import mean_feature
from ...features.store import Store
from ...running.progress import progress
from ...settings.schema import checked, load_schema
from .head import covariances, projected, smooth_directions, smooth_kmeans

HALVES = 4  # random ones, which may overlap: six pairs to compare
CHUNKS = 4  # of views at least: of fewer, a half would be nearly all
SAMPLES = 15000  # patches that k-means is fitted on; a third of them is labelled by every half
STARTS = 4  # of k-means


def cluster_stability(store: Store, numbers: Sequence[int], *, subtract_mean: bool, budget: int) -> pd.DataFrame:
    """Agreement between heads of SmooSeg+'s first version on random halves of the views, for each number of clusters.

    Args:
        store: Training features.
        numbers: Numbers of clusters K to try.
        subtract_mean: As the backbone's entry says.
        budget: Bytes of features to hold in memory.

    Returns:
        One row per K: clusters, stability (adjusted Rand index of the same patches' clusters, mean over pairs of
        halves; 1 = the same clusters, 0 = as by chance) and stability_sd. High peaks are good choices.

    Raises:
        SmoosegError: If the store does not hold features, or of too few views.
    """
    if "model" not in store.provenance:
        raise SmoosegError(f"{store.path}: holds no features; give a train.zarr of results/features")
    if store.chunks < CHUNKS:
        least = (CHUNKS - 1) * store.chunk
        raise SmoosegError(
            f"{store.path}: has {store.views} views, too few to compare halves; more than {least} are needed"
        )
    schema = load_schema()
    settings = checked({}, schema["$defs"]["heads"]["smooseg_plus"], schema, "settings")
    settings |= {"views": -(-min(store.views, settings["views"]) // 2), "samples": SAMPLES}
    mean = mean_feature(store) if subtract_mean else torch.zeros(store.shape[-1])
    halves = [covariances(store, mean, settings, seed, budget) for seed in range(HALVES)]
    common, rows = halves[0][2][::3], []
    for clusters in progress(list(numbers), unit="K", desc="stability"):
        found = [clustered(*half, common, clusters, seed) for seed, half in enumerate(halves)]
        agreement = pd.Series([adjusted_rand_score(*pair) for pair in combinations(found, 2)])
        rows.append({"clusters": clusters, "stability": agreement.mean(), "stability_sd": agreement.std()})
    return pd.DataFrame(rows)


def clustered(signal, residual, sample: torch.Tensor, common: torch.Tensor, clusters: int, seed: int):
    """Clusters of common patches by a head that was fitted on one half: int32 (patches,)."""
    directions = smooth_directions(signal, residual, min(2 * clusters, len(signal)))
    return smooth_kmeans(sample, directions, clusters, STARTS, seed).predict(projected(common, directions))


def peaks(table: pd.DataFrame) -> list[int]:
    """Numbers of clusters no less stable than the one before and more stable than the next, the most stable first.

    The last number is none: stability may rise beyond it.
    """
    stable = table.set_index("clusters")["stability"]
    before, after = stable.shift(1, fill_value=0), stable.shift(-1, fill_value=1)
    return stable[(stable >= before) & (stable > after)].sort_values(ascending=False, kind="stable").index.tolist()
