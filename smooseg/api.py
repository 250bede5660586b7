"""What scripts and notebooks call: extract, fit, segment, refine, score (see :mod:`smooseg`)."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .errors import SmoosegError
from .evaluation.refinement import refine as refined
from .evaluation.scored import Scored, score_maps
from .features.cached import Features, open_features
from .heads import Head
from .pictures.given import as_files, in_array
from .pictures.maps import Mask, Masks
from .pictures.model import Model, load
from .pictures.plots import plot_penalties, plot_segmentations
from .pictures.segment import BATCH, Outcome
from .pictures.segment import segment as write_masks
from .pictures.segmenter import crf_defaults
from .pictures.sets import Views
from .pictures.stages import extract_images
from .settings.catalogue import find_backbone
from .settings.choices import BACKBONE, HEAD

__all__ = [
    "Features",
    "Mask",
    "Masks",
    "Model",
    "Scored",
    "extract",
    "fit",
    "load",
    "open_features",
    "plot_penalties",
    "plot_segmentations",
    "refine",
    "score",
    "segment",
]


def extract(
    images: Any,
    out: str | Path | None = None,
    backbone: str | dict = BACKBONE,
    *,
    crops: str = "five",
    size: int = 224,
    resample: str = "bilinear",
    precision: str | None = None,
    batch: int | None = None,
    workers: int | None = None,
    codec: str | None = None,
    scale: float | None = None,
    bands: tuple[int, ...] | None = None,
) -> Features:
    """Cache the patch features of images; what an earlier call, or ``smooseg fit``, finished is kept.

    Args:
        images: Paths, folders or globs, arrays, Pillow's images, or a list of them, as for :func:`segment`.
        out: Folder for pictures, weights and features; None takes one that goes with the features.
        backbone: Name in config.yaml's catalogue, or an entry as there: model, weights, block, norm.
        crops: "five" or "whole", see :func:`smooseg.images.views.crop_boxes`.
        size: Side of a view in pixels, before rounding to the patch.
        resample: Key of :data:`smooseg.images.imaging.RESAMPLING`.
        precision, batch, workers, codec: As ``extract`` in config.yaml; its defaults where not given.
        scale, bands: Of rasters, as of ``smooseg fit``.

    Raises:
        SmoosegError: If the weights cannot be had, or images are bad (all are named).
    """
    how = {"precision": precision, "batch": batch, "workers": workers, "codec": codec}
    views = Views(crops, size, resample)
    return extract_images(images, out, find_backbone(backbone), views, scale, bands, **how)


def fit(
    data: Any,
    clusters: int | None = None,
    head: str = HEAD,
    *,
    backbone: str | dict = BACKBONE,
    preset: str | None = None,
    seed: int = 0,
    out: str | Path | None = None,
    name: str | None = None,
    memory_gb: float = 4,
    **settings: Any,
) -> Model:
    """Fit a head to images, or to features alone; no label is seen. A call that was killed is gone on with.

    Args:
        data: Images as :func:`segment` takes them; what :func:`extract` returned; or a NumPy array or torch tensor of
            features of your own, (views, patches, channels).
        clusters, head, backbone, preset, seed, out, name, memory_gb, settings: See :class:`smooseg.Model`.

    Returns:
        The model; ``model.path`` is the head's file, and its history lies beside it.

    Raises:
        SmoosegError: If a setting is unknown, the head needs labels, or it needs more than features alone.
    """
    model = Model(
        clusters,
        head,
        backbone=backbone,
        preset=preset,
        seed=seed,
        out=out,
        name=name,
        memory_gb=memory_gb,
        **settings,
    )
    return model.fit(data)


def segment(
    images: Any,
    head: str | Path | Model,
    out: str | Path | None = None,
    *,
    scores: bool = False,
    weights: str | Path | None = None,
    crf: bool = False,
    size: int | None = None,
    scale: float | None = None,
    tile: int | None = None,
    batch: int = BATCH,
    bands: tuple[int, ...] | None = None,
    names: Path | None = None,
    polygons: bool = False,
) -> Any:
    """Give every pixel its cluster, or its class where the head was scored.

    Args:
        images: Paths, folders or globs; uint8 arrays or tensors of height x width x 3, or a stack of them; Pillow's
            images; or a list of any of those.
        head: A model, or the file of a head.
        out: Folder to write masks, overlays, legend and shares to, as ``smooseg segment`` does; None writes nothing.
        scores: Whether masks in memory get scores of each cluster: ``mask.scores``, float32 (clusters, height, width).
        weights, crf, size, scale, tile, names: See :class:`smooseg.pictures.segmenter.Segmenter`.
        batch: Images in a forward pass.
        bands, polygons: Of rasters; see :func:`smooseg.pictures.segment.segment`.

    Returns:
        Without ``out`` a :class:`smooseg.Mask` of one image in memory, and :class:`smooseg.Masks` of several images and
        of paths: uint8 arrays. With ``out`` an :class:`smooseg.pictures.segment.Outcome`.

    Raises:
        SmoosegError: If the head or an image cannot be used; with ``out``, a bad image is a problem of the outcome.
    """
    model = head if isinstance(head, Model) else load(head)
    seen = {"crf": crf, "size": size, "scale": scale, "tile": tile, "names": names}
    seen["weights"] = Path(weights) if weights else model.weights
    if out is None and polygons:
        raise SmoosegError("polygons are files: give out, a folder for them")
    if out is not None and scores:
        raise SmoosegError("scores are arrays, and out is for files: leave out the one or the other")
    if out is None:
        return model.predict(images, scores=scores, batch=batch, bands=bands, **seen)
    with tempfile.TemporaryDirectory(prefix="smooseg-") as folder:
        files = as_files(images, Path(folder))
        more = {"batch": batch, "bands": bands, "polygons": polygons}
        outcome: Outcome = write_masks(files, model.fitted, out, **seen, **more)  # type: ignore[arg-type]
    return outcome


def refine(image: Any, scores: Any, *, sharpness: float = Head.sharpness, **settings: Any) -> np.ndarray:
    """Ids after the dense CRF: edges follow the image.

    Args:
        image: uint8 (height, width, 3), an array, tensor or Pillow's image.
        scores: float32 (clusters, height, width), as ``mask.scores``: cosines or logits in that range.
        sharpness: By which scores are multiplied before the softmax: ``model.module.sharpness``.
        settings: Of the CRF, as ``crf`` in config.yaml; its defaults where not given.

    Returns:
        uint8 (height, width).
    """
    pixels, logits = np.asarray(in_array(image).convert("RGB")), torch.as_tensor(np.asarray(scores, np.float32))
    return refined(logits, pixels, crf_defaults(settings), sharpness)


def score(
    maps: Any, labels: Any, *, classes: list[str] | None = None, clusters: int | None = None, matched: bool = True
) -> Scored:
    """Accuracy, mIoU, IoU by class, matching and confusion matrix; see :func:`smooseg.evaluation.scored.score_maps`."""
    return score_maps(maps, labels, classes, clusters, matched)
