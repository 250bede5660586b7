"""Gaussian filtering on the permutohedral lattice (Adams, Baek and Davis 2010), compiled, for eight maps at a time.

Points of d features lie in simplices of d + 1 vertices. Filtering spreads values to the vertices (splat), mixes
neighbouring vertices along each of d + 1 axes (blur), and reads them back (slice): time grows with points, not pairs.
"""

from typing import NamedTuple

import numpy as np

from .compiled import BLOCK, add_product, compile_once, element, every, load, store
from .field import NarrowKernels
from .simplices import simplices

WIDEST = 2**20  # standard deviations that points may lie apart: float32 still tells cells apart
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
        NarrowKernels: If the kernel is so narrow that its cells cannot be numbered.
    """
    if np.abs(features).max(initial=0) > WIDEST:
        raise too_narrow(features)
    corners, ranks, weights = simplices(features)
    vertices, neighbours = number_vertices(*number_cells(corners), ranks)
    return Lattice(vertices, normalise(weights, vertices, neighbours, strength), neighbours)


def too_narrow(points: np.ndarray) -> NarrowKernels:
    """The error for kernels whose cells are too many to number."""
    return NarrowKernels(
        f"{points.shape[1]} pixels lie in too many cells of kernels this narrow; "
        "widen gaussian_sxy, bilateral_sxy or bilateral_srgb"
    )


def number_cells(corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One number for each corner, and what each of its d first coordinates counts in it; different vertices differ.

    Args:
        corners: int32 (d + 1, points).

    Returns:
        int64 (points,), not negative; int64 (d,).

    Raises:
        NarrowKernels: If 63 bits do not suffice.
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


@compile_once
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


@compile_once
def grow_table(table, keys, count):
    """A table of twice the size with the same vertices."""
    larger = np.zeros(2 * len(table), np.uint32)
    for vertex in range(1, count + 1):
        larger[find(larger, keys, keys[vertex])] = vertex
    return larger


@compile_once
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
            table = grow_table(table, keys, count)
    return vertices, find_neighbours(table, keys[: count + 1], strides)


@compile_once
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


@compile_once
def splat(values, vertices, weights, source):
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


@compile_once
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


@compile_once
def gather(values, vertices, weights, point, total):
    """Slice: a row, and what a point's vertices hold; see :func:`splat`."""
    for k in range(vertices.shape[1]):
        total = add_product(total, every(weights[point, k]), load(values, vertices[point, k]))
    return total


@compile_once
def normalise(weights, vertices, neighbours, strength):
    """Weights whose filter is strength * D^-1/2 F D^-1/2, where F filters with those given, and D = diag(F 1)."""
    source = np.ones((len(weights), BLOCK), np.float32)
    values = np.empty((neighbours.shape[1], BLOCK), np.float32)
    splat(values, vertices, weights, source)
    values, result = blur(values, np.empty_like(values), neighbours), np.empty_like(weights)
    for p in range(len(weights)):
        total = element(gather(values, vertices, weights, p, every(np.float32(0))), 0)
        scale = np.sqrt(np.float32(strength) / total)
        for k in range(weights.shape[1]):
            result[p, k] = weights[p, k] * scale
    return result
