"""Heads side by side on every labelled data set below a folder and on variants of the demo: five seeds, no CRF.

``python -m benchmarks.suite kmeans smooseg_plus smooseg_plus:partitions=24 --data ../shared/data`` extracts what is not
cached below ``--out``, fits every head on the training views and scores the pixels of the evaluation views. It prints
accuracy / mIoU by set and on average, the spread over seeds, wins and mean ranks; the linear probe, fitted with
labels, is the ceiling. ``scores.csv`` keeps every fit, and what it holds of the same code is not fitted again.
"""

import argparse
from concurrent.futures import ProcessPoolExecutor, as_completed
from itertools import product
from pathlib import Path

import pandas as pd
import torch
import yaml

from benchmarks.sets import Case, find_cases
from smooseg.evaluation.states import pixel_scores
from smooseg.heads import HEADS
from smooseg.running.fingerprint import source_hash
from smooseg.running.progress import progress
from smooseg.settings.catalogue import load_catalogue
from smooseg.settings.heads import SUPERVISED
from smooseg.settings.schema import load_schema, validate

CEILING, KEY, BUDGET = "linear", ["set", "head", "seed", "code"], 4 * 10**9


def settings_of(name: str, changes: dict) -> dict:
    """A head's settings, the rest being defaults."""
    schema = load_schema()
    settings = validate(changes, schema["$defs"]["heads"][name], schema, name)
    if settings["subtract_mean"] is None:
        settings["subtract_mean"] = load_catalogue()["backbones"]["dinov2_s14_focus"]["subtract_mean"]
    return settings


def parse_head(spec: str) -> tuple[str, dict]:
    """Name and changed settings of "name:setting=value,setting=value"."""
    name, _, settings = spec.partition(":")
    return name, {key: yaml.safe_load(value) for key, value in (s.split("=") for s in settings.split(",") if s)}


def fitted_scores(case: Case, spec: str, seed: int) -> dict:
    """One row of scores.csv."""
    torch.set_num_threads(1)
    name, changes = parse_head(spec)
    supervision = {"labels": case.labels("train")} if name in SUPERVISED else {}
    head, _ = HEADS[name].fit(
        case.features("train"), case.classes, settings_of(name, changes), seed=seed, budget=BUDGET, **supervision
    )
    matched, labels = name not in SUPERVISED, case.labels("eval")
    found = pixel_scores(head, case.features("eval"), labels, case.classes, matched=matched)
    return {"accuracy": found.accuracy, "miou": found.miou}


def run_all(cases: list[Case], specs: list[str], seeds: list[int], path: Path, workers: int) -> pd.DataFrame:
    """Rows of every set, head and seed, in that order; those that the file lacks are fitted and added to it."""
    rows = pd.read_csv(path).to_dict("records") if path.exists() else []
    codes = {spec: source_hash(f"heads.{parse_head(spec)[0]}") for spec in specs}
    wanted = {(c.name, spec, seed, codes[spec]): (c, spec, seed) for spec, c, seed in product(specs, cases, seeds)}
    lacking = wanted.keys() - {tuple(row[key] for key in KEY) for row in rows}
    with ProcessPoolExecutor(workers) as pool:
        jobs = {pool.submit(fitted_scores, *wanted[key]): key for key in wanted if key in lacking}
        for job in progress(as_completed(jobs), total=len(jobs), unit="fit", desc="suite"):
            rows.append(dict(zip(KEY, jobs[job], strict=True)) | job.result())
            pd.DataFrame(rows).to_csv(path, index=False)
    table = pd.DataFrame(rows).set_index(KEY)
    return table.loc[list(wanted)].reset_index()


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """By set and head "accuracy / mIoU"; then their means, wins and mean ranks, and the spread of accuracy over seeds.

    Wins and ranks leave the ceiling out; they are of mean accuracy and of mean mIoU on each set.
    """
    groups = table.groupby(["head", "set"], sort=False)
    means, spread = groups[["accuracy", "miou"]].mean(), groups["accuracy"].std().unstack(0)
    text = {}
    for kind in means:
        by_head = means[kind].unstack(0)[list(dict.fromkeys(table["head"]))]
        ranks = by_head.drop(columns=CEILING, errors="ignore").round(2).rank(axis=1, ascending=False, method="min")
        by_head.loc["mean"] = by_head.mean()
        text[kind] = by_head.map("{:.1f}".format)
        text[kind].loc["wins"] = (ranks == 1).sum().astype(str)
        text[kind].loc["mean rank"] = ranks.mean().map("{:.2f}".format)
    both = text["accuracy"] + " / " + text["miou"]
    for name, values in (("mean", spread.mean()), ("largest", spread.max())):
        both.loc[f"spread, {name}"] = values.map("{:.1f}".format)
    return both.fillna("-")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("heads", nargs="+", help="NAME or NAME:SETTING=VALUE,...")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the labelled data sets")
    parser.add_argument("--out", type=Path, default=Path("results/suite"), help="caches, scenes and scores")
    parser.add_argument("--sets", nargs="+", help="only these of the sets")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--workers", type=int, default=2, help="processes")
    parser.add_argument("--precision", default="float32", help="of the extraction")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    cases = find_cases(given.data, given.out, given.precision)
    chosen = [case for case in cases if not given.sets or case.name in given.sets]
    scores = run_all(chosen, given.heads, given.seeds, given.out / "scores.csv", given.workers)
    print(summary(scores).to_string())
