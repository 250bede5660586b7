"""A training that is killed goes on from its snapshot and ends in the same head; no other snapshot is used."""

import logging
import os
import signal
import subprocess
import sys

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from smooseg.features.store import open_store
from smooseg.heads import HEADS, Snapshot, load_head
from smooseg.heads import snapshot as module
from smooseg.heads.snapshot import EVERY
from tests.conftest import clustered_features, make_store
from tests.support.heads import KINDS, settings
from tests.support.snapshots import HELD, STEPS, STOP, Case
from tests.support.snapshots import every_step as every_step  # a fixture

TRAINED = ("smooseg", "stego", "linear", "hp", "eagle", "cause", "equss", "primaps", "ppap")  # by gradients


@pytest.mark.parametrize("held", [True, False])
@pytest.mark.parametrize("name", TRAINED)
def test_a_stopped_training_ends_in_the_same_bytes(tmp_path, monkeypatch, caplog, every_step, name, held):
    case = Case(tmp_path, name, held)
    whole, history = case.fit(None)
    case.path.unlink()
    case.stop(monkeypatch, case.snapshot())
    assert [path.name for path in case.path.parent.iterdir()] == ["snapshot.pt"]
    snapshot = case.snapshot()
    with caplog.at_level(logging.INFO):
        again, continued = case.fit(snapshot)
    assert f"goes on after step {STOP} of {STEPS}" in caplog.text
    assert again == whole
    pd.testing.assert_frame_equal(continued, history)
    snapshot.remove()
    assert [path.name for path in case.path.parent.iterdir()] == ["head.safetensors"]


def test_snapshots_change_nothing(tmp_path, every_step):
    case = Case(tmp_path, "smooseg")
    assert case.fit(case.snapshot())[0] == case.fit(None)[0]


def test_nothing_is_written_before_it_is_due(tmp_path):
    case = Case(tmp_path, "smooseg")
    case.fit(case.snapshot())
    assert EVERY >= 10
    assert not case.snapshot().path.exists()


@pytest.mark.parametrize("change", ["facts", "features", "precision", "damage", "truncation", "pickle"])
def test_another_or_a_damaged_snapshot_is_left_out_and_said(tmp_path, monkeypatch, caplog, every_step, change):
    case = Case(tmp_path, "smooseg")
    case.stop(monkeypatch, case.snapshot())
    snapshot, path = case.snapshot(), case.snapshot().path
    content = bytearray(path.read_bytes())
    if change == "facts":
        snapshot = case.snapshot(seed=1)
    elif change == "features":
        make_store(tmp_path / "other.zarr", clustered_features(90, kinds=KINDS, seed=1)[0])
        snapshot = Snapshot(
            case.path, {"seed": 0, "settings": case.settings}, [open_store(tmp_path / "other.zarr", {})]
        )
    elif change == "precision":
        monkeypatch.setattr(module, "fast_precision", lambda: "another machine's")
        snapshot = case.snapshot()
    elif change == "damage":
        content[len(content) // 2] ^= 1  # in a tensor, where torch alone would not see it
        path.write_bytes(content)
    elif change == "truncation":
        path.write_bytes(content[:-100])
    else:
        torch.save({"owner": snapshot.owner, "head": os.system}, path)
    with caplog.at_level(logging.INFO):
        assert snapshot.load() is None
        assert case.fit(snapshot)[0] == case.fit(None)[0]
    assert f"{path}: ignored" in caplog.text
    assert "goes on after" not in caplog.text


def test_a_disk_that_is_full_costs_the_snapshot_and_not_the_training(tmp_path, monkeypatch, caplog, every_step):
    case = Case(tmp_path, "smooseg")
    whole, _ = case.fit(None)

    def full(*_):
        raise OSError(28, "No space left on device")

    snapshot = case.snapshot()
    with monkeypatch.context() as patch:
        patch.setattr("smooseg.heads.snapshot.write_whole", full)
        assert case.fit(snapshot)[0] == whole
    assert "no snapshot (No space left on device); training goes on" in caplog.text


KILLED = """
import sys
from pathlib import Path
import torch
from smooseg.heads import snapshot
from tests.support.snapshots import Case
snapshot.EVERY = 0.0
torch.set_num_threads(int(sys.argv[2]))  # a snapshot belongs to a number of threads
case = Case(Path(sys.argv[1]), "smooseg")
case.settings["steps"] = 10**9
print("ready", flush=True)
case.fit(case.snapshot(steps=0))
"""


def test_a_kill_leaves_a_snapshot_that_loads(tmp_path):
    command = [sys.executable, "-c", KILLED, str(tmp_path), str(torch.get_num_threads())]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    case_path = tmp_path / "heads" / "snapshot.pt"
    while not case_path.exists():
        assert process.poll() is None
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    store = open_store(tmp_path / "s.zarr", {})
    changed = settings("smooseg", steps=10**9)
    state = Snapshot(tmp_path / "heads" / "head.safetensors", {"seed": 0, "settings": changed, "steps": 0}, [store])
    assert state.load()["step"] >= 1
    state.remove()
    assert not list(case_path.parent.iterdir())


def test_states_are_kept_evenly_and_through_a_kill(tmp_path, monkeypatch, every_step):
    case = Case(tmp_path, "smooseg")
    whole = case.snapshot(states=4)
    case.fit(whole)
    whole.remove(str(tmp_path / "whole"))
    case.stop(monkeypatch, case.snapshot(states=4))
    resumed = case.snapshot(states=4)
    case.fit(resumed)
    resumed.remove(str(tmp_path / "states"))
    files = sorted((tmp_path / "whole").iterdir(), key=lambda path: int(path.stem))
    assert [path.name for path in files] == [f"{step}.safetensors" for step in (3, 6, 9, 12)]
    assert all(path.read_bytes() == (tmp_path / "states" / path.name).read_bytes() for path in files)
    last, (head, _) = load_file(files[-1]), load_head(case.path)
    assert all(torch.equal(last[key], value) for key, value in head.state_dict().items())
    assert not resumed.states.exists()


def test_states_of_another_training_are_not_mixed_in(tmp_path, monkeypatch, every_step):
    case = Case(tmp_path, "smooseg")
    case.stop(monkeypatch, case.snapshot(states=4, seed=1))
    other = case.snapshot(states=2)
    case.fit(other)
    assert sorted(path.name for path in other.states.iterdir()) == ["12.safetensors", "6.safetensors"]
    other.remove()
    assert not other.states.exists()


def test_a_head_without_steps_has_no_states(tmp_path):
    case = Case(tmp_path, "smooseg")
    snapshot = case.snapshot(states=3)
    HEADS["kmeans"].fit(case.store, KINDS, settings("kmeans"), seed=0, budget=HELD, snapshot=snapshot)
    snapshot.remove(str(tmp_path / "states"))
    assert list((tmp_path / "states").iterdir()) == []
