"""Potsdam-3: aerial tiles in MATLAB files, six fine classes joined in pairs to three."""

from pathlib import Path

import numpy as np

from ...errors import SmoosegError
from .base import VOID, Dataset, Entry, plain_names
from .matlab import read_array


class Potsdam3(Dataset):
    """``imgs/*.mat`` (array ``img``) and ``gt/*.mat`` (array ``gt``), by the stems in ``labelled_{split}.txt``."""

    CLASSES = ("roads and cars", "buildings and clutter", "vegetation and trees")
    CLASS_OF = (0, 1, 2, 2, 0, 1)  # road, building, low vegetation, tree, car, clutter

    def image_sources(self, split: str) -> list[Path]:
        return [self._listing(split), self.root / "imgs"]

    def label_sources(self, split: str) -> list[Path]:
        return [self.root / "gt"]

    def entries(self, split: str) -> list[Entry]:
        listing = self._listing(split)
        stems = plain_names(listing, self.read_lines(listing))
        return [Entry(f"imgs/{stem}.mat", f"gt/{stem}.mat") for stem in stems]

    def decode_label(self, path: Path, data: bytes) -> np.ndarray:
        """Fine ids of array ``gt``, any integer type; -1 means void too."""
        raw = read_array(path, data, "gt")
        if raw.dtype.kind not in "iu":
            raise SmoosegError(f"{path}: gt must hold integers, got {raw.dtype} {raw.shape}")
        return np.where(raw == -1, VOID, raw.astype(np.int64))

    def _listing(self, split: str) -> Path:
        return self.root / f"labelled_{split}.txt"
