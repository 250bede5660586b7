"""A fitted head with its backbone and its legend: from views of any shape to clusters."""

from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from ..errors import SmoosegError
from ..evaluation.naming import read_names
from ..evaluation.refinement import find_engine, refine, refine_marginals
from ..evaluation.segmentation import averaged_embeddings, best_clusters, pixel_logits
from ..features.provenance import file_sha256, round_to_patch
from ..features.weights import own_weights
from ..heads import Head, load_head
from ..images.rasters import Raster, RasterView
from ..running.device import default_device
from ..running.device import threads as torch_threads
from ..running.machine import usable_cores
from ..running.parallel import in_threads
from ..running.plugins import code_with_heads
from ..settings.schema import load_schema, validate
from .output.legend import make_legend, name_legend, read_evaluation
from .photos import Photo, PhotoView
from .shapes import ShapedBackbone, fits_a_view, scaled_shape, view_shape
from .windows import Windows

MANY = 100_000_000  # pixels: more than a camera's photograph has


def crf_defaults(changes: dict | None = None) -> dict:
    """Settings of the CRF as published with some changes, for :func:`smooseg.evaluation.refinement.refine`.

    Raises:
        SmoosegError: If one is unknown or out of range.
    """
    schema = load_schema()
    settings = validate(changes or {}, schema["properties"]["crf"], schema, "crf")
    return settings | {"engine": find_engine(settings["engine"])}


class Segmenter:
    """A head, the backbone it was fitted on, and what its clusters are called.

    Args:
        head: A head's file, as the workflow or :func:`smooseg.fit` wrote it.
        weights: The backbone's; None looks in the results folder that the head lies in.
        crf: Whether views are refined by the dense CRF.
        size: Shorter side of a view in pixels; None takes that of the head's evaluation.
        scale: Pixels of a view for one of its image; None gives every view the same shorter side, see :meth:`shape`.
        tile: Side of a window in pixels, for views that are larger than it; None takes ``size``. Without ``scale``
            that of the head's training views is taken.
        names: CSV of what clusters are called, see :func:`smooseg.evaluation.naming.read_names`.
        clusters: Number of clusters to cut the head into, see :meth:`smooseg.heads.Head.cut`; None takes its own. What
            is known of its own clusters, as the classes that they were matched to, says nothing about others.

    Raises:
        SmoosegError: If a number is not above 0, the head or the names say too little, names are of other clusters than
            ``clusters``, or the weights are missing or not those it was fitted on.
    """

    def __init__(
        self,
        head: Path,
        weights: Path | None = None,
        crf: bool = False,
        size: int | None = None,
        scale: float | None = None,
        tile: int | None = None,
        names: str | Path | None = None,
        clusters: int | None = None,
    ):
        require_positive(size=size, scale=scale, tile=tile)
        fitted, experiment = load_head(head)
        self.head = fitted if clusters is None else cut(fitted, clusters, head)
        self.needs = experiment.get("features", {})
        if "patch" not in self.needs:
            raise SmoosegError(f"{head}: does not say which features it was fitted on; train it again")
        self.weights = find_weights(head, experiment, weights)
        sha256 = file_sha256(head)
        scores, evaluated_size = read_evaluation(head, sha256, "crf" if crf else "raw")
        self.size, self.crf = size or evaluated_size, crf_defaults() if crf else None
        patch, self.fitted_scale = self.needs["patch"], self.needs.get("scale")
        self.tile = max(2 * patch, round_to_patch(tile or self.size, patch))
        self.scale = scale or (self.fitted_scale if tile else None)
        if tile and not self.scale:
            raise SmoosegError(f"{head}: does not say the scale of its training views; give --scale, or train it again")
        finest, own = self.head.cuts[-1], self.head.clusters == fitted.clusters
        named = read_names(Path(names), self.head.clusters, sha256, finest) if names else None
        if named and clusters and len(named) != clusters:
            raise SmoosegError(
                f"{names}: has the {finest} finest clusters, and {clusters} are asked for; leave out one"
            )
        scores = scores if own else None
        if len(named or (scores or {}).get("assignment", ())) == finest:  # somebody named finest clusters
            self.head = self.head.cut(finest)
        self.legend = name_legend(named) if named else make_legend(scores, self.head.clusters, head)
        self.bits = self.needs.get("bits")  # as the head's training images were read
        self.device = default_device()
        self.made_from = {
            "head_sha256": sha256,
            "clusters": self.head.clusters,
            "names": {str(key): name for key, name in self.legend.names.items()},
            "assignment": self.legend.assignment,
            "size": self.size,
            "scale": self.scale,
            "tile": self.tile,
            "crf": self.crf,
            "bits": self.bits,
            "code": code_with_heads("pictures.segment"),
        }

    def raster(self, photo: Photo) -> Raster:
        """A raster as the head was fitted on: of the same bands, if no others are asked for, scaled alike."""
        if "bands" in self.needs:
            return Raster(photo.path, photo.bands or self.needs["bands"])
        return Raster(photo.path, photo.bands, self.bits)

    def open(self, photo: Photo, shape: tuple[int, int]) -> PhotoView | RasterView:
        """A photograph or raster at a view's height and width (pixels)."""
        if photo.raster:
            return RasterView(self.raster(photo), shape)
        return PhotoView.of_file(photo.path, shape, self.needs["resample"], self.bits)

    @cached_property
    def backbone(self) -> ShapedBackbone:
        """Built when first needed: where every mask is finished, it is not."""
        return ShapedBackbone.of(self.needs).load(self.weights)

    def shape(self, width: int, height: int, mapped: bool = False) -> tuple[int, int]:
        """Height and width of the view of an image; it is made of windows where it is too large for one pass.

        Photographs show a scene each, whatever their pixels, so they get views of one size. An image of more pixels
        than a camera has (:data:`MANY`) is a mosaic of many, and one that is ``mapped`` (a raster) is cut from a larger
        whole: they are seen at the scale of the head's training views.
        """
        scale = self.scale or (self.fitted_scale if mapped or width * height > MANY else None)
        if scale:
            return scaled_shape(width, height, scale, self.needs["patch"])
        return view_shape(width, height, self.size, self.needs["patch"])

    def windows(self, shape: tuple[int, int]) -> Windows | None:
        """Windows of a view, or None where it is seen at once."""
        return None if fits_a_view(shape, self.tile) else Windows(shape, self.tile, self.needs["patch"])

    def label(self, views: np.ndarray) -> Iterator[np.ndarray]:
        """Clusters of views of one shape.

        Args:
            views: uint8 (images, height, width, 3), sides multiples of the patch.

        Yields:
            uint8 (height, width) for each.

        Raises:
            SmoosegError: If the backbone gives features that are not finite.
        """

        def clusters(logits: torch.Tensor, view: np.ndarray) -> np.ndarray:
            if self.crf:
                return refine(logits, view, self.crf, self.head.sharpness)
            return best_clusters(logits)

        yield from self.map_views(clusters, views)

    def score(self, views: np.ndarray) -> Iterator[np.ndarray]:
        """What is largest where :meth:`label` gives a cluster: float32 (clusters, height, width) for each view."""

        def scores(logits: torch.Tensor, view: np.ndarray) -> np.ndarray:
            if self.crf:
                return refine_marginals(logits, view, self.crf, self.head.sharpness)
            return logits.numpy()

        yield from self.map_views(scores, views)

    @torch.inference_mode()
    @torch_threads()
    def map_views(self, call: Callable[[torch.Tensor, np.ndarray], np.ndarray], views: np.ndarray) -> list[np.ndarray]:
        """What a call makes of every view's logits and pixels; arguments and errors as of :meth:`label`."""
        shape, patch = views.shape[1:3], self.needs["patch"]
        pairs = np.stack([views, views[:, :, ::-1]], 1).reshape(-1, *shape, 3)
        features = self.backbone.prepare_shape(shape, self.device)(torch.from_numpy(pairs)).cpu()
        if not torch.isfinite(features).all():
            raise SmoosegError(f"the backbone gave NaN or infinite features in {self.needs['precision']}")
        grids = averaged_embeddings(self.head, features, (shape[0] // patch, shape[1] // patch))

        def call_one(pair: tuple[torch.Tensor, np.ndarray]) -> np.ndarray:
            return call(pixel_logits(self.head, pair[0], shape), pair[1])

        return in_threads(call_one, zip(grids, views, strict=True), usable_cores())


def require_positive(**values: float | None) -> None:
    """Raise unless numbers that were given are above 0."""
    for name, value in values.items():
        if value is not None and not value > 0:
            raise SmoosegError(f"{name} is {value}; it must be above 0")


def cut(head: Head, clusters: int, path: Path) -> Head:
    """A head with another number of clusters; errors name its file."""
    try:
        return head.cut(clusters)
    except SmoosegError as error:
        raise SmoosegError(f"{path}: {error}") from None


def find_weights(head: Path, experiment: dict, weights: Path | None) -> Path:
    """The weights of the backbone that a head was fitted on.

    Raises:
        SmoosegError: If they are missing, or others.
    """
    name, expected = experiment["backbone"], experiment["features"]["weights_sha256"]
    folders = head.absolute().parents  # the head is results/experiments/NAME/SEED/head.safetensors
    results = folders[min(3, len(folders) - 1)]  # or results/library/… of a head that the library fitted
    places = [results / "weights", results / "library" / "weights", own_weights()]
    kept = [place / f"{name}.safetensors" for place in places]
    path = weights or next((path for path in kept if path.is_file() and file_sha256(path) == expected), kept[0])
    if not path.is_file():
        raise SmoosegError(f"{path}: the weights of {name}, which {head} was fitted on, are missing; give --weights")
    if (found := file_sha256(path)) != expected:
        raise SmoosegError(f"{path}: sha256 is {found[:12]}, but {head} was fitted on weights of {expected[:12]}")
    return path
