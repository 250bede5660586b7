"""Gaussian filtering on the permutohedral lattice (Adams, Baek and Davis 2010), compiled, for eight maps at a time.

Points of d features lie in simplices of d + 1 vertices. Filtering spreads values to the vertices (splat), mixes
neighbouring vertices along each of d + 1 axes (blur), and reads them back (slice): time grows with points, not pairs.
"""

from typing import NamedTuple

import numpy as np

from ...errors import SmoosegError
from .compiled import BLOCK, add_product, compiled, element, every, load, store

WIDEST = 2**20  # standard deviations that points may lie apart: float32 still tells cells apart
TILE = 256  # points whose simplices are found together
CAPACITY = 2**18  # slots that a table begins with; it grows when half of them are taken


class Lattice(NamedTuple):
    """Where points lie among the vertices; vertex 0 stands for all that are not there, and stays zero.

    Args:
        vertices: uint32 (points, d + 1), the vertices of each point's simplex.
        weights: float32 (points, d + 1), how much of the point each takes; the kernel's strength and its symmetric
            normalisation are in them (Krähenbühl and Koltun 2011).
        neighbours: uint32 (d + 1, vertices, 2), those before and behind each vertex along every axis.
    """

    vertices: np.ndarray
    weights: np.ndarray
    neighbours: np.ndarray


def build_lattice(features: np.ndarray, strength: float) -> Lattice:
    """The lattice of some points.

    Args:
        features: float32 (d, points), in units of the kernel's standard deviations.
        strength: What a point whose neighbours all agree gains.

    Raises:
        SmoosegError: If the kernel is so narrow that its cells cannot be numbered.
    """
    if np.abs(features).max(initial=0) > WIDEST:
        raise too_narrow(features)
    corners, ranks, weights = simplices(features)
    vertices, neighbours = number_vertices(*number_cells(corners), ranks)
    return Lattice(vertices, normalised(weights, vertices, neighbours, strength), neighbours)


def too_narrow(points: np.ndarray) -> SmoosegError:
    """The error for kernels whose cells are too many to number."""
    return SmoosegError(
        f"crf: {points.shape[1]} pixels lie in too many cells of kernels this narrow; "
        "widen gaussian_sxy, bilateral_sxy or bilateral_srgb"
    )


@compiled
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


@compiled
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


@compiled
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


@compiled
def rank_distances(elevated, corners, ranks):
    """How many coordinates are further from their rounded value than each; ranks are zero before."""
    sides, points = elevated.shape
    for i in range(sides):
        for j in range(i + 1, sides):
            for p in range(points):
                nearer = np.int32(elevated[i, p] - corners[i, p] < elevated[j, p] - corners[j, p])
                ranks[i, p] += nearer
                ranks[j, p] += 1 - nearer


@compiled
def settle(excess, corners, ranks):
    """Move the coordinates that were rounded furthest, so that they sum to zero."""
    sides, points = corners.shape
    for i in range(sides):
        for p in range(points):
            rank = ranks[i, p] + excess[p]
            turns = np.int32(rank < 0) - np.int32(rank >= sides)
            ranks[i, p] = rank + turns * sides
            corners[i, p] += turns * sides


@compiled
def barycentric(elevated, corners, ranks, weights):
    """Weights of the simplex's vertices, by remainder; weights are zero before."""
    sides, points = elevated.shape
    for i in range(sides):
        for p in range(points):
            offset = (elevated[i, p] - corners[i, p]) / np.float32(sides)
            weights[p, sides - 1 - ranks[i, p]] += offset
            weights[p, (sides - ranks[i, p]) % sides] -= offset
    weights[:, 0] += 1


def number_cells(corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One number for each corner, and what each of its d first coordinates counts in it; different vertices differ.

    Args:
        corners: int32 (d + 1, points).

    Returns:
        int64 (points,), not negative; int64 (d,).

    Raises:
        SmoosegError: If 63 bits do not suffice.
    """
    reach = 2 * len(corners)  # from a corner to its simplex's other vertices, and to their neighbours
    cells, stride, strides = np.zeros(corners.shape[1], np.int64), 1, []
    for coordinate in corners[:-1]:
        lowest, highest = int(coordinate.min()) - reach, int(coordinate.max()) + reach
        if stride * (highest - lowest + 1) >= 2**63:
            raise too_narrow(corners)
        cells += (coordinate.astype(np.int64) - lowest) * stride
        strides.append(stride)
        stride *= highest - lowest + 1
    return cells, np.array(strides, np.int64)


@compiled
def find(table, keys, key):
    """The slot of a table that holds the vertex of a key, or the free one where it belongs.

    Args:
        table: uint32, numbers of vertices, 0 where free; its length is a power of two.
        keys: int64, the key of every vertex.
        key: What to find.
    """
    mask = np.uint64(len(table) - 1)
    slot = ((np.uint64(key) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(32)) & mask
    while table[slot] and keys[table[slot]] != key:
        slot = (slot + np.uint64(1)) & mask
    return slot


@compiled
def grown(table, keys, count):
    """A table of twice the size with the same vertices."""
    larger = np.zeros(2 * len(table), np.uint32)
    for vertex in range(1, count + 1):
        larger[find(larger, keys, keys[vertex])] = vertex
    return larger


@compiled
def number_vertices(cells, strides, ranks):
    """The vertices that points touch, in the order in which they do: neighbours in the image are near in memory.

    Args:
        cells: int64 (points,), numbers of the corners.
        strides: int64 (d,), see :func:`number_cells`.
        ranks: int32 (d + 1, points), see :func:`simplices`.

    Returns:
        uint32 (points, d + 1), vertices from 1; uint32 (d + 1, vertices + 1, 2), neighbours, 0 where there is none.
    """
    points, d = len(cells), len(strides)
    table, keys, count = np.zeros(CAPACITY, np.uint32), np.empty(points * (d + 1) + 1, np.int64), 0
    vertices, step, by_rank = np.empty((points, d + 1), np.uint32), strides.sum(), np.zeros(d + 1, np.int64)
    for p in range(points):
        for i in range(d):
            by_rank[ranks[i, p]] = strides[i]
        by_rank[ranks[d, p]] = 0
        key = cells[p]
        for k in range(d + 1):  # from one vertex to the next, all coordinates grow by one but that of one rank
            slot = find(table, keys, key)
            if not table[slot]:
                count += 1
                table[slot], keys[count] = count, key
            vertices[p, k] = table[slot]
            key += step - (d + 1) * by_rank[d - k]
        if 2 * (count + d) > len(table):
            table = grown(table, keys, count)
    return vertices, find_neighbours(table, keys[: count + 1], strides)


@compiled
def find_neighbours(table, keys, strides):
    """Neighbours of every vertex, see :func:`number_vertices`; who lies behind whom is found from the one side."""
    d, step = len(strides), strides.sum()
    neighbours = np.zeros((d + 1, len(keys), 2), np.uint32)
    for axis in range(d + 1):
        move = (d + 1) * strides[axis] - step if axis < d else -step
        for vertex in range(1, len(keys)):
            before = table[find(table, keys, keys[vertex] + move)]  # 0 if there is none
            neighbours[axis, vertex, 0] = before
            if before:
                neighbours[axis, before, 1] = vertex
    return neighbours


@compiled
def spread(values, vertices, weights, source):
    """Splat rows of points onto the vertices.

    Args:
        values: float32 (vertices, 8), overwritten.
        vertices, weights: See :class:`Lattice`.
        source: float32 (points, 8).
    """
    values[:] = 0
    for p in range(len(source)):
        row = load(source, p)
        for k in range(vertices.shape[1]):
            vertex = vertices[p, k]
            store(values, vertex, add_product(load(values, vertex), every(weights[p, k]), row))


@compiled
def blur(values, scratch, neighbours):
    """Mix vertices with their neighbours along one axis after the other; the one of both arrays that has the result."""
    half = every(np.float32(0.5))
    scratch[0] = 0
    for axis in range(len(neighbours)):
        for vertex in range(1, len(values)):
            before, behind = load(values, neighbours[axis, vertex, 0]), load(values, neighbours[axis, vertex, 1])
            store(scratch, vertex, add_product(add_product(load(values, vertex), half, before), half, behind))
        values, scratch = scratch, values
    return values


@compiled
def gathered(values, vertices, weights, point, total):
    """Slice: a row, and what a point's vertices hold; see :func:`spread`."""
    for k in range(vertices.shape[1]):
        total = add_product(total, every(weights[point, k]), load(values, vertices[point, k]))
    return total


@compiled
def normalised(weights, vertices, neighbours, strength):
    """Weights whose filter is strength * D^-1/2 F D^-1/2, where F filters with those given, and D = diag(F 1)."""
    source = np.ones((len(weights), BLOCK), np.float32)
    values = np.empty((neighbours.shape[1], BLOCK), np.float32)
    spread(values, vertices, weights, source)
    values, result = blur(values, np.empty_like(values), neighbours), np.empty_like(weights)
    for p in range(len(weights)):
        total = element(gathered(values, vertices, weights, p, every(np.float32(0))), 0)
        scale = np.sqrt(np.float32(strength) / total)
        for k in range(weights.shape[1]):
            result[p, k] = weights[p, k] * scale
    return result
