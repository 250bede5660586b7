"""Every head through the one interface: fits, beats chance, repeats, saves and loads."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from smooseg.config import checked, load_schema
from smooseg.errors import SmoosegError
from smooseg.heads import HEADS, SmooSegHead, load_head, save_head
from smooseg.heads.smooseg import channel_dropout
from smooseg.metrics import confusion_matrix, match_clusters, score
from smooseg.store import open_store
from tests.conftest import clustered_features, make_store

BUDGET, KINDS = 10**9, 3
QUICK = {
    "smooseg": {
        "steps": 150,
        "batch": 8,
        "dimensions": 16,
        "subtract_mean": True,
        "lr_projector": 1e-3,
        "lr_prototypes": 5e-3,
    },
    "kmeans": {"samples": 1000},
}


def settings(name: str, **changes) -> dict:
    schema = load_schema()
    return checked(QUICK[name] | changes, schema["$defs"]["heads"][name], schema, "settings")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    features, truth = clustered_features(64, kinds=KINDS)
    path = tmp_path_factory.mktemp("heads") / "s.zarr"
    make_store(path, features)
    return open_store(path, {}), torch.from_numpy(features), truth.astype(np.uint8)


def accuracy(head, features, truth):
    clusters = head.logits(head.embed(features)).argmax(-1).numpy()
    confusion = confusion_matrix(clusters, truth, head.clusters, KINDS)
    return score(confusion, match_clusters(confusion)).accuracy


@pytest.mark.parametrize("name", HEADS)
def test_a_head_finds_separate_kinds(data, name):
    store, features, truth = data
    head, history = HEADS[name].fit(store, KINDS, settings(name), seed=0, budget=BUDGET)
    assert accuracy(head, features, truth) > 90
    assert {"step", "loss", "clusters", "steps_per_second"} <= set(history)


@pytest.mark.parametrize("name", HEADS)
def test_the_seed_decides_the_head(data, name):
    changes = {"steps": 20} if name == "smooseg" else {}
    first, second, third = (
        HEADS[name].fit(data[0], KINDS, settings(name, **changes), seed=seed, budget=BUDGET)[0].state_dict()
        for seed in (1, 1, 2)
    )
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert not all(torch.equal(first[key], third[key]) for key in first)


@pytest.mark.parametrize("name", HEADS)
def test_a_saved_head_is_the_same_head(data, name, tmp_path):
    changes = {"steps": 5} if name == "smooseg" else {}
    head, _ = HEADS[name].fit(data[0], KINDS, settings(name, **changes), seed=0, budget=BUDGET)
    save_head(head, name, {"dataset": "d"}, tmp_path / "head.safetensors")
    loaded, experiment = load_head(tmp_path / "head.safetensors")
    assert experiment == {"dataset": "d"}
    assert loaded.settings == head.settings
    with torch.no_grad():
        assert torch.equal(loaded.logits(loaded.embed(data[1])), head.logits(head.embed(data[1])))
    assert list(tmp_path.iterdir()) == [tmp_path / "head.safetensors"]


def test_streamed_training_works_too(data):
    head, _ = HEADS["smooseg"].fit(data[0], KINDS, settings("smooseg"), seed=0, budget=2 * 16 * data[0].row_bytes)
    assert accuracy(head, data[1], data[2]) > 90


def test_history_records_energies_penalties_and_rates(data):
    _, history = HEADS["smooseg"].fit(data[0], KINDS, settings("smooseg", steps=120), seed=0, budget=BUDGET)
    assert history["step"].tolist() == [50, 100, 120]
    assert history[["delta_within", "delta_across"]].stack().between(0, 1).all()
    np.testing.assert_allclose(history["loss"], history[["data", "within", "across"]].sum(axis=1), rtol=1e-5)
    assert (history["lr_projector"] == 1e-3).all()
    assert history["clusters"].between(1, KINDS).all()


@pytest.mark.parametrize("term", ["data", "within", "across"])
def test_each_term_can_be_switched_off(data, term):
    head = SmooSegHead(32, KINDS, settings("smooseg", **{f"{term}_term": False}))
    loss, parts = head.energy(data[1][:8], torch.Generator().manual_seed(0))
    rest = sum(parts[name] for name in ("data", "within", "across") if name != term)
    torch.testing.assert_close(loss, rest)


def test_gradients_go_where_the_paper_sends_them(data):
    head = SmooSegHead(32, KINDS, settings("smooseg"))
    for term, projector, student in (("data", False, True), ("within", True, False), ("across", True, False)):
        head.zero_grad(set_to_none=True)
        head.energy(data[1][:8], torch.Generator().manual_seed(0))[1][term].backward()
        assert (head.projector.linear.weight.grad is not None) == projector
        assert (head.student.grad is not None) == student


def test_the_teacher_follows_the_student():
    head = SmooSegHead(4, 2, settings("smooseg", momentum=0.9))
    assert torch.equal(head.teacher, head.student)
    before = head.teacher.clone()
    with torch.no_grad():
        head.student.add_(1)
    head.update_teacher()
    torch.testing.assert_close(head.teacher, before + 0.1)


def test_dropout_drops_whole_channels_of_an_image():
    dropped = channel_dropout(torch.ones(40, 7, 50), 0.2, torch.Generator().manual_seed(0))
    assert ((dropped == 0).all(1) | (dropped == 1.25).all(1)).all()
    assert 0.75 < (dropped > 0).float().mean() < 0.85


def test_divergence_is_an_error(data):
    with pytest.raises(SmoosegError, match="training diverged.*at step 50"):
        HEADS["smooseg"].fit(data[0], KINDS, settings("smooseg", lr_projector=1e38), seed=0, budget=BUDGET)


def test_a_head_with_nan_or_other_shapes_is_refused(data, tmp_path):
    path = tmp_path / "head.safetensors"
    head, _ = HEADS["kmeans"].fit(data[0], KINDS, settings("kmeans"), seed=0, budget=BUDGET)
    head.centroids[0, 0] = float("nan")
    save_head(head, "kmeans", {}, path)
    with pytest.raises(SmoosegError, match="centroids holds NaN"):
        load_head(path)
    head.centroids = torch.zeros(2, 2)
    save_head(head, "kmeans", {}, path)
    with pytest.raises(SmoosegError, match="does not fit its own configuration"):
        load_head(path)
    save_file(load_file(path), path)
    with pytest.raises(SmoosegError, match="not a head written by smooseg"):
        load_head(path)
