"""The state of a training under way, on disk: one that was killed goes on from it, and from no other's.

And, where somebody wants to look at them, the head at evenly spaced steps.
"""

import hashlib
import io
import json
import logging
import shutil
import time
import zipfile
from pathlib import Path

import torch
from safetensors.torch import save
from torch import nn

from ..features.store import Store, decisive_provenance
from ..running.device import default_device
from ..running.files import write_whole
from ..running.machine import fast_precision

LOG = logging.getLogger(__name__)
EVERY = 30.0  # seconds of work that a kill can cost; writing takes milliseconds


class Snapshot:
    """A file beside a head, ``snapshot.pt``, that is there while the head is trained.

    Args:
        head: File that the head will be written to.
        facts: What decides the head, apart from the stores: JSON values.
        stores: What it is trained from; every chunk's checksum counts.
        states: How many states of the head to keep, evenly spaced, the last among them; until :meth:`remove` in a
            folder beside the file, which no kill takes.
    """

    def __init__(self, head: Path, facts: dict, stores: list[Store], states: int = 0):
        self.path, self.states, self.kept = head.with_name("snapshot.pt"), head.with_name("snapshot.states"), states
        self.head: nn.Module | None = None  # that is trained, and of which states are kept
        # each decides the last bits, or a precision that was left to the machine
        machine = [torch.__version__, torch.get_num_threads(), default_device().type, fast_precision()]
        decisive = [facts, [(decisive_provenance(store), store.listed) for store in stores]]
        self.made_from, self.owner = (
            hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()
            for what in (decisive, [*decisive, machine])
        )
        self.written = time.monotonic()

    def due(self) -> bool:
        """Whether the last one is old enough for another."""
        return time.monotonic() - self.written >= EVERY

    def save(self, state: dict) -> None:
        """Replace the file, whole or not at all; a full disk costs the snapshot, not the training.

        Args:
            state: Tensors, numbers, strings, lists and dicts of them.
        """
        buffer = io.BytesIO()
        torch.save(state | {"owner": self.owner}, buffer)
        try:
            with write_whole(self.path) as aside:
                aside.write_bytes(buffer.getbuffer())
        except OSError as error:
            LOG.warning("%s: no snapshot (%s); training goes on", self.path, error.strerror)
        self.written = time.monotonic()

    def keep(self, step: int, steps: int) -> None:
        """Write the head's parameters and buffers after a step, if it is one of those to be kept."""
        if self.head is not None and step in {round(steps * number / self.kept) for number in range(1, self.kept + 1)}:
            self.states.mkdir(exist_ok=True)
            with write_whole(self.states / f"{step}.safetensors") as aside:
                aside.write_bytes(save(self.head.state_dict()))

    def load(self) -> dict | None:
        """The state that was saved last for the same head, or None; anything else there is logged and left out."""
        state = self.read()
        if state is None:
            shutil.rmtree(self.states, ignore_errors=True)  # another training's
        return state

    def read(self) -> dict | None:
        """What :meth:`load` finds in the file."""
        if not self.path.is_file():
            return None
        try:
            with zipfile.ZipFile(self.path) as archive:  # torch does not check the checksums that it writes
                damaged = archive.testzip()
            state = None if damaged else torch.load(self.path, "cpu", weights_only=True)
        except Exception:  # damage surfaces as whatever its bytes lead the reader to
            state = None
        if not isinstance(state, dict):
            LOG.info("%s: ignored: it is damaged; training starts again", self.path)
            return None
        if state.get("owner") != self.owner:
            LOG.info("%s: ignored: it belongs to other settings, features or code", self.path)
            return None
        return state

    def remove(self, states: str | None = None) -> None:
        """Delete the file, and what a kill left of one half-written; put the states that were kept where they belong.

        Args:
            states: Folder, which there is then even for a head that is not trained in steps; None keeps none.
        """
        for path in [self.path, *self.path.parent.glob(f".{self.path.name}.*.partial")]:
            path.unlink(missing_ok=True)
        if states:
            self.states.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(states, ignore_errors=True)
            self.states.rename(states)
        else:
            shutil.rmtree(self.states, ignore_errors=True)
