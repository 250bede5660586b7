"""Tables of the suite: every fit, the summary by method, and presets that are chosen on the other data sets."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from ...evaluation.metrics import score
from ...settings.heads import SUPERVISED

SCORES = ("accuracy", "miou")
ONE_CLASS = "one class everywhere"
ANY = "any head"
FITS = ["set", "head", "preset", "method", "reference", "experiment", "seed", "postprocess", *SCORES]
CHOICES = ["postprocess", "score", "head", "set", "chosen", "chosen_score", "best", "best_score"]
DIGITS = 2  # of percents that are compared: what is equal to here is a tie


def fit_table(paths: list[str], members: dict[str, dict], titles: dict[str, str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Scores of every fit, and those of giving all pixels of a data set its most frequent class.

    Args:
        paths: Score files, ``.../{experiment}/{seed}/{postprocess}.json``.
        members: What :func:`smooseg.settings.suite.suite_experiments` gave: data set, head and preset by experiment.
        titles: Of each head.

    Returns:
        Two tables of columns :data:`FITS`, scores in percent. A ``reference`` knows labels: no rank counts it. Rows of
        the second are by data set and postprocessing, and have no head, preset, experiment and seed.
    """
    names = method_names(members, titles)
    fits: list[dict] = []
    constant: dict[tuple[str, str], dict] = {}
    for path in map(Path, paths):
        experiment, kind = path.parts[-3], path.stem
        member, found = members[experiment], json.loads(path.read_text("utf-8"))
        facts = {"set": member["dataset"], "head": member["head"], "preset": member["preset"], "postprocess": kind}
        facts |= {"method": names[experiment], "reference": member["head"] in SUPERVISED, "experiment": experiment}
        fits.append(facts | {"seed": int(path.parts[-2])} | {name: found[name] for name in SCORES})
        row = {"set": member["dataset"], "postprocess": kind, "method": ONE_CLASS, "reference": True}
        constant.setdefault((member["dataset"], kind), row | one_class(found["confusion"]))
    return pd.DataFrame(fits, columns=FITS), pd.DataFrame(list(constant.values()), columns=FITS)


def method_names(members: dict[str, dict], titles: dict[str, str]) -> dict[str, str]:
    """What the table calls each experiment: its head's title, with the preset where the head has several."""
    presets: dict[str, set] = {}
    for member in members.values():
        presets.setdefault(member["head"], set()).add(member["preset"])
    several = {head for head, found in presets.items() if len(found) > 1}
    return {
        name: titles[member["head"]] + (f", {member['preset']}" if member["head"] in several else "")
        for name, member in members.items()
    }


def one_class(confusion: list[list[int]]) -> dict[str, float]:
    """Scores (percent) of giving every pixel the most frequent class of a confusion matrix, clusters x classes."""
    pixels = np.array(confusion).sum(0)
    found = score(pixels[None], np.array([pixels.argmax()]))
    return {name: getattr(found, name) for name in SCORES}


def mean_scores(fits: pd.DataFrame, kind: str) -> pd.DataFrame:
    """Means over seeds: a row for each method, a column for each data set, in their order; NaN where there is none."""
    means = fits.groupby(["method", "set"], sort=False)[kind].mean().unstack("set")
    return means.loc[fits["method"].unique(), fits["set"].unique()]


def rank_scores(means: pd.DataFrame) -> pd.DataFrame:
    """Ranks of methods by data set, 1 is best and ties share their mean; sets that lack a score are left out."""
    return means.dropna(axis="columns").round(DIGITS).rank(ascending=False)


def summary_table(fits: pd.DataFrame, constant: pd.DataFrame) -> pd.DataFrame:
    """One row for each postprocessing and method, the best mean rank of mIoU first and references last.

    Args:
        fits, constant: What :func:`fit_table` gave.

    Returns:
        Columns postprocess, method, head, preset, reference, sets, seeds; for each score s of :data:`SCORES` s (the
        mean over all sets, NaN if one lacks it), s_rank (mean rank), s_wins (sets on which no method is better),
        s_spread and s_spread_largest (standard deviation over seeds: mean over sets, and the largest); then s:SET, the
        mean over seeds on a set. Ranks and wins are NaN for references.
    """
    tables = [
        summarise(kind, rows, constant[constant["postprocess"] == kind])
        for kind, rows in fits.groupby("postprocess", sort=False)
    ]
    return pd.concat(tables, ignore_index=True)


def summarise(postprocess: str, fits: pd.DataFrame, constant: pd.DataFrame) -> pd.DataFrame:
    """The summary's rows of one postprocessing."""
    rows = pd.concat([fits, constant], ignore_index=True) if len(constant) else fits
    by_method = rows.groupby("method", sort=False)
    table = by_method.agg(head=("head", "first"), preset=("preset", "first"), reference=("reference", "first"))
    table = table.assign(postprocess=postprocess, sets=by_method["set"].nunique(), seeds=by_method["seed"].nunique())
    by_set: dict[str, pd.Series] = {}
    for kind in SCORES:
        means, spread = mean_scores(rows, kind), fits.groupby(["method", "set"])[kind].std().unstack("set")
        blind = means[~table["reference"].astype(bool)]
        rounded = blind.round(DIGITS)
        table[kind] = means.mean(axis=1, skipna=False)
        table[f"{kind}_rank"] = rank_scores(blind).mean(axis=1)
        table[f"{kind}_wins"] = (rounded == rounded.max()).sum(axis=1)
        table[f"{kind}_spread"], table[f"{kind}_spread_largest"] = spread.mean(axis=1), spread.max(axis=1)
        by_set |= {f"{kind}:{name}": means[name] for name in means}
    table = table.assign(**by_set).sort_values(["reference", "miou_rank", "method"]).reset_index()
    return table[["postprocess", "method", *(name for name in table if name not in ("postprocess", "method"))]]


def leave_one_out(fits: pd.DataFrame) -> pd.DataFrame:
    """What a choice on all other data sets gives on each one: of a head's presets, and of all heads.

    Args:
        fits: What :func:`fit_table` gave; references are left out, and so are sets that lack a method.

    Returns:
        Columns :data:`CHOICES`: for each postprocessing, score, head with several presets (and :data:`ANY` for all
        methods) and set, which method has the best mean on the other sets and its score here, and which is best here
        and its score. No rows if there is one set.
    """
    rows: list[dict] = []
    for postprocess, blind in fits[~fits["reference"].astype(bool)].groupby("postprocess", sort=False):
        heads = {head: list(part["method"].unique()) for head, part in blind.groupby("head", sort=False)}
        groups = {ANY: list(blind["method"].unique())} | heads
        for kind in SCORES:
            means = mean_scores(blind, kind).dropna(axis="columns")
            for head, methods in groups.items():
                if len(methods) > 1 and means.shape[1] > 1:
                    chosen = choices(means.loc[methods])
                    rows += [{"postprocess": postprocess, "score": kind, "head": head} | choice for choice in chosen]
    return pd.DataFrame(rows, columns=CHOICES)


def choices(means: pd.DataFrame) -> list[dict]:
    """For each data set, the method that is best on the others, and the one that is best on it."""
    found = []
    for name in means:
        chosen, best = means.drop(columns=name).mean(axis=1).idxmax(), means[name].idxmax()
        scores = {"chosen_score": means.loc[chosen, name], "best_score": means.loc[best, name]}
        found.append({"set": name, "chosen": chosen, "best": best} | scores)
    return found
