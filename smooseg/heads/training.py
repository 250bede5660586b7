"""The loop that every head trained by gradients shares."""

import logging
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

import pandas as pd
import torch
from torch import nn

from ..errors import SmoosegError
from ..running.device import keep_freed_memory
from ..running.progress import progress
from .snapshot import Snapshot

LOG = logging.getLogger(__name__)
RECORD_EVERY = 50  # steps between history rows: reading values off a GPU makes it wait
Batch = TypeVar("Batch")  # whatever a head's energy is of
Energy = tuple[torch.Tensor, dict[str, torch.Tensor]]


@keep_freed_memory()
def minimise(
    head: nn.Module,
    batches: Callable[[int], Iterator[Batch]],
    energy: Callable[[Batch], Energy],
    optimizer: torch.optim.Optimizer,
    steps: int,
    generators: list[torch.Generator],
    snapshot: Snapshot | None = None,
    after_step: Callable[[], None] | None = None,
) -> pd.DataFrame:
    """Take a fixed number of steps; the last state is kept.

    Args:
        head: What is trained.
        batches: Endless batches without the first few; which they are depends on their number alone, and on
            what they draw from ``generators``.
        energy: Loss of a batch, and its parts for the history.
        optimizer: Holds the parameters.
        steps: How many.
        generators: All that batches and energy draw from, apart from torch's own.
        snapshot: Where the state is kept now and then; steps that it holds are not taken again.
        after_step: Called after each.

    Returns:
        One row for every 50 steps: step, loss, its parts, each group's learning rate, steps_per_second.

    Raises:
        SmoosegError: If the loss is no longer finite.
    """
    training = Training(head, optimizer, [torch.default_generator, *generators])
    saved = snapshot.load() if snapshot else None
    if snapshot and saved:
        training.restore(saved)
        LOG.info("%s: goes on after step %d of %d", snapshot.path, training.step, steps)
    rates = {f"lr_{group['name']}": group["lr"] for group in optimizer.param_groups}
    upcoming, began = batches(training.step), time.perf_counter() - training.seconds
    for step in progress(range(training.step + 1, steps + 1), unit="step", desc="train"):
        loss, parts = energy(next(upcoming))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if after_step is not None:
            after_step()
        training.step, training.seconds = step, time.perf_counter() - began
        if step % RECORD_EVERY == 0 or step == steps:
            if not torch.isfinite(loss):
                raise SmoosegError(
                    f"training diverged: the loss is {loss.item()} at step {step}; lower the learning rates"
                )
            values = {name: value.item() for name, value in parts.items()}
            speed = {"steps_per_second": step / (time.perf_counter() - began)}
            training.history.append({"step": step, "loss": loss.item()} | values | rates | speed)
        if snapshot:
            snapshot.keep(step, steps)
            if snapshot.due():
                snapshot.save(training.state())
    LOG.info("%d steps at %.1f per second", steps, training.history[-1]["steps_per_second"])
    return pd.DataFrame(training.history)


def clip_gradients(optimizer: torch.optim.Optimizer, parameters: list[nn.Parameter], limit: float) -> None:
    """Before every step, scale the gradients of some parameters down so that their common norm is at most ``limit``."""

    def clip(*_) -> None:
        nn.utils.clip_grad_norm_(parameters, limit)

    optimizer.register_step_pre_hook(clip)


class Training:
    """All that the next step depends on, apart from the batches' place, which is the step's number.

    Args:
        head, optimizer, generators: They keep their own state.
    """

    def __init__(self, head: nn.Module, optimizer: torch.optim.Optimizer, generators: list[torch.Generator]):
        self.head, self.optimizer, self.generators = head, optimizer, generators
        self.step, self.seconds = 0, 0.0
        self.history: list[dict] = []

    def state(self) -> dict:
        """What :meth:`restore` takes."""
        return {
            "head": self.head.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generators": [generator.get_state() for generator in self.generators],
            "step": self.step,
            "seconds": self.seconds,
            "history": self.history,
        }

    def restore(self, state: dict) -> None:
        """Set everything to a state that was saved."""
        self.head.load_state_dict(state["head"])
        self.optimizer.load_state_dict(state["optimizer"])
        for generator, saved in zip(self.generators, state["generators"], strict=True):
            generator.set_state(saved)
        self.step, self.seconds, self.history = (state[key] for key in ("step", "seconds", "history"))
