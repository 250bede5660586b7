"""Every head by its name, so that one can hold another without importing them all, which would count in its reruns."""

from collections.abc import Iterator, Mapping
from importlib import import_module

from ..errors import SmoosegError
from ..running.plugins import load_plugin, plugins
from .base import Head

CLASSES = {  # by the module or package that each lies in
    "cause": "CauseHead",
    "eagle": "EagleHead",
    "equss": "EqussHead",
    "hp": "HPHead",
    "kmeans": "KMeansHead",
    "linear": "LinearHead",
    "ppap": "PpapHead",
    "primaps": "PrimapsHead",
    "smooseg": "SmooSegHead",
    "smooseg_plus": "SmooSegPlusHead",
    "stego": "StegoHead",
}


class OurHeads(Mapping[str, type[Head]]):
    """Our heads by name, each imported when it is asked for: what some of them import takes seconds."""

    def __getitem__(self, name: str) -> type[Head]:
        of_module = CLASSES[name]
        return getattr(import_module(f"{__package__}.{name}"), of_module)

    def __iter__(self) -> Iterator[str]:
        return iter(CLASSES)

    def __len__(self) -> int:
        return len(CLASSES)


HEADS = OurHeads()


def find_head(name: str) -> type[Head]:
    """A head by its name, ours or of another package.

    Raises:
        SmoosegError: If there is none, or another package's does not load.
    """
    if name in CLASSES:
        return HEADS[name]
    if name not in plugins("heads"):
        raise SmoosegError(f"head {name}: no installed package has it")
    return load_plugin("heads", name)


def head_facts(head: Head) -> dict:
    """What :func:`build_head` takes."""
    name = type(head).__module__.removeprefix(f"{__package__}.").split(".")[0]
    if name not in CLASSES:
        (name,) = (name for name in plugins("heads") if find_head(name) is type(head))
    return {"head": name, "channels": head.channels, "clusters": head.clusters, "settings": head.settings}


def build_head(facts: dict) -> Head:
    """A head that has not been fitted, from the facts of one that has."""
    return find_head(facts["head"])(facts["channels"], facts["clusters"], facts["settings"])
