"""The HTML page of a gallery: what it begins with, what it shows, and the file."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
from jinja2 import Environment, FileSystemLoader, select_autoescape
from markupsafe import Markup

from ...heads import Head
from ...heads.smooseg_plus.tree import groups
from ...results.plots.palette import class_palette
from ...running.files import write_whole
from ...settings.shipped import shipped_path
from .legend import Legend
from .typical import Seen, pick_evenly

TEMPLATE = "workflow/report/gallery.html.j2"
PICTURES = 100  # views that are shown whole, evenly spread over those looked at


def page_data(seen: Seen) -> dict:
    """What the page shows of the finest clusters."""
    return {
        "pixels": seen.pixels.tolist(),
        "patches": [[one.jpeg for one in patches] for patches in seen.patches],
        "pictures": [asdict(picture) for picture in pick_evenly(seen.pictures, PICTURES)],
    }


def tree_of(head: Head) -> np.ndarray:
    """Merges of a head's F finest clusters: int64 (F - 1, 2) of nodes; (0, 2) if it has no tree.

    See :func:`smooseg.heads.smooseg_plus.tree.number_clusters`.
    """
    merges = getattr(head, "merges", None)
    return np.empty((0, 2), np.int64) if merges is None else merges.numpy()


def first_names(legend: Legend, clusters: int) -> list[str]:
    """Names of clusters before anybody gave any: their classes' where the head was scored."""
    ids = legend.assignment or range(clusters)
    return [legend.names.get(i, f"cluster {cluster}") for cluster, i in enumerate(ids)]


def first_groups(names: list[str], head: Head) -> list[list[int]]:
    """Clusters that the page begins with, each a list of finest clusters.

    Args:
        names: One for each cluster of the head's present cut; or one for each finest cluster, where those of one name
            are one cluster.
        head: At its present cut.
    """
    if len(names) == head.cuts[-1]:
        belongs = np.unique(names, return_inverse=True)[1]
    else:
        belongs = groups(tree_of(head), head.clusters)
    return [np.flatnonzero(belongs == group).tolist() for group in np.unique(belongs)]


def first_colours(legend: Legend, finest: int) -> list[list[int]]:
    """RGB of each finest cluster, no two alike; the first ones', which give cuts their colours, are as in masks."""
    wanted = legend.assignment or list(range(finest))
    given = dict[int, int]()  # place in the palette of each cluster
    for cluster, place in enumerate(wanted):
        if place >= 0 and place not in given.values():
            given[cluster] = place
    free = iter(sorted(set(range(finest)) - set(given.values())))
    places = [given[cluster] if cluster in given else next(free) for cluster in range(finest)]
    return class_palette(max(places) + 1)[places].tolist()


def write_page(data: dict, used: int, out: Path) -> None:
    """Write the page: one file, with the script, the styles and all pictures in it."""
    template = shipped_path(TEMPLATE)
    environment = Environment(loader=FileSystemLoader(template.parent), autoescape=select_autoescape(default=True))
    parts = {kind: Markup(template.with_name(f"gallery.{kind}").read_text("utf-8")) for kind in ("css", "js")}
    page = environment.get_template(template.name).render(data=data, images=used, **parts)
    with write_whole(out) as aside:
        aside.write_text(page, "utf-8")
