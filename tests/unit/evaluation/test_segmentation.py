"""Upsampled label maps: exact, and faithful to mirror images."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from smooseg.evaluation.segmentation import averaged_embeddings, best_clusters, pixel_logits, upsampling_matrix
from smooseg.heads import HEADS
from smooseg.heads.kmeans import KMeansHead
from smooseg.heads.smooseg.head import SmooSegHead

SETTINGS = {"dimensions": 8, "b1": 0, "b2": 0}


def random_head(kind):
    torch.manual_seed(0)
    head = SmooSegHead(12, 5, SETTINGS) if kind == "smooseg" else KMeansHead(12, 5, {})
    if kind == "kmeans":
        head.centroids.copy_(torch.randn(5, 12))
    return head


@pytest.mark.parametrize("kind", ["smooseg", "kmeans"])
@pytest.mark.parametrize(("side", "size"), [(4, 4), (4, 7), (5, 40), (23, 322)])
def test_pixel_logits_equal_classifying_upsampled_embeddings(kind, side, size):
    head = random_head(kind)
    grid = torch.randn(8 if kind == "smooseg" else 12, side, side)
    upsampled = F.interpolate(grid[None], (size, size), mode="bilinear", align_corners=False)[0]
    expected = head.logits(upsampled.permute(1, 2, 0)).permute(2, 0, 1)
    torch.testing.assert_close(pixel_logits(head, grid, size), expected, atol=2e-4, rtol=2e-4)


@pytest.mark.parametrize(("grid", "size"), [((4, 7), (30, 41)), ((9, 3), (33, 3)), ((1, 5), (14, 70))])
def test_views_need_not_be_square(grid, size):
    head = random_head("smooseg")
    embeddings = torch.randn(8, *grid)
    upsampled = F.interpolate(embeddings[None], size, mode="bilinear", align_corners=False)[0]
    expected = head.logits(upsampled.permute(1, 2, 0)).permute(2, 0, 1)
    torch.testing.assert_close(pixel_logits(head, embeddings, size), expected, atol=2e-4, rtol=2e-4)
    features = torch.randn(1, *grid, 12)
    pair = torch.cat([features, features.flip(2)]).flatten(1, 2)
    averaged = averaged_embeddings(head, pair, grid)
    torch.testing.assert_close(averaged, head.embed(features).permute(0, 3, 1, 2))


def test_rows_of_the_upsampling_matrix_mix_neighbours_only():
    weights = upsampling_matrix(6, 25)
    torch.testing.assert_close(weights.sum(1), torch.ones(25))
    for row in weights:
        used = row.nonzero().flatten()
        assert used.max() - used.min() <= 1


def test_mirror_images_average_to_a_symmetric_grid():
    head = random_head("kmeans")
    features = torch.randn(2, 9, 12)
    mirrored = features.unflatten(1, (3, 3)).flip(2).flatten(1, 2)
    pairs = torch.stack([features, mirrored], 1).flatten(0, 1)
    grids = averaged_embeddings(head, pairs)
    assert grids.shape == (2, 12, 3, 3)
    torch.testing.assert_close(grids, head.embed(features).unflatten(1, (3, 3)).permute(0, 3, 1, 2))


def test_heads_whose_release_takes_no_mirror_image_see_the_image_alone(monkeypatch):
    assert {name for name, head in HEADS.items() if not head.mirror} == {"hp", "ppap", "equss"}
    head = random_head("smooseg")
    monkeypatch.setattr(type(head), "mirror", False)
    pairs = torch.randn(4, 9, 12)  # mirror images that are anything
    expected = head.embed(pairs[0::2]).unflatten(1, (3, 3)).permute(0, 3, 1, 2)
    assert torch.equal(averaged_embeddings(head, pairs), expected)


def test_of_equal_logits_the_first_cluster_is_taken():
    logits = torch.randint(0, 3, (7, 12, 9), generator=torch.Generator().manual_seed(0)).float()  # many are equal
    found = best_clusters(logits)
    assert found.dtype == np.uint8
    assert (found == logits.numpy().argmax(0)).all()
