"""PriMaPs: masks of a view from principal directions of its features, refined by the dense CRF; no label, no head.

One pass over the training views before any training, since the CRF needs their pixels. The masks of a view do not
overlap, and a pixel may be in none.

Source:
    Hahn et al. 2024 (PriMaPs-EM), Section 3.1.
"""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from scipy.linalg import eigh
from scipy.ndimage import median_filter

from ..features.reader import mean_feature
from ..features.store import Store, open_store
from ..images.datasets.base import VOID
from ..images.imaging import read_views
from ..images.manifests import read_rows
from ..running.device import keep_freed_memory
from ..running.device import threads as torch_threads
from ..running.parallel import absolute, in_threads
from .labelmaps import CHUNK, create_label_store, engine_workers, fill
from .refinement import find_engine, refine

GAIN = 10.0  # by which a filtered mask is multiplied before it is cut at 1, as released
FEW = 60  # vectors or channels, where the sign of torch.pca_lowrank(q=3, niter=100) changes
NEGLIGIBLE = 1e-6  # of the largest entry: below it a sign is rounding
BLOCK = 2 * CHUNK  # views of a task: whole chunks of features and of masks


def proposal_facts(settings: dict, crf: dict, code: str) -> dict:
    """What decides the masks, apart from the views: the provenance of their store.

    Args:
        settings, crf, code: As in :func:`propose_masks`.
    """
    return {"masks": settings, "crf": crf | {"engine": find_engine(crf["engine"])}, "code": code}


def propose_masks(
    features: Store,
    path: Path,
    code: str,
    manifest: Path,
    root: Path,
    settings: dict,
    crf: dict,
    *,
    workers: int = 1,
    scheduler: str | None = None,
) -> None:
    """Store the masks of every training view: uint8 (views, size, size), 255 where a pixel is in none.

    Args:
        features: Training features, of square views.
        path: Store to write.
        code: Hash of the code that decides the result.
        manifest: Parquet file of the views, for their pixels.
        root: The data set's folder.
        settings: threshold, covered, ends and subtract_mean, see :func:`view_masks`.
        crf: Settings of :func:`smooseg.evaluation.refinement.refine`.
        workers, scheduler: Where it is computed, see :func:`smooseg.running.parallel.compute`.
    """
    facts = proposal_facts(settings, crf, code)
    crf, output = facts["crf"], create_label_store(features, features.views, path, facts)
    mean = mean_feature(features).numpy() if settings["subtract_mean"] else np.zeros(features.shape[-1], np.float32)
    inputs, views = (absolute(features.path), absolute(path)), (absolute(manifest), absolute(root))
    workers, threads = engine_workers(crf["engine"], workers, scheduler)

    def task(start: int, stop: int) -> tuple:
        return *inputs, start, stop, *views, mean, settings, crf, threads

    fill(output, propose_block, task, workers, scheduler, BLOCK * -(-threads // 8))


@torch_threads(1)
@keep_freed_memory()  # the CRF asks for large matrices for every view
def propose_block(
    features: str | Path,
    path: Path,
    start: int,
    stop: int,
    manifest: Path,
    root: Path,
    mean: np.ndarray,
    settings: dict,
    crf: dict,
    threads: int,
) -> None:
    """Find the masks of views ``start`` to ``stop``, a view a thread, and write them to the store at ``path``."""
    output, store = Store(path), open_store(features, {}, survey=False)
    size, patches = output.shape[1], store.read(start, stop).astype(np.float32) - mean
    pixels = read_views(root, read_rows(manifest, start, stop), size, store.provenance["resample"])

    def masks_of(i: int) -> np.ndarray:
        return view_masks(patches[i], pixels[i], settings, crf)

    output.write(start, np.stack(in_threads(masks_of, range(stop - start), threads)))


def view_masks(features: np.ndarray, pixels: np.ndarray, settings: dict, crf: dict) -> np.ndarray:
    """The masks of one view, at its size.

    Args:
        features: float32 (patches, channels) of a square view.
        pixels: uint8 (size, size, 3), the view itself.
        settings: threshold, covered and ends, see :func:`proposals`.
        crf: Settings of :func:`smooseg.evaluation.refinement.refine`.

    Returns:
        uint8 (size, size): number of a pixel's mask, 255 where it is in none.
    """
    side = round(len(features) ** 0.5)
    found = proposals(features, settings["threshold"], settings["covered"], settings["ends"]).reshape(-1, side, side)
    logits = torch.log_softmax(torch.from_numpy(with_background(found)), 0)
    logits = F.interpolate(logits[None], len(pixels), mode="bilinear", align_corners=False)[0]
    refined = refine(logits, pixels, crf, sharpness=1)  # they are log-probabilities
    return refined - np.uint8(1)  # the background, 0, becomes 255


def proposals(features: np.ndarray, threshold: float, covered: float, ends: str) -> np.ndarray:
    """Soft masks of patches, one after the other until most patches are in one.

    Each mask begins at the patch that lies furthest along the first principal direction of the free patches, and takes
    the free patches that are close to it.

    Args:
        features: float32 (patches, channels).
        threshold: psi: cosine to the first patch below which a patch is left out; if that is a covered patch, as a
            share of the largest cosine of a free one.
        covered: Share of patches in a mask at which no more are sought.
        ends: Which end of the direction counts, see :func:`first_patch`.

    Returns:
        float32 (masks, patches) in 0..1, disjoint; at most 254.
    """
    units = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    free, masks = np.ones(len(features), bool), list[np.ndarray]()
    while 1 - free.mean() < covered and len(masks) < VOID - 1:
        along = units @ principal_direction(features[free])
        mask = grow_mask(units, free, first_patch(along, free, ends), threshold)
        if not mask.any():  # it began at a covered patch that no free one is like, and would do so again
            mask = grow_mask(units, free, first_patch(along, free, "both"), threshold)
        masks.append(mask)
        free &= mask == 0
    return np.array(masks, np.float32)


def first_patch(along: np.ndarray, free: np.ndarray, ends: str) -> int:
    """The patch that begins a mask.

    Args:
        along: float32 (patches,), normalised features times the direction.
        free: bool (patches,), whether a patch is in no mask yet.
        ends: ``positive`` takes the largest product, as released. Covered patches count as 0 in it, so one of them
            begins if all free ones lie at the negative end. ``both`` takes the free patch of the largest magnitude.
    """
    return int((np.where(free, along, 0) if ends == "positive" else np.where(free, np.abs(along), -1)).argmax())


def grow_mask(units: np.ndarray, free: np.ndarray, first: int, threshold: float) -> np.ndarray:
    """Free patches' cosines to the first patch (patches,), as shares of the largest; 0 below the threshold."""
    cosines = np.where(free, units @ units[first], 0)
    cosines[first] = free[first]  # also where its feature is 0, so that a mask takes the free patch that it begins at
    shares = cosines / max(cosines.max(), np.finfo(np.float32).tiny)
    return np.where(shares >= threshold, shares, 0)


def principal_direction(features: np.ndarray) -> np.ndarray:
    """First principal direction of vectors about their mean: a unit vector, or 0 where they do not vary.

    A direction has no sign of its own. The sign here is the one that the release's decomposition returns on a CPU, as
    measured. Two lists of numbers belong to a direction: its own entries, and the coordinates of the vectors along it.
    The first number of the longer list is positive, or negative if the shorter list has less than :data:`FEW` numbers.

    Args:
        features: float32 (vectors, channels).
    """
    centred = (features - features.mean(0)).astype(np.float64)
    wide = len(centred) < centred.shape[1]  # the smaller of both products has the same eigenvalues
    product = centred @ centred.T if wide else centred.T @ centred
    vectors = eigh(product, subset_by_index=[len(product) - 1] * 2)[1]
    if not vectors.size:  # LAPACK can miss it among equal eigenvalues; all of them cost three times as much
        vectors = eigh(product)[1]
    direction = centred.T @ vectors[:, -1] if wide else vectors[:, -1]
    longer = direction if wide else centred @ direction
    first = longer[(np.abs(longer) > NEGLIGIBLE * np.abs(longer).max()).argmax()]
    sign = np.copysign(1, first) if min(centred.shape) >= FEW else -np.copysign(1, first)
    return (sign * direction / max(np.linalg.norm(direction), np.finfo(np.float64).tiny)).astype(np.float32)


def with_background(masks: np.ndarray) -> np.ndarray:
    """Sharpened masks behind a background that is where they are not.

    Args:
        masks: float32 (masks, side, side) in 0..1.

    Returns:
        float32 (1 + masks, side, side) in 0..1.
    """
    filtered = np.minimum(GAIN * median_filter(masks, (1, 3, 3), mode="mirror"), 1)
    present = filtered[filtered > 0]
    background = (present.mean() if len(present) else 1) - filtered.sum(0)
    return np.concatenate([background.clip(0, 1)[None], filtered])
