"""Progress bars with rates; silent where standard error is not a terminal."""

from tqdm import tqdm


def progress(iterable=None, **options):
    """A tqdm bar that disables itself when it is not on a terminal."""
    return tqdm(iterable, disable=None, dynamic_ncols=True, smoothing=0.1, **options)
