"""The package that two pages of docs/how-to show, own-head.md and own-data-set.md, written as it stands there."""

import re
from pathlib import Path

from tests.conftest import ROOT

PAGES = ROOT / "docs" / "how-to"
LAYOUT = "## A layout of your own"  # what stands above it needs no package
DOCS = (PAGES / "own-head.md").read_text() + (PAGES / "own-data-set.md").read_text().partition(LAYOUT)[2]


def blocks(language: str) -> list[str]:
    """Fenced code of one language."""
    return re.findall(rf"```{language}\n(.*?)```", DOCS, re.DOTALL)


def install(folder: Path) -> Path:
    """Put the package into a folder as pip would, and return its own."""
    package, facts = folder / "mysegmentation", folder / "mysegmentation-1.0.dist-info"
    package.mkdir()
    facts.mkdir()
    (package / "__init__.py").touch()
    for name, text in zip(("cosine", "streets"), blocks("python"), strict=True):
        (package / f"{name}.py").write_text(text)
    declared = re.findall(r'entry-points."(.*?)"\]\n(\w+) = "(.*?)"', "".join(blocks("toml")))
    assert len(declared) == 2
    (facts / "entry_points.txt").write_text(
        "".join(f"[{group}]\n{name} = {value}\n" for group, name, value in declared)
    )
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: mysegmentation\nVersion: 1.0\n")
    return package
