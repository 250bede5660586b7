"""EQUSS: the quantiser against plain loops, and where gradients go."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from smooseg.errors import SmoosegError
from smooseg.heads.equss import EqussHead, ProductQuantiser, quantisation_loss
from tests.support.heads import KINDS, settings
from tests.support.heads import data as data  # a fixture

PARTS = {"projector", "quantiser", "probe"}


def quantiser(dimensions=6, books=3, words=5) -> ProductQuantiser:
    torch.manual_seed(0)
    return ProductQuantiser(dimensions, books, words).double()


def test_every_part_takes_its_own_book_s_closest_word():
    q, embeddings = quantiser(), torch.randn(4, 6, dtype=torch.float64)
    parts, words = q(embeddings)
    for i in range(4):
        for book in range(3):
            part = embeddings[i, 2 * book : 2 * book + 2]
            part = part / part.norm()
            closest = min(q.words[book], key=lambda word: (word / word.norm() - part).square().sum().item())
            torch.testing.assert_close(parts[i, book], part)
            torch.testing.assert_close(words[i, book], closest)


def test_codewords_are_normalised_for_the_search_alone():
    q, embeddings = quantiser(), torch.randn(4, 6, dtype=torch.float64)
    before, chosen = q(embeddings)[1], q.nearest(q(embeddings)[0])
    q.words.data.mul_(3)
    assert torch.equal(q.nearest(q(embeddings)[0]), chosen)
    torch.testing.assert_close(q(embeddings)[1], 3 * before)


def test_quantisation_loss_is_its_definition():
    parts, words = (torch.randn(4, 3, 2, dtype=torch.float64) for _ in range(2))
    squares = [float(parts[i, b, c] - words[i, b, c]) ** 2 for i in range(4) for b in range(3) for c in range(2)]
    assert math.isclose(quantisation_loss(parts, words, 0.25), 1.25 * sum(squares) / 24)


def test_each_half_of_the_loss_has_its_own_gradient():
    parts, words = (torch.randn(4, 3, 2, requires_grad=True) for _ in range(2))
    quantisation_loss(parts, words, 0.25).backward()
    torch.testing.assert_close(words.grad, 2 * (words - parts).detach() / 24)
    torch.testing.assert_close(parts.grad, 0.25 * 2 * (parts - words).detach() / 24)


@given(st.integers(0, 1000), st.floats(0.01, 100))
@examples(deadline=None, max_examples=25)
def test_quantising_twice_or_at_another_scale_changes_nothing(seed, scale):
    q = quantiser()
    embeddings = torch.randn(7, 6, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    once = q(embeddings)[1]
    torch.testing.assert_close(q(scale * embeddings)[1], once)
    torch.testing.assert_close(q(once.flatten(-2))[1], once)


def test_the_probe_reaches_no_other_part_and_no_other_loss_the_probe(data):
    head = EqussHead(32, KINDS, settings("equss"))
    for term, reached in (
        ("probe", {"probe"}),
        ("quantisation", {"projector", "quantiser"}),
        ("within", {"projector"}),
    ):
        head.zero_grad(set_to_none=True)
        views = data[1][:8]
        head.energy(views, views, torch.Generator().manual_seed(0))[1][term].backward()
        graded = {name.split(".")[0] for name, p in head.named_parameters() if p.grad is not None}
        assert graded == reached


def test_the_loss_is_the_weighted_sum_of_its_parts(data):
    s = settings("equss", quantisation_weight=0.7)
    loss, parts = EqussHead(32, KINDS, s).energy(data[1][:8], data[1][8:16], torch.Generator().manual_seed(0))
    weights = {name: s[f"{name}_weight"] for name in ("within", "neighbour", "random")}
    expected = sum(weight * parts[name] for name, weight in (weights | {"quantisation": 0.7, "probe": 1}).items())
    torch.testing.assert_close(loss, expected)


def test_an_embedding_is_made_of_codewords(data):
    head = EqussHead(32, KINDS, settings("equss"))
    found = head.embed(data[1][:2]).unflatten(-1, (4, 4))
    for book in range(4):
        distance = torch.cdist(found[..., book, :].flatten(0, 1), head.quantiser.words[book])
        assert distance.min(-1).values.max() < 1e-3


def test_books_that_do_not_divide_the_embedding_are_one_sentence():
    with pytest.raises(SmoosegError, match=r"equss: dimensions \(16\) must be a multiple of books \(3\)"):
        EqussHead(32, KINDS, settings("equss", books=3))
