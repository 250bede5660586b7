"""Shuffled batches of a store: whole chunks in random order, views mixed in a buffer.

Random single-view reads would starve the trainer; whole chunks read at the speed of memory. A store
that fits the budget is one buffer, held; a larger one streams through two, read in the background.
"""

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import numpy as np
import torch

from .store import Store

BUFFERS = 2  # one in use, one being read
CPU = torch.device("cpu")


def read_chunks(store: Store, chunks: np.ndarray, space: np.ndarray | None = None) -> torch.Tensor:
    """Views of some chunks as one tensor, in the order of ``chunks``; in ``space`` where that is given."""
    lengths = [min(store.chunk, store.views - chunk * store.chunk) for chunk in chunks]
    space = empty(store, sum(lengths)) if space is None else space
    end = 0
    for chunk, length in zip(chunks, lengths, strict=True):
        start, end = end, end + length
        store.read(chunk * store.chunk, chunk * store.chunk + length, out=space[start:end])
    return torch.from_numpy(space[:end])


def empty(store: Store, views: int) -> np.ndarray:
    """Room for some views of a store."""
    return np.empty((views, *store.shape[1:]), store.array.dtype)


def chunk_groups(store: Store, budget: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Endless epochs of chunk groups: each epoch visits every chunk once, in random order."""
    group = max(2, budget // (BUFFERS * store.chunk * store.row_bytes))
    while True:
        order = rng.permutation(store.chunks)
        yield from np.array_split(order, -(-store.chunks // group))


def buffers(store: Store, budget: int, seed: int, device: torch.device) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Endless (views, order) buffers: features, and the random order in which to take them.

    A store that fits the budget is held in memory, and on a GPU where it takes at most half of what is
    free there. A larger one streams through two buffers, one of which is read in the background.
    """
    rng = np.random.default_rng(seed)
    size = store.views * store.row_bytes
    fits = size <= budget
    on_device = fits and device.type == "cuda" and size <= torch.cuda.mem_get_info(device)[0] // 2
    place = str(device) if on_device else "memory"
    how = f"held in {place}" if fits else f"streamed through {BUFFERS} buffers"
    logging.info("%s: %s, %.2f GB with a budget of %.2f GB", store.path, how, size / 1e9, budget / 1e9)
    if fits:
        held = read_chunks(store, np.arange(store.chunks))
        held = held.to(device) if on_device else held
        while True:
            yield held, torch.from_numpy(rng.permutation(store.views)).to(held.device)
    groups = chunk_groups(store, budget, rng)
    first = next(groups)
    spaces = [empty(store, (len(first) + 1) * store.chunk) for _ in range(BUFFERS)]  # reused: fresh memory is slow
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(read_chunks, store, first, spaces[0])
        for number in count(1):
            views = reading.result()
            reading = pool.submit(read_chunks, store, next(groups), spaces[number % BUFFERS])
            yield views, torch.from_numpy(rng.permutation(len(views)))


def shuffled_batches(
    store: Store, size: int, budget: int, seed: int, device: torch.device = CPU
) -> Iterator[torch.Tensor]:
    """Endless batches of views; each epoch visits every view once, in an order that the seed fixes.

    Args:
        store: Features.
        size: Views in a batch.
        budget: Bytes of features to hold at once.
        seed: Of the order.
        device: Where batches are wanted.

    Yields:
        (size, patches, channels) in the store's dtype.
    """
    parts, drawn = [], 0
    for views, order in buffers(store, budget, seed, device):
        while len(order):
            take, order = order[: size - drawn], order[size - drawn :]
            parts.append(views[take])
            drawn += len(take)
            if drawn == size:
                yield (parts[0] if len(parts) == 1 else torch.cat(parts)).to(device, non_blocking=True)
                parts, drawn = [], 0


def mean_feature(store: Store) -> torch.Tensor:
    """Mean of all patch features of a store: float32 (channels,), summed in float64, chunk by chunk."""
    total = np.zeros(store.shape[-1])
    for start, stop in store.blocks(store.chunk):
        total += store.read(start, stop).sum(axis=(0, 1), dtype=np.float64)
    return torch.from_numpy(total / (store.views * store.shape[1])).float()
