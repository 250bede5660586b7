"""Features as users hold them: an array that knows what it was made from."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import SmoosegError
from ..images.manifests import listed_sha256
from .caching import Source
from .store import CIRCUMSTANCES, Store, create_store, decisive_provenance, open_store

OWN = "own"  # what data set and backbone of somebody's own features are called
CHUNK = 16  # views
LARGEST = float(np.finfo(np.float16).max)
BESIDE = {"code", "codec", CIRCUMSTANCES, "precision"}  # of a store's provenance, what is no need


@dataclass(frozen=True, eq=False)
class Features:
    """Patch features of views, float16 (views, patches, channels). They stay on disk until you index them.

    :func:`smooseg.extract` and :func:`smooseg.open_features` make them. ``features[3]``, ``features[:8]`` and
    ``numpy.asarray(features)`` give NumPy arrays. ``len`` and iteration work as with an array.

    Args:
        path: Folder of the Zarr store.
        dataset: Name of the data set.
        backbone: Name of the backbone.
        entry: The backbone's entry in the catalogue; None for features of your own.
        source: What the features were extracted from; None if that is not known.
        held: A temporary folder that goes with the features.

    Raises:
        SmoosegError: On first use, if the store is missing, incomplete, or made from something else.

    Example:
        >>> features = smooseg.extract("photos")
        >>> features[0].shape  # (patches, channels) of the first view
    """

    path: Path
    dataset: str
    backbone: str
    entry: dict | None = None
    source: Source | None = None
    held: tempfile.TemporaryDirectory | None = field(default=None, repr=False)

    @cached_property
    def store(self) -> Store:
        """The store, checked."""
        return open_store(self.path, self.source.needs if self.source else {})

    def require_same(self) -> None:
        """Raise if another call has replaced the features since they were opened."""
        if decisive_provenance(Store(self.path)) != decisive_provenance(self.store):
            raise SmoosegError(
                f"{self.path}: another call has replaced these features by those of other images, settings or code; "
                f"give each call its own out"
            )

    def read(self, start: int, stop: int) -> np.ndarray:
        """Views ``start`` to ``stop``.

        Raises:
            SmoosegError: If a chunk is damaged, or another call has replaced the features.
        """
        try:
            return self.store.read(start, stop)
        except SmoosegError:
            self.require_same()
            raise

    @cached_property
    def needs(self) -> dict:
        """What they were made from."""
        return {key: value for key, value in self.store.provenance.items() if key not in BESIDE}

    @property
    def results(self) -> Path:
        """The folder of results that they lie in."""
        return results_of(self.path)

    @cached_property
    def manifest(self) -> Path | None:
        """Parquet file of the views; None where it does not lie in the folder of results."""
        return self.source.manifest if self.source else find_manifest(self.store)

    @property
    def shape(self) -> tuple[int, ...]:
        """Views, patches, channels."""
        return self.store.shape

    @property
    def dtype(self) -> np.dtype:
        """float16."""
        return self.store.dtype

    @property
    def ndim(self) -> int:
        """3."""
        return len(self.shape)

    def __len__(self) -> int:
        return self.store.views

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, key: Any) -> np.ndarray:
        views, rest = (key[0], key[1:]) if isinstance(key, tuple) else (key, ())
        if isinstance(views, int | np.integer):
            number = range(len(self))[views]
            return self.read(number, number + 1)[0][rest]
        if isinstance(views, slice):
            start, stop, step = views.indices(len(self))
            if step == 1:
                return self.read(start, max(start, stop))[(slice(None), *rest)]
        return np.asarray(self)[key]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self.read(0, len(self)), dtype)

    def __repr__(self) -> str:
        made = self.store.provenance
        facts = [f"{key}={made[key]!r}" for key in ("model", "block", "features", "precision", "size") if key in made]
        shape = ", ".join(f"{n} {what}" for n, what in zip(self.shape, ("views", "patches", "channels"), strict=True))
        return f"Features({shape}, {self.dtype}; {', '.join([self.dataset, self.backbone, *facts])}; {self.path})"


def results_of(path: str | Path) -> Path:
    """The folder of results that a store lies in; of one that lies elsewhere its own folder."""
    parents = Path(path).absolute().parents
    return parents[3] if len(parents) > 3 and parents[2].name == "features" else parents[0]


def find_manifest(store: Store) -> Path | None:
    """The manifest of a store's views, which the workflow or the library wrote; None where there is none."""
    path = Path(store.path)
    places = [
        results_of(path) / made / "manifests" / path.parts[-3] for made in (".", "library") if len(path.parts) > 3
    ]
    files = [folder / f"{path.stem}.parquet" for folder in places]
    same = (file for file in files if file.is_file() and listed_sha256(file) == store.provenance.get("manifest_sha256"))
    return next(same, None)


def own_features(values: Any) -> Features:
    """Somebody's own features, kept as caches keep them: float16, in a folder that goes with them.

    Args:
        values: NumPy array or torch tensor of real numbers, (views, patches, channels).

    Raises:
        SmoosegError: If they have another shape, are not finite, or too large for float16.
    """
    array = np.asarray(values.detach().cpu().float() if hasattr(values, "detach") else values)
    if array.ndim != 3 or not array.size or array.dtype.kind not in "fiu":
        raise SmoosegError(
            f"features must be numbers of shape (views, patches, channels); these are {array.dtype} {array.shape}"
        )
    largest = np.abs(array).max()
    if not largest <= LARGEST:
        raise SmoosegError(f"features reach {largest}; they must be finite and at most {LARGEST:.0f}: scale them")
    held = tempfile.TemporaryDirectory(prefix="smooseg-")
    path = Path(held.name, "results", "features", OWN, OWN, "train.zarr")
    store = create_store(path, array.shape, "float16", CHUNK, {"made": "from an array", "precision": "float16"}, "raw")
    for start, stop in store.blocks(CHUNK):
        store.write(start, array[start:stop].astype(np.float16))
    store.finish()
    return Features(path, OWN, OWN, held=held)


def open_features(path: str | Path) -> Features:
    """Open features that the workflow, the command or the library cached.

    Args:
        path: Folder of the store: ``RESULTS/features/DATASET/BACKBONE/VIEW.zarr``.

    Returns:
        Features, float16 (views, patches, channels).

    Raises:
        SmoosegError: If there are none, or they are not complete.

    Example:
        >>> features = smooseg.open_features("results/features/demo/dinov2_s14_focus/train.zarr")
        >>> model = smooseg.fit(features, clusters=6)
    """
    path = Path(path).absolute()
    features = Features(path, path.parent.parent.name, path.parent.name)
    if features.store.dtype != np.float16 or len(features.store.shape) != 3:
        raise SmoosegError(f"{path}: holds no features, but {features.store.dtype} {features.store.shape}")
    return features
