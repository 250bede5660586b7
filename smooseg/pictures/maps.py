"""Masks as users hold them: arrays of ids that know their legend and their image, and show themselves."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from ..images.datasets import VOID
from .output.legend import Legend
from .output.masks import palette_image, write_csv, write_mask
from .output.overlays import save_overlay, with_legend
from .output.tables import LEGEND, SHARES


class Mask(np.ndarray):
    """Ids of an image's pixels: uint8 (height, width), as a mask's file has them.

    Attributes:
        legend: Names and colours of the ids.
        image: The image, RGB of the same size.
        name: What the image is called.
        scores: float32 (clusters, height, width), where they were asked for.
    """

    legend: Legend | None
    image: Image.Image | None
    name: str
    scores: np.ndarray | None

    def __new__(
        cls,
        ids: np.ndarray,
        legend: Legend | None = None,
        image: Image.Image | None = None,
        name: str = "image",
        scores: np.ndarray | None = None,
    ) -> "Mask":
        mask = np.ascontiguousarray(ids).view(cls)
        mask.legend, mask.image, mask.name, mask.scores = legend, image, name, scores
        return mask

    def __array_finalize__(self, source: Any) -> None:
        """What is computed from a mask, or cut from it, is of no image."""
        self.legend, self.image = getattr(source, "legend", None), None
        self.name, self.scores = getattr(source, "name", ""), None

    @property
    def shown(self) -> bool:
        """Whether this is the map of ids of an image."""
        return self.image is not None and self.legend is not None

    def shares(self) -> pd.DataFrame:
        """One row for each id that occurs, the most frequent first: id, name, colour, pixels, percent."""
        counts = np.bincount(np.asarray(self).ravel(), minlength=256)
        names = (self.legend.names if self.legend else {}) | {VOID: "void"}
        rows = [
            (i, names.get(i, f"id {i}"), self.colour(i), counts[i], 100 * counts[i] / counts.sum())
            for i in np.argsort(-counts, kind="stable").tolist()
            if counts[i]
        ]
        return pd.DataFrame(rows, columns=["id", "name", "colour", "pixels", "percent"])

    def colour(self, number: int) -> str:
        """Colour of an id, as #RRGGBB."""
        return "#{:02X}{:02X}{:02X}".format(*self.legend.palette[number]) if self.legend else "#000000"

    def coloured(self) -> np.ndarray:
        """The ids in the legend's colours: uint8 (height, width, 3)."""
        ids = np.asarray(self)
        return self.legend.palette[ids] if self.legend else np.stack([ids] * 3, -1)

    def overlay(self) -> Image.Image:
        """The mask over its image, with a legend below."""
        if self.image is None or self.legend is None:
            raise ValueError("a part of a mask has no image")
        return with_legend(self.image, palette_image(np.asarray(self), self.legend), self.legend)

    def save(self, path: str | Path) -> Path:
        """Write the mask as a palette PNG, and its overlay beside it; each whole or not at all."""
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
    """Masks of several images, in their order."""

    def shares(self) -> pd.DataFrame:
        """One row for each mask: image, height, width, and the percent of each id's name."""
        rows, names = list[dict[str, Any]](), dict[str, float]()
        for mask in self:
            names |= dict.fromkeys(mask.legend.names.values() if mask.legend else (), 0.0)
            percent = dict(mask.shares()[["name", "percent"]].itertuples(index=False))
            rows.append({"image": mask.name, "height": mask.shape[0], "width": mask.shape[1]} | percent)
        columns = ["image", "height", "width", *names, *(["void"] if any("void" in row for row in rows) else [])]
        return pd.DataFrame([names | {"void": 0.0} | row for row in rows], columns=columns)

    def save(self, folder: str | Path) -> list[Path]:
        """Write every mask with its overlay, legend.csv and shares.csv."""
        folder, shares = Path(folder), self.shares()
        paths = [mask.save(folder / f"{mask.name}.png") for mask in self]
        legends = pd.concat([mask.shares()[["id", "name", "colour"]] for mask in self]).drop_duplicates()
        for name, table in ((LEGEND, legends.sort_values("id")), (SHARES, shares)):
            write_csv([list(table.columns), *table.to_numpy().tolist()], folder / name)
        return paths

    def stacked(self) -> np.ndarray:
        """uint8 (images, height, width), of images of one size."""
        return np.stack([np.asarray(mask) for mask in self])

    def _repr_html_(self) -> str:
        return f"{len(self)} masks{self.shares().to_html(index=False, float_format='{:.1f}'.format)}"
