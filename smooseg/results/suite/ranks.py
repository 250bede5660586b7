"""Which mean ranks differ: Friedman's test, then Nemenyi's critical difference.

Source: Demšar, Statistical comparisons of classifiers over multiple data sets, JMLR 7 (2006).
"""

import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..plots.scores import POSTPROCESS
from .tables import SCORES, mean_scores, rank_scores

LEVEL = 0.05  # of both tests
TITLES = {"accuracy": "accuracy", "miou": "mIoU"}


@dataclass(frozen=True)
class Comparison:
    """Mean ranks of methods over data sets, and what tells them apart.

    Args:
        ranks: Mean rank by method, the best first; 1 is best.
        sets: Number of data sets.
        p: Of Friedman's test that all methods are alike; NaN for fewer than three methods, and for ties alone.
        difference: Critical difference of mean ranks.
        groups: Longest runs of methods, two or more in the order of ``ranks``, that do not differ.
    """

    ranks: pd.Series
    sets: int
    p: float
    difference: float
    groups: list[list[str]]

    @property
    def undecidable(self) -> bool:
        """Whether the data sets are too few for any two methods to differ."""
        return self.difference >= len(self.ranks) - 1


def compare_all(fits: pd.DataFrame) -> dict[str, Comparison]:
    """Comparisons of accuracy and of mIoU, with and without the CRF where both are scored, by what is compared.

    Args:
        fits: What :func:`smooseg.results.suite.tables.fit_table` gave; references are left out.
    """
    found, blind = {}, fits[~fits["reference"].astype(bool)]
    for postprocess, rows in blind.groupby("postprocess", sort=False):
        for kind in SCORES:
            ranks = rank_scores(mean_scores(rows, kind))
            if len(ranks) > 1 and ranks.shape[1]:
                found[f"{TITLES[kind]} {POSTPROCESS[postprocess]}"] = compare_ranks(ranks)
    return found


def compare_ranks(ranks: pd.DataFrame) -> Comparison:
    """Compare methods by their ranks.

    Args:
        ranks: A row for each method and a column for each data set, as :func:`smooseg.results.suite.tables.rank_scores`
            gave; two methods or more, one set or more.
    """
    methods, sets = ranks.shape
    means = ranks.mean(axis=1).sort_values(kind="stable")
    p, difference = friedman(ranks), critical_difference(methods, sets)
    alike = methods > 2 and not p < LEVEL
    groups = [list(means.index)] if alike else groups_of(means, difference)
    return Comparison(means, sets, p, difference, groups)


def critical_difference(methods: int, sets: int) -> float:
    """Mean ranks of two methods differ significantly from here on (Nemenyi; Demšar 2006, section 3.2.2)."""
    from scipy.stats import studentized_range  # takes long, and most that import this compare nothing

    quantile = studentized_range.ppf(1 - LEVEL, methods, np.inf) / np.sqrt(2)
    return float(quantile * np.sqrt(methods * (methods + 1) / (6 * sets)))


def friedman(ranks: pd.DataFrame) -> float:
    """p of Friedman's test; NaN for fewer than three methods, and if all are tied on every set."""
    from scipy.stats import friedmanchisquare

    if len(ranks) < 3 or (ranks.nunique() == 1).all():
        return float("nan")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of few sets, which the figure says itself
        return float(friedmanchisquare(*(-row for row in ranks.to_numpy())).pvalue)


def groups_of(means: pd.Series, difference: float) -> list[list[str]]:
    """Longest runs of methods whose mean ranks are less than a difference apart.

    Args:
        means: Mean rank by method, ascending.
        difference: Critical difference.
    """
    values, groups, reached = means.to_numpy(), [], 0
    for first in range(len(values)):
        last = int(np.searchsorted(values, values[first] + difference))  # the first that differs
        if last - first > 1 and last > reached:
            groups.append(list(means.index[first:last]))
        reached = max(reached, last)
    return groups


def rank_rows(comparisons: dict[str, Comparison]) -> pd.DataFrame:
    """What the figure shows: a row for each comparison and method.

    Returns:
        Columns compared, method, mean_rank, sets, friedman_p, critical_difference, alike (methods that it does not
        differ from).
    """
    rows = []
    for name, found in comparisons.items():
        facts = {"sets": found.sets, "friedman_p": found.p, "critical_difference": found.difference}
        for method, rank in found.ranks.items():
            alike = {other for group in found.groups if method in group for other in group} - {method}
            names = "; ".join(other for other in found.ranks.index if other in alike)
            rows.append({"compared": name, "method": method, "mean_rank": rank} | facts | {"alike": names})
    return pd.DataFrame(rows)
