"""The gallery of a head with a merge tree: slide, split, merge, undo, name, save, and the masks that follow."""

import csv
import io
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from click.testing import CliRunner
from PIL import Image

from smooseg.cli import main
from smooseg.evaluation.prediction import predict_labels
from smooseg.features.backbones import Backbone
from smooseg.features.provenance import file_sha256
from smooseg.features.store import open_store
from smooseg.heads import load_head, save_head
from smooseg.heads.smooseg_plus import SmooSegPlusHead
from smooseg.heads.smooseg_plus.tree import chain
from smooseg.pictures.output.gallery import page_data, write_page
from smooseg.pictures.output.typical import Example, Picture, Seen, indexed_png, jpeg
from smooseg.results.plots.palette import class_palette
from tests.conftest import TINY_MODEL, make_store
from tests.support.browser import CHROMIUM, Browser, problems
from tests.support.gallery import data_of, names_csv
from tests.support.segmenting import NEEDS, PATCH, SIZE, ids, picture, run

FINEST, CLUSTERS = 6, 3
MERGES = [[2, 5], [1, 4], [0, 3], [6, 8], [7, 9]]  # the cut of three: 0 3, 1 4, 2 5; of two: 0 2 3 5, 1 4


@pytest.fixture(scope="module")
def head(tmp_path_factory, tiny_checkpoint):
    """A head with a tree above six kinds of patches of the picture, at its cut of three, where the workflow puts it."""
    folder = tmp_path_factory.mktemp("tree")
    weights = folder / "results" / "weights" / "tiny.safetensors"
    weights.parent.mkdir(parents=True)
    weights.write_bytes(tiny_checkpoint.read_bytes())
    backbone = Backbone(TINY_MODEL, 3, False, "float32").load(weights).prepare(SIZE, torch.device("cpu"))
    patches = backbone(torch.from_numpy(np.asarray(picture(SIZE, SIZE)).copy())[None])[0]
    model = SmooSegPlusHead(64, CLUSTERS, {"partitions": 1, "dimensions": None})
    model.hold(FINEST, tree=True)
    model.mean.copy_(patches.mean(0))
    model.projection.copy_(torch.eye(64))
    model.weights.copy_(F.normalize(model.embed(patches), dim=-1)[[0, 7, 13, 1, 4, 10]])
    model.merges.copy_(torch.tensor(MERGES))
    needs = NEEDS | {"weights_sha256": file_sha256(weights), "patch": PATCH, "size": 32, "channels": 64}
    path = folder / "results" / "experiments" / "tree" / "0" / "head.safetensors"
    path.parent.mkdir(parents=True)
    save_head(model, "smooseg_plus", {"dataset": "tiny", "backbone": "tiny", "features": needs}, path)
    return path


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    path = tmp_path_factory.mktemp("photos") / "a.png"
    picture().save(path)
    return path


@pytest.fixture(scope="module")
def page(head, photo):
    return make_page(head, photo, "--out", head.with_name("gallery.html"))


def make_page(head, *arguments):
    result = CliRunner().invoke(main, ["gallery", str(head), *map(str, arguments)])
    assert result.exit_code == 0, result.output
    return Path(result.stdout.strip())


@pytest.fixture(scope="module")
def window():
    if CHROMIUM is None:
        pytest.skip("no browser")
    with Reader() as reader:
        yield reader


@pytest.fixture
def reader(window, page):
    """The page as it opens, at a desk."""
    return window.open(page)


class Reader(Browser):
    """A browser with the page open, and a person at it."""

    def open(self, page, width=1280):
        self.js("try { saved = table() } catch {}")  # so that the page before lets itself be left
        assert problems(self.look(page, width=width, dark=False)) == []
        return self

    def js(self, expression):
        answer = self.ask("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def press(self, key, code=0, modifiers=0):
        for kind in ("rawKeyDown", "keyUp"):
            self.ask("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code, modifiers=modifiers)

    def clusters(self):
        """Finest clusters of each cluster on the page, by its number."""
        found = self.js("Object.fromEntries(state.clusters.map(node => [number(node), nodes[node].leaves]))")
        return {int(number): sorted(leaves) for number, leaves in found.items()}

    def shown(self):
        """Numbers of the cards, their shares and colours."""
        return self.js("""[...document.querySelectorAll("section")].map(card => [Number(card.dataset.cluster),
            card.querySelector(".share").textContent, getComputedStyle(card).borderLeftColor])""")

    def click(self, number, what):
        self.js(f"document.querySelector('section[data-cluster=\"{number}\"] {what}').click()")

    def type(self, number, name):
        self.js(f"document.querySelector('section[data-cluster=\"{number}\"] input[type=text]').focus()")
        self.ask("Input.insertText", text=name)

    def names(self):
        rows = list(csv.reader(io.StringIO(self.js("table()"))))
        assert rows[0] == ["cluster", "name", "head"] and [row[0] for row in rows[1:]] == [*map(str, range(FINEST))]
        return [row[1] for row in rows[1:]]


def test_the_page_begins_at_the_cut_of_the_head(head, page):
    data = data_of(page)
    assert (data["merges"], data["start"]) == (MERGES, [[0, 3], [1, 4], [2, 5]])
    assert data["names"] == ["cluster 0", "cluster 1", "cluster 2"]
    assert len(data["pixels"]) == len(data["palette"]) == len(data["patches"]) == FINEST
    assert len({tuple(colour) for colour in data["palette"]}) == FINEST
    assert "http" not in page.read_text()


def test_the_slider_goes_through_all_cuts_by_keys(reader, head):
    model, _ = load_head(head)
    before = reader.shown()
    reader.js("document.getElementById('count').focus()")
    for clusters in (4, 5, 6):
        reader.press("ArrowRight", 39)
        groups = model.groups(clusters)
        assert reader.clusters() == {k: np.flatnonzero(groups == k).tolist() for k in range(clusters)}
        assert reader.js("document.getElementById('count').ariaValueText") == f"{clusters} clusters"
    shares = [float(share.split()[0]) for _, share, _ in reader.shown()]
    assert sum(shares) == pytest.approx(100, abs=0.3)
    colours = {number: colour for number, _, colour in reader.shown()}
    assert len(set(colours.values())) == FINEST
    assert all(colours[number] == colour for number, _, colour in before)  # clusters that stay keep theirs
    for _ in range(4):
        reader.press("ArrowLeft", 37)
    assert reader.clusters() == {0: [0, 2, 3, 5], 1: [1, 4]}
    reader.js("undo()")  # one slide, whatever its way
    assert reader.shown() == before


PAINTED = """(async () => {
  const canvas = document.querySelector("#whole canvas");
  await paint(canvas);
  const map = await canvas.picture.map;
  const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  return [map.width, [...map.ids], [...pixels].filter((_, i) => i % 4 === 0)];
})()"""


def test_whole_pictures_take_the_colours_of_the_clusters(reader, page):
    colours = np.array(data_of(page)["palette"])
    for cut, numbers in ((3, [0, 1, 2, 0, 1, 2]), (6, range(6)), (2, [0, 1, 0, 0, 1, 0])):
        reader.js(f"slide({cut})")
        width, finest, red = reader.js(PAINTED)
        finest, red = (np.array(values).reshape(-1, width) for values in (finest, red))
        assert set(np.unique(finest)) <= set(range(FINEST)) and len(np.unique(finest)) > 2
        wanted = colours[np.array(numbers)[finest], 0]
        assert (np.abs(red - wanted) <= 2).mean() > 0.7  # the rest are borders and numbers


def test_split_merge_undo_and_redo(reader):
    start = reader.clusters()
    reader.click(0, ".split")
    assert reader.clusters() == {0: [0], 1: [1, 4], 2: [2, 5], 3: [3]}
    assert reader.js("document.getElementById('said').value") == "Cluster 0 is split into 0 and 3."
    assert reader.js("document.querySelector('section[data-cluster=\"0\"] .split').disabled")
    reader.click(3, ".merge")  # the sister is chosen first
    assert reader.clusters() == start
    assert reader.js("[...document.querySelector('section[data-cluster=\"0\"] select').options].map(o => o.text)") == [
        *("cluster 2 (sister)", "cluster 1")
    ]
    reader.js("document.querySelector('section[data-cluster=\"2\"] select').selectedIndex = 1")
    reader.click(2, ".merge")  # with another one
    assert reader.clusters() == {0: [0, 3], 1: [1, 2, 4, 5]}
    reader.click(1, ".split")
    assert reader.clusters() == start
    for _ in range(2):
        reader.press("z", 90, modifiers=2)
    assert reader.clusters() == start
    reader.press("z", 90, modifiers=2 | 8)
    assert reader.clusters() == {0: [0, 3], 1: [1, 2, 4, 5]}
    for _ in range(9):
        reader.js("document.getElementById('undo').click()")
    assert reader.clusters() == start and reader.js("document.getElementById('undo').disabled")


def test_names_stay_with_clusters_and_unnamed_groups_get_one(reader):
    reader.type(0, "land")
    reader.click(2, "input[type=checkbox]")
    assert reader.names() == ["land", "cluster 1", "void", "land", "cluster 1", "void"]
    reader.js("slide(4)")
    reader.type(3, "sea")
    assert reader.names() == ["land", "cluster 1", "void", "sea", "cluster 1", "void"]
    reader.js("slide(3)")
    assert reader.names() == ["land", "cluster 1", "void", "land", "cluster 1", "void"]
    reader.js("slide(5)")
    assert reader.names() == ["land", "cluster 1", "void", "sea", "cluster 4", "void"]
    reader.click(4, ".merge")
    assert reader.names() == ["land", "cluster 1", "void", "sea", "cluster 1", "void"]


def test_all_of_it_goes_by_keyboard_on_a_phone(reader, page):
    reader.open(page, width=390)
    named = reader.js("""[...document.querySelectorAll("button, input, select, #whole")]
        .filter(one => !(one.ariaLabel || one.textContent.trim() || one.closest("label"))).map(one => one.outerHTML)""")
    assert named == []
    reader.js("document.body.focus()")
    seen = []
    for _ in range(16):
        reader.press("Tab", 9)
        seen.append(reader.js("document.activeElement.id || document.activeElement.ariaLabel || ''"))
    wanted = ["count", "save", "whole", "name of cluster 0", "cluster 0 is void", "split cluster 0"]
    assert [one for one in seen if one in wanted] == wanted
    small = reader.js("""[...document.querySelectorAll("button, select, input[type=text]")]
        .filter(one => one.getBoundingClientRect().height < 32 || one.getBoundingClientRect().right > 390).length""")
    assert small == 0


def test_masks_follow_from_what_was_saved(reader, head, tmp_path):
    reader.ask("Page.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path / "downloads"))
    reader.js("slide(6)")
    reader.js("document.querySelector('section[data-cluster=\"5\"] select').value = 4")
    reader.click(5, ".merge")
    reader.type(0, "bright")
    reader.press("s", 83, modifiers=2)
    names = tmp_path / "downloads" / "names.csv"
    for _ in range(100):
        if names.is_file():
            break
        time.sleep(0.1)
    picture().save(tmp_path / "a.png")
    arguments = (tmp_path / "a.png", "--head", head, "--size", SIZE)
    one_each = names_csv(tmp_path / "finest.csv", [f"part {i}" for i in range(FINEST)], head)
    assert run(*arguments, "--out", tmp_path / "finest", "--names", one_each).exit_code == 0
    result = run(*arguments, "--out", tmp_path / "named", "--names", names)
    assert result.exit_code == 0, result.output
    legend = [line["name"] for line in csv.DictReader((tmp_path / "named" / "legend.csv").open())]
    assert legend == ["bright", "cluster 1", "cluster 2", "cluster 3", "cluster 4"]
    finest, mask = ids(tmp_path / "finest" / "a.png"), ids(tmp_path / "named" / "a.png")
    assert len(np.unique(finest)) > 3
    np.testing.assert_array_equal(mask, np.array([0, 1, 2, 3, 4, 4])[finest])
    data = data_of(
        make_page(head, tmp_path / "a.png", "--names", names, "--out", tmp_path / "g.html")
    )  # and the page goes on from there
    assert sorted(zip(data["start"], data["names"], strict=True)) == [
        *(([0], "bright"), ([1], "cluster 1"), ([2], "cluster 2"), ([3], "cluster 3"), ([4, 5], "cluster 4"))
    ]


def test_names_of_a_cut_do_as_well(head, tmp_path):
    picture().save(tmp_path / "a.png")
    arguments = (tmp_path / "a.png", "--head", head, "--size", SIZE)
    finest = names_csv(tmp_path / "finest.csv", list("abcabc"), head)
    cut = names_csv(tmp_path / "cut.csv", list("abc"), head)
    for name, path in (("finest", finest), ("cut", cut)):
        assert run(*arguments, "--out", tmp_path / name, "--names", path).exit_code == 0
    np.testing.assert_array_equal(ids(tmp_path / "finest" / "a.png"), ids(tmp_path / "cut" / "a.png"))
    result = run(*arguments, "--out", tmp_path / "out", "--names", names_csv(tmp_path / "n.csv", list("abcd"), head))
    said = "has 4 rows, and must have one for each cluster from 0 to 2, or for each finest one from 0 to 5"
    assert (result.exit_code, said in result.stderr) == (1, True)
    data = data_of(make_page(head, tmp_path / "a.png", "--names", cut, "--out", tmp_path / "g.html"))
    assert (data["start"], data["names"]) == ([[0, 3], [1, 4], [2, 5]], list("abc"))


def test_maps_of_the_workflow_are_of_the_clusters_that_have_names(head, tmp_path):
    features = np.random.default_rng(0).normal(size=(4, (SIZE // PATCH) ** 2, 64)).astype(np.float16)
    make_store(tmp_path / "f.zarr", features, size=SIZE, manifest_sha256="")
    maps = {}
    for named in (None, CLUSTERS, FINEST):
        path = tmp_path / f"{named}.zarr"
        predict_labels(open_store(tmp_path / "f.zarr", {}), head, path, code="", named=named)
        maps[named] = open_store(path, {"named": named}).read(0, 2)
    assert len(np.unique(maps[FINEST])) > CLUSTERS
    for named in (None, CLUSTERS):
        np.testing.assert_array_equal(maps[named], np.array([0, 1, 2, 0, 1, 2])[maps[FINEST]])


@pytest.fixture
def large(tmp_path):
    """A page of 24 clusters and 150 views with fine grain and many borders."""
    rng, seen, finest = np.random.default_rng(0), Seen(24), 24
    for _ in range(150):
        grain = rng.integers(-12, 12, (320, 426, 3))
        scene = Image.fromarray(rng.integers(0, 255, (24, 32, 3), np.uint8)).resize((426, 320))
        coarse = Image.fromarray(rng.integers(0, 255, (12, 16), np.uint8))
        ids = np.asarray(coarse.resize((426, 320))).astype(int) * finest // 256
        view, counts = (
            np.clip(np.asarray(scene) + grain, 0, 255).astype(np.uint8),
            np.bincount(ids.ravel(), None, finest),
        )
        seen.pixels += counts
        seen.pictures.append(Picture("a.png", jpeg(view), indexed_png(ids, finest), counts.tolist()))
    seen.patches = [[Example(0, jpeg(view[i : i + 70, :70])) for i in range(seen.each)] for _ in range(finest)]
    numbers = list(range(finest))
    data = {"head": "0" * 12, "palette": class_palette(finest)[:finest].tolist(), "merges": chain(finest).tolist()}
    start = {"start": [[i] for i in numbers], "names": [f"cluster {i}" for i in numbers]}
    write_page(data | start | page_data(seen), 150, tmp_path / "large.html")
    return tmp_path / "large.html"


def test_24_clusters_and_100_pictures_are_below_10_mb_and_follow_at_once(large, window):
    assert len(data_of(large)["pictures"]) == 100
    assert large.stat().st_size < 8e6
    window.open(large)
    seconds = window.js("(() => { const began = performance.now(); slide(9); return performance.now() - began; })()")
    assert seconds < 2000 and len(window.clusters()) == 9
