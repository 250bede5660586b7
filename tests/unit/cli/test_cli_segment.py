"""``smooseg segment``: masks, shares and overlays of people's own pictures."""

import csv
import json
import subprocess
import sys
from itertools import count

import numpy as np
import pytest
import torch
from PIL import Image

from smooseg.evaluation.prediction import predict_labels
from smooseg.features.backbones import Backbone
from smooseg.features.store import open_store
from smooseg.heads import Head, save_head
from smooseg.heads.base import read_head
from smooseg.heads.kmeans import KMeansHead
from smooseg.pictures import writing
from smooseg.pictures.output.legend import read_scores
from smooseg.pictures.output.stale import remove_other_masks
from smooseg.pictures.photos import find_photos
from smooseg.pictures.segmenter import Segmenter
from tests.conftest import ROOT, TINY_MODEL, make_store
from tests.support.deep import png, tiff
from tests.support.segmenting import CLUSTERS, SIZE, ids, picture, run, segment
from tests.support.segmenting import head as head  # a fixture
from tests.support.segmenting import photos as photos  # a fixture


def test_every_picture_gets_a_mask_an_overlay_and_a_row(head, photos, tmp_path):
    out = tmp_path / "masks"
    result = segment(head, out, photos)
    assert result.exit_code == 0, result.output
    assert result.stdout.strip() == str(out / "shares.csv")
    assert "3 masks" in result.stderr
    files = sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file())
    masks = ["a.png", "b.v2.png", "more/c.png"]
    assert files == sorted(["shares.csv", "legend.csv", *masks, *(m[:-4] + ".overlay.jpg" for m in masks)])
    rows = list(csv.DictReader((out / "shares.csv").open()))
    assert [(row["mask"], row["width"], row["height"]) for row in rows] == [
        ("a.png", "96", "80"),
        ("b.v2.png", "80", "96"),
        ("more/c.png", "700", "90"),
    ]
    for row in rows:
        mask = ids(out / row["mask"])
        assert mask.shape == (int(row["height"]), int(row["width"]))
        shares = [float(row[f"cluster {i}"]) for i in range(CLUSTERS)]
        assert sum(shares) == pytest.approx(100, abs=1e-9)
        np.testing.assert_allclose(shares, 100 * np.bincount(mask.ravel(), minlength=3) / mask.size, atol=1e-3)
    assert len(np.unique(ids(out / "a.png"))) > 1
    used = {i for mask in masks for i in np.unique(ids(out / mask))}  # in the views, too: nothing here is a few pixels
    assert f"; {len(used)} of 3 clusters occur" in result.stderr
    with Image.open(out / "a.png") as mask, Image.open(out / "a.overlay.jpg") as overlay:
        assert (overlay.width, overlay.height > mask.height) == (mask.width, True)  # a legend is below
        legend = list(csv.DictReader((out / "legend.csv").open()))
        red = int(legend[0]["colour"][1:3], 16)
        assert mask.getpalette()[0] == red


def test_a_picture_of_the_views_size_gets_the_workflows_map(head, tmp_path):
    image = picture(SIZE, SIZE)
    image.save(tmp_path / "square.png")
    assert segment(head, tmp_path / "masks", tmp_path / "square.png").exit_code == 0
    view = np.asarray(image)
    backbone = Backbone(TINY_MODEL, 3, False, "float32").load(head.parents[3] / "weights" / "tiny.safetensors")
    pair = torch.from_numpy(np.stack([view, view[:, ::-1]]))
    features = backbone.prepare(SIZE, torch.device("cpu"))(pair).numpy()
    make_store(tmp_path / "f.zarr", features, size=SIZE, manifest_sha256="")
    predict_labels(open_store(tmp_path / "f.zarr", {}), head, tmp_path / "raw.zarr", code="")
    expected = open_store(tmp_path / "raw.zarr", {}).read(0, 1)[0]
    np.testing.assert_array_equal(ids(tmp_path / "masks" / "square.png"), expected)


def test_pictures_are_turned_upright(head, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: to be shown, the picture is turned right
    picture().rotate(90, expand=True).save(tmp_path / "turned.png", exif=exif)
    picture().save(tmp_path / "upright.png")
    assert segment(head, tmp_path / "masks", tmp_path / "turned.png", tmp_path / "upright.png").exit_code == 0
    turned, upright = (ids(tmp_path / "masks" / f"{name}.png") for name in ("turned", "upright"))
    np.testing.assert_array_equal(turned, upright)


def test_pixels_without_a_value_are_void_in_mask_legend_and_shares(head, tmp_path):
    cut = np.dstack([np.asarray(picture()), np.full((80, 96), 255, np.uint8)])
    cut[:, 72:, 3] = 0
    Image.fromarray(cut).save(tmp_path / "cut.png")
    picture().save(tmp_path / "plain.png")
    out = tmp_path / "masks"
    assert segment(head, out, tmp_path / "cut.png", tmp_path / "plain.png").exit_code == 0
    mask = ids(out / "cut.png")
    assert (mask[:, 72:] == 255).all() and (mask[:, :72] < CLUSTERS).all()
    assert (ids(out / "plain.png") < CLUSTERS).all()
    assert [row["void"] for row in csv.DictReader((out / "shares.csv").open())] == ["25.0", "0.0"]
    assert list(csv.DictReader((out / "legend.csv").open()))[-1] | {"colour": ""} == {
        **{"id": "255", "name": "void", "colour": ""}
    }
    assert segment(head, out, tmp_path / "plain.png").exit_code == 0
    assert "void" not in (out / "legend.csv").read_text() + (out / "shares.csv").read_text()


def test_pictures_of_12_bits_get_the_masks_of_their_8_bits(head, tmp_path):
    values = np.asarray(picture()).astype(np.uint16) * 16 + 9
    (tmp_path / "deep.png").write_bytes(png(values))
    (tmp_path / "deep2.tif").write_bytes(tiff(values, ">"))
    picture().save(tmp_path / "plain.png")
    result = segment(head, tmp_path / "masks", *(tmp_path / name for name in ("deep.png", "deep2.tif", "plain.png")))
    deep, deep2, plain = (ids(tmp_path / "masks" / f"{name}.png") for name in ("deep", "deep2", "plain"))
    np.testing.assert_array_equal(deep, plain)
    np.testing.assert_array_equal(deep2, plain)
    assert "2 images with more than 8 bits, of which 12 are used and the upper 8 kept" in result.stderr


def test_pictures_are_read_with_the_range_that_the_head_was_fitted_with(head, tmp_path):
    facts, state = read_head(head)
    model = KMeansHead(64, CLUSTERS, {})
    model.load_state_dict(state)
    facts["experiment"]["features"]["bits"] = 12
    save_head(model, "kmeans", facts["experiment"], head)
    dim = np.asarray(picture()).astype(np.uint16)  # of 8 bits, where the head's pictures had 12
    (tmp_path / "dim.png").write_bytes(png(dim))
    Image.fromarray((dim >> 4).astype(np.uint8)).save(tmp_path / "plain.png")
    result = segment(head, tmp_path / "masks", tmp_path / "dim.png", tmp_path / "plain.png")
    np.testing.assert_array_equal(ids(tmp_path / "masks" / "dim.png"), ids(tmp_path / "masks" / "plain.png"))
    assert "1 images with more than 8 bits, of which 12 are used" in result.stderr


def test_a_picture_of_several_pages_is_said_to_be_one(head, tmp_path):
    pages = [picture(), picture(seed=1)]
    pages[0].save(tmp_path / "pages.tif", save_all=True, append_images=pages[1:])
    pages[0].save(tmp_path / "one.png")
    result = segment(head, tmp_path / "masks", tmp_path / "pages.tif", tmp_path / "one.png")
    assert "pages.tif: 1 images with several pages or frames, of which the first is taken" in result.stderr
    np.testing.assert_array_equal(ids(tmp_path / "masks" / "pages.png"), ids(tmp_path / "masks" / "one.png"))


def test_masks_of_another_legend_do_not_stay_beside_a_new_one(head, photos, tmp_path):
    out = tmp_path / "masks"
    assert segment(head, out, photos).exit_code == 0
    (photos / "b.v2.jpg").unlink()
    same = segment(head, out, photos)  # its mask stays, and means what the legend says
    assert (same.exit_code, (out / "b.v2.png").is_file()) == (0, True)
    score(head, [1, -1, 0])
    before = times(out)
    other = segment(head, out, photos)
    assert other.exit_code == 1
    assert (
        f"{out}: holds 1 masks of other pictures whose ids mean something else (b.v2.png); give another" in other.stderr
    )
    assert times(out) == before
    remove_other_masks([photo.mask for photo in find_photos([photos])[0]], out)
    assert segment(head, out, photos).exit_code == 0
    assert sorted(path.name for path in out.rglob("*") if path.is_file()) == [
        *("a.overlay.jpg", "a.png", "c.overlay.jpg", "c.png", "legend.csv", "shares.csv")
    ]


def times(out):
    return {path.name: path.stat().st_mtime_ns for path in out.rglob("*.png")}


def test_a_second_run_keeps_what_is_finished(head, photos, tmp_path):
    out = tmp_path / "masks"
    assert segment(head, out, photos).exit_code == 0
    first, table = times(out), (out / "shares.csv").read_text()
    (out / "b.v2.overlay.jpg").unlink()
    picture(seed=5).save(photos / "a.png")
    again = segment(head, out, photos)
    assert "1 of them from an earlier run" in again.stderr
    second = times(out)
    assert [name for name in first if first[name] == second[name]] == ["c.png"]
    assert (out / "b.v2.overlay.jpg").is_file()
    assert table.splitlines()[2:] == (out / "shares.csv").read_text().splitlines()[2:]
    assert "3 of them" not in run(photos, "--head", head, "--out", out, "--size", 32).stderr  # another mask
    assert "3 of them" in run(photos, "--head", head, "--out", out, "--size", 32).stderr


def test_what_a_stopped_run_leaves_is_whole(head, photos, tmp_path, monkeypatch):
    out, write, calls = tmp_path / "masks", writing.write_mask, count()  # several threads write

    def stop(*arguments):
        if next(calls):
            raise KeyboardInterrupt
        write(*arguments)

    monkeypatch.setattr(writing, "write_mask", stop)
    assert segment(head, out, photos).exit_code == 1
    left = [path for path in out.rglob("*") if path.is_file()]
    assert [path.suffix for path in left if not path.name.endswith(".overlay.jpg")] == [".png"]
    monkeypatch.undo()
    assert "1 of them from an earlier run" in segment(head, out, photos).stderr


def test_a_failed_write_leaves_nothing(head, photos, tmp_path, monkeypatch):
    def full(*arguments, **options):
        raise OSError(28, "No space left on device", "masks/a.png")

    monkeypatch.setattr(Image.Image, "save", full)
    result = segment(head, tmp_path / "masks", photos / "a.png")
    assert (result.exit_code, result.stderr.strip()) == (1, "Error: masks/a.png: No space left on device")
    assert not [path for path in (tmp_path / "masks").rglob("*") if path.is_file()]


def test_bad_pictures_are_named_and_the_others_done(head, photos, tmp_path):
    out = tmp_path / "masks"
    whole = (photos / "b.v2.jpg").read_bytes()
    (photos / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (photos / "empty.png").touch()
    (photos / "text.jpg").write_text("no picture")
    picture().save(photos / "a.bmp")  # its mask would be a.png's
    out.mkdir()
    picture().save(out / "c.png")  # somebody's picture where a mask would go
    picture().save(photos / "c.jpg")
    result = segment(head, out, photos, tmp_path / "none.jpg", photos / "*.gif")
    assert result.exit_code == 1
    for name in ("cut.jpg", "empty.png", "text.jpg", "a.png", "c.png", "none.jpg", "*.gif"):
        assert f"{name}: " in result.stderr
    assert "7 of the images given have no mask" in result.stderr
    assert "Traceback" not in result.stderr
    rows = list(csv.DictReader((out / "shares.csv").open()))
    assert [row["mask"] for row in rows] == ["a.png", "b.v2.png", "more/c.png"]
    assert Image.open(out / "c.png").mode == "RGB"


def test_folders_globs_and_files_mean_each_picture_once(head, photos):
    masks = photos / "masks"
    for _ in range(2):  # the second time, there are masks and overlays among the pictures
        result = segment(head, masks, photos, photos / "**" / "*.*", photos / "a.png", photos / "b*")
        assert result.exit_code == 0, result.output
        rows = list(csv.DictReader((masks / "shares.csv").open()))
        assert [row["mask"] for row in rows] == ["a.png", "b.v2.png", "more/c.png"]


def test_no_picture_at_all_is_one_sentence(head, tmp_path):
    result = segment(head, tmp_path / "masks", tmp_path / "results")
    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: {tmp_path / 'results'}: holds no image")
    assert run("a.png", "--head", tmp_path / "none", "--out", tmp_path).exit_code == 2


def score(head, assignment, **changes):
    names = dict.fromkeys(("sky", "ground"), 50.0) | changes
    head.with_name("raw.json").write_text(json.dumps({"assignment": assignment, "iou": names, "accuracy": 50.0}))


def test_a_scored_head_gives_classes(head, photos, tmp_path):
    assert segment(head, tmp_path / "clusters", photos / "a.png").exit_code == 0
    score(head, [1, -1, 0])
    assert segment(head, tmp_path / "classes", photos / "a.png").exit_code == 0
    table = np.array([1, 254, 0])
    np.testing.assert_array_equal(ids(tmp_path / "classes" / "a.png"), table[ids(tmp_path / "clusters" / "a.png")])
    (row,) = csv.DictReader((tmp_path / "classes" / "shares.csv").open())
    assert list(row)[4:] == ["sky", "ground", "unmatched"]
    assert sum(float(row[name]) for name in list(row)[4:]) == pytest.approx(100, abs=0.01)
    legend = list(csv.reader((tmp_path / "classes" / "legend.csv").open()))
    assert legend[1:] == [["0", "sky", "#56B4E9"], ["1", "ground", "#0072B2"], ["254", "unmatched", "#BBBBBB"]]


def test_scores_of_another_head_are_not_taken(head, photos, tmp_path):
    score(head, [1, 0])
    result = segment(head, tmp_path / "masks", photos / "a.png")
    assert (result.exit_code, "has 3 clusters, the scores beside it 2" in result.stderr) == (1, True)
    score(head, [1, 0, -1])
    made_from = {"size": 48, "head_sha256": "of another"}
    make_store(head.with_name("raw.zarr"), np.zeros((2, 48, 48), np.uint8), **made_from)
    result = run(photos / "a.png", "--head", head, "--out", tmp_path / "masks")
    assert "raw.zarr is of an earlier head: masks show clusters" in result.stderr
    assert "cluster 0" in (tmp_path / "masks" / "shares.csv").read_text()
    assert Segmenter(head).size == 48  # of its evaluation
    head.with_name("raw.json").write_text('{"assignment": [1')
    with pytest.raises(Exception, match=r"raw\.json: not the scores of a head"):
        read_scores(head.with_name("raw.json"))


def test_weights_must_be_there_and_the_heads_own(head, photos, tmp_path):
    weights = head.parents[3] / "weights" / "tiny.safetensors"
    moved = weights.rename(tmp_path / "elsewhere.safetensors")
    missing = segment(head, tmp_path / "masks", photos)
    assert missing.exit_code == 1
    assert f"{weights}: the weights of tiny, which {head} was fitted on, are missing; give --weights" in missing.stderr
    arguments = (photos / "a.png", "--head", head, "--out", tmp_path / "masks", "--weights", moved)
    assert run(*arguments).exit_code == 0
    moved.write_bytes(moved.read_bytes()[:-1] + b"x")
    other = run(*arguments)
    assert other.exit_code == 1
    assert "was fitted on weights of" in other.stderr
    (tmp_path / "text").write_text("no head")
    assert "not a head written by smooseg" in segment(tmp_path / "text", tmp_path / "masks", photos).stderr


def test_the_crf_moves_edges_and_is_part_of_what_a_mask_was_made_from(head, photos, tmp_path):
    out = tmp_path / "masks"
    assert segment(head, out, photos / "a.png").exit_code == 0
    raw = ids(out / "a.png")
    refined = run(photos / "a.png", "--head", head, "--out", out, "--size", SIZE, "--crf")
    assert refined.exit_code == 0, refined.output
    assert "earlier" not in refined.stderr
    assert 0 < (ids(out / "a.png") != raw).mean() < 0.5


def test_the_crf_gets_logits_as_sharp_as_the_heads_class_says(head, photos, tmp_path, monkeypatch):
    for name, sharpness, options in (("raw", 2.0, ()), ("usual", 2.0, ("--crf",)), ("sharp", 1e5, ("--crf",))):
        monkeypatch.setattr(Head, "sharpness", sharpness)  # the last leaves no doubt for the CRF to settle
        result = run(photos / "a.png", "--head", head, "--out", tmp_path / name, "--size", SIZE, *options)
        assert result.exit_code == 0, result.output
    raw, usual, sharp = (ids(tmp_path / name / "a.png") for name in ("raw", "usual", "sharp"))
    assert (sharp != raw).mean() < 0.002 < (usual != raw).mean()


def test_quiet_says_the_result_alone_and_verbose_says_more(head, photos, tmp_path):
    quiet, verbose = (segment(head, tmp_path / level, photos / "a.png", level) for level in ("--quiet", "--verbose"))
    assert (quiet.stderr, quiet.stdout) == ("", f"{tmp_path / '--quiet' / 'shares.csv'}\n")
    assert "1 images, 0 finished before, on cpu" in verbose.stderr


def test_defects_are_one_sentence_unless_verbose(head, photos, tmp_path, monkeypatch):
    def broken(*arguments):
        raise RuntimeError("it broke")

    monkeypatch.setattr(writing, "scaled_ids", broken)
    result = segment(head, tmp_path / "masks", photos)
    assert (result.exit_code, result.stderr.count("\n")) == (1, 2)  # and what was left out of the folder
    assert "RuntimeError: it broke; this is a defect, --verbose shows where" in result.stderr
    assert isinstance(segment(head, tmp_path / "masks", photos, "--verbose").exception, RuntimeError)


MEMORY = """
import resource, sys
from pathlib import Path
from smooseg import segment

head, photos, out = map(Path, sys.argv[1:])
segment(photos / "small.jpg", head, out)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
outcome = segment(photos / "large", head, out)
assert outcome.shares[["width", "height"]].to_numpy().tolist() == [[4000, 3000]] * 4, outcome
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


def test_photographs_of_12_megapixels_take_little_memory(head, tmp_path):
    photos = tmp_path / "photos"
    (photos / "large").mkdir(parents=True)
    picture().save(photos / "small.jpg")
    large = picture(500, 375).resize((4000, 3000), Image.Resampling.NEAREST)
    for number in range(4):
        large.save(photos / "large" / f"{number}.jpg")
    command = [sys.executable, "-c", MEMORY, head, photos, tmp_path / "masks"]
    result = subprocess.run(list(map(str, command)), cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert float(result.stdout) < 600  # MiB; one photograph as RGB is 34
