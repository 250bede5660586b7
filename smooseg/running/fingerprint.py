"""A hash of the code behind a stage, so that the workflow sees library changes that can alter results."""

import ast
import hashlib
import os
from functools import cache
from pathlib import Path

from .files import scan

PACKAGE = Path(__file__).parent.parent
# modules that cannot alter a result
INERT = {
    "errors",
    "running.codes",
    "running.files",
    "running.machine",
    "running.parallel",
    "running.plugins",
    "running.progress",
}


def module_file(module: str) -> Path | None:
    """Source file of a dotted name inside the package ("heads.kmeans"), or None if it is no module."""
    base = PACKAGE.joinpath(*module.split(".")) if module else PACKAGE
    return next((f for f in (base.with_suffix(".py"), base / "__init__.py") if f.is_file()), None)


def imports(module: str, file: Path, tree: ast.Module) -> set[str]:
    """Modules of this package that a module imports relatively."""
    is_package = file.name == "__init__.py"
    parts = module.split(".") if module else []
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            up = node.level - is_package
            base = parts[: len(parts) - up] + (node.module.split(".") if node.module else [])
            names = [".".join(base)] + [".".join([*base, alias.name]) for alias in node.names]
            found.update(name for name in names if name and module_file(name))
    return found


def dump_file(file: Path) -> str:
    """A dump of a file's code in which comments, docstrings and layout do not count."""
    return dump_tree(ast.parse(file.read_text("utf-8")))


def dump_tree(tree: ast.Module) -> str:
    """A dump of the code in which comments, docstrings and layout do not count."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:]
    return ast.dump(tree)


def sources(module: str) -> dict[str, str]:
    """Code of a module and of every module of this package that it imports, directly or not, by name."""
    pending, found = [module], dict[str, str]()
    while pending:
        name = pending.pop()
        if name not in found and name not in INERT:
            file = module_file(name)
            if file is None:
                raise ModuleNotFoundError(f"smooseg has no module {name}")
            found[name], imported = parse_module(name, file, file.stat().st_mtime_ns)
            pending += imported
    return found


@cache
def parse_module(module: str, file: Path, written: int) -> tuple[str, set[str]]:
    """Code of a module and what :func:`imports` finds in it; every start of the workflow asks for most of them often.

    Args:
        module, file: Its name and file.
        written: The file's time.
    """
    tree = ast.parse(file.read_text("utf-8"))
    imported = imports(module, file, tree)
    return dump_tree(tree), imported


def source_hash(module: str, alone: bool = False) -> str:
    """Hash of what :func:`sources` finds.

    Args:
        module: Dotted name inside the package, such as "features.backbones" or "heads.smooseg".
        alone: Whether to leave out what it imports.
    """
    found = sources(module)
    chosen = {module: found[module]} if alone else found
    return hashlib.sha256(repr(sorted(chosen.items())).encode()).hexdigest()[:16]


def tree_state(paths: list[str]) -> str:
    """Hash of name, size and time of every file at or below some paths; dead links do not count."""
    state = [fact for path in map(Path, paths) for fact in ([file_state(path)] if path.is_file() else states(path))]
    return hashlib.sha256(repr(state).encode()).hexdigest()[:16]


def states(folder: Path) -> list[tuple[str, int, int]]:
    """:func:`file_state` of every file below a folder, in the order of their paths' parts."""
    files = [entry for entry in scan(folder) if entry.is_file()]
    return [file_state(entry) for entry in sorted(files, key=lambda entry: entry.path.replace("/", "\0"))]


def file_state(file: Path | os.DirEntry[str]) -> tuple[str, int, int]:
    """Name, size and time of a file; there can be 100,000 of them at every start, so it is one system call."""
    facts = os.stat(file)  # an entry's own would be kept in it: 600 bytes
    return os.fspath(file), facts.st_size, facts.st_mtime_ns
