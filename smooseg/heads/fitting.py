"""Fit a head and keep it: the stage that the workflow's script, the command and the library share."""

import hashlib
import logging
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import SmoosegError
from ..features.provenance import file_sha256
from ..features.store import Store
from ..running.codes import code_of_heads
from ..running.files import write_whole
from .base import read_head, read_made_from, save_head
from .registry import find_head
from .snapshot import Snapshot

LOG = logging.getLogger(__name__)
HEAD, HISTORY = "head.safetensors", "history.parquet"  # what lies in a head's folder
# of results; apart, since the workflow takes what lies where it writes for its own
PLACES = {"experiments": "library", "library": "experiments"}


@dataclass(frozen=True)
class Fitting:
    """What decides a head.

    Args:
        experiment: dataset, backbone, head, clusters and settings.
        seed: Fixes initialisation and order.
        store: Training features, checked.
        needs: What they were made from.
        memory_gb: Features to hold in memory; decides the order of views.
        inputs: What else the head asks for, see :func:`smooseg.heads.inputs.read_inputs`.
        base: File of the head that it is put on.
    """

    experiment: dict
    seed: int
    store: Store
    needs: dict
    memory_gb: float
    inputs: dict[str, Any] = field(default_factory=dict)
    base: Path | None = None

    @property
    def facts(self) -> dict:
        """What the head's file says of its making."""
        features = self.needs | {"precision": self.store.provenance["precision"]}
        return self.experiment | {"seed": self.seed, "features": features}

    @property
    def circumstances(self) -> dict:
        """What decides the head and is not in its file."""
        names = [self.experiment["head"], *(base_heads(self.base) if self.base else [])]
        found = {"code": code_of_heads(*names), "memory_gb": self.memory_gb}
        found |= {"pictures": known_sha256(self.inputs["pictures"])} if "pictures" in self.inputs else {}
        return found | ({"base": file_sha256(self.base)} if self.base else {})

    def snapshot(self, output: Path, states: int = 0) -> Snapshot:
        """Where a long training keeps its state."""
        stores = [self.store, *(part for part in self.inputs.values() if isinstance(part, Store))]
        return Snapshot(output, self.facts | self.circumstances, stores, states)


def known_sha256(numbers: np.ndarray | None) -> str | None:
    """sha256 of an array, as hex; None where it is not known."""
    return None if numbers is None else hashlib.sha256(np.ascontiguousarray(numbers).tobytes()).hexdigest()


def base_heads(path: Path) -> list[str]:
    """Names of a saved head, of the one that it is put on, and so on."""
    facts, names = read_head(path)[0], list[str]()
    while facts:
        names.append(facts["head"])
        facts = facts["settings"].get("base_head")
    return names


def fit_head(
    fitting: Fitting, output: Path, earlier: Path | None = None, states: int = 0, kept: str | None = None
) -> Path:
    """Fit a head to features alone, and write it with its history beside it; each whole or not at all.

    A call that was killed is gone on with by the same call, and a head that is finished is not fitted again.

    Args:
        fitting: What decides the head.
        output: File to write.
        earlier: File where one of the same making may lie, beside its history; it is copied.
        states: How many states of the training to keep.
        kept: Folder to keep them in.

    Returns:
        The file.
    """
    snapshot = fitting.snapshot(output, states)
    if not states:  # a finished head has none left to keep
        if is_finished(output, snapshot.made_from):
            return output
        if earlier and is_finished(earlier, snapshot.made_from):
            LOG.info("%s: copied from %s, which was made from the same features and settings", output, earlier)
            return take(earlier, output)
    name = fitting.experiment["head"]
    head, history = find_head(name).fit(
        fitting.store,
        fitting.experiment["clusters"],
        fitting.experiment["settings"],
        seed=fitting.seed,
        budget=int(1e9 * fitting.memory_gb),
        snapshot=snapshot,
        **fitting.inputs,
    )
    output.unlink(missing_ok=True)  # an earlier head must not be taken for one of this history
    with write_whole(output.with_name(HISTORY)) as aside:
        history.to_parquet(aside)
    save_head(head, name, fitting.facts, output, snapshot.made_from)
    snapshot.remove(kept)
    return output


def other_place(path: Path) -> Path:
    """Where the library keeps a head that the workflow keeps at a path, and the other way round."""
    kind, name, seed, file = path.parts[-4:]
    return path.parents[3] / PLACES[kind] / name / seed / file


def is_finished(path: Path, made_from: str) -> bool:
    """Whether a head of this making lies at a path, with its history."""
    if not path.is_file() or not path.with_name(HISTORY).is_file():
        return False
    try:
        return read_made_from(path) == made_from
    except SmoosegError:  # damaged: it is fitted again
        return False


def take(earlier: Path, output: Path) -> Path:
    """Copy a head and its history, the head last."""
    output.unlink(missing_ok=True)
    for name in (HISTORY, HEAD):
        with write_whole(output.with_name(name)) as aside:
            shutil.copyfile(earlier.with_name(name), aside)
    return output
