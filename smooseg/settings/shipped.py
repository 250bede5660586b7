"""Where the files lie that smooseg comes with, beside its code: the workflow, the schema, the catalogue."""

from pathlib import Path

from ..errors import SmoosegError

PACKAGE = Path(__file__).parents[1]
PACKED = PACKAGE / "shipped"  # in a wheel; the build puts them there
PLACE = PACKED if PACKED.is_dir() else PACKAGE.parent
PARTS = (
    "Snakefile",
    "config.yaml",
    "profiles/default/config.yaml",
    "workflow/catalogue",
    "workflow/logger",
    "workflow/report",
    "workflow/rules",
    "workflow/schemas/config.schema.yaml",
    "workflow/scripts",
)


def shipped_path(name: str) -> Path:
    """A file or folder by its path from the top of the repository.

    Raises:
        SmoosegError: If it is missing.
    """
    path = PLACE / name
    if not path.exists():
        raise SmoosegError(f"{path}: this part of smooseg is missing; install smooseg again")
    return path
