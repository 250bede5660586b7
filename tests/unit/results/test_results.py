"""Tables, figures, the report and the command that prints them."""

import json

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from PIL import Image

from smooseg.cli import main
from smooseg.results.comparisons import (
    CRITERIA,
    MEASURES,
    comparison_table,
    criteria_table,
    read_best_states,
    sweep_table,
)
from smooseg.results.plots.sweeps import plot_sweep
from smooseg.results.report import Run, write_report
from smooseg.results.rows import comparison, summary_rows, winners
from smooseg.results.tables import class_table, collect_scores, score_table, summary_table
from tests.conftest import ROOT, make_store

COLUMNS = [
    "experiment",
    "dataset",
    "backbone",
    "head",
    "seed",
    "split",
    "postprocess",
    "uses_labels",
    "merged_by_hand",
    "accuracy",
    "miou",
    "many_to_one_accuracy",
    "many_to_one_miou",
    "released_accuracy",
    "released_miou",
]


PUBLISHED = {"crf": {"accuracy": 63.2, "miou": None}}
TABLE = {
    "title": "Mine",
    "seeds": [0, 1],
    "evaluate": ["crf"],
    "rows": [
        {"method": "ours", "experiment": "e", "published": PUBLISHED, "labels": "checkpoint", "pixels": "all"},
        {"method": "theirs", "experiment": None, "published": PUBLISHED, "labels": "training", "pixels": "all"},
    ],
}


BEST = read_best_states([])  # no states were kept


@pytest.fixture
def records(tmp_path):
    paths = []
    for seed, accuracy in ((0, 60.0), (1, 64.0)):
        for postprocess in ("raw", "crf"):
            path = tmp_path / "experiments" / "e" / str(seed) / f"{postprocess}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps({"accuracy": accuracy, "miou": 20.0, "iou": {"sky": 80.0, "car": None}}))
            paths.append(str(path))
    experiments = {"e": {"dataset": "d", "backbone": "b", "head": "smooseg", "names": None}}
    return collect_scores(paths, experiments, {"e": "val"}, [])


def test_score_table_has_a_row_for_each_experiment_seed_and_postprocessing(records):
    table = score_table(records)
    assert list(table) == COLUMNS
    assert table[["seed", "postprocess"]].to_numpy().tolist() == [[0, "raw"], [0, "crf"], [1, "raw"], [1, "crf"]]


def test_summary_is_mean_and_spread_over_seeds(records):
    summary = summary_table(score_table(records))
    assert summary["accuracy"].tolist() == [62, 62]
    assert summary["accuracy_sd"].tolist() == pytest.approx([8**0.5] * 2)


def test_class_table_keeps_classes_that_never_occur(records):
    table = class_table(records)
    assert len(table) == 8
    assert table[table["class"] == "car"]["iou"].isna().all()


def test_the_best_state_by_labels_stands_in_a_column_of_its_own(records, tmp_path):
    for seed, miou in ((0, [10.0, 30.0, 20.0]), (1, [40.0, 30.0, 20.0])):
        path = tmp_path / "e" / str(seed) / "states.csv"
        path.parent.mkdir(parents=True)
        pd.DataFrame({"step": [5, 10, 15], "accuracy": [90.0, 50.0, 60.0], "miou": miou}).to_csv(path, index=False)
    (tmp_path / "k" / "0").mkdir(parents=True)
    (tmp_path / "k" / "0" / "states.csv").write_text("step,accuracy,miou\n")  # not trained in steps
    best = read_best_states([str(tmp_path / place / "states.csv") for place in ("e/0", "e/1", "k/0")])
    assert best[["step", "accuracy", "miou"]].to_numpy().tolist() == [[10, 50, 30], [5, 90, 40]]
    training = pd.DataFrame({"experiment": ["e", "e"], "training_seconds": [60.0, 120.0]})
    table = comparison_table(TABLE, score_table(records), training, best, [])
    assert table[["best_accuracy", "best_miou"]].iloc[0].tolist() == [70, 35]
    assert [row["chosen"] for row in comparison("mine", TABLE, table)["rows"]] == [
        ["70.0 ± 28.3", "35.0 ± 7.1"],
        ["", ""],
    ]
    without = comparison_table(TABLE, score_table(records), training, BEST, [])
    assert "best_miou" not in without
    assert [row["chosen"] for row in comparison("mine", TABLE, without)["rows"]] == [[], []]


def test_figures_that_leave_pixels_out_are_marked(records):
    training = pd.DataFrame({"experiment": ["e"], "training_seconds": [60.0]})
    rows = [row | {"pixels": "dropped", "labels": "checkpoint"} for row in TABLE["rows"]]
    table = comparison_table(TABLE | {"rows": rows}, score_table(records), training, BEST, [])
    assert comparison("mine", TABLE, table)["rows"][0]["cells"][0]["published"] == "63.2 ‡ ◊"


def test_comparison_sets_ours_beside_published(records):
    training = pd.DataFrame({"experiment": ["e", "e"], "training_seconds": [60.0, 120.0]})
    table = comparison_table(TABLE, score_table(records), training, BEST, [])
    ours, theirs = table.to_dict("records")
    assert (ours["crf_accuracy"], ours["crf_published_accuracy"], ours["training_seconds"]) == (62, 63.2, 90)
    assert ours["crf_accuracy_sd"] == pytest.approx(8**0.5)
    assert np.isnan(theirs["crf_accuracy"])
    assert (theirs["seeds"], theirs["crf_published_accuracy"]) == (0, 63.2)
    shown = comparison("mine", TABLE, table)
    assert [row["cells"][0]["best"] for row in shown["rows"]] == [True, False]
    by_hand = comparison("mine", TABLE, comparison_table(TABLE, score_table(records), training, BEST, [], ["e"]))
    assert [(row["method"], row["cells"][0]["best"]) for row in by_hand["rows"]] == [
        ("ours ¶", False),
        ("theirs", False),
    ]
    labelled = comparison_table(TABLE, score_table(records), training, BEST, ["e"])
    assert not any(cell["best"] for row in comparison("mine", TABLE, labelled)["rows"] for cell in row["cells"])


@pytest.mark.parametrize(("first", "second"), [("b1", None), ("b1", "clusters"), ("precision", None)])
def test_a_sweep_is_drawn_as_curves_or_heat_maps(tmp_path, first, second):
    varied = [first] if second is None else [first, second]
    points = {f"e@{a},{b}": {first: a, "clusters": b} for a in ("x", None) for b in (3, 4)}
    places = [{"experiment": name, "seed": seed} for name in points for seed in (0, 1)]
    scores = pd.DataFrame(places).assign(postprocess="raw", accuracy=50.0, miou=20.0)
    measures = pd.DataFrame(places).assign(**dict.fromkeys(MEASURES, 0.5))
    table = sweep_table(points, scores, pd.DataFrame(places).assign(clusters_used=3), measures)
    assert len(table) == 8
    assert set(table[first]) == {"x", "null"}
    plot_sweep(table, varied, "title", tmp_path / "sweep.png")
    assert Image.open(tmp_path / "sweep.png").width > 600


def test_a_criterion_is_judged_by_the_order_it_gives_the_points(tmp_path):
    rows = [
        {"b1": b1, "seed": seed, "accuracy": 10.0 * b1 + seed, "miou": 5.0 * b1, **dict.fromkeys(CRITERIA, 0.5)}
        for b1 in range(5)
        for seed in (0, 1)
    ]
    table = pd.DataFrame(rows).assign(explained_variance=lambda t: t.b1, cluster_entropy=lambda t: -t.b1)
    found = criteria_table(table.assign(delta_within=None), ["b1"]).set_index("criterion")
    assert found.index[0] == "explained_variance"
    assert tuple(found.loc["explained_variance", ["rank_accuracy", "rank_miou", "b1", "miou_share"]]) == (1, 1, 4, 100)
    assert tuple(found.loc["cluster_entropy", ["rank_miou", "b1", "miou_share"]]) == (-1, 0, 0)
    assert np.isnan(found.loc["mirror_agreement", "rank_miou"])  # the same everywhere
    assert "delta_within" not in found.index


def test_a_run_of_sweeps_alone_has_empty_tables_and_a_report(tmp_path):
    table = score_table([])
    config = {"run": "sensitivity", "tables": {}}
    page = tmp_path / "report.html"
    template, summary, classes = ROOT / "workflow/report/report.html.j2", summary_table(table), class_table([])
    write_report(template, Run(summary, classes, {}, {}, {}, [], [], pd.DataFrame(), {}, config), page)
    assert "sensitivity" in page.read_text()


def test_what_saw_labels_is_marked_and_no_competitor_in_the_report(records, tmp_path):
    figure = tmp_path / "segmentations" / "e-0.png"
    figure.parent.mkdir()
    Image.new("RGB", (8, 8)).save(figure)
    table = score_table(records)
    history = pd.DataFrame([{"step": 10, "loss": 0.5, "clusters": 2, "steps_per_second": 3.0}])
    compared = comparison_table(TABLE, table, pd.DataFrame(columns=["experiment", "training_seconds"]), BEST, ["e"])
    write_report(
        ROOT / "workflow/report/report.html.j2",
        Run(
            summary_table(table.assign(uses_labels=True)),
            class_table(records),
            {("e", "0"): history},
            {"mine": compared},
            {},
            [figure],
            [ROOT / "workflow/report/segmentations.rst"],
            pd.DataFrame(),
            {},
            {"run": "<script>", "tables": {"mine": TABLE}},
        ),
        tmp_path / "report.html",
    )
    page = (tmp_path / "report.html").read_text()
    assert "62.0 ± 2.8" in page
    assert '<td class="published">63.2 ‡</td>' in page  # of ours
    assert '<td class="published">63.2 §</td>' in page  # of a method without ours
    assert "ours †" in page
    for place in ("<td>e †</td>", "<th>e † · raw</th>", "<td>e †, seed 0</td>"):
        assert place in page
    assert 'class="best"' not in page
    assert 'id="winners"' not in page
    assert 'src="data:image/png;base64,' in page
    assert "<script>" not in page
    assert "http" not in page.replace("http-equiv", "")


def test_winners_are_the_best_without_labels_and_who_is_next():
    summary = pd.DataFrame(
        [
            ("a", "raw", 60.0, 1.0, 30.0, False),
            ("a", "crf", 62.0, 1.0, 29.0, False),
            ("b", "raw", 55.0, np.nan, 31.0, False),
            ("with labels", "raw", 90.0, 0.1, 80.0, True),
        ],
        columns=["experiment", "postprocess", "accuracy", "accuracy_sd", "miou", "uses_labels"],
    ).assign(dataset="d", miou_sd=0.5, merged_by_hand=False)
    accuracy, miou = winners(summary)
    assert (accuracy["first"], accuracy["second"]) == ("a with CRF, 62.0 ± 1.0", "b without CRF, 55.0")
    assert (miou["first"], miou["second"]) == ("b without CRF, 31.0 ± 0.5", "a without CRF, 30.0 ± 0.5")


def test_what_was_merged_by_hand_is_marked_and_no_competitor():
    row = {"dataset": "d", "postprocess": "raw", "uses_labels": False, "accuracy_sd": np.nan, "miou_sd": np.nan}
    row |= dict.fromkeys(["many_to_one_accuracy", "many_to_one_miou", "released_accuracy", "released_miou"], np.nan)
    row["miou"] = 50.0
    given = [("a", 60.0, False), ("a merged", 70.0, True)]
    summary = pd.DataFrame([row | {"experiment": e, "accuracy": a, "merged_by_hand": m} for e, a, m in given])
    assert [(r["experiment"], r["best_accuracy"]) for r in summary_rows(summary)] == [
        ("a", True),
        ("a merged ¶", False),
    ]
    assert {best["first"] for best in winners(summary)} == {"a without CRF, 60.0", "a without CRF, 50.0"}


def test_the_command_prints_the_table_or_says_what_to_run(records, tmp_path):
    runner = CliRunner()
    missing = runner.invoke(main, ["scores", "--results", str(tmp_path)])
    assert missing.exit_code == 1
    assert "run snakemake --cores all first" in missing.output
    (tmp_path / "tables").mkdir()
    score_table(records).to_csv(tmp_path / "tables" / "scores.csv", index=False)
    printed = runner.invoke(main, ["scores", "--results", str(tmp_path)])
    assert printed.exit_code == 0
    assert "64.0" in printed.output
    assert "many_to_one" not in printed.output  # no head has more clusters than classes
    assert "released" not in printed.output
    assert "report.html" in printed.output


def test_cache_commands(tmp_path):
    path = tmp_path / "features.zarr"
    make_store(path, np.random.default_rng(0).normal(size=(40, 4, 8)).astype(np.float16), block=9)
    runner = CliRunner()
    info = json.loads(runner.invoke(main, ["cache", "info", str(path)]).output)
    assert (info["shape"], info["complete"], info["provenance"]["block"]) == ([40, 4, 8], True, 9)
    assert info["bytes_in_memory"] == 40 * 4 * 8 * 2
    whole = runner.invoke(main, ["cache", "verify", str(path)])
    assert (whole.exit_code, whole.output.strip()) == (0, f"{path}: 3 chunks of 40 views are whole")
    chunk = path / "c.1.0.0"
    chunk.write_bytes(b"x" + chunk.read_bytes()[1:])
    (path / "c.2.0.0").unlink()
    broken = runner.invoke(main, ["cache", "verify", str(path)])
    assert broken.exit_code == 1
    assert "chunk 1 is damaged" in broken.output
    assert "chunk 2 is missing" in broken.output
    nothing = runner.invoke(main, ["cache", "info", str(tmp_path / "none.zarr")])
    assert nothing.exit_code == 1
    assert "there is no store" in nothing.output
