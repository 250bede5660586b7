"""A folder of a git repository at a commit, by the git command: its files alone, checked by git's own hashes."""

import logging
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from ...errors import SmoosegError, list_some
from .gitcommand import GitError, Repository

LOG = logging.getLogger(__name__)
ONE_COMMIT = ["--depth=1", "--filter=blob:none"]
ALL_REFS = ["+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*"]
NOT_ALONE = (  # what servers say that give no commit alone: all of the repository is fetched from them
    "dumb http transport does not support",
    "does not support shallow",
    "does not allow request for unadvertised object",
)
LINK, SUBMODULE = "120000", "160000"  # modes in trees
IGNORED = "filtering not recognized by server"  # which then sends all files of the commit
REASONS = {  # parts of what git says, and what they mean
    "not our ref|unadvertised object|bad object|unable to read tree|unknown revision|could not get object info": (
        "{git} has no commit {commit}"
    ),
    "No space left on device|Disk quota exceeded": "the disk is full",
    "terminal prompts disabled|Authentication failed|Permission denied|could not read Username|not found|"
    "not appear to be a git repository|does not exist": "{git} is no repository that may be read ({said})",
    "Could not resolve|Failed to connect|Couldn't connect|Connection|unable to access|timed out|too slow|unreachable|"
    "hung up|early EOF|RPC failed": "{git} cannot be reached ({said})",
}
PREFIX = re.compile("^(fatal|error): (unable to access '[^']*': )?")


def fetch_folder(name: str, source: dict, place: Path, lock: int) -> Path:
    """Fetch a folder of a repository; the one that holds its files, without the repository's own data.

    Args:
        name: Of the data set.
        source: git, commit and folder.
        place: Empty folder to work in.
        lock: Open file that git is to keep open.

    Raises:
        SmoosegError: If that fails, in one sentence.
    """
    try:
        repository = fetch_commit(name, source, place / "repository", lock)
        links = check_out(repository, source)
    except GitError as error:
        raise SmoosegError(explain(str(error), source)) from None
    shutil.rmtree(repository.folder / ".git")
    tree = repository.folder / source["folder"]
    for link in links:
        (repository.folder / link).unlink(missing_ok=True)
    if links:
        LOG.warning("%s: links of the repository are left out: %s", name, list_some(links))
    return tree


def fetch_commit(name: str, source: dict, folder: Path, lock: int) -> Repository:
    """A repository that has the commit, and at least the names of its files."""
    repository = Repository(folder, lock, name)
    repository.run("remote", "add", "origin", source["git"])
    try:
        _, said = repository.run("fetch", "--progress", "--no-tags", *ONE_COMMIT, "origin", source["commit"])
    except GitError as error:
        if not any(reason in str(error) for reason in NOT_ALONE):
            raise
        repository = Repository(folder, lock, name)
        repository.run("remote", "add", "origin", source["git"])
        repository.run("fetch", "--progress", "--no-tags", "origin", *ALL_REFS)
        said = IGNORED
    kind, _ = repository.run("cat-file", "-t", source["commit"])
    if kind.strip() != "commit":
        raise SmoosegError(f"{source['git']}: {source['commit']} is a {kind.strip()}, not a commit")
    if IGNORED not in said:
        fetch_files(repository, source)
    return repository


def list_tree(repository: Repository, source: dict) -> Iterable[tuple[str, str, str]]:
    """Mode, hash and path of every file at and below the folder.

    Raises:
        SmoosegError: If the commit has no such folder.
    """
    commit, folder = source["commit"], source["folder"].rstrip("/")
    inside = [] if folder == "." else ["--", f"{folder}/"]
    listed, _ = repository.run("--literal-pathspecs", "ls-tree", "-r", "-z", "--full-tree", commit, *inside)
    if not listed:
        raise SmoosegError(f"{source['git']} has no folder {folder} at commit {commit}")
    for line in listed.rstrip("\0").split("\0"):
        facts, path = line.split("\t", 1)
        mode, _, found = facts.split()
        yield mode, found, path


def fetch_files(repository: Repository, source: dict) -> None:
    """Fetch the contents of the folder's files at once, which git would do without telling how far it is."""
    wanted = dict.fromkeys(found for mode, found, _ in list_tree(repository, source) if mode != SUBMODULE)
    listing = repository.write("wanted", "".join(f"{found}\n" for found in wanted))
    repository.run("fetch", "--progress", "--no-tags", "--filter=blob:none", "origin", "--stdin", stdin=listing)


def check_out(repository: Repository, source: dict) -> list[str]:
    """Write the folder's files; paths of those that stand for links.

    Raises:
        SmoosegError: If what was written is of another commit.
    """
    links = [path for mode, _, path in list_tree(repository, source) if mode == LINK]
    folder = source["folder"].rstrip("/")
    repository.run("config", "core.sparseCheckout", "true")
    repository.write("sparse-checkout", "/*\n" if folder == "." else f"/{folder}/\n")
    repository.run("checkout", "--progress", "--detach", source["commit"])
    head, _ = repository.run("rev-parse", "HEAD")
    if head.strip() != source["commit"]:
        raise SmoosegError(f"{source['git']}: commit {head.strip()} came, not {source['commit']}")
    return links


def explain(said: str, source: dict) -> str:
    """One sentence for what git said."""
    lines = [line for line in said.splitlines() if line.startswith(("fatal:", "error:", "remote: error"))]
    for pattern, reason in REASONS.items():
        for line in lines or said.splitlines():
            if re.search(pattern, line):
                return reason.format(**source, said=PREFIX.sub("", line))
    return f"git could not fetch {source['git']} ({list_some(lines or said.splitlines()[-1:], '; ')})"
