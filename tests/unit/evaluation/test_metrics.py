"""Confusion, matching and scores."""

import numpy as np
import pytest

from smooseg.errors import SmoosegError
from smooseg.evaluation.metrics import (
    UNMATCHED,
    confusion_matrix,
    join_rows,
    majority_classes,
    match_clusters,
    of_groups,
    released_scores,
    score,
    score_with_rest,
)
from tests.conftest import ROOT


def test_golden_scores(golden):
    i = np.arange(600)
    labels = (((7 * i) % 13) % 5 - 1).astype(int)
    labels = np.where(labels < 0, 255, labels).astype(np.uint8)
    predictions = (((11 * i) % 17) % 4).astype(np.uint8)
    confusion = confusion_matrix(predictions, labels, 4, 4)
    assignment = match_clusters(confusion)
    result, expected = score(confusion, assignment), golden["values"]["metrics"]
    assert assignment.tolist() == expected["assignment"]
    assert result.accuracy == pytest.approx(expected["accuracy"], abs=1e-9)
    assert result.miou == pytest.approx(expected["miou"], abs=1e-9)


def test_confusion_counts_every_valid_pixel_and_no_void():
    rng = np.random.default_rng(0)
    labels = rng.choice([0, 1, 2, 255], (4, 30, 30)).astype(np.uint8)
    predictions = rng.integers(0, 7, labels.shape).astype(np.uint8)  # more clusters than classes
    confusion = confusion_matrix(predictions, labels, 7, 3)
    assert confusion.sum() == (labels != 255).sum()
    np.testing.assert_array_equal(confusion.sum(0), [(labels == c).sum() for c in range(3)])


def test_extra_clusters_count_as_wrong():
    labels = np.zeros(100, np.uint8)
    labels[60:] = 1
    predictions = labels.copy()
    predictions[50:60] = 2  # a third cluster takes a tenth of all pixels
    confusion = confusion_matrix(predictions, labels, 3, 2)
    assignment = match_clusters(confusion)
    result = score(confusion, assignment)
    assert assignment.tolist() == [0, 1, UNMATCHED]
    assert result.accuracy == pytest.approx(90)
    assert result.iou == pytest.approx([100 * 50 / 60, 100])


def test_a_class_without_a_cluster_has_no_intersection():
    labels = np.array([0, 0, 1, 2], np.uint8)
    confusion = confusion_matrix(np.array([0, 0, 1, 1], np.uint8), labels, 2, 3)
    result = score(confusion, match_clusters(confusion))
    assert result.accuracy == pytest.approx(75)
    assert sorted(result.iou) == pytest.approx([0, 50, 100])


def test_a_class_that_never_occurs_is_left_out_of_the_mean():
    labels = np.array([0, 1], np.uint8)
    confusion = confusion_matrix(labels, labels, 2, 3)
    result = score(confusion, match_clusters(confusion))
    assert np.isnan(result.iou[2])
    assert result.miou == pytest.approx(100)


def test_a_cluster_is_not_spent_on_a_class_that_occurs_in_no_label():
    labels = np.array([0, 0, 0, 0, 2, 2], np.uint8)
    predictions = np.array([0, 0, 0, 1, 2, 2], np.uint8)
    confusion = confusion_matrix(predictions, labels, 3, 3)
    assignment = match_clusters(confusion)
    result = score(confusion, assignment)
    assert assignment.tolist() == [0, UNMATCHED, 2]
    assert result.miou == pytest.approx((75 + 100) / 2)
    probe = score(confusion, np.arange(3))  # a supervised head, which predicts the class all the same
    assert (probe.accuracy, probe.miou) == (pytest.approx(500 / 6), pytest.approx((75 + 100) / 2))


@pytest.mark.parametrize(
    ("predictions", "labels", "message"),
    [([0, 3], [0, 1], "cluster 3 of 3"), ([0, 1], [0, 2], "class 2 of 2"), ([0], [0, 1], "shape")],
)
def test_impossible_ids_are_errors(predictions, labels, message):
    with pytest.raises(SmoosegError, match=message):
        confusion_matrix(np.array(predictions, np.uint8), np.array(labels, np.uint8), 3, 2)


def test_nothing_to_score_is_an_error():
    with pytest.raises(SmoosegError, match="void"):
        score(np.zeros((2, 2), int), np.array([0, 1]))


RELEASED = np.load(ROOT / "tests" / "reference" / "heads" / "metric.npz")
OURS = {"same": (61.2454, 44.1179), "extra": (60.4375, 47.2654), "absent": (62.5495, 51.1605)}


@pytest.mark.parametrize("release", ["stego", "eagle"])
@pytest.mark.parametrize("case", list(OURS))
def test_golden_scores_of_the_releases(case, release):
    given = [RELEASED[f"{kind}_{case}"] for kind in ("predictions", "labels", "confusion")]
    predictions, labels = (np.where(ids < 0, 255, ids).astype(np.uint8) for ids in given[:2])
    confusion = confusion_matrix(predictions, labels, *given[2].shape)
    np.testing.assert_array_equal(confusion, given[2])
    whole = score_with_rest(confusion)
    assert [whole.accuracy, whole.miou] == pytest.approx(RELEASED[f"scores_{release}_{case}"], rel=1e-6)
    ours = score(confusion, match_clusters(confusion))
    assert (ours.accuracy, ours.miou) == pytest.approx(OURS[case], abs=1e-3)
    dropped, expected = released_scores(confusion), RELEASED[f"scores_from_pixels_{release}_{case}"]
    if case == "same":  # as released is as ours: not a column of its own
        assert dropped is None and [ours.accuracy, ours.miou] == pytest.approx(expected, rel=1e-6)
    else:
        assert [dropped.accuracy, dropped.miou] == pytest.approx(expected, rel=1e-6)


def test_released_scores_are_none_without_a_rule_and_without_pixels():
    assert released_scores(np.ones((2, 3), int)) is None
    assert released_scores(np.array([[0, 0], [0, 0], [4, 1]])) is None  # all pixels are in the third cluster
    assert released_scores(np.array([[4, 0], [1, 0]])).iou[:2] == [80, 0]


OVER_CLUSTERED = np.array([[50, 0], [0, 30], [10, 4], [1, 5], [0, 0]])


def test_many_to_one_each_cluster_is_the_class_of_most_of_its_pixels():
    assignment = majority_classes(OVER_CLUSTERED)
    assert assignment.tolist() == [0, 1, 0, 1, UNMATCHED]
    many, one = score(OVER_CLUSTERED, assignment), score(OVER_CLUSTERED, match_clusters(OVER_CLUSTERED))
    assert (many.accuracy, one.accuracy) == (95, 80)
    assert many.iou == pytest.approx([100 * 60 / 65, 100 * 35 / 40])


def test_clusters_that_were_merged_are_matched_as_one_and_void_is_wrong():
    groups = [0, 1, 1, 255, 0]
    joined = join_rows(OVER_CLUSTERED, groups)
    assert joined.tolist() == [[50, 0], [10, 34]]
    assignment = of_groups(match_clusters(joined), groups)
    assert assignment.tolist() == [0, 1, 1, UNMATCHED, 0]
    assert score(OVER_CLUSTERED, assignment).accuracy == 84
