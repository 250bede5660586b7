"""Dense CRF refinement: engines agree with each other, with golden maps, and with the formulas."""

from importlib.util import find_spec

import numpy as np
import pytest
import torch
from PIL import Image

from smooseg.errors import SmoosegError
from smooseg.evaluation.crf import find_engine, native, refine, refined_marginals, refinement
from smooseg.evaluation.crf.lattice import Lattice, build_lattice
from smooseg.evaluation.crf.refinement import ENGINES, merge_absent
from smooseg.settings.schema import load_schema, with_defaults
from tests.conftest import ROOT

INSTALLED = [engine for engine, package in ENGINES.items() if find_spec(package)]


def crf_settings(engine: str = "native", **changes) -> dict:
    schema = load_schema()
    return with_defaults({}, schema["properties"]["crf"], schema) | {"engine": engine} | changes


def waves(clusters: int, height: int = 72, width: int = 96) -> tuple[torch.Tensor, np.ndarray]:
    """Logits of slow waves and an image of other, sharper ones, from formulas alone."""
    y, x = np.mgrid[:height, :width].astype(np.float64)
    phases = np.arange(clusters)[:, None, None]
    logits = np.sin(x / (9 + phases) + 2 * phases) * np.cos(y / (7 + phases) + phases)
    image = np.stack([127 + 90 * np.sign(np.sin(x / 11 + y / 17 + c)) + 30 * np.cos(x * y / 400 + c) for c in range(3)])
    return torch.from_numpy(logits).float(), image.transpose(1, 2, 0).astype(np.uint8)


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
    result = refine(torch.from_numpy(logits).float(), image, crf_settings(engine))
    assert (result == truth).mean() > 0.99 > (logits.argmax(0) == truth).mean()
    assert result.dtype == np.uint8


@pytest.mark.parametrize("engine", INSTALLED)
@pytest.mark.parametrize("clusters", [5, 11, 27])
def test_golden_label_maps(engine, clusters):
    """Maps that pydensecrf gave, with every cluster a label, where it could be built."""
    golden = np.asarray(Image.open(ROOT / "tests" / "reference" / f"crf{clusters}.png"))
    logits, image = waves(clusters)
    assert (golden != logits.argmax(0).numpy()).mean() > 0.2
    assert (refine(logits, image, crf_settings(engine)) != golden).mean() < 0.001


@pytest.mark.skipif("pydensecrf" not in INSTALLED, reason="pydensecrf does not build here; golden maps stand for it")
@pytest.mark.parametrize("changes", [{}, {"bilateral_srgb": 13, "gaussian_sxy": 3}, {"iterations": 1}])
@pytest.mark.parametrize("clusters", [2, 8, 12])
def test_marginals_are_the_librarys(clusters, changes):
    from pydensecrf.densecrf import DenseCRF2D

    logits, image = waves(clusters)
    log_probabilities, s = logits.log_softmax(0).flatten(1).numpy(), crf_settings(**changes)
    field = DenseCRF2D(image.shape[1], image.shape[0], clusters)
    field.setUnaryEnergy(-log_probabilities)
    field.addPairwiseGaussian(sxy=s["gaussian_sxy"], compat=s["gaussian_weight"])
    appearance = {"sxy": s["bilateral_sxy"], "srgb": s["bilateral_srgb"], "compat": s["bilateral_weight"]}
    field.addPairwiseBilateral(rgbim=np.ascontiguousarray(image), **appearance)
    theirs = np.array(field.inference(s["iterations"]))
    lattices = (
        native.smoothness_lattice(*image.shape[:2], s["gaussian_sxy"], s["gaussian_weight"]),
        native.appearance_lattice(image, *appearance.values()),
    )
    ours = native.marginals(log_probabilities, np.ones(clusters, np.float32), lattices, s["iterations"])
    ours = ours.transpose(0, 2, 1).reshape(-1, theirs.shape[1])
    np.testing.assert_allclose(ours[:clusters], theirs, atol=2e-3)
    assert ours[clusters:].max(initial=0) < 1e-30


def filtered(lattice: Lattice, source: np.ndarray) -> np.ndarray:
    """What a lattice makes of rows of eight values."""
    beliefs, gains = source.copy(), np.ones((1, 8), np.float32)
    spaces = (np.empty((2, lattice.neighbours.shape[1], 8), np.float32),)
    native.pass_messages(beliefs, np.zeros_like(source), gains, (lattice,), spaces)
    return beliefs


@pytest.mark.parametrize("sides, reach, most, mean", [(2, 6.0, 0.05, 0.015), (5, 2.0, 0.1, 0.03)])
def test_a_lattice_filters_as_the_normalised_gaussian_of_its_points(sides, reach, most, mean):
    points = np.random.default_rng(0).uniform(0, reach, (sides, 400)).astype(np.float32)
    source = np.random.default_rng(1).uniform(size=(400, 8)).astype(np.float32)
    dense = np.exp(-((points[:, :, None] - points[:, None]).astype(np.float64) ** 2).sum(0) / 2)
    dense /= np.sqrt(dense.sum(0)[:, None] * dense.sum(0)[None])
    expected = 2.5 * dense @ source
    difference = np.abs(filtered(build_lattice(points, 2.5), source) - expected)
    assert difference.max() < most * expected.max()  # the lattice's kernel is nearly Gaussian
    assert difference.mean() < mean * expected.mean()


def test_a_table_of_vertices_grows():
    points = np.random.default_rng(0).uniform(0, 900, (5, 30_000)).astype(np.float32)  # all in cells of their own
    lattice = build_lattice(points, 1.0)
    assert lattice.neighbours.shape[1] > 170_000
    assert len(np.unique(lattice.vertices)) == lattice.neighbours.shape[1] - 1
    roots = np.repeat(1 / lattice.weights.sum(1, keepdims=True), 8, 1)  # D^1/2, which D^-1/2 F D^-1/2 leaves as it is
    np.testing.assert_allclose(filtered(lattice, roots), roots, rtol=1e-4)


def test_softmax_is_that_of_torch():
    logits = np.random.default_rng(0).normal(0, 30, (2, 100, 8)).astype(np.float32)
    logits[1, :, 5:] = native.NEVER
    expected = torch.from_numpy(logits.transpose(1, 0, 2).reshape(100, 16).copy()).softmax(1).numpy()
    native.softmax(logits)
    np.testing.assert_allclose(logits.transpose(1, 0, 2).reshape(100, 16), expected, rtol=1e-5, atol=1e-37)


@pytest.mark.parametrize("engine", INSTALLED)
def test_merging_clusters_that_are_first_nowhere_changes_next_to_nothing(engine, monkeypatch):
    logits, image = coarse_logits(27, 4)
    merged, dropped = refine(logits, image, crf_settings(engine)), refine(logits[:4], image, crf_settings(engine))
    everything = (torch.arange(27), (refinement.LOGIT_SCALE * logits).log_softmax(0).flatten(1), 0)
    monkeypatch.setattr(refinement, "merge_absent", lambda log_probabilities: everything)
    plain = refine(logits, image, crf_settings(engine))
    assert (merged != plain).mean() < 0.002 < (dropped != plain).mean()


def test_merged_clusters_keep_their_probability():
    probabilities = torch.tensor([[0.1, 0.2], [0.5, 0.1], [0.2, 0.1], [0.2, 0.6]])
    present, merged, number = merge_absent(probabilities.log())
    assert present.tolist() == [1, 3]
    torch.testing.assert_close(merged.exp(), torch.tensor([[0.5, 0.1], [0.2, 0.6], [0.3, 0.3]]))
    assert number == 2


def test_kernels_too_narrow_are_said():
    logits, image = waves(2)
    sentence = "crf: 6912 pixels lie in too many cells of kernels this narrow; widen gaussian_sxy, bilateral_sxy or"
    for changes in ({"gaussian_sxy": 1e-6}, {"bilateral_srgb": 1e-3, "bilateral_sxy": 1e-3}):
        with pytest.raises(SmoosegError, match=sentence):
            refine(logits, image, crf_settings(**changes))


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
    marginals = refined_marginals(logits, image, crf_settings(engine))
    np.testing.assert_array_equal(marginals.argmax(0), refine(logits, image, crf_settings(engine)))
    assert not marginals[4:].any() and (marginals[:4].sum(0) <= 1 + 1e-5).all() and marginals[:4].sum(0).mean() > 0.9
