"""Hashes of the code behind each stage: the workflow's rules and the library ask here, so that they agree."""

from .fingerprint import source_hash
from .plugins import code_of


def code(*modules: str) -> str:
    """Hash of the library code behind a stage: a change that can alter its results makes it run again."""
    return " ".join(source_hash(module) for module in modules)


def code_of_features() -> str:
    """Of what decides a cache's content."""
    return f"{code('features.backbones', 'images.imaging')} {source_hash('features.extraction', alone=True)}"


def code_of_heads(*names: str) -> str:
    """Of a head and of those that it builds on, which no module of ours imports.

    Args:
        names: The head, the one that it is put on, and so on.
    """
    return " ".join(code_of("heads", name) for name in names)


def code_of_maps(*names: str) -> str:
    """Of label maps, with and without the CRF; arguments as of :func:`code_of_heads`."""
    return f"{code('evaluation.prediction')} {code_of_heads(*names)}"


def code_of_proposals() -> str:
    """Of mask proposals."""
    return code("evaluation.proposals")
