"""Mean-field inference in a dense CRF (Krähenbühl and Koltun 2011), on all labels at once, outside Python's lock."""

from functools import lru_cache

import numpy as np

from .compiled import BLOCK, add_product, compile_once, element, every, load, maximum, power_of_two, store
from .field import Field
from .lattice import Lattice, blur, build_lattice, gather, splat

NEVER = -1e30  # log-probability of the labels that fill the last block


@lru_cache(maxsize=2)
def smoothness_lattice(height: int, width: int, sxy: float, weight: float) -> Lattice:
    """The lattice of positions alone, which all images of one size share."""
    return build_lattice(positions(height, width) / np.float32(sxy), weight)


def appearance_lattice(image: np.ndarray, sxy: float, srgb: float, weight: float) -> Lattice:
    """The lattice of an image's positions and colours."""
    colours = image.reshape(-1, 3).T / np.float32(srgb)
    return build_lattice(np.vstack([positions(*image.shape[:2]) / np.float32(sxy), colours]), weight)


def positions(height: int, width: int) -> np.ndarray:
    """Columns and rows of pixels, float32 (2, pixels)."""
    return np.stack(np.meshgrid(np.arange(width), np.arange(height))).reshape(2, -1).astype(np.float32)


def infer(field: Field, candidates: int) -> np.ndarray:
    """The likeliest of the first labels for every pixel, after mean field: uint8 (pixels,)."""
    return likeliest(beliefs_of(field), candidates)


def infer_marginals(field: Field) -> np.ndarray:
    """Marginals of every label after mean field, float32 (labels, pixels)."""
    beliefs = beliefs_of(field)
    return beliefs.transpose(0, 2, 1).reshape(-1, beliefs.shape[1])[: len(field.log_probabilities)]


def beliefs_of(field: Field) -> np.ndarray:
    """Marginals of mean field, as :func:`marginals` lays them out."""
    smoothness = smoothness_lattice(*field.image.shape[:2], *field.gaussian)
    lattices = (smoothness, appearance_lattice(field.image, *field.bilateral))
    return marginals(field.log_probabilities, field.attraction, lattices, field.iterations)


def marginals(
    log_probabilities: np.ndarray, attraction: np.ndarray, lattices: tuple[Lattice, ...], iterations: int
) -> np.ndarray:
    """Mean field: a label's logit is its own, plus what filtering its marginals with every kernel gives.

    Args:
        log_probabilities, attraction, iterations: See :class:`smooseg.evaluation.crf.field.Field`.
        lattices: One for each kernel, over the same pixels.

    Returns:
        float32 (blocks, pixels, 8): labels in rows of eight; what fills the last is next to nothing.
    """
    labels, pixels = log_probabilities.shape
    blocks = -(-labels // BLOCK)
    unary = in_blocks(log_probabilities, np.full((blocks, pixels, BLOCK), NEVER, np.float32))
    gains = np.zeros((blocks, BLOCK), np.float32)
    gains.reshape(-1)[:labels] = attraction
    spaces = tuple(np.empty((2, lattice.neighbours.shape[1], BLOCK), np.float32) for lattice in lattices)
    beliefs = unary.copy()
    softmax(beliefs)
    for _ in range(iterations):
        for block in range(blocks):
            pass_messages(beliefs[block], unary[block], gains[block : block + 1], lattices, spaces)
        softmax(beliefs)
    return beliefs


@compile_once
def in_blocks(maps, blocks):
    """Labels' maps (labels, pixels) as rows of pixels (blocks, pixels, 8), which is overwritten."""
    for label in range(len(maps)):
        for p in range(maps.shape[1]):
            blocks[label // BLOCK, p, label % BLOCK] = maps[label, p]
    return blocks


@compile_once
def likeliest(beliefs, labels):
    """The label of largest marginal among the first ones, for every pixel: uint8 (pixels,)."""
    found = np.empty(beliefs.shape[1], np.uint8)
    for p in range(len(found)):
        best = 0
        for label in range(1, labels):
            if beliefs[label // BLOCK, p, label % BLOCK] > beliefs[best // BLOCK, p, best % BLOCK]:
                best = label
        found[p] = best
    return found


@compile_once
def pass_messages(beliefs, unary, gains, lattices, spaces):
    """Replace a block's marginals by logits: what a pixel says itself, and what its neighbours add to it.

    Args:
        beliefs: float32 (pixels, 8), overwritten.
        unary: float32 (pixels, 8).
        gains: float32 (1, 8).
        lattices: One for each kernel.
        spaces: float32 (2, vertices, 8) for each, overwritten.
    """
    gain = load(gains, 0)
    for i in range(len(lattices)):
        splat(spaces[i][0], lattices[i].vertices, lattices[i].weights, beliefs)
    filtered = [blur(spaces[i][0], spaces[i][1], lattices[i].neighbours) for i in range(len(lattices))]
    for p in range(len(beliefs)):
        total = every(np.float32(0))
        for i in range(len(lattices)):
            total = gather(filtered[i], lattices[i].vertices, lattices[i].weights, p, total)
        store(beliefs, p, add_product(load(unary, p), gain, total))


@compile_once
def softmax(logits):
    """Softmax over blocks and rows, in place: float32 (blocks, pixels, 8)."""
    zero, one = every(np.float32(0)), every(np.float32(1))
    for p in range(logits.shape[1]):
        largest = load(logits[0], p)
        for block in range(1, len(logits)):
            largest = maximum(largest, load(logits[block], p))
        below = every(-largest_of(largest))
        total = zero
        for block in range(len(logits)):
            row = exponential(add_product(load(logits[block], p), one, below))
            store(logits[block], p, row)
            total = add_product(total, one, row)
        share = every(np.float32(1) / sum_of(total))
        for block in range(len(logits)):
            store(logits[block], p, add_product(zero, share, load(logits[block], p)))


@compile_once
def largest_of(row):
    """The largest value of a row."""
    found = element(row, 0)
    for j in range(1, BLOCK):
        found = max(found, element(row, j))
    return found


@compile_once
def sum_of(row):
    """The sum of a row."""
    found = element(row, 0)
    for j in range(1, BLOCK):
        found += element(row, j)
    return found


@compile_once
def exponential(row):
    """exp of numbers that are not positive, to two units in the last place: a power of two times a polynomial.

    Coefficients approximate exp on [-ln 2 / 2, ln 2 / 2]; they are those of Cephes' expf.
    """
    row = maximum(row, every(np.float32(-87)))  # below, float32 has no exponent
    shift = every(np.float32(12582912))  # 1.5 * 2^23: what is added to it is rounded to a whole number
    n = add_product(shift, row, every(np.float32(1.44269504)))
    n = add_product(n, shift, every(np.float32(-1)))
    rest = add_product(row, n, every(np.float32(-0.693359375)))
    rest = add_product(rest, n, every(np.float32(2.12194440e-4)))
    value = every(np.float32(1.9875691500e-4))
    for coefficient in (1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1, 1.0, 1.0):
        value = add_product(every(np.float32(coefficient)), value, rest)
    return add_product(every(np.float32(0)), value, power_of_two(n))
