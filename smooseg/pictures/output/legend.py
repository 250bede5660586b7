"""What a head's clusters are called: classes where it was scored, else clusters by their number."""

import json
import logging
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from ...errors import SmoosegError
from ...evaluation.metrics import UNMATCHED
from ...evaluation.naming import group_names
from ...features.store import Store
from ...images.datasets import VOID
from ...results.plots.palette import as_classes, class_palette

LOG = logging.getLogger(__name__)
NOMINAL_SIZE = 320  # of an evaluation view (pixels), where a head was never evaluated


@dataclass(frozen=True)
class Legend:
    """Ids of a mask.

    Args:
        names: Name of each id.
        assignment: Class id of each cluster, -1 unmatched; None where ids are clusters.
    """

    names: dict[int, str]
    assignment: list[int] | None

    def ids(self, clusters: np.ndarray) -> np.ndarray:
        """Ids of a map of clusters, uint8 of the same shape."""
        return clusters if self.assignment is None else as_classes(clusters, self.assignment)

    @cached_property
    def palette(self) -> np.ndarray:
        """RGB of each id: uint8 (256, 3), the colours of the workflow's figures."""
        return class_palette(max((i + 1 for i in self.names if i < VOID - 1), default=0))


def read_evaluation(head: Path, sha256: str, postprocess: str) -> tuple[dict | None, int]:
    """What the workflow left beside a head: its scores, and the size of the views it was evaluated on.

    Args:
        head: A head's file.
        sha256: Of that file; what another head left is not taken.
        postprocess: "raw" or "crf".

    Returns:
        assignment and iou of :func:`smooseg.evaluation.scoring.score_labels`, or None; side of a view in pixels.
    """
    folder = head.parent
    kind = next((kind for kind in (postprocess, "raw") if (folder / f"{kind}.json").is_file()), None)
    scores = read_scores(folder / f"{kind}.json") if kind else None
    maps = folder / f"{kind or 'raw'}.zarr"
    if not (maps / "zarr.json").is_file():
        return scores, NOMINAL_SIZE
    made_from = Store(maps).provenance
    if made_from["head_sha256"] != sha256:
        LOG.warning("%s is of an earlier head: masks show clusters; run snakemake to score this one", maps)
        return None, made_from["size"]
    return scores, made_from["size"]


def read_scores(path: Path) -> dict:
    """A file of scores.

    Raises:
        SmoosegError: If it is damaged.
    """
    try:
        scores = json.loads(path.read_text("utf-8"))
        return {key: scores[key] for key in ("assignment", "iou")}
    except (ValueError, KeyError, TypeError) as error:
        raise SmoosegError(f"{path}: not the scores of a head ({error}); delete it to get masks of clusters") from error


def make_legend(scores: dict | None, clusters: int, source: Path) -> Legend:
    """The legend of a head's masks.

    Args:
        scores: What :func:`read_evaluation` found.
        clusters: Number of clusters.
        source: The head's file, for the error.

    Raises:
        SmoosegError: If the scores are not of a head with as many clusters.
    """
    if scores is None:
        return Legend({cluster: f"cluster {cluster}" for cluster in range(clusters)}, None)
    assignment = scores["assignment"]
    if len(assignment) != clusters:
        raise SmoosegError(f"{source}: has {clusters} clusters, the scores beside it {len(assignment)}; score it again")
    names = {i: name for i, (name, iou) in enumerate(scores["iou"].items()) if iou is not None}  # no label: no class
    if UNMATCHED in assignment:
        names[VOID - 1] = "unmatched"
    return Legend(names, assignment)


def name_legend(names: list[str]) -> Legend:
    """The legend of clusters that have names: those of one name are one class, those called void are void."""
    classes, groups = group_names(names)
    return Legend(dict(enumerate(classes)), groups)
