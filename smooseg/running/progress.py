"""Progress bars with rates; silent where standard error is not a terminal."""

from tqdm import tqdm

DEFAULTS = {"disable": None, "dynamic_ncols": True, "smoothing": 0.1}  # None: disabled unless on a terminal


def progress(iterable=None, **options):
    """A tqdm bar that disables itself when it is not on a terminal."""
    return tqdm(iterable, **DEFAULTS, **options)


def hide_progress(hidden: bool) -> None:
    """Show no bar at all from now on, or bars on terminals again."""
    DEFAULTS["disable"] = True if hidden else None
