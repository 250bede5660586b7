"""The simplex of the permutohedral lattice around each point (Adams, Baek and Davis 2010), compiled."""

import numpy as np

from .compiled import compile_once

TILE = 256  # points whose simplices are found together


@compile_once
def simplices(features):
    """The simplex around each point, a tile of points at a time so that loops over them fill the vector units.

    Args:
        features: float32 (d, points).

    Returns:
        int32 (d + 1, points), its vertex of remainder 0; int32 (d + 1, points), the rank of every coordinate's distance
        to that, the largest first; float32 (points, d + 1), the point's barycentric weights.
    """
    d, points = features.shape
    corners, ranks = np.zeros((d + 1, points), np.int32), np.zeros((d + 1, points), np.int32)
    weights = np.zeros((points, d + 1), np.float32)
    for start in range(0, points, TILE):
        tile = slice(start, min(start + TILE, points))
        elevated = elevate(features[:, tile])
        excess = nearest_corners(elevated, corners[:, tile])
        rank_distances(elevated, corners[:, tile], ranks[:, tile])
        settle(excess, corners[:, tile], ranks[:, tile])
        barycentric(elevated, corners[:, tile], ranks[:, tile], weights[tile])
    return corners, ranks, weights


@compile_once
def elevate(features):
    """Points in the hyperplane of d + 1 coordinates that sum to zero, scaled so that blurring has deviation 1."""
    d, points = features.shape
    elevated, behind = np.empty((d + 1, points), np.float32), np.zeros(points, np.float32)
    for i in range(d, 0, -1):
        scale = np.float32((d + 1) * np.sqrt(2 / 3 / (i * (i + 1))))
        for p in range(points):
            value = features[i - 1, p] * scale
            elevated[i, p] = behind[p] - np.float32(i) * value
            behind[p] += value
    elevated[0] = behind
    return elevated


@compile_once
def nearest_corners(elevated, corners):
    """Each coordinate rounded to a multiple of d + 1; by how many multiples the rounded ones fail to sum to zero."""
    sides, points = elevated.shape
    excess = np.zeros(points, np.int32)
    for i in range(sides):
        for p in range(points):
            multiple = np.int32(np.rint(elevated[i, p] / np.float32(sides)))
            corners[i, p] = multiple * sides
            excess[p] += multiple
    return excess


@compile_once
def rank_distances(elevated, corners, ranks):
    """How many coordinates are further from their rounded value than each; ranks are zero before."""
    sides, points = elevated.shape
    for i in range(sides):
        for j in range(i + 1, sides):
            for p in range(points):
                nearer = np.int32(elevated[i, p] - corners[i, p] < elevated[j, p] - corners[j, p])
                ranks[i, p] += nearer
                ranks[j, p] += 1 - nearer


@compile_once
def settle(excess, corners, ranks):
    """Move the coordinates that were rounded furthest, so that they sum to zero."""
    sides, points = corners.shape
    for i in range(sides):
        for p in range(points):
            rank = ranks[i, p] + excess[p]
            turns = np.int32(rank < 0) - np.int32(rank >= sides)
            ranks[i, p] = rank + turns * sides
            corners[i, p] += turns * sides


@compile_once
def barycentric(elevated, corners, ranks, weights):
    """Weights of the simplex's vertices, by remainder; weights are zero before."""
    sides, points = elevated.shape
    for i in range(sides):
        for p in range(points):
            offset = (elevated[i, p] - corners[i, p]) / np.float32(sides)
            weights[p, sides - 1 - ranks[i, p]] += offset
            weights[p, (sides - ranks[i, p]) % sides] -= offset
    weights[:, 0] += 1
