"""Masks as users hold them: arrays of ids that know their legend and their image, and show themselves."""

import io
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from ..errors import SmoosegError
from ..images.datasets import VOID
from .output.legend import Legend
from .output.masks import palette_image, write_mask
from .output.overlays import save_overlay, with_legend
from .output.tables import with_classes, write_tables


class Mask(np.ndarray):
    """Ids of an image's pixels: a NumPy array, uint8 (height, width). In a notebook it shows itself over its image.

    :func:`smooseg.segment` makes masks. Parts of a mask, and what is computed from it, have no image.

    Attributes:
        legend: Names and colours of the ids.
        image: The image, RGB of the same size.
        name: Name of the image.
        path: File of the image; None of one that was in memory.
        scores: float32 (clusters, height, width), if they were asked for.

    Example:
        >>> mask = smooseg.segment(image, model)  # image: uint8 (height, width, 3)
        >>> mask.shares()  # percent of each id
    """

    legend: Legend | None
    image: Image.Image | None
    name: str
    path: Path | None
    scores: np.ndarray | None

    def __new__(
        cls,
        ids: np.ndarray,
        legend: Legend | None = None,
        image: Image.Image | None = None,
        name: str = "image",
        scores: np.ndarray | None = None,
        path: Path | None = None,
    ) -> "Mask":
        mask = np.ascontiguousarray(ids).view(cls)
        mask.legend, mask.image, mask.name, mask.scores, mask.path = legend, image, name, scores, path
        return mask

    def __array_finalize__(self, source: Any) -> None:
        """Parts of a mask, and what is computed from it, have no image."""
        self.legend, self.image = getattr(source, "legend", None), None
        self.name, self.path, self.scores = getattr(source, "name", ""), getattr(source, "path", None), None

    @property
    def shown(self) -> bool:
        """Whether this mask has its image and its legend, so that it can show itself."""
        return self.image is not None and self.legend is not None

    def shares(self) -> pd.DataFrame:
        """A table with one row for each id in the mask, the most frequent first: id, name, colour, pixels, percent."""
        counts = np.bincount(np.asarray(self).ravel(), minlength=256)
        names = (self.legend.names if self.legend else {}) | {VOID: "void"}
        rows = [
            (i, names.get(i, f"id {i}"), self.colour(i), counts[i], 100 * counts[i] / counts.sum())
            for i in np.argsort(-counts, kind="stable").tolist()
            if counts[i]
        ]
        return pd.DataFrame(rows, columns=["id", "name", "colour", "pixels", "percent"])

    def record(self) -> dict[str, Any]:
        """Width, height, and pixels of each id."""
        counts = np.bincount(np.asarray(self).ravel(), minlength=VOID + 1).tolist()
        return {"width": self.shape[1], "height": self.shape[0], "pixels": {str(i): n for i, n in enumerate(counts)}}

    def colour(self, number: int) -> str:
        """Colour of an id, as #RRGGBB."""
        return "#{:02X}{:02X}{:02X}".format(*self.legend.palette[number]) if self.legend else "#000000"

    def coloured(self) -> np.ndarray:
        """The ids in the legend's colours: uint8 (height, width, 3)."""
        ids = np.asarray(self)
        return self.legend.palette[ids] if self.legend else np.stack([ids] * 3, -1)

    def overlay(self) -> Image.Image:
        """The mask over its image, with a legend below.

        Raises:
            ValueError: If this is only a part of a mask.
        """
        if self.image is None or self.legend is None:
            raise ValueError("a part of a mask has no image")
        return with_legend(self.image, palette_image(np.asarray(self), self.legend), self.legend)

    def save(self, path: str | Path) -> Path:
        """Write the mask as a palette PNG, and its overlay beside it. Each file is written whole or not at all.

        Args:
            path: Of the PNG; another suffix is replaced.

        Returns:
            The PNG's path.

        Raises:
            ValueError: If this is only a part of a mask.
        """
        if self.image is None or self.legend is None:
            raise ValueError("a part of a mask has no image")
        path, ids = Path(path).with_suffix(".png"), np.asarray(self)
        save_overlay(self.image, palette_image(ids, self.legend), self.legend, path)
        write_mask(ids, self.legend, {"made_from": {"image": self.name}}, path)
        return path

    def _repr_png_(self) -> bytes | None:
        if not self.shown:
            return None
        data, picture = io.BytesIO(), self.overlay()
        picture.save(data, "PNG")
        return data.getvalue()


class Masks(list[Mask]):
    """Masks of several images, a list in the images' order. In a notebook it shows a table of shares.

    :func:`smooseg.segment` makes it of several images, and of paths.

    Example:
        >>> masks = smooseg.segment("photos", model)
        >>> masks.save("masks")  # PNGs, overlays, legend.csv and shares.csv
    """

    def shares(self) -> pd.DataFrame:
        """A table with one row for each mask: image, height, width, and the percent of each name.

        A class that has the name of an earlier column has the column "class NAME", as in :func:`.tables.with_classes`.
        """
        found = [dict(mask.shares()[["name", "percent"]].itertuples(index=False)) for mask in self]
        names = list(dict.fromkeys(name for mask in self if mask.legend for name in mask.legend.names.values()))
        names += ["void"] if any("void" in percent for percent in found) and "void" not in names else []
        rows = [
            [mask.name, *mask.shape, *(percent.get(name, 0.0) for name in names)]
            for mask, percent in zip(self, found, strict=True)
        ]
        return pd.DataFrame(rows, columns=with_classes(["image", "height", "width"], names))

    def save(self, folder: str | Path) -> list[Path]:
        """Write every mask and its overlay, legend.csv and shares.csv into a folder, and return the masks' paths.

        The folder is as ``smooseg segment`` writes it, so ``smooseg export`` takes it.

        Raises:
            SmoosegError: If there is no mask, two are of images of one name, legends differ, or one is only a part of a
                mask; nothing is written then.
        """
        twice = [name for name, number in Counter(mask.name for mask in self).items() if number > 1]
        if twice or not self:
            raise SmoosegError(
                f"two masks are called {twice[0]}; save them apart" if twice else "there is no mask to save"
            )
        legend, folder = self[0].legend, Path(folder)
        if legend is None or any(not mask.shown or mask.legend != legend for mask in self):
            raise SmoosegError(
                "masks are saved with their images and one legend; some of these are parts, or of another head"
            )
        paths = [mask.save(folder / f"{mask.name}.png") for mask in self]
        files = [mask.path or Path(f"{mask.name}.png") for mask in self]
        done = [
            (file, path.relative_to(folder), mask.record()) for mask, path, file in zip(self, paths, files, strict=True)
        ]
        write_tables(done, legend, folder)
        return paths

    def stacked(self) -> np.ndarray:
        """All masks as one array, uint8 (images, height, width).

        Raises:
            ValueError: If the images differ in size.
        """
        return np.stack([np.asarray(mask) for mask in self])

    def _repr_html_(self) -> str:
        return f"{len(self)} masks{self.shares().to_html(index=False, float_format='{:.1f}'.format)}"
