"""The suite's tables: means, ranks, wins and spread, what is chosen on other sets, and which ranks differ."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.stats import chi2

from smooseg.results.plots.ranks import NOTHING, plot_ranks, verdict
from smooseg.results.suite.page import suite_view
from smooseg.results.suite.ranks import compare_all, compare_ranks, critical_difference, groups_of, rank_rows
from smooseg.results.suite.tables import ANY, ONE_CLASS, fit_table, leave_one_out, rank_scores, summary_table

TITLES = {"a": "A", "b": "B", "linear": "linear probe"}
SOURCE = {"git": "https://example.org/y", "url": None, "licence": "research", "citation": ""}
CONFUSION = [[6, 1, 0], [0, 2, 1]]  # 10 pixels, 6 of class 0


def write(folder: Path, scores: dict[tuple[str, str, str], list[float]]) -> tuple[list[str], dict[str, dict]]:
    """Score files of (set, head, preset): one seed for each accuracy; mIoU is half of it. Their paths, and the members."""
    paths, members = [], {}
    for (place, head, preset), values in scores.items():
        name = f"suite@{place},{head},{preset}"
        members[name] = {"dataset": place, "head": head, "preset": preset}
        for seed, value in enumerate(values):
            path = folder / name / str(seed) / "raw.json"
            path.parent.mkdir(parents=True)
            path.write_text(json.dumps({"accuracy": value, "miou": value / 2, "confusion": CONFUSION}), "utf-8")
            paths.append(str(path))
    return paths, members


def tables(folder: Path, scores: dict) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Fits and their summary, by method."""
    fits, constant = fit_table(*write(folder, scores), TITLES)
    return fits, summary_table(fits, constant).set_index("method")


TWO = {
    ("x", "a", "small"): [50, 60],
    ("x", "b", "small"): [40, 40],
    ("x", "linear", "default"): [90, 90],
    ("y", "a", "small"): [30, 30],
    ("y", "b", "small"): [70, 70],
    ("y", "linear", "default"): [95, 95],
}


def test_seeds_are_averaged_and_references_have_no_rank(tmp_path):
    fits, table = tables(tmp_path, TWO)
    assert len(fits) == 12
    assert list(table.index) == ["A", "B", "linear probe", ONE_CLASS]
    assert table.loc["A", ["accuracy:x", "miou:x", "accuracy", "sets", "seeds"]].tolist() == [55, 27.5, 42.5, 2, 2]
    assert table.loc["A", ["accuracy_rank", "accuracy_wins"]].tolist() == [1.5, 1]
    assert table.loc["A", ["accuracy_spread", "accuracy_spread_largest"]].tolist() == pytest.approx(
        [np.sqrt(50) / 2, np.sqrt(50)]
    )
    assert table.loc["linear probe", "accuracy"] == 92.5
    assert table.loc[["linear probe", ONE_CLASS], ["accuracy_rank", "accuracy_wins"]].isna().all(axis=None)


def test_one_class_everywhere_is_the_share_of_the_most_frequent_class(tmp_path):
    _, table = tables(tmp_path, TWO)
    assert table.loc[ONE_CLASS, ["accuracy:x", "miou:x"]].tolist() == pytest.approx([60, 20])  # IoU 60, 0 and 0
    assert table.loc[ONE_CLASS, "seeds"] == 0


def test_equal_scores_share_their_rank_and_all_win(tmp_path):
    same = {("x", "a", "small"): [50.001], ("x", "b", "small"): [50.0]}
    _, table = tables(tmp_path, same)
    assert table.loc[["A", "B"], "accuracy_rank"].tolist() == [1.5, 1.5]
    assert table.loc[["A", "B"], "accuracy_wins"].tolist() == [1, 1]
    assert table["accuracy_spread"].isna().all()  # one seed


def test_a_missing_score_is_empty_and_its_set_has_no_ranks(tmp_path):
    lacking = {key: values for key, values in TWO.items() if key[:2] not in (("y", "linear"), ("y", "b"))}
    fits, table = tables(tmp_path, lacking)
    assert np.isnan(table.loc["linear probe", "accuracy:y"])
    assert np.isnan(table.loc["linear probe", "accuracy"])  # a mean of other sets would not compare
    assert table["sets"].to_dict() == {"A": 2, "B": 1, "linear probe": 1, ONE_CLASS: 2}
    assert table.loc[["A", "B"], "accuracy_rank"].tolist() == [1, 2]  # on x alone
    assert compare_all(fits)["accuracy without CRF"].sets == 1


def test_ranks_are_by_set_and_the_largest_score_is_first():
    means = pd.DataFrame({"x": [3.0, 1.0, 2.0], "y": [1.0, 1.0, 5.0], "z": [np.nan, 1.0, 1.0]}, index=["a", "b", "c"])
    assert rank_scores(means).to_dict("list") == {"x": [1, 3, 2], "y": [2.5, 2.5, 1]}


PRESETS = {
    ("x", "a", "small"): [50],
    ("x", "a", "default"): [60],
    ("x", "b", "small"): [10],
    ("y", "a", "small"): [52],
    ("y", "a", "default"): [40],
    ("y", "b", "small"): [90],
    ("z", "a", "small"): [50],
    ("z", "a", "default"): [55],
    ("z", "b", "small"): [20],
}


def test_presets_are_chosen_on_the_other_sets_and_scored_on_the_one_left_out(tmp_path):
    fits, table = tables(tmp_path, PRESETS)
    assert set(table.index) == {"A, small", "A, default", "B", ONE_CLASS}
    found = leave_one_out(fits)
    of_a = found[(found["head"] == "a") & (found["score"] == "accuracy")].set_index("set")
    assert of_a["chosen"].to_dict() == {"x": "A, small", "y": "A, default", "z": "A, small"}
    assert of_a["chosen_score"].tolist() == [50, 40, 50]
    assert of_a["best_score"].tolist() == [60, 52, 55]
    assert set(found["head"]) == {"a", ANY}  # b has one preset
    of_all = found[(found["head"] == ANY) & (found["score"] == "miou")].set_index("set")
    assert of_all.loc["x", ["chosen", "chosen_score", "best"]].tolist() == ["B", 5, "A, default"]


@pytest.mark.parametrize("scores", [{key: PRESETS[key] for key in list(PRESETS)[:3]}, {("x", "a", "small"): [1]}])
def test_one_set_leaves_nothing_to_choose_on(tmp_path, scores):
    found = leave_one_out(fit_table(*write(tmp_path, scores), TITLES)[0])
    assert found.empty
    assert "chosen" in found


# ranks


def made_ranks(order: list[str], sets: int) -> pd.DataFrame:
    """Ranks of methods that come in the same order on every set."""
    return pd.DataFrame({f"set{i}": range(1, len(order) + 1) for i in range(sets)}, index=order).astype(float)


def test_the_critical_difference_is_demsars():
    # Demšar 2006: q 2.569 for 4 methods (table 5a), CD 1.25 on 14 sets (section 3.2.4); q 1.960 for two
    assert critical_difference(4, 14) == pytest.approx(2.569 * np.sqrt(4 * 5 / (6 * 14)), abs=1e-3)
    assert critical_difference(2, 10) == pytest.approx(1.960 * np.sqrt(2 * 3 / (6 * 10)), abs=1e-3)


def test_friedmans_test_follows_its_formula():
    """Demšar 2006, section 3.2.2: 12 n / (k (k + 1)) (sum of squared mean ranks - k (k + 1)^2 / 4), k - 1 degrees."""
    rng = np.random.default_rng(0)
    ranks = pd.DataFrame({i: rng.permutation(4) + 1.0 for i in range(14)}, index=list("abcd"))
    means = ranks.mean(axis=1)
    statistic = 12 * 14 / (4 * 5) * ((means**2).sum() - 4 * 25 / 4)
    found = compare_ranks(ranks)
    assert found.p == pytest.approx(chi2.sf(statistic, 3))
    assert found.sets == 14
    assert found.ranks.to_dict() == means.to_dict()
    assert found.ranks.is_monotonic_increasing


def test_groups_are_the_longest_runs_that_are_nearer_than_the_difference():
    means = pd.Series({"a": 1.0, "b": 1.5, "c": 2.4, "d": 4.0, "e": 6.0})
    assert groups_of(means, 1.0) == [["a", "b"], ["b", "c"]]
    assert groups_of(means, 1.7) == [["a", "b", "c"], ["c", "d"]]
    assert groups_of(means, 0.1) == []
    assert groups_of(means, 9.0) == [list(means.index)]


def test_a_clear_order_on_many_sets_differs_and_one_on_few_cannot():
    many, few = (compare_ranks(made_ranks(["a", "b", "c"], sets)) for sets in (30, 2))
    assert many.p < 1e-9
    assert many.groups == []
    assert not many.undecidable
    assert few.undecidable
    assert few.groups == [["a", "b", "c"]]
    assert "no two methods can differ" in verdict(few)
    assert "Friedman" in verdict(many)


def test_ties_alone_and_two_methods_have_no_p():
    tied = compare_ranks(made_ranks(["a", "b", "c"], 20) * 0 + 2)
    assert np.isnan(tied.p)
    assert tied.groups == [["a", "b", "c"]]
    assert verdict(tied) == "Friedman p none, all are tied: no method differs significantly"
    two = compare_ranks(made_ranks(["a", "b"], 20))
    assert np.isnan(two.p)
    assert two.groups == []


def test_rows_behind_the_figure_name_those_that_a_method_does_not_differ_from():
    rows = rank_rows({"accuracy": compare_ranks(made_ranks(["a", "b", "c"], 6))}).set_index("method")
    assert rows["alike"].to_dict() == {"a": "b", "b": "a; c", "c": "b"}
    assert rows["mean_rank"].tolist() == [1, 2, 3]


@pytest.mark.parametrize("sets", [1, 12])
def test_the_figure_has_a_dot_for_each_method_and_a_bar_for_each_group(tmp_path, monkeypatch, sets):
    drawn = []
    monkeypatch.setattr("smooseg.results.plots.ranks.Figure.savefig", lambda self, path: drawn.append(self))
    found = {"accuracy": compare_ranks(made_ranks(list("abcde"), sets))}
    plot_ranks(found, tmp_path / "ranks.png")
    (axis,) = drawn[0].axes
    dots = [line for line in axis.lines if line.get_marker() == "o"]
    assert list(dots[0].get_xdata()) == [1, 2, 3, 4, 5]
    bars = [line for line in axis.lines if line.get_marker() != "o"]
    assert len(bars) == len(found["accuracy"].groups) > 0
    assert all(bar.get_xdata()[0] > 5 for bar in bars)  # beside the dots, not over them
    assert next(iter(axis.get_yticklabels())).get_text() == "a  1.00"


def test_the_figure_is_drawn_even_if_there_is_nothing_to_compare(tmp_path):
    fits, _ = tables(tmp_path, {("x", "a", "small"): [50]})
    assert compare_all(fits) == {}
    plot_ranks({}, tmp_path / "ranks.png")
    picture = np.array(Image.open(tmp_path / "ranks.png").convert("L"))
    assert picture.min() < 128  # NOTHING is written there
    assert "ranks need two methods" in NOTHING


# the page


def test_the_page_marks_the_best_and_says_what_heads_and_sets_are(tmp_path):
    paths, members = write(tmp_path, TWO)
    fits, constant = fit_table(paths, members, TITLES)
    for name, table in (("summary", summary_table(fits, constant)), ("choices", leave_one_out(fits))):
        table.to_csv(tmp_path / f"{name}.csv", index=False)
    view = {"split": "val"}
    entry = {"classes": ["up", "down"], "layout": "folder", "path": "p", "generate": None, "train": view, "eval": view}
    config = {
        "suite": {"seeds": [0, 1]},
        "datasets": {"x": entry | {"source": "https://example.org/x"}, "y": entry | {"source": SOURCE}},
        "experiments": {name: {"settings": {"steps": 3}, "backbone": "net"} for name in members},
    }
    heads = {head: {"title": title, "description": f"What {title} is.", "page": ""} for head, title in TITLES.items()}
    shown = suite_view(
        [tmp_path / "summary.csv", tmp_path / "choices.csv"], members, heads, config, tmp_path / "r.html"
    )
    (table,) = shown["tables"]
    rows = {row["method"]: row for row in table["rows"]}
    assert rows["A"]["cells"] == [
        [("42.5", False), ("21.2", False)],
        [("55.0", True), ("27.5", True)],
        [("30.0", False), ("15.0", False)],
    ]
    assert rows["linear probe"]["cells"][1] == [("90.0", False), ("45.0", False)]  # the best of all, and no competitor
    assert rows[ONE_CLASS]["ranks"] == rows[ONE_CLASS]["spread"] == ["–", "–"]
    assert rows[ONE_CLASS]["head"] is None
    assert shown["sets"][0]["facts"]["where it comes from"] == "https://example.org/x"
    facts = {"where it comes from": "https://example.org/y", "licence": "research"}
    assert facts.items() <= shown["sets"][1]["facts"].items()
    assert "citation" not in shown["sets"][1]["facts"]
    assert shown["heads"][0]["presets"] == {"small": '{"steps": 3} on net'}
    (choice,) = [row for row in shown["choices"] if row["score"] == "accuracy"]
    assert choice["chosen"] == "B (1 of 2); A (1 of 2)"
