"""Where tensors are computed."""

import ctypes
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from .machine import usable_cores

CPU = torch.device("cpu")
M_MMAP_MAX, M_TRIM_THRESHOLD = -4, -1  # of glibc's mallopt
MMAP_MAX, TRIM_THRESHOLD = 65536, 128 * 1024  # what glibc begins with


def default_device(job: int = 0) -> torch.device:
    """A GPU where there is one (jobs that share work take turns over all of them), else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda", job % torch.cuda.device_count())
    return torch.device("cpu")


def dropout_generator(device: torch.device) -> torch.Generator:
    """The generator that modules draw their dropout from."""
    return torch.cuda.default_generators[device.index or 0] if device.type == "cuda" else torch.default_generator


def make_generator(device: torch.device, seed: int) -> torch.Generator:
    """A new generator where what it draws is used, so that no draw waits for a copy."""
    return torch.Generator(device).manual_seed(seed)


def ready_for(device: torch.device, values: torch.Tensor) -> torch.Tensor:
    """Values whose copy to a GPU overlaps with what it computes: in page-locked memory; elsewhere as they are."""
    return values.pin_memory() if device.type == "cuda" and values.device.type == "cpu" else values


def fetch_ahead(values: torch.Tensor) -> Callable[[], torch.Tensor]:
    """Begin to copy values from a GPU, behind what it computes; what is returned waits for them, in any thread."""
    here = values.to("cpu", non_blocking=True)  # into page-locked memory
    if values.device.type != "cuda":
        return lambda: here
    copied = torch.cuda.Event()
    copied.record(torch.cuda.current_stream(values.device))

    def wait() -> torch.Tensor:
        copied.synchronize()
        return here

    return wait


@contextmanager
def keep_freed_memory() -> Iterator[None]:
    """Let glibc keep what is freed: mapping fresh memory for every large tensor can cost a quarter of a step.

    Its own limits are back at the end.
    """
    if not (sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt")):
        yield
        return
    libc.mallopt(M_MMAP_MAX, 0)
    libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
    try:
        yield
    finally:
        libc.mallopt(M_MMAP_MAX, MMAP_MAX)
        libc.mallopt(M_TRIM_THRESHOLD, TRIM_THRESHOLD)


@contextmanager
def threads(number: int | None = None) -> Iterator[None]:
    """Let torch take so many threads; with None, no more than this process may use: torch by itself knows no quota."""
    before = torch.get_num_threads()
    torch.set_num_threads(number or min(before, usable_cores()))
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def own_randomness(seed: int | None = None) -> Iterator[None]:
    """Torch's generators begin at a seed, or go on where they are, and are at the end where they were before."""
    with torch.random.fork_rng(range(torch.cuda.device_count())):
        if seed is not None:
            torch.manual_seed(seed)
        yield
