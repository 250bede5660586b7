"""Every head by its name, so that one can hold another without importing them all, which would count in its reruns."""

from ..errors import SmoosegError
from ..running.plugins import load_plugin, plugins
from .base import Head

HEADS: dict[str, type[Head]] = {}  # ours, which the package fills in


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


def head_facts(head: Head) -> dict:
    """What :func:`build_head` takes."""
    (name,) = (name for name in (*HEADS, *plugins("heads")) if find_head(name) is type(head))
    return {"head": name, "channels": head.channels, "clusters": head.clusters, "settings": head.settings}


def build_head(facts: dict) -> Head:
    """A head that has not been fitted, from the facts of one that has."""
    return find_head(facts["head"])(facts["channels"], facts["clusters"], facts["settings"])
