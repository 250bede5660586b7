"""Every head through the one interface: fits, beats chance, repeats, saves and loads."""

from functools import partial
from itertools import islice

import numpy as np
import pytest
import torch

from smooseg.errors import SmoosegError
from smooseg.features.store import open_store
from smooseg.heads import HEADS, load_head, save_head
from smooseg.heads.linear import labelled_batches, patch_shares
from smooseg.heads.parts.correspondence import correspondence_loss
from smooseg.heads.parts.neighbours import nearest_neighbours, neighbour_batches
from smooseg.heads.parts.projector import channel_dropout
from smooseg.heads.smooseg import head as smooseg
from smooseg.heads.smooseg.head import SmooSegHead
from smooseg.settings.heads import SUPERVISED
from smooseg.settings.schema import load_schema
from tests.conftest import make_store
from tests.support.heads import BUDGET, KINDS, PIXELS, accuracy, settings
from tests.support.heads import data as data  # a fixture
from tests.support.heads import masks as masks  # a fixture


@pytest.fixture(scope="module")
def labels(data, tmp_path_factory):
    """Label maps of the same views, at a few pixels for each patch."""
    side = round(data[2].shape[1] ** 0.5)
    maps = data[2].reshape(-1, side, side).repeat(PIXELS, 1).repeat(PIXELS, 2)
    path = tmp_path_factory.mktemp("labels") / "l.zarr"
    make_store(path, maps)
    return open_store(path, {})


@pytest.fixture(params=HEADS)
def fit(request, data, labels, masks):
    """Name of a head and a function that fits it; every head is fitted the same way, one of them with labels."""
    supervision = {"labels": labels} if request.param in SUPERVISED else {}
    declared = load_schema()["$defs"]["heads"][request.param].get("inputs", [])
    supervision |= {"proposals": masks} if "proposals" in declared else {}
    supervision |= {"weights": None} if "weights" in declared else {}  # a projector reads none

    def fit(seed=0, **changes):
        changed = settings(request.param, **changes)
        return HEADS[request.param].fit(data[0], KINDS, changed, seed=seed, budget=BUDGET, **supervision)

    return request.param, fit


def short(name: str) -> dict:
    return {} if name in ("kmeans", "smooseg_plus") else {"steps": 5}


def test_a_head_finds_separate_kinds(data, fit):
    head, history = fit[1]()
    assert accuracy(head, *data[1:]) > 90
    assert {"step", "loss", "clusters", "steps_per_second"} <= set(history)


def test_smooseg_plus_without_partitions_is_k_means_in_its_directions(data):
    head, _ = HEADS["smooseg_plus"].fit(data[0], KINDS, settings("smooseg_plus", partitions=0), seed=0, budget=BUDGET)
    assert accuracy(head, *data[1:]) > 90
    assert head.projection.shape == (data[0].shape[2], 2 * KINDS)
    torch.testing.assert_close(head.bias, -0.5 * head.weights.square().sum(1))


def test_the_seed_decides_the_head(fit):
    first, second, third = (fit[1](seed, **short(fit[0]))[0].state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert not all(torch.equal(first[key], third[key]) for key in first)


def test_threads_change_the_last_bits_of_a_head_at_most(fit):
    threads, heads = torch.get_num_threads(), []
    try:
        for number in (1, 2):
            torch.set_num_threads(number)
            heads.append(fit[1](**short(fit[0]))[0].state_dict())
    finally:
        torch.set_num_threads(threads)
    for key in heads[0]:
        # agreement with other trees counts patches, of which some lie on a border
        torch.testing.assert_close(heads[0][key], heads[1][key], rtol=1e-4, atol=0.05 if key == "worth" else 1e-5)


def test_a_saved_head_is_the_same_head(data, fit, tmp_path):
    head, _ = fit[1](**short(fit[0]))
    save_head(head, fit[0], {"dataset": "d"}, tmp_path / "head.safetensors")
    loaded, experiment = load_head(tmp_path / "head.safetensors")
    assert experiment == {"dataset": "d"}
    assert loaded.settings == head.settings
    with torch.no_grad():
        assert torch.equal(loaded.logits(loaded.embed(data[1])), head.logits(head.embed(data[1])))
    assert list(tmp_path.iterdir()) == [tmp_path / "head.safetensors"]


def test_linear_probe_keeps_the_classes_it_was_given(data, labels):
    head, _ = HEADS["linear"].fit(data[0], KINDS, settings("linear"), seed=0, budget=BUDGET, labels=labels)
    with torch.no_grad():
        logits = head.logits(head.embed(data[1]))
    assert (logits.argmax(-1).numpy() == data[2]).mean() > 0.9
    torch.testing.assert_close(
        2 * logits, head.linear(head.embed(data[1]))
    )  # the CRF doubles what it takes for cosines


def test_shares_of_classes_leave_void_out():
    maps = torch.tensor([[[0, 0, 1, 255], [0, 1, 255, 255], [2, 2, 255, 255], [2, 2, 255, 255]]], dtype=torch.uint8)
    shares = patch_shares(maps, 3, 2)
    assert shares[0].tolist() == [[0.75, 0.25, 0], [0, 0.25, 0], [0, 0, 1], [0, 0, 0]]


def test_labels_keep_to_their_views(tmp_path):
    ids = np.arange(41, dtype=np.uint8) % 5  # every view shows one class; chunks of other lengths, last ones partial
    make_store(tmp_path / "f.zarr", np.broadcast_to(ids[:, None, None], (41, 4, 2)).astype(np.float16), 16)
    make_store(tmp_path / "l.zarr", np.broadcast_to(ids[:, None, None], (41, 4, 4)).copy(), 8)
    batches = labelled_batches(open_store(tmp_path / "f.zarr", {}), open_store(tmp_path / "l.zarr", {}), 5, 0)
    seen = []
    for features, shares in islice(batches, 4):
        assert (shares.argmax(-1) == features[..., 0]).all()
        assert (shares.max(-1).values == 1).all()
        seen += [len(features)]
    assert sum(seen) == 82  # two epochs of two steps
    later = next(labelled_batches(open_store(tmp_path / "f.zarr", {}), open_store(tmp_path / "l.zarr", {}), 5, 0, 3))
    assert torch.equal(later[0], features)  # without the first three


def test_nearest_neighbours_are_other_views_like_it():
    directions = torch.eye(4)[torch.tensor([0, 0, 1, 1, 2, 2])][:, None, :].expand(-1, 3, -1)
    assert nearest_neighbours(directions, 1).flatten().tolist() == [1, 0, 3, 2, 5, 4]
    assert nearest_neighbours(directions, 99).shape == (6, 5)


@pytest.mark.parametrize("budget_chunks", [100, 2])
@pytest.mark.parametrize("skip", [1, 5, 17])
def test_neighbour_batches_go_on_where_they_stopped(data, budget_chunks, skip):
    budget, generator = budget_chunks * data[0].chunk * data[0].row_bytes, torch.Generator().manual_seed(0)
    arguments = data[0], 7, 3, budget, 0, torch.device("cpu"), generator
    batches = islice(neighbour_batches(*arguments), skip + 10)
    list(islice(batches, skip))
    state = generator.get_state()
    expected = [(views.clone(), others.clone()) for views, others in batches]
    generator.set_state(state)
    again = neighbour_batches(*arguments, skip)
    for views, others in expected:
        assert all(map(torch.equal, (views, others), next(again)))


@pytest.mark.parametrize("budget_chunks", [100, 2])
def test_neighbour_batches_pair_views_that_are_alike(tmp_path, budget_chunks):
    kinds = np.repeat(np.arange(8), 8)[np.random.default_rng(0).permutation(64)]
    rows = np.eye(8, dtype=np.float16)[kinds][:, None, :].repeat(4, 1)
    make_store(tmp_path / "s.zarr", rows)
    store = open_store(tmp_path / "s.zarr", {})
    budget = budget_chunks * store.chunk * store.row_bytes
    batches = neighbour_batches(store, 8, 1, budget, 0, torch.device("cpu"), torch.Generator().manual_seed(0))
    pairs = [next(batches) for _ in range(8)]
    alike = [bool(torch.equal(view, other)) for pair in pairs for view, other in zip(*pair, strict=True)]
    assert np.mean(alike) > 0.95


def test_correspondence_loss_is_its_definition():
    torch.manual_seed(0)
    f, g, z, y = (torch.randn(2, n, c) for n, c in ((5, 6), (4, 6), (5, 3), (4, 3)))
    cosine = partial(torch.cosine_similarity, dim=0)
    mean = sum(cosine(f[i, p], g[i, q]) for i in range(2) for p in range(5) for q in range(4)) / 40
    expected = 0.0
    for i in range(2):
        for p in range(5):
            for q in range(4):
                close = cosine(f[i, p], g[i, q]) - sum(cosine(f[i, p], g[i, o]) for o in range(4)) / 4 + mean
                expected -= (close - 0.1) * cosine(z[i, p], y[i, q]).clamp_min(0) / 40
    f, g, z, y = (torch.nn.functional.normalize(of, dim=-1) for of in (f, g, z, y))
    torch.testing.assert_close(correspondence_loss((f, z), (g, y), 0.1), expected)


def test_training_in_bfloat16_finds_the_same_kinds(data):
    head, _ = HEADS["smooseg"].fit(data[0], KINDS, settings("smooseg", precision="bfloat16"), seed=0, budget=BUDGET)
    assert accuracy(head, *data[1:]) > 90
    assert head.teacher.dtype == torch.float32


@pytest.mark.parametrize("fast", ["float32", "bfloat16"])
def test_the_fast_precision_is_taken_and_recorded(data, tmp_path, monkeypatch, fast):
    monkeypatch.setattr(smooseg, "fast_precision", lambda: fast)
    head, _ = HEADS["smooseg"].fit(data[0], KINDS, settings("smooseg", steps=2), seed=0, budget=BUDGET)
    save_head(head, "smooseg", {}, tmp_path / "h.safetensors")
    monkeypatch.undo()
    assert load_head(tmp_path / "h.safetensors")[0].settings["precision"] == fast
    stated = settings("smooseg", steps=2, precision=fast)
    assert torch.equal(head.student, HEADS["smooseg"].fit(data[0], KINDS, stated, seed=0, budget=BUDGET)[0].student)


def test_training_leaves_the_features_as_they_are():
    head, features = SmooSegHead(32, KINDS, settings("smooseg")), torch.ones(4, 9, 32)
    head.mean.fill_(0.5)
    head.energy(features, torch.Generator().manual_seed(0))
    assert (features == 1).all()


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
