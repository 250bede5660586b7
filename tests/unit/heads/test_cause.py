"""CAUSE: its losses against plain loops, who gets a gradient in which stage, other grids, and kills in every stage."""

import inspect
import math

import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from smooseg.errors import SmoosegError
from smooseg.features.store import open_store
from smooseg.heads import HEADS
from smooseg.heads.cause import modularity
from smooseg.heads.cause.front_door import Bank, contrast, nearest_codes
from smooseg.heads.cause.head import CauseHead, Decoder, Stages
from smooseg.heads.cause.modularity import draw_patches, modularity_loss, strongest_shared
from smooseg.heads.parts.sampling import patches_at
from tests.conftest import make_store
from tests.support.heads import BUDGET, KINDS, accuracy, settings
from tests.support.heads import data as data  # a fixture
from tests.support.snapshots import STEPS, Case
from tests.support.snapshots import every_step as every_step  # a fixture

NETWORKS = ["mlp", "decoder"]
CONTRAST = {"attract": 0.3, "repel": 0.1, "temperature": 0.07}


def cosine(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(a @ b / (a.norm() * b.norm()))


def plain_modularity(patches: torch.Tensor, centres: torch.Tensor) -> float:
    """Minus the modularity of one image, pair by pair."""
    n = len(patches)
    affinity = [[max(cosine(p, q), 0) if i != j else 0 for j, q in enumerate(patches)] for i, p in enumerate(patches)]
    degree, total = [sum(row) for row in affinity], sum(map(sum, affinity))
    member = [[max(cosine(p, c), 0) for c in centres] for p in patches]
    found = 0.0
    for i in range(n):
        for j in range(n):
            shared = max(math.tanh(a * b / 0.1) for a, b in zip(member[i], member[j], strict=True))
            found += (affinity[i][j] - degree[i] * degree[j] / total) / total * shared
    return -found


@pytest.mark.parametrize("products", [1, 1 << 22])
def test_modularity_is_its_definition(monkeypatch, products):
    monkeypatch.setattr(modularity, "PRODUCTS", products)  # one cluster at a time, or all
    torch.manual_seed(0)
    patches, centres = torch.randn(3, 6, 5, dtype=torch.float64), torch.randn(7, 5, dtype=torch.float64)
    expected = sum(plain_modularity(image, centres) for image in patches) / 3
    assert math.isclose(modularity_loss(patches, centres), expected, abs_tol=1e-12)


def test_modularity_has_the_gradient_of_the_dense_form():
    torch.manual_seed(1)
    memberships = torch.rand(2, 5, 9, dtype=torch.float64)
    weights, gradients = torch.rand(2, 5, 5, dtype=torch.float64), []
    dense = lambda m: (m.unsqueeze(2) * m.unsqueeze(1)).max(-1).values  # noqa: E731
    for form in (strongest_shared, dense):
        some = memberships.clone().requires_grad_()
        (form(some) * weights).sum().backward()
        gradients.append(some.grad)
    torch.testing.assert_close(*gradients)


@given(st.integers(0, 1000), st.floats(0.1, 10))
@examples(deadline=None, max_examples=25)
def test_modularity_lies_between_bounds_and_knows_no_scale_or_order(seed, scale):
    generator = torch.Generator().manual_seed(seed)
    patches, centres = (torch.randn(*shape, generator=generator, dtype=torch.float64) for shape in ((1, 8, 4), (3, 4)))
    loss = modularity_loss(patches, centres)
    assert -1 <= loss <= 1
    order = torch.randperm(8, generator=generator)
    torch.testing.assert_close(modularity_loss(scale * patches[:, order], centres / scale), loss)


def test_one_cluster_for_all_has_no_modularity_and_the_right_two_have_half():
    patches = torch.eye(2, dtype=torch.float64)[[0, 0, 0, 1, 1, 1]].unsqueeze(0)
    everything = torch.ones(1, 2, dtype=torch.float64)
    assert abs(modularity_loss(patches, 100 * everything)) < 1e-3
    torch.testing.assert_close(
        modularity_loss(patches, torch.eye(2, dtype=torch.float64)).item(), -0.5, atol=1e-6, rtol=0
    )


def test_contrast_is_its_definition():
    torch.manual_seed(0)
    anchors, others = (F.normalize(torch.randn(n, 6, dtype=torch.float64), dim=-1) for n in (4, 9))
    closeness = torch.rand(4, 9, dtype=torch.float64) * 2 - 1
    closeness[0, 0] = torch.nan
    losses = []
    for a in range(4):
        similarity = [float(anchors[a] @ other) / 0.07 for other in others]
        among = [s for s, c in zip(similarity, closeness[a].tolist(), strict=True) if c > 0.3 or c < 0.1]
        total = math.log(sum(math.exp(s) for s in among))
        losses += [total - s for s, c in zip(similarity, closeness[a].tolist(), strict=True) if c > 0.3]
    expected = sum(losses) / len(losses)
    assert math.isclose(contrast(anchors, others, closeness, CONTRAST), expected, rel_tol=1e-12)


def test_contrast_without_positives_is_nothing_and_has_no_gradient_that_is_not_finite():
    anchors = F.normalize(torch.randn(3, 4), dim=-1).requires_grad_()
    for value in (0.2, -1.0):  # no pair counts; all are negative
        loss = contrast(anchors, F.normalize(torch.randn(5, 4), dim=-1), torch.full((3, 5), value), CONTRAST)
        loss.backward()
        assert loss == 0
        assert (anchors.grad == 0).all()


@pytest.mark.parametrize("network", NETWORKS)
def test_terms_are_the_mean_over_images_of_batch_and_bank(network):
    door, terms = stages(network, steps=9).front_door, []
    torch.manual_seed(2)
    student, teacher = (F.normalize(torch.randn(2, 3, 16), dim=-1) for _ in range(2))
    codes, unit = torch.tensor([[0, 1, 0], [1, 2, 2]]), F.normalize(torch.randn(16, 8), dim=-1)
    door.bank.add(torch.tensor([2, 2, 2, 2]), teacher[0, :1].expand(4, -1), torch.Generator())
    for image in range(2):
        close = torch.tensor([[float(unit[a] @ unit[b]) for b in codes.flatten()] for a in codes[image]])
        for i in range(3):
            close[i, 3 * image + i] = torch.nan  # itself
        terms.append(contrast(student[image], teacher.flatten(0, 1), close, CONTRAST))
        close = torch.stack([unit[a] @ unit[2] for a in codes[image]])[:, None].expand(-1, 2)
        terms.append(contrast(student[image], teacher[0, :1].expand(2, -1), close, CONTRAST))
    torch.testing.assert_close(door.terms(student, teacher, codes, unit @ unit.T), sum(terms) / 4)


def test_the_bank_keeps_the_newest_of_a_random_half():
    bank, generator, kept = Bank(3, 4, 1), torch.Generator().manual_seed(0), {0: [], 1: [], 2: []}
    for step in range(6):
        codes = torch.tensor([0] * 6 + [1] * 3 + [2])
        before = {code: values(bank, code) for code in kept}
        bank.add(codes, (10.0 * step + torch.arange(10.0)).unsqueeze(1), generator)
        for code, number in ((0, 3), (1, 1), (2, 0)):
            new = values(bank, code) - before[code]
            assert len(new) == number
            assert all(codes[int(value) % 10] == code for value in new)
            kept[code] += [step] * number
            assert sorted(int(value) // 10 for value in values(bank, code)) == kept[code][-4:]
    assert bank.contents()[1].bincount(minlength=3).tolist() == [4, 4, 0]


def values(bank: Bank, code: int) -> set[float]:
    rows, codes = bank.contents()
    return set(rows[codes == code].flatten().tolist())


def test_a_bank_takes_no_more_than_it_holds_at_once():
    bank = Bank(1, 2, 1)
    bank.add(torch.zeros(40, dtype=torch.int64), torch.arange(40.0).unsqueeze(1), torch.Generator().manual_seed(0))
    assert len(values(bank, 0)) == 2


@pytest.mark.parametrize(("patches", "block", "number"), [(16, 2, 4), (25, 2, 4), (16, 4, 1), (9, 1, 9)])
def test_one_patch_of_every_block_is_drawn(patches, block, number):
    drawn, side = draw_patches(200, patches, block, torch.Generator().manual_seed(0)), math.isqrt(patches)
    assert drawn.shape == (200, number)
    across = side // block
    blocks = drawn // side // block * across + drawn % side // block
    assert (blocks == torch.arange(number)).all()
    covered = {r * side + c for r in range(across * block) for c in range(across * block)}
    assert set(drawn.flatten().tolist()) == covered
    views = torch.arange(200 * patches).reshape(200, patches, 1)
    assert torch.equal(patches_at(views, drawn)[..., 0], drawn + patches * torch.arange(200)[:, None])


def stages(network: str, **changes) -> Stages:
    torch.manual_seed(0)
    head = CauseHead(8, KINDS, settings("cause", network=network, **changes) | {"grid": 4})
    return Stages(head, torch.Generator().manual_seed(0))


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize(
    ("taken", "trained", "follow"),
    [
        (0, {"head.codebook"}, set()),
        (2, {"front_door.student", "front_door.projection"}, {"head.network", "front_door.teacher_projection"}),
        (4, {"head.centres"}, set()),  # in the released code a label loss would move the network here
    ],
)
def test_each_stage_has_gradients_of_its_own_part_alone_and_moves_no_other(network, taken, trained, follow):
    training = stages(network, steps=6, mediator_share=1 / 3, clusters_share=1 / 3)
    optimizer = training.optimizer()
    if taken == 4:
        training.head.network.requires_grad_(True)  # even then
    for number in range(2):
        training.taken.fill_(taken + number)
        loss, _ = training.energy(torch.randn(8, 16, 8))
        before = {name: value.clone() for name, value in training.named_parameters()}
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        training.after_step()
        assert {part_of(n) for n, p in training.named_parameters() if p.grad is not None} == trained
        moved = {part_of(n) for n, p in training.named_parameters() if not torch.equal(p, before[n])}
        assert moved == trained | follow


def part_of(name: str) -> str:
    return ".".join(name.split(".")[:2])


def test_no_label_can_be_given():
    assert set(inspect.signature(CauseHead.learn).parameters) == {"self", "store", "seed", "budget", "snapshot"}


def test_the_teacher_follows_the_student():
    trained = stages("mlp", momentum=0.9, steps=9)
    before = trained.head.network.projector.linear.weight.clone()
    with torch.no_grad():
        trained.front_door.student.projector.linear.weight.add_(1)
    trained.front_door.update_teacher(trained.head.network, first=False)
    torch.testing.assert_close(trained.head.network.projector.linear.weight, before + 0.1)


def test_the_teacher_is_a_copy_after_the_first_step_of_the_contrast_alone():
    trained, student_is = stages("mlp", momentum=0.9, steps=9, mediator_share=1 / 9), []
    for taken in (1, 2):
        trained.taken.fill_(taken)
        with torch.no_grad():
            trained.front_door.student.projector.linear.weight.add_(1)
        trained.after_step()
        theirs = trained.head.network.projector.linear.weight
        student_is.append(torch.equal(theirs, trained.front_door.student.projector.linear.weight))
    assert trained.mediator_end == 1
    assert student_is == [True, False]


def test_gradients_of_the_network_are_clipped():
    trained = stages("mlp", steps=9, clip=0.01)
    trained.taken.fill_(4)
    optimizer = trained.optimizer()
    trained.energy(torch.randn(8, 16, 8))[0].backward()
    optimizer.step()
    gradients = [p.grad for p in trained.front_door.parameters() if p.grad is not None]
    assert math.isclose(torch.stack([g.norm() for g in gradients]).norm(), 0.01, rel_tol=1e-3)


def test_centres_start_far_apart(data):
    head, _ = HEADS["cause"].fit(data[0], KINDS, settings("cause"), seed=0, budget=BUDGET)
    assert accuracy(head, *data[1:]) > 90
    assert len({int(k) for k in nearest_codes(head.embed(data[1]), head.centres).flatten()}) == KINDS


def test_a_decoder_sees_the_whole_view_and_an_mlp_a_patch():
    views = torch.randn(2, 16, 8)
    changed = views.clone()
    changed[:, 0] += 1
    for network in NETWORKS:
        head = stages(network, steps=9).head
        same = torch.isclose(head.embed(views), head.embed(changed)).all(-1)
        assert same[:, 1:].any() == same[:, 1:].all() == (network == "mlp")


def test_query_positions_are_interpolated_to_another_grid():
    decoder = Decoder(8, 4, 0.0)
    assert torch.equal(decoder.positions_of(16), decoder.positions)
    grid = decoder.positions.detach().reshape(4, 4, 8)
    finer = decoder.positions_of(64).reshape(8, 8, 8)
    torch.testing.assert_close(finer[0, 0], grid[0, 0])
    between = 0.75 * (0.75 * grid[0, 0] + 0.25 * grid[0, 1]) + 0.25 * (0.75 * grid[1, 0] + 0.25 * grid[1, 1])
    torch.testing.assert_close(finer[1, 1], between)  # row 1 of 8 lies a quarter of the way from row 0 of 4 to row 1


def test_a_decoder_is_its_definition():
    torch.manual_seed(0)
    decoder, views, codebook = (
        Decoder(8, 2, 0.1).eval().double(),
        torch.randn(1, 4, 8).double(),
        torch.randn(5, 8).double(),
    )

    def attend(module, queries, keys, values):
        q, k, v = (
            x @ w.T + b
            for x, w, b in zip(
                (queries, keys, values), module.in_proj_weight.chunk(3), module.in_proj_bias.chunk(3), strict=True
            )
        )
        return module.out_proj((q @ k.T / 8**0.5).softmax(-1) @ v)

    x, codes = views[0], codebook[nearest_codes(views[0], codebook)]
    placed = codes + decoder.positions
    codes = decoder.norms[0](codes + attend(decoder.within, placed, placed, codes))
    codes = decoder.norms[1](codes + attend(decoder.across, codes + decoder.positions, x, x))
    codes = decoder.norms[2](codes + decoder.out(decoder.hidden(codes).clamp_min(0)))
    torch.testing.assert_close(decoder(views, codebook)[0], x + codes)


def test_what_is_thrown_away_is_not_saved():
    head = stages("decoder", steps=9).head
    assert {key.split(".")[0] for key in head.state_dict()} == {"mean", "codebook", "network", "centres"}


@pytest.mark.parametrize(
    ("changes", "views", "message"),
    [
        ({}, (20, 12, 8), "views must be square grids of patches; these have 12 patches"),
        ({"block": 5}, (20, 16, 8), "cause: block is 5, but a view has 4 x 4 patches; take at most 4"),
        ({"batch": 2, "block": 1}, (20, 1, 8), "cause: 3 clusters cannot start from the 2 patches of a batch"),
        (
            {"steps": 4, "mediator_share": 0.5, "clusters_share": 0.5},
            (20, 16, 8),
            "cause: of 4 steps, mediator_share 0.5 and",
        ),
    ],
)
def test_what_cannot_be_trained_is_one_sentence(tmp_path, changes, views, message):
    make_store(tmp_path / "s.zarr", torch.randn(views).half().numpy())
    with pytest.raises(SmoosegError, match=message):
        HEADS["cause"].fit(
            open_store(tmp_path / "s.zarr", {}), KINDS, settings("cause", **changes), seed=0, budget=BUDGET
        )


def test_a_decoder_needs_a_square_grid_later_too():
    with pytest.raises(SmoosegError, match="square grids of patches; these have 15 patches"):
        stages("decoder", steps=9).head.embed(torch.randn(1, 15, 8))


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("stop", [2, 3, 7, 9, 10])  # in each stage, and at the ends of two
def test_a_training_that_was_stopped_ends_in_the_same_bytes(tmp_path, monkeypatch, every_step, network, stop):
    monkeypatch.setattr("tests.unit.heads.test_snapshot.STOP", stop)
    case = Case(tmp_path, "cause")
    case.settings |= {"network": network}
    whole, history = case.fit(None)
    assert history["step"].tolist() == [5, 10, STEPS]
    case.stop(monkeypatch, case.snapshot())
    again, continued = case.fit(case.snapshot())
    assert again == whole
    pd.testing.assert_frame_equal(continued, history)
