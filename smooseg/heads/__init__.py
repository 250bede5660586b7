"""A cache of features comes in, and labels for the reference alone; a fitted head goes out: every head by its name."""

from pathlib import Path

from ..errors import SmoosegError
from .base import Head, read_head, save_head
from .cause import CauseHead
from .eagle import EagleHead
from .equss import EqussHead
from .hp import HPHead
from .kmeans import KMeansHead
from .linear import LinearHead
from .names import HEADS, build_head, find_head
from .ppap import PpapHead
from .primaps import PrimapsHead
from .smooseg import SmooSegHead
from .smooth import SmoothHead
from .snapshot import Snapshot
from .stego import StegoHead

HEADS |= {
    "eagle": EagleHead,
    "hp": HPHead,
    "cause": CauseHead,
    "equss": EqussHead,
    "kmeans": KMeansHead,
    "linear": LinearHead,
    "ppap": PpapHead,
    "primaps": PrimapsHead,
    "smooseg": SmooSegHead,
    "smooth": SmoothHead,
    "stego": StegoHead,
}

__all__ = ["HEADS", "Head", "Snapshot", "find_head", "load_head", "save_head"]


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
