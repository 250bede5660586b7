"""``smooseg segment`` on pictures larger than a view: windows, their scale, and what a stopped run leaves."""

import numpy as np
import pytest

from smooseg.heads import save_head
from smooseg.heads.base import read_head
from smooseg.heads.kmeans import KMeansHead
from smooseg.pictures.segmenter import Segmenter
from tests.support.segmenting import CLUSTERS, SIZE, ids, picture, run, segment
from tests.support.segmenting import head as head  # a fixture


def tiled(head, out, image, *options):
    """Ids of an image that is seen in windows of 64 pixels, at its own scale."""
    result = run(image, "--head", head, "--out", out, "--tile", SIZE, *options)
    assert result.exit_code == 0, result.output
    return ids(out / f"{image.stem}.png"), result


def agreement(first, second):
    """Where two maps agree, by columns: overall, and at the columns around which windows of 64 of 256 are joined."""
    same, edges = (first == second).mean(0), [3, 4, 5]
    return same.mean(), min(same[column * 16 - 8 : column * 16 + 8].mean() for column in edges)


@pytest.mark.parametrize("options", [(), ("--crf",)])
def test_windows_give_what_one_pass_does_and_show_no_seam(head, tmp_path, options):
    """Attention sees more in one pass, so that patches may differ; no more of them do where windows meet."""
    picture(256, 192).save(tmp_path / "large.png")
    windows, _ = tiled(head, tmp_path / "windows", tmp_path / "large.png", "--scale", 1, *options)
    once, _ = tiled(head, tmp_path / "once", tmp_path / "large.png", "--scale", 1, "--tile", 256, *options)
    assert windows.shape == (192, 256)
    overall, joints = agreement(windows, once)
    assert overall > 0.8 and joints > overall - 0.1
    assert not list((tmp_path / "windows").glob(".*"))


def test_the_scale_of_windows_is_that_of_the_heads_training_views(head, tmp_path):
    picture(256, 192).save(tmp_path / "large.png")
    arguments = (tmp_path / "large.png", "--head", head, "--out", tmp_path / "masks", "--tile", SIZE)
    assert "does not say the scale of its training views; give --scale" in run(*arguments).stderr
    facts, state = read_head(head)
    model = KMeansHead(64, CLUSTERS, {})
    model.load_state_dict(state)
    facts["experiment"]["features"]["scale"] = 0.5
    save_head(model, "kmeans", facts["experiment"], head)
    assert Segmenter(head, tile=SIZE).shape(256, 192) == (96, 128)
    assert Segmenter(head, size=SIZE).shape(256, 192) == (64, 80)  # a photograph, as ever
    assert Segmenter(head, size=SIZE).shape(12_000, 9000) == (4496, 6000)  # no camera's
    fitted, _ = tiled(head, tmp_path / "fitted", tmp_path / "large.png")
    given, _ = tiled(head, tmp_path / "given", tmp_path / "large.png", "--scale", 0.5)
    np.testing.assert_array_equal(fitted, given)


def test_a_long_picture_is_seen_in_windows_and_that_is_said(head, tmp_path):
    picture(700, 90, 2).save(tmp_path / "long.png")
    result = segment(head, tmp_path / "masks", tmp_path / "long.png")
    assert "long.png: 1 images with more pixels than one view shows: 700x90 are seen as 496x64 in" in result.stderr
    assert ids(tmp_path / "masks" / "long.png").shape == (90, 700)


def test_a_stopped_run_over_windows_goes_on_where_it_was(head, tmp_path, monkeypatch):
    picture(256, 192).save(tmp_path / "large.png")
    expected, _ = tiled(head, tmp_path / "whole", tmp_path / "large.png", "--scale", 1)
    score, calls = Segmenter.score, []

    def stop(self, views):
        calls.append(len(views))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return score(self, views)

    monkeypatch.setattr(Segmenter, "score", stop)
    arguments = (tmp_path / "large.png", "--head", head, "--out", tmp_path / "masks", "--tile", SIZE, "--scale", 1)
    assert run(*arguments).exit_code == 1
    assert (tmp_path / "masks" / ".large.windows" / "state.json").is_file()
    found, _ = tiled(head, tmp_path / "masks", tmp_path / "large.png", "--scale", 1)
    np.testing.assert_array_equal(found, expected)
    rows = len(Segmenter(head, tile=SIZE, scale=1).windows((192, 256)).rows)
    assert len(calls) == rows + 1  # a batch holds a row; the third was stopped
    assert sorted(path.name for path in (tmp_path / "masks").iterdir()) == [
        *("large.overlay.jpg", "large.png", "legend.csv", "shares.csv")
    ]
