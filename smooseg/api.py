"""What scripts and notebooks call: extract, fit, segment, refine, score (see :mod:`smooseg`)."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from .errors import SmoosegError
from .evaluation.refinement import as_logits
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
    """Cut images into views, and cache the backbone's patch features of the views.

    The same call again takes the cache that is there. It also takes what ``smooseg fit`` extracted.

    Args:
        images: Paths, folders or globs; uint8 arrays or tensors of height x width x 3, or a stack of them; Pillow's
            images; or a list of any of those.
        out: Folder for links to the images, weights and features. None takes a folder that goes with the features.
        backbone: Name in the catalogue, see ``smooseg backbones``; or a dict with the keys of an entry there.
        crops: Views of an image: "five" (corners and centre, half the sides each) or "whole" (the centre square).
        size: Side of a view in pixels; it is rounded to a multiple of the backbone's patch.
        resample: "nearest", "bilinear" or "bicubic".
        precision: Of the backbone: "auto", "float32", "bfloat16" or "float16".
        batch: Views in a forward pass, a multiple of 16.
        workers: Threads that decode images.
        codec: How features are stored: "raw", or "bits5" for fewer bytes.
        scale: Of rasters: pixels of a view for one pixel of the raster.
        bands: Of rasters: the three bands to show as red, green and blue, from 1.

    Returns:
        Features, float16 (views, patches, channels).

    Raises:
        SmoosegError: If the weights cannot be fetched, or images cannot be used (all of them are named).

    Example:
        >>> features = smooseg.extract("photos", out="work")
        >>> features.shape  # (views, patches, channels)
    """
    how = {"precision": precision, "batch": batch, "workers": workers, "codec": codec}
    views = Views.of(crops, size, resample)
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
    """Fit a head to images or to features. No label is seen.

    A call that was killed continues where it stopped, if ``out`` is the same.

    Args:
        data: Images as for :func:`extract`; what :func:`extract` returned; or a NumPy array or torch tensor of features
            of your own, real numbers of shape (views, patches, channels).
        clusters: Number of clusters, from 2 to 255.
        head: Name of a head that needs no labels, see ``smooseg heads``.
        backbone: As for :func:`extract`. Features that were extracted keep theirs.
        preset: Name of a set of settings: "released" (the authors') or "small" (for minutes of a CPU).
        seed: Fixes initialisation and order.
        out: Folder for everything that is written. None takes that of the features, or one that goes with the model.
        name: Name of the head's folder; None takes the head's name. A second fit under it replaces the file.
        memory_gb: Gigabytes of features to hold in memory.
        settings: Settings of the head, such as ``steps=1000``. Others keep their defaults.

    Returns:
        The model. ``model.path`` is the head's file.

    Raises:
        SmoosegError: If a head or setting is unknown, the head needs labels, or it needs more than features alone.

    Example:
        >>> model = smooseg.fit("photos", clusters=6, out="work")
        >>> model.history  # a table of the training
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
    clusters: int | None = None,
    scores: bool = False,
    weights: str | Path | None = None,
    crf: bool = False,
    size: int | None = None,
    scale: float | None = None,
    tile: int | None = None,
    batch: int = BATCH,
    bands: tuple[int, ...] | None = None,
    names: str | Path | None = None,
    polygons: bool = False,
) -> Any:
    """Give every pixel its cluster. If the head was scored with labels, give every pixel its class.

    Args:
        images: As for :func:`extract`.
        head: A model, or the path of a head's file.
        out: Folder for masks, overlays, legend and shares, as ``smooseg segment`` writes them. None writes nothing.
        clusters: Number of clusters to show, of a smooseg_plus head; None takes the number that it was fitted with.
        scores: Whether masks in memory get the scores of all clusters, ``mask.scores``.
        weights: File of the backbone's weights; None takes those that the head was fitted with.
        crf: Whether the dense CRF refines the masks.
        size: Shorter side of a view in pixels; None takes that of the head's evaluation.
        scale: Pixels of a view for one pixel of the image; None gives every view the same shorter side.
        tile: Side in pixels of the windows that larger views are cut into.
        batch: Images in a forward pass.
        bands: Of rasters, as for :func:`extract`.
        names: CSV with the columns cluster and name. Clusters of one name become one class; "void" leaves one out.
        polygons: Of rasters: whether outlines are written, too. It needs ``out``.

    Returns:
        Without ``out``: a :class:`Mask` for one image in memory, else :class:`Masks`, uint8 arrays of height x width.
        With ``out``: an :class:`smooseg.pictures.segment.Outcome` with the shares and the problems.

    Raises:
        SmoosegError: If the head or an image cannot be used. With ``out``, the outcome lists bad images.

    Example:
        >>> masks = smooseg.segment("photos", model)
        >>> masks.shares()  # percent of each cluster in each image
        >>> finer = smooseg.segment("photos", model, clusters=9)  # without a new fit
    """
    model = head if isinstance(head, Model) else load(head)
    seen: dict[str, Any] = {
        "clusters": clusters,
        "crf": crf,
        "size": size,
        "scale": scale,
        "tile": tile,
        "names": names,
    }
    seen["weights"] = Path(weights) if weights else model.weights
    if out is None and polygons:
        raise SmoosegError("polygons are files: give out, a folder for them")
    if out is not None and scores:
        raise SmoosegError("scores are arrays, and out is for files: leave out the one or the other")
    if out is None:
        return model.predict(images, scores=scores, batch=batch, bands=bands, **seen)
    with tempfile.TemporaryDirectory(prefix="smooseg-") as folder:
        files = as_files(images, Path(folder))
        more = {"batch": batch, "bands": bands, "polygons": polygons, "memory": Path(folder)}
        outcome: Outcome = write_masks(files, model.fitted, out, **seen, **more)  # type: ignore[arg-type]
    return outcome


def refine(image: Any, scores: Any, *, sharpness: float = Head.sharpness, **settings: Any) -> np.ndarray:
    """Refine the scores of an image by the dense CRF, so that edges follow the image.

    Args:
        image: uint8 (height, width, 3): an array, a tensor or Pillow's image.
        scores: float32 (clusters, height, width), as ``mask.scores`` has them.
        sharpness: Factor of the scores before the softmax; ``model.module.sharpness`` is the head's.
        settings: Of the CRF, as ``crf`` in the configuration. Others keep their defaults.

    Returns:
        Ids of clusters, uint8 (height, width).

    Raises:
        SmoosegError: If a setting is unknown or out of range, the image is none, or the scores do not fit it.

    Example:
        >>> mask = smooseg.segment(image, model, scores=True)
        >>> ids = smooseg.refine(image, mask.scores)
    """
    pixels = np.asarray(in_array(image).convert("RGB"))
    return refined(as_logits(scores, pixels.shape[:2]), pixels, crf_defaults(settings), sharpness)


def score(
    maps: Any, labels: Any, *, classes: list[str] | None = None, clusters: int | None = None, matched: bool = True
) -> Scored:
    """Compare maps of clusters with labels: match clusters to classes one to one, and measure how many pixels agree.

    Args:
        maps: Ids of clusters: an array of whole numbers, (height, width), or several of any sizes. 255 is no cluster,
            and counts as wrong.
        labels: Ids of classes, in the same shapes. 255 is not scored.
        classes: Names of the classes; None names them by number.
        clusters: Number of clusters; None takes the largest id of the maps.
        matched: Whether clusters are matched to classes. False takes the ids of maps for classes.

    Returns:
        Accuracy and mIoU in percent, and tables.

    Raises:
        SmoosegError: If there is nothing to score, shapes differ, or an id is out of range.

    Example:
        >>> scored = smooseg.score(masks, labels, classes=["sky", "ground"])
        >>> scored.accuracy, scored.iou  # a number, and a table by class
    """
    return score_maps(maps, labels, classes, clusters, matched)
