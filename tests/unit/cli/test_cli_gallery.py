"""``smooseg gallery`` and ``--names``: clusters are looked at, named, merged, and masks follow."""

import base64
import csv
import io

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from PIL import Image

from smooseg.cli import main
from smooseg.features.provenance import file_sha256
from smooseg.pictures.output.typical import indexed_png
from tests.support.browser import CHROMIUM, Browser, problems
from tests.support.gallery import data_of, names_csv
from tests.support.segmenting import SIZE, ids, picture, run
from tests.support.segmenting import head as head  # a fixture
from tests.support.segmenting import photos as photos  # a fixture


@pytest.fixture
def page(head, photos):
    """A gallery of the photos."""
    result = CliRunner().invoke(main, ["gallery", str(head), str(photos)])
    assert result.exit_code == 0, result.output
    path = head.with_name("gallery.html")
    assert result.stdout.strip() == str(path)
    return path


def image_of(url):
    """An image from a data URL."""
    return Image.open(io.BytesIO(base64.b64decode(url.split(",")[1])))


def test_each_cluster_is_shown_by_its_patches(page):
    data = data_of(page)
    assert (len(data["pixels"]), data["merges"], data["start"]) == (3, [], [[0], [1], [2]])
    assert data["names"] == ["cluster 0", "cluster 1", "cluster 2"]
    patches = [[image_of(url) for url in patches] for patches in data["patches"]]
    assert all(1 <= len(images) <= 12 for images in patches)
    assert {image.size for images in patches for image in images} <= {(80, 80), (80, 64), (64, 64)}
    colours = [np.asarray(image).reshape(-1, 3).mean(0) for image in patches[0]]
    assert all(colour[0] > colour[2] for colour in colours)  # cluster 0 is the bright corner's
    assert "http" not in page.read_text()


def test_whole_pictures_come_with_their_clusters(page):
    data = data_of(page)
    assert [one["name"] for one in data["pictures"]][:2] == ["a.png", "b.v2.jpg"]
    assert np.sum([one["pixels"] for one in data["pictures"]], axis=0).tolist() == data["pixels"]
    for one in data["pictures"]:
        seen, ids = image_of(one["jpeg"]), image_of(one["ids"])
        assert (ids.mode, ids.size) == ("P", seen.size) and max(ids.size) <= 320
        grey = np.asarray(ids.convert("RGB"))
        np.testing.assert_array_equal(grey, np.asarray(ids)[..., None].repeat(3, 2))
        shares = np.bincount(np.asarray(ids).ravel(), minlength=3) / np.asarray(ids).size
        np.testing.assert_allclose(shares, np.array(one["pixels"]) / sum(one["pixels"]), atol=0.02)


@pytest.mark.parametrize("clusters", [2, 4, 16, 24, 255])
def test_ids_are_the_greys_of_an_indexed_png(clusters):
    ids = np.random.default_rng(0).integers(0, clusters, (61, 90))
    image = image_of(indexed_png(ids, clusters))
    np.testing.assert_array_equal(np.asarray(image), ids)
    np.testing.assert_array_equal(np.asarray(image.convert("RGB"))[..., 0], ids)
    assert max(image_of(indexed_png(ids.repeat(6, 0).repeat(6, 1), clusters)).size) == 320


def test_masks_have_the_names_that_were_given(head, tmp_path):
    picture().save(tmp_path / "a.png")
    arguments = (tmp_path / "a.png", "--head", head, "--size", SIZE)
    assert run(*arguments, "--out", tmp_path / "raw").exit_code == 0
    clusters = ids(tmp_path / "raw" / "a.png")
    assert set(np.unique(clusters)) == {0, 1, 2}
    names = names_csv(tmp_path / "names.csv", ["land", "void", "land"], head)
    out = tmp_path / "named"
    result = run(*arguments, "--out", out, "--names", names)
    assert result.exit_code == 0, result.output
    mask = ids(out / "a.png")
    assert set(np.unique(mask)) == {0, 255}
    (row,) = csv.DictReader((out / "shares.csv").open())
    assert list(row)[4:] == ["land", "void"]
    assert float(row["void"]) == pytest.approx(100 * (mask == 255).mean(), abs=1e-3)
    assert [line["name"] for line in csv.DictReader((out / "legend.csv").open())] == ["land", "void"]
    names_csv(names, ["land", "sea", "land"], head)
    assert "earlier" not in run(*arguments, "--out", out, "--names", names).stderr
    np.testing.assert_array_equal(ids(out / "a.png"), np.isin(clusters, 1))


def test_void_in_any_case_and_names_of_columns(head, tmp_path):
    picture().save(tmp_path / "a.png")
    (tmp_path / "names.csv").write_text("Cluster;Name\n0;mask\n1;Void\n2.0;width\n;\n")
    arguments = (tmp_path / "a.png", "--head", head, "--size", SIZE, "--names", tmp_path / "names.csv")
    result = run(*arguments, "--out", tmp_path / "named")
    assert result.exit_code == 0, result.output
    mask = ids(tmp_path / "named" / "a.png")
    assert set(np.unique(mask)) == {0, 1, 255}
    (row,) = csv.DictReader((tmp_path / "named" / "shares.csv").open())
    assert list(row) == ["image", "mask", "width", "height", "class mask", "class width", "void"]
    assert (row["mask"], row["width"]) == ("a.png", "96")
    for i, column in ((0, "class mask"), (1, "class width"), (255, "void")):
        assert float(row[column]) == pytest.approx(100 * (mask == i).mean(), abs=1e-3)
    table = pd.read_csv(tmp_path / "named" / "shares.csv")
    assert table["mask"].tolist() == ["a.png"]
    assert [line["name"] for line in csv.DictReader((tmp_path / "named" / "legend.csv").open())] == [
        *("mask", "width", "void")
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("cluster,name\n0,a\n1,b\n", "has 2 rows, and must have one for each cluster from 0 to 2"),
        ("cluster,name\n0,a\n1,b\n1,c\n", "has 3 rows, and must have one for each"),
        ("cluster,name\n0,a\n1, \n2,c\n", "clusters without a name: 1"),
        ("id;name\n0;a\n", "is no table with the columns cluster and name: there is no cluster"),
        ("cluster,name\nx,a\n", "line 2: the cluster 'x' is no whole number"),
        ("cluster;name\n0;void\n1;Void\n2; VOID\n", "calls every cluster void; give one of them another name"),
        ("cluster,name,head\n0,a,0\n1,b,0\n2,c,0\n", "names clusters of another head (0, this is "),
    ],
)
def test_names_that_do_not_fit_are_one_sentence(head, tmp_path, text, problem):
    (tmp_path / "names.csv").write_text(text)
    picture().save(tmp_path / "a.png")
    result = run(tmp_path / "a.png", "--head", head, "--out", tmp_path / "out", "--names", tmp_path / "names.csv")
    assert (result.exit_code, f"names.csv: {problem}" in result.stderr) == (1, True)
    assert not (tmp_path / "out").exists()


def test_a_head_that_no_fit_wrote_needs_pictures(head, photos, tmp_path):
    result = CliRunner().invoke(main, ["gallery", str(head), "--out", str(tmp_path / "g.html")])
    assert "not made by smooseg fit, so its pictures are not known; give IMAGES" in result.stderr
    (photos / "text.jpg").write_text("no picture")
    result = CliRunner().invoke(main, ["gallery", str(head), str(photos), "--out", str(tmp_path / "g.html")])
    assert (result.exit_code, "text.jpg: image does not decode" in result.stderr) == (1, True)
    assert (tmp_path / "g.html").is_file()  # of the others


TYPE = """(() => {
  const card = i => document.querySelector(`section[data-cluster="${i}"]`);
  const type = (i, name) => { const t = card(i).querySelector("input[type=text]"); t.value = name; t.dispatchEvent(new Event("input", {bubbles: true})); };
  type(0, " VOID "); const one = document.getElementById("classes").value;
  type(0, 'a "b", c'); type(2, "");
  card(1).querySelector("input[type=checkbox]").click();
  const first = document.querySelector("input[type=text]:not(:disabled)");
  first.focus();
  first.dispatchEvent(new KeyboardEvent("keydown", {key: "Enter", bubbles: true}));
  return [table(), document.getElementById("classes").value, document.activeElement === first, one];
})()"""


@pytest.mark.skipif(CHROMIUM is None, reason="no browser")
def test_the_page_works_on_a_phone_and_what_is_typed_is_saved(head, page, tmp_path):
    with Browser() as browser:
        for width in (360, 1200):
            assert problems(browser.look(page, width=width, dark=width == 360)) == []
        result = browser.ask("Runtime.evaluate", expression=TYPE, returnByValue=True)["result"]["value"]
    table, said, stayed, one = result
    assert (said, stayed, one) == ("2 classes", False, "2 classes")
    rows = list(csv.reader(io.StringIO(table)))
    digits = file_sha256(head)[:12]
    assert rows == [
        ["cluster", "name", "head"],
        ["0", 'a "b", c', digits],
        ["1", "void", digits],
        ["2", "cluster 2", digits],
    ]
