"""Views made of windows: where they lie, that blending leaves no seam, and that a stopped run goes on."""

import json
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smooseg.pictures.shapes import fits_a_view
from smooseg.pictures.windows import Unfinished, Windows, label_windows, spans

PATCH, SIDE = 14, 56


@given(st.integers(1, 400), st.integers(2, 40), st.sampled_from([8, 14, 16]))
def test_windows_cover_an_axis_with_weights_that_sum_to_1(patches, side, patch):
    length, side = patches * patch, side * patch
    total, found = np.zeros(length), spans(length, side, patch)
    for span in found:
        assert 0 <= span.start <= span.first < span.last <= span.stop <= length
        assert span.start % patch == 0 and span.stop - span.start == min(side, length)
        total[span.first : span.last] += span.weights
    np.testing.assert_allclose(total, 1, atol=1e-6)
    assert all(after.first >= before.first + side // 4 for before, after in pairwise(found))


def colours(views: np.ndarray):
    """Scores that depend on nothing but a pixel itself, as no window's place can change them."""
    return [view.transpose(2, 0, 1).astype(np.float32) for view in views]


def view_of(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)


def label(folder, view, score, batch=3, **made_from) -> Unfinished:
    windows = Windows(view.shape[:2], SIDE, PATCH)
    done = Unfinished(folder, windows, 3, made_from)
    assert sum(label_windows(windows, lambda rows, columns: view[rows, columns], score, done, batch)) <= len(windows)
    return done


@pytest.mark.parametrize("shape", [(56, 56), (42, 560), (560, 42), (140, 154), (266, 70)])
@pytest.mark.parametrize("batch", [1, 3])
def test_scores_that_windows_agree_on_give_what_one_pass_does(tmp_path, shape, batch):
    view = view_of(*shape)
    done = label(tmp_path / "w", view, colours, batch)
    expected = view.argmax(2)
    np.testing.assert_array_equal(done.ids, expected)
    done.remove()
    assert not (tmp_path / "w").exists()


def test_where_windows_differ_one_fades_into_the_other(tmp_path):
    """One window is sure of class 1 and the other of class 0: the border is in the middle of what they share."""
    numbers = iter((0.0, 1.0))

    def score(views):
        for view in views:
            level = np.full(view.shape[:2], next(numbers), np.float32)
            yield np.stack([level, np.full_like(level, 0.5), np.full_like(level, -1)])

    windows = Windows((56, 84), SIDE, PATCH)
    assert len(windows) == 2
    ids = label(tmp_path / "w", view_of(56, 84), score).ids
    middle = (windows.columns[1].first + windows.columns[0].last) // 2
    assert (ids[:, :middle] == 1).all() and (ids[:, middle:] == 0).all()


def test_a_stopped_run_goes_on_at_its_row_of_windows(tmp_path):
    view, seen = view_of(140, 140), []

    def score(views):
        if len(seen) == 2:
            raise KeyboardInterrupt
        seen.append(len(views))
        return colours(views)

    with pytest.raises(KeyboardInterrupt):
        label(tmp_path / "w", view, score, batch=5)
    assert json.loads((tmp_path / "w" / "state.json").read_text())["rows"] == 2
    done = label(tmp_path / "w", view, lambda views: [seen.append(len(views)), *colours(views)][1:], batch=5)
    np.testing.assert_array_equal(done.ids, view.argmax(2))
    assert len(seen) == len(done.windows.rows)  # no row twice
    assert label(tmp_path / "w", view, colours, head="another").rows == len(done.windows.rows)
    assert json.loads((tmp_path / "w" / "state.json").read_text())["facts"]["head"] == "another"


def test_a_view_is_seen_at_once_where_it_is_as_ordinary_ones():
    assert fits_a_view((322, 966), 322) and fits_a_view((98, 322), 322)
    assert not fits_a_view((336, 336), 322) and not fits_a_view((322, 980), 322)
    assert len(Windows((322, 3220), 322, 14)) == 14
