"""SmooSeg on cached features: unsupervised semantic segmentation with a smoothness prior.

The library in three calls; each continues where an earlier one stopped::

    from smooseg import extract, fit, segment

    features = extract("photos", out="work")  # a frozen backbone's, cached below work/
    model = fit(features, clusters=6)  # never sees a label
    masks = segment("photos", model)  # arrays of ids; with out="masks", files
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .api import (
        Features,
        Mask,
        Masks,
        Model,
        Scored,
        extract,
        fit,
        load,
        open_features,
        plot_penalties,
        plot_segmentations,
        refine,
        score,
        segment,
    )
    from .errors import SmoosegError
    from .heads import load_head

__version__ = "1.0.0"
__all__ = [
    "Features",
    "Mask",
    "Masks",
    "Model",
    "Scored",
    "SmoosegError",
    "extract",
    "fit",
    "load",
    "load_head",
    "open_features",
    "plot_penalties",
    "plot_segmentations",
    "refine",
    "score",
    "segment",
]
HOMES = {"SmoosegError": "errors", "load_head": "heads"}  # of public names; others lie in api


if not TYPE_CHECKING:  # or no name would be unknown

    def __getattr__(name):
        """Public names, imported when they are first asked for: the workflow's parse must not wait for torch."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f".{HOMES.get(name, 'api')}", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
