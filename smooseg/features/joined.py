"""Features and maps of the same views, read together: each view's bytes one after the other in a row."""

import numpy as np
import torch

from .store import Store


class Joined:
    """Two stores as the one that :func:`smooseg.features.reader.shuffled_batches` reads.

    Args:
        features: Training features, of square views; what shapes the batches.
        maps: uint8 (views, size, size) of the same views.
        pixels: int64 (n,), rows and columns of a map that are kept.
    """

    def __init__(self, features: Store, maps: Store, pixels: np.ndarray):
        self.features, self.maps, self.pixels = features, maps, pixels
        self.path, self.views, self.chunk, self.chunks = features.path, features.views, features.chunk, features.chunks
        self.row_bytes = features.row_bytes + len(pixels) ** 2
        self.row_bytes += self.row_bytes % 2  # so that the features of every view begin at an even byte
        self.shape, self.dtype = (self.views, self.row_bytes), np.dtype(np.uint8)

    def length(self, chunk: int) -> int:
        """Views in a chunk."""
        return self.features.length(chunk)

    def scatter(self, chunk: int, space: np.ndarray, positions: np.ndarray) -> None:
        """As :meth:`smooseg.features.store.Store.scatter`, into rows of bytes."""
        end, start = self.features.row_bytes, chunk * self.chunk
        rows = space[:, :end].view(self.features.dtype).reshape(-1, *self.features.shape[1:])
        self.features.scatter(chunk, rows, positions)
        maps = self.maps.read(start, start + self.length(chunk))[:, self.pixels][:, :, self.pixels]
        space[positions, end : end + maps[0].size] = maps.reshape(len(maps), -1)

    def parts(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """A batch of rows as features (batch, patches, channels) and maps (batch, n, n)."""
        end, side = self.features.row_bytes, len(self.pixels)
        features = rows[:, :end].contiguous().view(torch.float16).unflatten(1, self.features.shape[1:])
        return features, rows[:, end : end + side**2].unflatten(1, (side, side))
