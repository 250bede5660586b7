"""SmooSeg on cached features: unsupervised semantic segmentation with a smoothness prior.

The library in three calls; each continues where an earlier one stopped::

    from smooseg import extract, fit, segment

    features = extract("photos", out="work")  # a frozen backbone's, cached below work/
    head = fit(features, clusters=6, steps=1000)  # never sees a label
    outcome = segment("photos", head, out="masks")
    print(outcome.shares)
"""

from importlib import import_module

__version__ = "1.0.0"
HOMES = {"SmoosegError": "errors", "extract": "api", "fit": "api", "load_head": "heads", "segment": "pictures.segment"}
__all__ = sorted(HOMES)


def __getattr__(name: str):
    """Public names, imported when they are first asked for: the workflow's parse must not wait for torch."""
    if name not in HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *HOMES})
