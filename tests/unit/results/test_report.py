"""The report as a reader meets it, on a phone and a desk, in light and dark."""

import html
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from smooseg.results.comparisons import comparison_table, read_best_states
from smooseg.results.report import Run, write_report
from smooseg.results.tables import class_table, score_table, summary_table
from smooseg.results.timing import stage_times
from tests.conftest import ROOT
from tests.support.browser import CHROMIUM, Browser, problems

CLASSES = ["sky", "a class with quite a long name", "car"]
METHODS = {"made_kmeans": "k-means", "made_smooseg": "SmooSeg"}
TABLE = {
    "title": "Made up",
    "seeds": [0, 1],
    "evaluate": ["raw", "crf"],
    "rows": [
        {"method": method, "experiment": name, "published": {}, "labels": "unknown", "pixels": "all"}
        for name, method in METHODS.items()
    ],
}


def made_results(folder: Path) -> Path:
    """A report of made-up scores, with figures and a CSV beside each."""
    rng = np.random.default_rng(0)
    places = [(e, seed, p) for e in METHODS for seed in (0, 1) for p in ("raw", "crf")]
    facts = {
        "dataset": "d",
        "backbone": "a_backbone_with_a_long_name",
        "head": "smooseg",
        "split": "val",
        "uses_labels": False,
        "merged_by_hand": False,
        "many_to_one_accuracy": 91.0,
        "many_to_one_miou": 51.0,
        "released_accuracy": 92.0,
        "released_miou": 52.0,
    }
    records = [
        {"experiment": e, "seed": seed, "postprocess": p, "accuracy": rng.uniform(40, 90), "miou": rng.uniform(20, 50)}
        | facts
        | {"iou": dict.fromkeys(CLASSES, 50.0)}
        for e, seed, p in places
    ]
    figures = [
        folder / "figures" / kind
        for kind in ("side_by_side/d.png", "class_scores/d.png", "confusion/made_kmeans-0.png")
    ]
    figures += [folder / "figures" / "sweeps" / "grid.png", folder / "figures" / "training_curves" / "made_smooseg.png"]
    for path in figures:
        path.parent.mkdir(parents=True, exist_ok=True)
        Figure((10, 3)).savefig(path)
        path.with_suffix(".csv").write_text("a\n1\n")
    (folder / "tables").mkdir()
    for name in ("mine", "scores", "summary", "class_iou", "times"):
        (folder / "tables" / f"{name}.csv").write_text("a\n1\n")
    (folder / "sweeps").mkdir()
    (folder / "sweeps" / "grid_criteria.csv").write_text("a\n1\n")
    history = pd.DataFrame([{"step": 10, "loss": 0.5, "clusters": 2, "steps_per_second": 3.0}])
    times = pd.DataFrame(
        [("train_head", 4, 30.5, 75.0, 900.0, 40, "steps", 1.3), ("refine_crf", 4, 10.2, 25.0, None, 0, "", None)]
    )
    times.columns = ["rule", "jobs", "seconds", "share", "memory_mb", "amount", "unit", "rate"]
    table = score_table(records)
    training = pd.DataFrame({"experiment": list(METHODS), "training_seconds": 90.0})
    criteria = pd.DataFrame(
        {"criterion": ["explained_variance"], "rank_accuracy": [0.5], "rank_miou": [0.9], "b1": [0.1]}
    )
    criteria = criteria.assign(accuracy_share=97.0, miou_share=94.0)
    weights = {
        "a_backbone": {"model": "m", "source": {"source": "hub", "path": None, "requirement": None}, "sha256": "0" * 64}
    }
    write_report(
        ROOT / "workflow/report/report.html.j2",
        Run(
            summary_table(table),
            class_table(records),
            {("made_smooseg", "0"): history},
            {"mine": comparison_table(TABLE, table, training, read_best_states([]), [])},
            {"grid": criteria},
            figures,
            sorted((ROOT / "workflow/report").glob("*.rst")),
            times,
            weights,
            {"run": "made", "tables": {"mine": TABLE}, "long": "x" * 500},
        ),
        folder / "report.html",
    )
    return folder / "report.html"


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Path:
    return made_results(tmp_path_factory.mktemp("results"))


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("no chromium on PATH (Debian: apt install chromium)")
    with Browser() as browser:
        yield browser


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_renders(browser, page, width, dark):
    seen = browser.look(page, width=width, dark=dark)
    assert problems(seen) == []
    assert (seen["images"], len(seen["tables"])) == (5, 6)
    assert (sum(map(int, re.findall(r"\d+", seen["colour"])[:3])) > 384) == dark  # light text on dark, dark on light
    assert (sum(map(int, re.findall(r"\d+", seen["background"])[:3])) < 384) == dark


def test_a_broken_page_does_not_pass(browser, tmp_path):
    page = tmp_path / "broken.html"
    page.write_text(
        '<!doctype html><meta name="viewport" content="width=device-width"><div style="width: 900px">wide</div>'
        '<img alt="gone" src="gone.png"><img alt="torn" src="data:image/png;base64,AAAA"><table><tr><th>a</th></tr></table>'
        "<table><tr><th>a</th></tr><tr><td>1</td><td>2</td></tr></table><script>console.error('said'); undefined.f()</script>"
    )
    found = "\n".join(problems(browser.look(page, width=390, dark=False)))
    for told in (
        "console: said",
        "exception: ",
        "does not load: gone",
        "does not load: torn",
        "[1] cells",
        "[1, 2] cells",
        "908 px wide in a window of 390",
    ):
        assert told in found


def test_scores_of_other_rules_have_columns_of_their_own(page):
    text = page.read_text("utf-8")
    assert "<th>accuracy, many to one</th><th>mIoU, many to one</th>" in text
    assert "<th>accuracy, as released</th><th>mIoU, as released</th>" in text
    assert "<td>91.0 ± 0.0</td><td>51.0 ± 0.0</td><td>92.0 ± 0.0</td><td>52.0 ± 0.0</td>" in text


def test_the_page_needs_nothing_else_and_its_links_lead_somewhere(page):
    text = page.read_text()
    links = re.findall(r'(?:href|src)="([^"]+)"', text)
    inside = set(re.findall(r'id="([^"]+)"', text))
    for link in links:
        if link.startswith("#"):
            assert link[1:] in inside
        elif not link.startswith("data:"):
            assert (page.parent / link).is_file(), link
    assert sum(link.endswith(".csv") for link in links) == 11  # five figures, five tables
    assert "http" not in text


def test_every_figure_says_how_to_read_it(page):
    shown = html.unescape(page.read_text())
    captions = {path.stem: path.read_text().split("\n\n", 1) for path in (ROOT / "workflow/report").glob("*.rst")}
    for kind in ("side_by_side", "class_scores", "confusion", "sweeps", "training_curves"):
        title, text = captions[kind]
        assert title in shown
        assert text.strip()[:40] in shown


def test_the_winner_is_named_first(page):
    text = page.read_text()
    assert text.index('id="winners"') < text.index("<table>") < text.index("<img")
    assert "d: best pixel accuracy (%): <b>made_" in text


def write_benchmark(root: Path, place: str, seconds: float, memory: str) -> None:
    path = root / "benchmarks" / "rules" / f"{place}.tsv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"s\th:m:s\tmax_rss\tmean_load\n{seconds}\t0:00:01\t{memory}\t50.0\n")


def test_times_sum_the_jobs_of_the_run_and_count_what_they_did(tmp_path):
    for place, seconds, memory in [
        ("make_tables", 1.0, "-"),
        ("extract_features/d/b/train/1-of-2", 4.0, "100.0"),
        ("extract_features/d/b/train/2-of-2", 6.0, "200.0"),
        ("train_head/e/0", 10.0, "300.0"),
        ("refine_crf/e/0", 5.0, "10.0"),
        ("train_head/of_another_run/0", 99.0, "1.0"),
    ]:
        write_benchmark(tmp_path, place, seconds, memory)
    (tmp_path / "manifests" / "d").mkdir(parents=True)
    for view, rows in (("train", 40), ("eval", 20)):
        pd.DataFrame({"mirror": [False, True] * (rows // 2)}).to_parquet(
            tmp_path / "manifests" / "d" / f"{view}.parquet"
        )
    (tmp_path / "experiments" / "e" / "0").mkdir(parents=True)
    pd.DataFrame({"step": [50, 200]}).to_parquet(tmp_path / "experiments" / "e" / "0" / "history.parquet")
    table = stage_times(tmp_path, {"d", "b", "e"}, {"e": {"dataset": "d"}}).set_index("rule")
    assert table["seconds"].to_dict() == {"extract_features": 10, "train_head": 10, "refine_crf": 5, "make_tables": 1}
    assert table["share"].sum() == pytest.approx(100)
    assert table.loc["extract_features", ["jobs", "memory_mb", "unit", "rate"]].tolist() == [2, 200, "views", 4]
    assert table.loc[["train_head", "refine_crf"], "rate"].tolist() == [20, 2]
    assert np.isnan(table.loc["make_tables", ["memory_mb", "rate"]].astype(float)).all()
