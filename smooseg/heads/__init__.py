"""A cache of features comes in, and labels for the reference alone; a fitted head goes out: every head by its name."""

from pathlib import Path

from ..errors import SmoosegError
from ..running.device import own_randomness
from .base import Head, read_head, save_head
from .registry import HEADS, build_head, find_head
from .snapshot import Snapshot

__all__ = ["HEADS", "Head", "Snapshot", "find_head", "load_head", "save_head"]


@own_randomness()  # parameters are drawn before they are read
def load_head(path: Path) -> tuple[Head, dict]:
    """A saved head in evaluation mode, and the experiment it was trained for.

    Raises:
        SmoosegError: If the file is not a head or does not fit its own configuration.
    """
    facts, state = read_head(path)
    try:
        head = build_head(facts)
        head.load_state_dict(state)
    except (KeyError, RuntimeError) as error:
        raise SmoosegError(f"{path}: does not fit its own configuration ({error})") from error
    return head.eval(), facts["experiment"]
