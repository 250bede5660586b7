"""Shuffled batches of a store: whole chunks in random order, views mixed in a buffer.

Random single-view reads would starve the trainer; whole chunks read at the speed of memory. A store
that fits the budget is one buffer, held; a larger one streams through two, read in the background.
"""

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain

import numpy as np
import torch

from ..running.device import CPU, ready_for
from .joined import Joined
from .store import Store

LOG = logging.getLogger(__name__)
BUFFERS = 2  # one in use, one being read
Orders = Iterator[tuple[np.ndarray, np.ndarray]]
Readable = Store | Joined


def read_chunks(store: Readable, chunks: np.ndarray, order: np.ndarray, space: np.ndarray) -> torch.Tensor:
    """Views of some chunks, one after the other, each put where ``order`` says: a view of ``space``."""
    end = 0
    for chunk in chunks:
        start, end = end, end + store.length(chunk)
        store.scatter(chunk, space, order[start:end])
    return torch.from_numpy(space[:end])


def allocate(store: Readable, views: int) -> np.ndarray:
    """Room for some views of a store."""
    return np.empty((views, *store.shape[1:]), store.dtype)


def chunk_groups(store: Readable, size: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Endless epochs of groups of at most ``size`` chunks: each epoch visits every chunk once, in random order."""
    while True:
        order = rng.permutation(store.chunks)
        yield from np.array_split(order, -(-store.chunks // size))


def fits_budget(store: Readable, budget: int) -> bool:
    """Whether a store is held in memory, and not streamed."""
    return store.views * store.row_bytes <= budget


def buffer_orders(store: Readable, budget: int, seed: int) -> Orders:
    """Endless (chunks of a buffer, places of their views in it); nothing is read."""
    rng = np.random.default_rng(seed)
    while fits_budget(store, budget):
        yield np.arange(store.chunks), rng.permutation(store.views)
    for chunks in chunk_groups(store, max(2, budget // (BUFFERS * store.chunk * store.row_bytes)), rng):
        yield chunks, rng.permutation(sum(map(store.length, chunks)))


def skip_units(orders: Orders, skip: int, units: Callable[[int], int]) -> tuple[Orders, int]:
    """Orders from the buffer that holds unit ``skip``, and how many units of that buffer come before it."""
    for order in orders:
        number = units(len(order[1]))
        if skip < number:
            return chain([order], orders), skip
        skip -= number
    raise AssertionError("orders are endless")


def fits_device(size: int, device: torch.device) -> bool:
    """Whether features take at most half of what is free on a GPU."""
    return device.type == "cuda" and size <= torch.cuda.mem_get_info(device)[0] // 2


def buffers(
    store: Readable,
    budget: int,
    seed: int,
    device: torch.device,
    skip: int = 0,
    units: Callable[[int], int] = lambda views: views,
) -> Iterator[tuple[torch.Tensor, torch.Tensor | None, int]]:
    """Endless (views, order, passed) buffers; an order of None says that the views are shuffled already.

    A store that fits the budget is held in memory, and on a GPU where it takes at most half of what is
    free there. A larger one streams through two buffers, one of which is read in the background: a buffer
    is overwritten once the next is asked for. Buffers of which nothing is wanted are not read.

    Args:
        store, budget, seed, device: As for :func:`shuffled_batches`.
        skip: Units that the caller has had before; ``passed`` of them are in this buffer.
        units: How many of them a buffer of some views holds.
    """
    orders, passed = skip_units(buffer_orders(store, budget, seed), skip, units)
    size, fits = store.views * store.row_bytes, fits_budget(store, budget)
    on_device = fits and fits_device(size, device)
    how = f"held in {device if on_device else 'memory'}" if fits else f"streamed through {BUFFERS} buffers"
    LOG.info("%s: %s, %.2f GB with a budget of %.2f GB", store.path, how, size / 1e9, budget / 1e9)
    if fits:
        held = read_chunks(store, np.arange(store.chunks), np.arange(store.views), allocate(store, store.views))
        held = held.to(device) if on_device else held
        for _, order in orders:
            yield held, torch.from_numpy(order).to(held.device), passed
            passed = 0
    spaces: list[np.ndarray] = []  # reused: fresh memory is slow
    with ThreadPoolExecutor(1) as pool:
        reading = None
        for number, (chunks, order) in enumerate(orders):
            if len(spaces) < BUFFERS:
                spaces.append(allocate(store, (len(chunks) + 1) * store.chunk))
            following = pool.submit(read_chunks, store, chunks, order, spaces[number % BUFFERS])
            if reading is not None:
                yield reading.result(), None, passed
                passed = 0
            reading = following


def shuffled_batches(
    store: Readable, size: int, budget: int, seed: int, device: torch.device = CPU, skip: int = 0
) -> Iterator[torch.Tensor]:
    """Endless batches of views; each epoch visits every view once, in an order that the seed fixes.

    Args:
        store: Features, with or without maps of the same views.
        size: Views in a batch.
        budget: Bytes of features to hold at once.
        seed: Of the order.
        device: Where batches are wanted.
        skip: Batches to leave out at the start, unread: what a training that goes on has had.

    Yields:
        (size, patches, channels) in the store's dtype, or rows for :meth:`Joined.parts`. Use a batch before asking
        for the next one: it may lie in a buffer that is read into again.
    """
    parts, drawn = [], 0
    for views, order, start in buffers(store, budget, seed, device, skip * size):
        while start < len(views):
            stop = min(start + size - drawn, len(views))
            part = views[start:stop] if order is None else views[order[start:stop]]
            drawn, start = drawn + len(part), stop
            parts.append(part if drawn == size else part.clone())  # a rest outlives its buffer
            if drawn == size:
                batch = parts[0] if len(parts) == 1 else torch.cat(parts)
                yield ready_for(device, batch).to(device, non_blocking=True)
                parts, drawn = [], 0


def mean_feature(store: Store) -> torch.Tensor:
    """Mean of all patch features of a store: float32 (channels,), summed in float64, chunk by chunk."""
    total = np.zeros(store.shape[-1])
    for start, stop in store.blocks(store.chunk):
        total += store.read(start, stop).sum(axis=(0, 1), dtype=np.float64)
    return torch.from_numpy(total / (store.views * store.shape[1])).float()
