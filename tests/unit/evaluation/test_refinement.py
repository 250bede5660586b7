"""Refinement of logits by the dense CRF: as sharp as each release, merged clusters, engines."""

import numpy as np
import pytest
import torch

from smooseg.errors import SmoosegError
from smooseg.evaluation import refinement
from smooseg.evaluation.refinement import find_engine, merge_absent, refine, refine_marginals
from smooseg.heads import HEADS
from tests.conftest import ROOT
from tests.support.evaluation import INSTALLED, crf_settings


def coarse_logits(clusters: int, first: int) -> tuple[torch.Tensor, np.ndarray]:
    """Coarse logits of which only the ``first`` clusters are ever the largest, and an image."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(1, clusters, 6, 6, generator=generator) * 0.4
    coarse[:, :first] += 0.5
    logits = torch.nn.functional.interpolate(coarse, 90, mode="bilinear")[0]
    blocks = torch.randint(0, 255, (9, 9, 3), generator=generator, dtype=torch.uint8).numpy()
    return logits, np.ascontiguousarray(blocks.repeat(10, 0).repeat(10, 1))


@pytest.mark.parametrize("engine", INSTALLED)
def test_edges_follow_those_of_the_image(engine):
    rng = np.random.default_rng(0)
    image = np.zeros((40, 40, 3), np.uint8)
    image[:, 23:] = 220
    truth = (image[..., 0] > 0).astype(int)
    coarse = np.zeros((40, 40), int)
    coarse[:, 20:] = 1  # three columns off
    logits = np.stack([coarse == 0, coarse == 1]) + rng.normal(0, 0.3, (2, 40, 40))
    result = refine(torch.from_numpy(logits).float(), image, crf_settings(engine), 2)
    assert (result == truth).mean() > 0.99 > (logits.argmax(0) == truth).mean()
    assert result.dtype == np.uint8


SHARPNESS = {
    **dict.fromkeys(["stego", "hp", "ppap", "equss", "smooseg", "smooseg_plus", "kmeans", "linear"], 2),
    **{"cause": 3, "eagle": 4, "primaps": 1},
}
GOLDEN = {2: "stego_smooseg", 3: "cause", 4: "eagle"}


def test_every_head_has_its_releases_sharpness():
    assert {name: HEADS[name].sharpness for name in SHARPNESS} == SHARPNESS


@pytest.mark.parametrize("head", ["stego", "smooseg", "cause", "eagle"])
@pytest.mark.parametrize("engine", INSTALLED)
def test_golden_labels_of_the_releases(engine, head):
    golden, sharpness = np.load(ROOT / "tests" / "reference" / "heads" / "crf.npz"), HEADS[head].sharpness
    cosines, image, release = torch.from_numpy(golden["cosines"]), golden["image"], GOLDEN[SHARPNESS[head]]
    labels = refine(cosines, image, crf_settings(engine), sharpness)
    np.testing.assert_array_equal(labels, golden[f"labels_{release}"])
    marginals = refine_marginals(cosines, image, crf_settings(engine), sharpness)
    np.testing.assert_allclose(marginals, golden[f"marginals_{release}"], rtol=0, atol=1.1e-5)


@pytest.mark.parametrize("engine", INSTALLED)
def test_merging_clusters_that_are_first_nowhere_changes_next_to_nothing(engine, monkeypatch):
    logits, image = coarse_logits(27, 4)
    merged, dropped = (refine(part, image, crf_settings(engine), 2) for part in (logits, logits[:4]))
    everything = (torch.arange(27), (2 * logits).log_softmax(0), 0)
    monkeypatch.setattr(refinement, "merge_absent", lambda log_probabilities: everything)
    plain = refine(logits, image, crf_settings(engine), 2)
    assert (merged != plain).mean() < 0.002 < (dropped != plain).mean()


def test_merged_clusters_keep_their_probability():
    probabilities = torch.tensor([[0.1, 0.2], [0.5, 0.1], [0.2, 0.1], [0.2, 0.6]])
    present, merged, number = merge_absent(probabilities.log())
    assert present.tolist() == [1, 3]
    torch.testing.assert_close(merged.exp(), torch.tensor([[0.5, 0.1], [0.2, 0.6], [0.3, 0.3]]))
    assert number == 2


def test_kernels_too_narrow_are_said():
    logits, image = coarse_logits(2, 2)
    sentence = "crf: 8100 pixels lie in too many cells of kernels this narrow; widen gaussian_sxy, bilateral_sxy or"
    for changes in ({"gaussian_sxy": 1e-6}, {"bilateral_srgb": 1e-3, "bilateral_sxy": 1e-3}):
        with pytest.raises(SmoosegError, match=sentence):
            refine(logits, image, crf_settings(**changes), 2)


def test_auto_takes_the_faster_engine_that_is_installed(monkeypatch):
    assert find_engine("auto") == "native"
    monkeypatch.setattr(refinement, "find_spec", lambda package: package == "pydensecrf")
    assert find_engine("auto") == "pydensecrf"
    with pytest.raises(SmoosegError, match="native is not installed here, pydensecrf is; pip install numba"):
        find_engine("native")
    monkeypatch.setattr(refinement, "find_spec", lambda package: None)
    with pytest.raises(SmoosegError, match="auto is not installed here, no engine is"):
        find_engine("auto")


@pytest.mark.parametrize("engine", INSTALLED)
def test_marginals_are_what_labels_are_the_largest_of(engine):
    logits, image = coarse_logits(11, 4)
    marginals = refine_marginals(logits, image, crf_settings(engine), 2)
    np.testing.assert_array_equal(marginals.argmax(0), refine(logits, image, crf_settings(engine), 2))
    assert not marginals[4:].any() and (marginals[:4].sum(0) <= 1 + 1e-5).all() and marginals[:4].sum(0).mean() > 0.9
