"""A canvas of colours and kinds with a camera above a ground plane, for procedural scenes."""

from copy import copy
from typing import Self

import numpy as np
from PIL import Image

CLASSES = ["sky", "water", "grass", "tree", "building", "road"]
KINDS = [*CLASSES, "conifer", "forest", "block", "roof"]  # finer than classes: what is drawn
SKY, WATER, GRASS, TREE, BUILDING, ROAD, CONIFER, FOREST, BLOCK, ROOF = range(len(KINDS))
CLASS_OF = np.array([*range(len(CLASSES)), TREE, TREE, BUILDING, BUILDING], np.uint8)
NOISE_SIDE = 256  # pixels of the noise tile that the ground repeats

# light: (zenith, horizon, tint of everything the light falls on)
LIGHTS = [
    ((0.25, 0.47, 0.83), (0.74, 0.85, 0.95), (1.00, 1.00, 0.98)),  # noon
    ((0.62, 0.67, 0.72), (0.83, 0.84, 0.85), (0.86, 0.88, 0.92)),  # overcast
    ((0.32, 0.38, 0.62), (0.97, 0.76, 0.55), (1.05, 0.90, 0.76)),  # evening
    ((0.42, 0.62, 0.86), (0.90, 0.92, 0.90), (1.04, 1.00, 0.93)),  # morning
]


def fractal(rng: np.random.Generator, height: int, width: int, cell: float, octaves: int = 4) -> np.ndarray:
    """Smooth noise about 0..1, float32 (height, width); ``cell`` is the largest feature in pixels."""
    total, weight = np.zeros((height, width), np.float32), 0.0
    for octave in range(octaves):
        size = max(cell / 2**octave, 1.0)
        rows, columns = height / size, width / size
        grid = Image.fromarray(rng.random((int(rows) + 2, int(columns) + 2), np.float32))
        total += (
            np.asarray(grid.resize((width, height), Image.Resampling.BICUBIC, (0, 0, columns + 1, rows + 1)))
            / 2**octave
        )
        weight += 1 / 2**octave
    return total / weight


class Scene:
    """A canvas of colours and kinds with a camera above a ground plane.

    Args:
        rng: Source of every choice.
        width, height: In pixels.
    """

    def __init__(self, rng: np.random.Generator, width: int, height: int):
        self.rng, self.width, self.height = rng, width, height
        self.colour = np.zeros((height, width, 3), np.float32)
        self.kind = np.full((height, width), SKY, np.uint8)
        self.horizon = int(height * rng.uniform(0.30, 0.55))
        self.zenith, self.haze, self.tint = (np.array(c, np.float32) for c in LIGHTS[rng.integers(len(LIGHTS))])
        self.sun = rng.choice([-1, 1])  # side the light comes from
        self.rows, self.columns = np.mgrid[0:height, 0:width].astype(np.float32)
        self.near = np.clip((self.rows - self.horizon) / (height - self.horizon), 0, 1)  # 0 horizon, 1 at our feet
        self.box: tuple[slice, ...] = (slice(None), slice(None))  # which rows and columns of the canvas these are

    def window(self, left: float, right: float, top: float, bottom: float) -> Self:
        """The part of the whole canvas in a rectangle (pixels, may reach beyond it), to draw what lies in it alone."""
        part = copy(self)
        part.box = tuple(slice(max(int(a), 0), max(int(b) + 1, 0)) for a, b in ((top, bottom), (left, right)))
        for name in ("colour", "kind", "rows", "columns", "near"):
            setattr(part, name, getattr(self, name)[part.box])
        return part

    def ground(self) -> Self:
        """The part below the horizon."""
        return self.window(0, self.width, self.horizon, self.height)

    def noise(self, cell: float, octaves: int = 4) -> np.ndarray:
        """:func:`fractal` noise of the whole canvas, where this part of it lies."""
        return fractal(self.rng, self.height, self.width, cell, octaves)[self.box]

    def paint(self, mask: np.ndarray, colour: np.ndarray, kind: int, far: float = 0.0) -> None:
        """Paint a mask (bool) in a colour, (3,) or (height, width, 3), hazier the farther (0..1) it is."""
        colour = np.broadcast_to(colour, self.colour.shape)[mask]
        self.colour[mask] = colour * self.tint * (1 - far) + self.haze * far
        self.kind[mask] = kind

    def ground_noise(self, scale: float, stretch: float = 1.0) -> np.ndarray:
        """Noise in 0..1 that lies on the ground plane, float32 (height, width)."""
        from scipy.ndimage import map_coordinates  # takes long, and every parse of the workflow asks for CLASSES

        tile = fractal(self.rng, NOISE_SIDE, NOISE_SIDE, 24)
        depth = 1 / np.maximum(self.near, 0.02)
        reach = depth * scale * NOISE_SIDE / 8
        across = self.rng.uniform(0, NOISE_SIDE) + (self.columns / self.width - 0.5) * reach
        texture = map_coordinates(tile, [reach * stretch, across], order=1, mode="mirror")
        fade = np.clip(self.near * 6, 0, 1)  # far texture averages out
        return 0.5 + (texture - 0.5) * fade
