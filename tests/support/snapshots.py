"""Trainings that stop and go on."""

import pandas as pd
import pytest
import torch

from smooseg.features.store import open_store
from smooseg.heads import HEADS, Snapshot, save_head
from smooseg.heads import snapshot as module
from tests.conftest import clustered_features, make_store
from tests.support.heads import KINDS, settings

STEPS, STOP = 12, 7
HELD = 10**9
START = {"primaps": {"start_steps": 5, "steps": STEPS - 5}}  # of k-means: a kill hits what follows it


class Stopped(Exception):
    """Stands for a kill between two steps."""


class Case:
    """One head to train, on a store that fits a budget or streams."""

    def __init__(self, folder, name: str, held: bool = True):
        features, truth = clustered_features(90, kinds=KINDS)  # 6 chunks, the last one shorter
        side = round(truth.shape[1] ** 0.5)
        make_store(folder / "s.zarr", features)
        make_store(folder / "l.zarr", truth.astype("uint8").reshape(-1, side, side))
        self.store, labels = open_store(folder / "s.zarr", {}), open_store(folder / "l.zarr", {})
        inputs = {"linear": {"labels": labels}, "primaps": {"proposals": labels}, "ppap": {"weights": None}}
        self.supervision = inputs.get(name, {})
        self.name, self.path = name, folder / "heads" / "head.safetensors"
        self.budget = HELD if held else 4 * self.store.chunk * self.store.row_bytes
        self.settings = settings(name, **({"steps": STEPS} | START.get(name, {})))

    def snapshot(self, states: int = 0, **facts) -> Snapshot:
        return Snapshot(self.path, {"seed": 0, "settings": self.settings} | facts, [self.store], states)

    def fit(self, snapshot: Snapshot | None) -> tuple[bytes, pd.DataFrame]:
        """Bytes of the head and its history without times."""
        torch.manual_seed(99)  # nothing may hang on what was drawn before
        head, history = HEADS[self.name].fit(
            self.store, KINDS, self.settings, seed=0, budget=self.budget, snapshot=snapshot, **self.supervision
        )
        save_head(head, self.name, {}, self.path)
        return self.path.read_bytes(), history.drop(columns="steps_per_second")

    def stop(self, monkeypatch, snapshot: Snapshot) -> None:
        """Train until some steps are in the snapshot, and no further."""
        saves = iter(range(1, STEPS))

        def save(state):
            Snapshot.save(snapshot, state)
            if next(saves) == STOP:
                raise Stopped

        monkeypatch.setattr(snapshot, "save", save)
        with pytest.raises(Stopped):
            self.fit(snapshot)


@pytest.fixture
def every_step(monkeypatch):
    monkeypatch.setattr(module, "EVERY", 0.0)
    monkeypatch.setattr("smooseg.heads.training.RECORD_EVERY", 5)  # before and after the stop
