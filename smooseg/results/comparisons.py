"""Tables that set our scores beside published ones, and tables of sweeps."""

import json
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

SCORES = ("accuracy", "miou")
TRAINING = ("loss", "delta_within", "delta_across")  # of the last history row, where a head has them

MEASURES = ("explained_variance", "cluster_entropy", "mirror_agreement", "bimodality_within", "bimodality_across")
CRITERIA = (*MEASURES, "delta_within", "delta_across")  # by which a setting could be chosen without labels


def read_scores(paths: list[str]) -> pd.DataFrame:
    """One row per score file ``.../{experiment}/{seed}/{postprocess}.json``: where it belongs, accuracy and mIoU."""
    rows = []
    for path in map(Path, paths):
        scores = json.loads(path.read_text("utf-8"))
        place = {"experiment": path.parts[-3], "seed": int(path.parts[-2]), "postprocess": path.stem}
        rows.append(place | {name: scores[name] for name in SCORES})
    return pd.DataFrame(rows, columns=["experiment", "seed", "postprocess", *SCORES])


def read_training(paths: list[str]) -> pd.DataFrame:
    """One row per history ``.../{experiment}/{seed}/history.parquet``: its last row, and the seconds it took."""
    rows = []
    for path in map(Path, paths):
        last = pd.read_parquet(path).iloc[-1].to_dict()
        place = {"experiment": path.parts[-3], "seed": int(path.parts[-2])}
        values = {"clusters_used": last["clusters"]} | {name: last.get(name) for name in TRAINING}
        rows.append(place | values | {"training_seconds": last["step"] / last["steps_per_second"]})
    return pd.DataFrame(rows, columns=["experiment", "seed", "clusters_used", *TRAINING, "training_seconds"])


def read_best_states(paths: list[str]) -> pd.DataFrame:
    """One row per file ``.../{experiment}/{seed}/states.csv`` with a state: the best scores of any, chosen by labels.

    As in published figures, the state of the best mIoU counts, and its accuracy.
    """
    rows = []
    for path in map(Path, paths):
        states = pd.read_csv(path)
        if len(states):
            place = {"experiment": path.parts[-3], "seed": int(path.parts[-2])}
            rows.append(place | states.loc[states["miou"].idxmax(), ["step", *SCORES]].to_dict())
    return pd.DataFrame(rows, columns=["experiment", "seed", "step", *SCORES])


def comparison_table(
    table: dict,
    scores: pd.DataFrame,
    training: pd.DataFrame,
    best: pd.DataFrame,
    supervised: list[str],
    merged: Sequence[str] = (),
) -> pd.DataFrame:
    """One row per method: mean and standard deviation over seeds beside the published figures, in percent.

    Args:
        table: Resolved entry of ``tables``.
        scores: What :func:`read_scores` gave.
        training: What :func:`read_training` gave.
        best: What :func:`read_best_states` gave; without a row, the table has no columns of it.
        supervised: Experiments whose head was trained with labels.
        merged: Experiments whose clusters were merged by hand.

    Returns:
        Columns method, experiment, uses_labels, merged_by_hand, published_labels, published_pixels, seeds,
        training_seconds; for each postprocessing p p_accuracy, p_accuracy_sd, p_miou, p_miou_sd, p_published_accuracy,
        p_published_miou; for the best state by labels best_accuracy, best_accuracy_sd, best_miou, best_miou_sd.
    """
    rows = []
    for entry in table["rows"]:
        name = entry["experiment"]
        row = {
            "method": entry["method"],
            "experiment": name,
            "uses_labels": name in supervised,
            "merged_by_hand": name in merged,
            "published_labels": entry["labels"],
            "published_pixels": entry["pixels"],
            "seeds": len(table["seeds"]) if name else 0,
            "training_seconds": training.loc[training["experiment"] == name, "training_seconds"].mean(),
        }
        for postprocess in table["evaluate"]:
            ours = scores[(scores["experiment"] == name) & (scores["postprocess"] == postprocess)]
            published = entry["published"].get(postprocess) or {}
            for score in SCORES:
                row[f"{postprocess}_{score}"] = ours[score].mean()
                row[f"{postprocess}_{score}_sd"] = ours[score].std()
                row[f"{postprocess}_published_{score}"] = published.get(score)
        for score in SCORES if len(best) else ():
            values = best.loc[best["experiment"] == name, score]
            row |= {f"best_{score}": values.mean(), f"best_{score}_sd": values.std()}
        rows.append(row)
    return pd.DataFrame(rows)


def read_measures(paths: list[str]) -> pd.DataFrame:
    """One row per file of measures that need no label, ``.../{experiment}/{seed}/measures.json``."""
    rows = []
    for path in map(Path, paths):
        measures = json.loads(path.read_text("utf-8"))
        place = {"experiment": path.parts[-3], "seed": int(path.parts[-2])}
        rows.append(place | {name: measures[name] for name in MEASURES})
    return pd.DataFrame(rows, columns=["experiment", "seed", *MEASURES])


def sweep_table(
    points: dict[str, dict], scores: pd.DataFrame, training: pd.DataFrame, measures: pd.DataFrame
) -> pd.DataFrame:
    """One row per point and seed of a sweep: settings, scores in percent, and measures that need no label.

    Args:
        points: Settings of each point by the name of its experiment.
        scores, training: As for :func:`comparison_table`.
        measures: What :func:`read_measures` gave.
    """
    named = [{key: "null" if value is None else value for key, value in point.items()} for point in points.values()]
    settings = pd.DataFrame([{"experiment": name, **point} for name, point in zip(points, named, strict=True)])
    return (
        settings.merge(scores, on="experiment")
        .merge(training, on=["experiment", "seed"])
        .merge(measures, on=["experiment", "seed"])
    )


def criteria_table(table: pd.DataFrame, settings: list[str]) -> pd.DataFrame:
    """How well each label-free measure ranks the points of a sweep, and what choosing by it would give.

    Args:
        table: What :func:`sweep_table` gave.
        settings: Those that vary; their values' means over seeds are ranked.

    Returns:
        One row per measure, the best first: criterion, rank_accuracy and rank_miou (Spearman's correlation, NaN
        where the measure does not vary), the settings that it is largest for, and their accuracy and mIoU as
        accuracy_share and miou_share of the sweep's best (percent).
    """
    criteria = [name for name in CRITERIA if table[name].notna().all()]
    means = table.groupby(settings, sort=False)[[*SCORES, *criteria]].mean()
    ranks = means.corr("spearman")
    rows = []
    for name in criteria:
        chosen = means[name].idxmax()
        values = chosen if isinstance(chosen, tuple) else (chosen,)
        row = {"criterion": name} | {f"rank_{score}": ranks.loc[name, score] for score in SCORES}
        shares = {f"{score}_share": 100 * means.loc[chosen, score] / means[score].max() for score in SCORES}
        rows.append(row | dict(zip(settings, values, strict=True)) | shares)
    found = pd.DataFrame(rows)
    return found.sort_values("rank_miou", ascending=False, ignore_index=True)
