"""Smooth directions: where an image's close patches agree although the data set varies.

With a linear embedding and squared distances instead of label penalties, the smoothness energy within images has an
exact minimiser, the first generalised eigenvectors of two covariances.
"""

import numpy as np
import torch
import torch.nn.functional as F
from scipy.linalg import eigh

from ...features.reader import shuffled_batches
from ...features.store import Store
from ...running.device import default_device
from ...running.progress import progress

RIDGE = 1e-4  # of the residuals' mean variance: keeps directions without any residual finite
FLOOR = 1e-6  # of the largest ratio or mean variance: what is below it is rounding, and no direction


def smooth_patches(features: torch.Tensor, temperature: float) -> torch.Tensor:
    """Each patch as the mean of its image's patches, weighted by a softmax of their closeness.

    Args:
        features: (images, patches, channels), unit vectors.
        temperature: Of the softmax; lower keeps to closer patches.
    """
    heads = features.unsqueeze(1)  # as attention has them: the fused kernel makes no (patches x patches) matrix
    return F.scaled_dot_product_attention(heads, heads, heads, scale=1 / temperature).squeeze(1)


def smooth_directions(signal: np.ndarray, residual: np.ndarray, dimensions: int) -> np.ndarray:
    """Directions of largest smoothed against residual variance, scaled to unit smoothed variance.

    Args:
        signal: (channels, channels) second moments of smoothed features.
        residual: (channels, channels) those of what smoothing took away.
        dimensions: How many.

    Returns:
        float32 (channels, dimensions); zero where the features have fewer directions than that.

    Source:
        Locality preserving projections (He and Niyogi 2003), with the closeness of Eq. 2 as weights.
    """
    channels = len(signal)
    ridge = (RIDGE * np.trace(residual) + FLOOR * np.trace(signal)) / channels * np.eye(channels)
    values, vectors = eigh(signal, residual + ridge, subset_by_index=[channels - dimensions, channels - 1])
    scales = np.where(values > FLOOR * values[-1], 1 / np.sqrt(np.maximum(values, FLOOR * values[-1])), 0)
    return np.ascontiguousarray((vectors * scales)[:, ::-1], np.float32)


@torch.inference_mode()
def covariances(
    store: Store, mean: torch.Tensor, settings: dict, seed: int, budget: int
) -> tuple[np.ndarray, np.ndarray, torch.Tensor]:
    """One pass over random views: second moments of smoothed features and of residuals, and smoothed patches.

    Args:
        store: Training features.
        mean: (channels,) subtracted from every feature.
        settings: views (at most), samples (patches to return, about) and temperature.
        seed: Of views and patches.
        budget: Bytes of features to hold in memory.

    Returns:
        Two float64 (channels, channels) and float32 (samples, channels).
    """
    device, generator = default_device(), torch.Generator().manual_seed(seed)
    views = min(store.views, settings["views"])
    each = min(store.shape[1], -(-settings["samples"] // views))
    moments = torch.zeros(2, store.shape[-1], store.shape[-1], dtype=torch.float64, device=device)
    batches, parts = shuffled_batches(store, store.chunk, budget, seed, device), []
    for _ in progress(range(-(-views // store.chunk)), unit="block", desc="smooth"):
        features = F.normalize(next(batches).float() - mean.to(device), dim=-1)
        smooth = smooth_patches(features, settings["temperature"])
        for total, rows in zip(moments, (smooth.flatten(0, 1), (features - smooth).flatten(0, 1)), strict=True):
            total += rows.T @ rows
        drawn = torch.randperm(store.shape[1], generator=generator)[:each].to(device)
        parts.append(smooth[:, drawn].flatten(0, 1).cpu())
    signal, residual = (moments / moments[0].trace()).cpu().numpy()
    return signal, residual, torch.cat(parts)
