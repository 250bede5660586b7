"""The loop that every head trained by gradients shares."""

import logging
import time
from collections.abc import Callable

import pandas as pd
import torch

from ..device import keep_freed_memory
from ..errors import SmoosegError
from ..progress import progress

RECORD_EVERY = 50  # steps between history rows: reading values off a GPU makes it wait
Energy = tuple[torch.Tensor, dict[str, torch.Tensor]]


def minimise(
    energy: Callable[[], Energy],
    optimizer: torch.optim.Optimizer,
    steps: int,
    after_step: Callable[[], None] | None = None,
) -> pd.DataFrame:
    """Take a fixed number of steps; the last state is kept.

    Args:
        energy: Loss of the next batch, and its parts for the history.
        optimizer: Holds the parameters.
        steps: How many.
        after_step: Called after each.

    Returns:
        One row for every 50 steps: step, loss, its parts, each group's learning rate, steps_per_second.

    Raises:
        SmoosegError: If the loss is no longer finite.
    """
    keep_freed_memory()
    rates = {f"lr_{group['name']}": group["lr"] for group in optimizer.param_groups}
    history, began = [], time.perf_counter()
    for step in progress(range(1, steps + 1), unit="step", desc="train"):
        loss, parts = energy()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if after_step is not None:
            after_step()
        if step % RECORD_EVERY == 0 or step == steps:
            if not torch.isfinite(loss):
                raise SmoosegError(
                    f"training diverged: the loss is {loss.item()} at step {step}; lower the learning rates"
                )
            values = {name: value.item() for name, value in parts.items()}
            speed = {"steps_per_second": step / (time.perf_counter() - began)}
            history.append({"step": step, "loss": loss.item()} | values | rates | speed)
    logging.info("%d steps at %.1f per second", steps, history[-1]["steps_per_second"])
    return pd.DataFrame(history)
