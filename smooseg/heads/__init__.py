"""A cache of features comes in, and labels for the reference alone; a fitted head goes out: every head by its name."""

from pathlib import Path

from ..errors import SmoosegError
from ..running.plugins import load_plugin, plugins
from .base import Head, read_head, save_head
from .eagle import EagleHead
from .hp import HPHead
from .kmeans import KMeansHead
from .linear import LinearHead
from .smooseg import SmooSegHead
from .smooth import SmoothHead
from .snapshot import Snapshot
from .stego import StegoHead

HEADS: dict[str, type[Head]] = {
    "eagle": EagleHead,
    "hp": HPHead,
    "kmeans": KMeansHead,
    "linear": LinearHead,
    "smooseg": SmooSegHead,
    "smooth": SmoothHead,
    "stego": StegoHead,
}

__all__ = ["HEADS", "Head", "Snapshot", "find_head", "load_head", "save_head"]


def find_head(name: str) -> type[Head]:
    """A head by its name, ours or of another package.

    Raises:
        SmoosegError: If there is none, or another package's does not load.
    """
    if name in HEADS:
        return HEADS[name]
    if name not in plugins("heads"):
        raise SmoosegError(f"head {name}: no installed package has it")
    return load_plugin("heads", name)


def load_head(path: Path) -> tuple[Head, dict]:
    """A saved head in evaluation mode, and the experiment it was trained for.

    Raises:
        SmoosegError: If the file is not a head or does not fit its own configuration.
    """
    facts, state = read_head(path)
    try:
        head = find_head(facts["head"])(facts["channels"], facts["clusters"], facts["settings"])
        head.load_state_dict(state)
    except (KeyError, RuntimeError) as error:
        raise SmoosegError(f"{path}: does not fit its own configuration ({error})") from error
    return head.eval(), facts["experiment"]
