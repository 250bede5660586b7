"""The dense CRF by itself: golden values, the library's marginals, the dense formula, and what it refuses."""

import ast
import re
import sys
from importlib.util import find_spec
from itertools import product

import numpy as np
import pytest
from PIL import Image

from smooseg.evaluation import crf
from smooseg.evaluation.crf import NarrowKernels, dense_crf, native
from smooseg.evaluation.crf.lattice import Lattice, build_lattice
from tests.conftest import ROOT

PACKAGE = ROOT / "smooseg" / "evaluation" / "crf"
INSTALLED = [name for name, needs in {"native": "numba", "pydensecrf": "pydensecrf"}.items() if find_spec(needs)]
TOLERANCE = {"native": 1.1e-5, "pydensecrf": 1e-6}
KERNELS = {"gaussian_sxy": 1, "gaussian_weight": 3, "bilateral_sxy": 67, "bilateral_srgb": 3, "bilateral_weight": 4}


def log_softmax(logits: np.ndarray) -> np.ndarray:
    return logits - np.log(np.exp(logits.astype(np.float64)).sum(0))


def waves(clusters: int, height: int = 72, width: int = 96) -> tuple[np.ndarray, np.ndarray]:
    """Log-probabilities of slow waves and an image of other, sharper ones, from formulas alone."""
    y, x = np.mgrid[:height, :width].astype(np.float64)
    phases = np.arange(clusters)[:, None, None]
    logits = np.sin(x / (9 + phases) + 2 * phases) * np.cos(y / (7 + phases) + phases)
    image = np.stack([127 + 90 * np.sign(np.sin(x / 11 + y / 17 + c)) + 30 * np.cos(x * y / 400 + c) for c in range(3)])
    return log_softmax(2 * logits).astype(np.float32), image.transpose(1, 2, 0).astype(np.uint8)


def of_library(log_probabilities: np.ndarray, image: np.ndarray, iterations: int = 10, **changes) -> np.ndarray:
    """Marginals (labels, height, width) of pydensecrf as its documentation shows it, for an image in BGR."""
    from pydensecrf.densecrf import DenseCRF2D

    s, (labels, height, width) = KERNELS | changes, log_probabilities.shape
    field = DenseCRF2D(width, height, labels)
    field.setUnaryEnergy(np.ascontiguousarray(-log_probabilities.reshape(labels, -1)))
    field.addPairwiseGaussian(sxy=s["gaussian_sxy"], compat=s["gaussian_weight"])
    appearance = {"sxy": s["bilateral_sxy"], "srgb": s["bilateral_srgb"], "compat": s["bilateral_weight"]}
    field.addPairwiseBilateral(rgbim=np.ascontiguousarray(image), **appearance)
    return np.array(field.inference(iterations)).reshape(labels, height, width)


@pytest.mark.parametrize(("release", "sharpness"), [("stego_smooseg", 2), ("cause", 3), ("eagle", 4)])
@pytest.mark.parametrize("engine", INSTALLED)
def test_golden_marginals_and_labels_of_the_releases(engine, release, sharpness):
    golden = np.load(ROOT / "tests" / "reference" / "heads" / "crf.npz")
    given, image, expected = log_softmax(sharpness * golden["cosines"]), golden["image"], golden[f"marginals_{release}"]
    marginals = dense_crf(given, image, engine=engine, marginals=True)
    np.testing.assert_allclose(marginals, expected, rtol=0, atol=TOLERANCE[engine])
    np.testing.assert_array_equal(dense_crf(given, image, engine=engine), golden[f"labels_{release}"])
    turned = dense_crf(given, image[:, :, ::-1], engine=engine, marginals=True)
    assert np.abs(turned - expected).max() > 0.1  # the order of channels matters


@pytest.mark.parametrize("engine", INSTALLED)
@pytest.mark.parametrize("clusters", [5, 11, 27])
def test_golden_label_maps(engine, clusters):
    """Maps that :func:`of_library` gave of the image in BGR, where pydensecrf could be built."""
    golden = np.asarray(Image.open(ROOT / "tests" / "reference" / f"crf{clusters}.png"))
    given, image = waves(clusters)
    assert (golden != given.argmax(0)).mean() > 0.2
    labels = dense_crf(given, image, engine=engine)
    assert labels.dtype == np.uint8 and (labels != golden).mean() < 0.0005


@pytest.mark.skipif("pydensecrf" not in INSTALLED, reason="pydensecrf does not build here; golden values stand for it")
@pytest.mark.parametrize("changes", [{}, {"bilateral_srgb": 13, "gaussian_sxy": 3}, {"iterations": 1}])
@pytest.mark.parametrize(("engine", "clusters"), [*product(["native"], [2, 8, 12]), ("pydensecrf", 8)])
def test_marginals_are_the_librarys(engine, clusters, changes):
    given, image = waves(clusters)
    expected = of_library(given, image[:, :, ::-1], **changes)
    found = dense_crf(given, image, engine=engine, marginals=True, **changes)
    np.testing.assert_allclose(found, expected, atol=2e-3 if engine == "native" else 1e-6)


def test_what_fills_the_last_block_is_next_to_nothing():
    beliefs = native.marginals(
        waves(12)[0].reshape(12, -1), np.ones(12, np.float32), (native.smoothness_lattice(72, 96, 1, 3),), 2
    )
    assert beliefs.shape == (2, 72 * 96, 8) and beliefs[1, :, 4:].max() < 1e-30


@pytest.mark.parametrize("engine", INSTALLED)
def test_labels_are_the_largest_marginals_among_the_candidates(engine):
    given, image = waves(11)
    for candidates in (11, 4):
        marginals = dense_crf(given, image, engine=engine, candidates=candidates, marginals=True)
        assert marginals.shape == (candidates, 72, 96) and marginals.dtype == np.float32
        labels = dense_crf(given, image, engine=engine, candidates=candidates)
        np.testing.assert_array_equal(labels, marginals.argmax(0))
    assert (labels < 4).all() and marginals.sum(0).min() < 0.5  # what the other seven have is not given away


@pytest.mark.parametrize("engine", INSTALLED)
def test_labels_that_attract_nobody_lose_pixels(engine):
    given, image = waves(5)
    attraction = np.array([1, 1, 0, 1, 1])
    before, after = (dense_crf(given, image, engine=engine, attraction=a) for a in (None, attraction))
    assert (after == 2).sum() < (before == 2).sum()
    np.testing.assert_array_equal(before, dense_crf(given, image, engine=engine, attraction=np.ones(5)))


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


def test_softmax_over_blocks_and_rows():
    logits = np.random.default_rng(0).normal(0, 30, (2, 100, 8)).astype(np.float32)
    logits[1, :, 5:] = native.NEVER
    flat = logits.transpose(1, 0, 2).reshape(100, 16).astype(np.float64)
    exponentials = np.exp(flat - flat.max(1, keepdims=True))
    native.softmax(logits)
    expected = exponentials / exponentials.sum(1, keepdims=True)
    np.testing.assert_allclose(logits.transpose(1, 0, 2).reshape(100, 16), expected, rtol=1e-5, atol=1e-37)


def test_kernels_too_narrow_are_said():
    given, image = waves(2)
    for changes in ({"gaussian_sxy": 1e-6}, {"bilateral_srgb": 1e-3, "bilateral_sxy": 1e-3}):
        with pytest.raises(
            NarrowKernels, match="^6912 pixels lie in too many cells of kernels this narrow; widen gaus"
        ):
            dense_crf(given, image, **changes)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"log_probabilities": np.zeros((2, 6912))}, r"log_probabilities has shape \(2, 6912\), not \(labels, height,"),
        ({"log_probabilities": np.zeros((72, 96, 2))}, r"of shape \(72, 96, 2\) need uint8 \(96, 2, 3\)"),
        ({"image": np.zeros((72, 96, 3))}, r"image is float64 \(72, 96, 3\)"),
        ({"image": np.zeros((72, 96), np.uint8)}, r"image is uint8 \(72, 96\)"),
        ({"attraction": np.ones(3)}, r"attraction has shape \(3,\); 2 labels need \(2,\)"),
        ({"candidates": 3}, "3 candidates of 2 labels"),
        ({"candidates": 0}, "0 candidates of 2 labels"),
        ({"log_probabilities": np.zeros((257, 72, 96))}, "257 candidates of 257 labels; labels of pixels are numbered"),
        ({"iterations": 0}, "iterations is 0, must be at least 1"),
        ({"engine": "gpu"}, "engine is 'gpu', must be 'native' or 'pydensecrf'"),
    ],
)
def test_what_does_not_fit_is_an_error(changes, sentence):
    given, image = waves(2)
    with pytest.raises(ValueError, match=sentence):
        dense_crf(**{"log_probabilities": given, "image": image} | changes)


def test_an_engine_that_is_not_installed_is_an_import_error(monkeypatch):
    monkeypatch.delattr(crf, "library", raising=False)
    monkeypatch.setitem(sys.modules, "smooseg.evaluation.crf.library", None)
    with pytest.raises(ImportError):
        dense_crf(*waves(2), engine="pydensecrf")


def test_it_imports_nothing_of_smooseg():
    """So that it could be a package of its own: relative imports stay inside, absolute ones name others."""
    for path in PACKAGE.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom):
                assert node.level <= 1 and (node.level or not (node.module or "").startswith("smooseg")), path
            elif isinstance(node, ast.Import):
                assert not any(alias.name.startswith("smooseg") for alias in node.names), path


def test_the_example_of_the_documentation_runs():
    (example,) = re.findall(
        r"```python\n(.*?)```", (ROOT / "docs" / "background" / "crf.md").read_text("utf-8"), re.DOTALL
    )
    names: dict = {}
    exec(example, names)
    assert names["labels"].shape == names["image"].shape[:2]
    assert (names["labels"] == names["truth"]).mean() > 0.99 > (names["noisy"].argmax(0) == names["truth"]).mean()
