"""Figures: what they show, drawn from small made-up inputs."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image

from smooseg.results.plots.embeddings import draw_patches, plot_embeddings, project_patches
from smooseg.results.plots.palette import (
    CLASS_COLOURS,
    UNMATCHED_COLOUR,
    VOID_COLOUR,
    as_classes,
    class_palette,
    class_patches,
    method_colours,
)
from smooseg.results.plots.scores import confusion_table, plot_confusion, plot_scores, score_rows
from smooseg.results.plots.segmentations import pick_by_quality, plot_segmentations, rank_views
from smooseg.results.plots.training import plot_penalties, plot_training, read_histories, read_penalties
from tests.conftest import clustered_features, make_store
from tests.support.evaluation import Given

# how colours look to red-, green- and blue-blind eyes, in linear RGB (Machado, Oliveira and Fernandes 2009)
SEEN = {
    "normal": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}
# from linear RGB to OKLab (Ottosson 2020), where distances are those that eyes see
CONES = [[0.4122214708, 0.5363325363, 0.0514459929], [0.2119034982, 0.6806995451, 0.1073969566]]
CONES += [[0.0883024619, 0.2817188376, 0.6299787005]]
OKLAB = [[0.2104542553, 0.793617785, -0.0040720468], [1.9779984951, -2.4285922050, 0.4505937099]]
OKLAB += [[0.0259040371, 0.7827717662, -0.8086757660]]


def least_distance(colours: list[str], eyes: str) -> float:
    """Distance in OKLab of the two colours that are hardest to tell apart."""
    rgb = np.array([to_rgb(colour) for colour in colours])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ np.array(SEEN[eyes]).T, 0, 1)
    lab = np.cbrt(seen @ np.array(CONES).T) @ np.array(OKLAB).T
    distances = np.linalg.norm(lab[:, None] - lab, axis=-1)
    return distances[~np.eye(len(lab), dtype=bool)].min()


@pytest.mark.parametrize("eyes", SEEN)
def test_class_colours_differ_for_all_eyes(eyes):
    others = [VOID_COLOUR, UNMATCHED_COLOUR]
    assert least_distance(CLASS_COLOURS[:11] + others, eyes) > 0.07
    assert least_distance(CLASS_COLOURS + others, eyes) > 0.06
    assert least_distance(["#228833", "#117733"], eyes) < 0.06  # two greens do not pass


def test_clusters_take_the_colour_of_their_class():
    assert as_classes(np.array([0, 1, 2]), [2, -1, 0]).tolist() == [2, 254, 0]
    assert len({tuple(colour) for colour in class_palette(40)[:40]}) == 40
    named = {patch.get_label(): patch.get_facecolor()[:3] for patch in class_patches(["a", "b"], unmatched=True)}
    assert named["b"] == pytest.approx(to_rgb(CLASS_COLOURS[1]), abs=0.01)
    assert named["cluster without class"] == to_rgb(UNMATCHED_COLOUR)
    brightness = method_colours(4)[:, :3].sum(1)
    assert (np.diff(brightness) > 0).all()


def test_views_are_spread_over_the_quality_range():
    assert pick_by_quality([10.0, None, 90.0, 50.0, 70.0, 30.0], 3) == [2, 3, 0]
    assert pick_by_quality([None, 5.0], 4) == [1]


def test_views_are_ranked_by_the_last_segmentation():
    manifest = pd.DataFrame({"image": list("aabbccdd"), "mirror": [False, True] * 4})
    scores = {"x": {"image_accuracy": [1.0, 2.0, 3.0, 4.0]}, "y": {"image_accuracy": [50.0, None, 70.0, 60.0]}}
    ranking = rank_views(manifest, scores)
    assert ranking["image"].tolist() == ["c", "d", "a", "b"]
    assert ranking["shown"].tolist() == [True, True, True, False]  # the view without a score has no rank
    assert ranking["x"].tolist() == [3, 4, 1, 2]


def test_segmentations_are_drawn_in_class_colours(tmp_path):
    ranking = pd.DataFrame({"rank": [1], "view": [3], "image": ["a"], "ours": [50.0], "shown": [True]})
    label = np.array([[0, 1], [1, 255]], np.uint8)
    columns = {"image": [np.zeros((2, 2, 3), np.uint8)], "label": [label], "ours": [np.array([[0, 254]], np.uint8)]}
    plot_segmentations(columns, ranking, ["sky", "car"], tmp_path / "figure.png")
    colours = {tuple(c) for c in np.asarray(Image.open(tmp_path / "figure.png").convert("RGB")).reshape(-1, 3)}
    for colour in (*CLASS_COLOURS[:2], UNMATCHED_COLOUR):
        assert tuple(round(255 * part) for part in to_rgb(colour)) in colours


def test_a_confusion_matrix_has_the_right_pixels_on_its_diagonal(tmp_path):
    score = {"iou": {"sky": 1, "car": 2}, "assignment": [1, -1, 0], "confusion": [[1, 9], [2, 2], [7, 0]]}
    table = confusion_table(score)
    assert table.index.tolist() == ["2 → sky", "0 → car", "1 → none"]
    assert table.to_numpy().tolist() == [[7, 0], [1, 9], [2, 2]]
    plot_confusion(table, "title", tmp_path / "figure.png")
    assert Image.open(tmp_path / "figure.png").width > 200


@pytest.mark.parametrize("postprocess", [["raw", "crf"], ["crf"]])
def test_scores_are_means_over_seeds(tmp_path, postprocess):
    places = [{"experiment": e, "seed": seed, "postprocess": p} for e in "ab" for seed in (0, 2) for p in postprocess]
    scores = pd.DataFrame([place | {"accuracy": 60.0 + place["seed"], "miou": 20.0} for place in places])
    classes = pd.DataFrame(
        [place | {"class": c, "iou": iou} for place in places for c, iou in (("x", 5.0), ("y", None))]
    )
    rows = score_rows(scores, classes, {"a": "A"})
    assert set(rows["method"]) == {"A"}
    means = rows.set_index(["postprocess", "score"])["mean"]
    assert (means["crf", "accuracy"], means["crf", "x"]) == (61, 5)
    assert rows.set_index(["postprocess", "score"])["sd"]["crf", "accuracy"] == pytest.approx(2**0.5)
    plot_scores(score_rows(scores, classes, {"a": "A", "b": "B"}), tmp_path / "figure.png")
    assert Image.open(tmp_path / "figure.png").width == 1100


def measures(penalties, start=None):
    both = {f"penalties_{pairs}": penalties for pairs in ("within", "across")}
    return both | {"bimodality_within": 0.5, "bimodality_across": 0.5, "start": start}


def test_penalties_are_shares_of_pairs_before_and_after_training(tmp_path):
    for seed, counts in ((0, [3, 1]), (1, [1, 3])):
        folder = tmp_path / "e" / str(seed)
        folder.mkdir(parents=True)
        (folder / "measures.json").write_text(json.dumps(measures(counts, measures([4, 0]))))
    paths = sorted(tmp_path.rglob("measures.json"))
    assert read_penalties(paths, {"e": "ours"}, before=False)["panel"].unique().tolist() == ["ours"]
    rows = read_penalties(paths, {"e": "ours"}, before=True)
    assert rows["panel"].unique().tolist() == ["ours, untrained", "ours"]
    within = rows[rows["pairs"] == "within"].set_index(["panel", "delta"])["percent"]
    assert within.to_dict() == {
        ("ours, untrained", 0.0): 100,
        ("ours, untrained", 0.5): 0,
        ("ours", 0.0): 50,
        ("ours", 0.5): 50,
    }
    plot_penalties(rows, "title", tmp_path / "figure.png")
    assert Image.open(tmp_path / "figure.png").width > 400


def test_training_curves_take_the_columns_a_history_has(tmp_path, monkeypatch):
    for seed in (0, 1):
        path = tmp_path / "e" / str(seed) / "history.parquet"
        path.parent.mkdir(parents=True)
        pd.DataFrame({"step": [50, 100], "loss": [2.0, 1.0], "clusters": [3, 3], "lr_x": 0.1}).to_parquet(path)
    history = read_histories(sorted(tmp_path.rglob("*.parquet")))
    assert history[["experiment", "seed"]].drop_duplicates().to_numpy().tolist() == [["e", 0], ["e", 1]]
    drawn = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, path: drawn.append(figure))
    plot_training(history, "title", tmp_path / "figure.png")
    assert [(axis.get_title(), len(axis.lines)) for axis in drawn[0].axes] == [("loss", 2), ("clusters in use", 2)]


def test_embeddings_lie_near_their_prototypes_and_have_the_majoritys_class(tmp_path):
    features, kinds = clustered_features(8, kinds=3)
    make_store(tmp_path / "features.zarr", features)
    maps = np.kron(kinds[0::2].reshape(-1, 4, 4), np.ones((4, 4))).astype(np.uint8)
    maps[0, :4, :3] = 255  # most of a patch without a class
    maps[1, :1, :1] = (maps[1, 0, 0] + 1) % 3  # a minority
    labels = make_store(tmp_path / "labels.zarr", maps, chunk=8)
    drawn = draw_patches(labels, 3, 4, seed=0)
    assert len(drawn) == 4 * 16 - 1
    truth = kinds[0::2][drawn["view"], drawn["patch"]]
    assert (drawn["class"] == truth).all()
    head = Given(32, 3, {})
    centres = torch.from_numpy(np.random.default_rng(99).normal(size=(3, 32))).float()
    head.classifier = lambda: (centres, torch.zeros(3))
    store = make_store(tmp_path / "again.zarr", features)
    points = project_patches("space", store, labels, 3, head, [0, 1, -1])
    stars = points[points["view"] < 0]
    assert stars["class"].tolist() == [0, 1, -1]
    for kind, star in enumerate(stars[["x", "y"]].to_numpy()):
        patches = points[(points["view"] >= 0)]
        distance = np.linalg.norm(patches[["x", "y"]] - star, axis=1)
        assert patches["class"].to_numpy()[distance.argmin()] == kind
    again = project_patches("space", store, labels, 3, head, [0, 1, -1])
    assert again.equals(points)
    plain = project_patches("features", store, labels, 3)
    assert len(plain) == len(drawn)
    plot_embeddings(pd.concat([plain, points]), ["a", "b", "c"], "title", tmp_path / "figure.png")
    assert Image.open(tmp_path / "figure.png").width > 500
