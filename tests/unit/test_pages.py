"""What README and the documentation show works as it stands: settings, commands, targets, imports."""

import ast
import re
import shlex
import sys
from functools import cache
from importlib import import_module
from pathlib import Path
from textwrap import dedent

import click
import pytest
import yaml
from snakemake.cli import get_argument_parser

from smooseg.cli import main
from smooseg.errors import SmoosegError
from smooseg.settings.config import resolve
from smooseg.settings.schema import load_schema, validate
from tests.conftest import ROOT, shipped_config
from tests.support.package import install

FENCE = re.compile(r"^( *)```(\w+)\n(.*?)^\1```", re.DOTALL | re.MULTILINE)
SEPARATORS = {"&&", "||", "|", ";"}  # between commands of a line
PAGES = [
    path
    for path in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
    if "_build" not in path.parts
]


def blocks(page: Path, language: str) -> list[tuple[int, str]]:
    """Fenced code of one language: number of its first line, and text."""
    text = page.read_text("utf-8")
    return [
        (text[: found.start()].count("\n") + 2, dedent(found[3]))
        for found in FENCE.finditer(text)
        if found[2] == language
    ]


def cases(language: str) -> list:
    """Every block of a language, as a test's parameters: page and text."""
    return [
        pytest.param(page, text, id=f"{page.relative_to(ROOT)}:{line}")
        for page in PAGES
        for line, text in blocks(page, language)
    ]


@cache
def shipped() -> dict:
    """The configuration that smooseg comes with; nobody may change it."""
    return shipped_config()


def merged(config: dict, changes: dict) -> dict:
    """A configuration and a file over it, as snakemake merges them."""
    both = {key: config[key] | changes[key] for key in changes if isinstance(config.get(key), dict)}
    return config | changes | both


@cache
def shown(page: Path) -> dict:
    """The shipped configuration, and whatever a page shows over it."""
    config, keys = shipped(), load_schema()["properties"]
    for _, text in blocks(page, "yaml"):
        config = merged(config, {key: value for key, value in yaml.safe_load(text).items() if key in keys})
    return config


@pytest.fixture(scope="module", autouse=True)
def package(tmp_path_factory):
    """The package of the pages on heads and data sets of other people, on Python's path."""
    folder = tmp_path_factory.mktemp("package")
    install(folder)
    sys.path.insert(0, str(folder))
    yield
    sys.path.remove(str(folder))


@pytest.fixture(autouse=True)
def no_files(monkeypatch):
    """Files that a page's commands name need not be there."""
    monkeypatch.setattr(click.Path, "convert", lambda self, value, param, context: value)


# settings


@pytest.mark.parametrize(("page", "text"), cases("yaml"))
def test_settings_resolve(page, text):
    changes, schema = yaml.safe_load(text), load_schema()
    if set(changes) <= set(schema["properties"]):
        resolve(merged(shipped(), changes))
        return
    # a part of an entry
    parts = [schema["$defs"][name]["properties"] for name in ("experiment", "dataset")]
    allowed = [part for part in parts if set(changes) <= set(part)]
    assert allowed, f"{set(changes)} are keys of nothing"
    for key, value in changes.items():
        validate(value, allowed[0][key], schema, key)


# commands


def commands(text: str) -> list[list[str]]:
    """Commands of a block, as lists of words, without comments, prompts and variables before them."""
    found: list[list[str]] = []
    for line in text.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line.removeprefix("$ "), posix=True, punctuation_chars="&|;")
        lexer.whitespace_split = True
        found.append([])
        for word in lexer:
            if word in SEPARATORS:
                found.append([])
            elif found[-1] or not re.fullmatch(r"[A-Z_]+=.*", word):
                found[-1].append(word.removeprefix(".venv/bin/"))
    return [words for words in found if words]


def check_smooseg(words: list[str], page: Path) -> None:
    """A command of ours has these options, and takes their values."""
    command, rest = main, words
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):  # "datasets" runs alone, too
        assert rest[0] in command.commands, f"smooseg has no command {rest[0]}"
        command, rest = command.commands[rest[0]], rest[1:]
    assert "--classes" not in words, "the option is called --clusters now"
    try:
        context = command.make_context("smooseg", list(rest))
    except click.exceptions.Exit:  # --help
        return
    if words[0] == "workflow":
        check_snakemake(list(context.params["arguments"]), page)


@cache
def snakemakes_parser():
    """What reads snakemake's command line."""
    return get_argument_parser()


@cache
def rules() -> list[str]:
    """Names of the workflow's rules."""
    files = [ROOT / "Snakefile", *(ROOT / "workflow" / "rules").glob("*.smk")]
    return [name for path in files for name in re.findall(r"^rule (\w+):", path.read_text("utf-8"), re.MULTILINE)]


def check_snakemake(words: list[str], page: Path) -> None:
    """Snakemake has these options, and the workflow these targets, experiments, runs and settings."""
    given, config = snakemakes_parser().parse_args(words), shown(page)
    known = {*config["tables"], *config["sweeps"], *rules()}
    for target in [*given.targets, *given.forcerun]:
        experiment = re.match(r"results/experiments/(\w+)/", target)
        assert experiment[1] in config["experiments"] if experiment else target in known, f"no target {target}"
    if given.config:
        settings = {key: yaml.safe_load(value) for key, value in (text.split("=", 1) for text in given.config)}
        resolve(merged(config, settings))
    if given.workflow_profile:
        assert (ROOT / given.workflow_profile / "config.yaml").is_file(), given.workflow_profile


def check_make(words: list[str], page: Path) -> None:
    """The Makefile has these targets."""
    targets = {word for word in words if "=" not in word}
    assert targets <= set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))


def check_python(words: list[str], page: Path) -> None:
    """Benchmarks and test files are there."""
    if words[:2] == ["-m", "benchmarks"]:
        missing = [name for name in words[2:] if not (ROOT / "benchmarks" / f"{name}.py").is_file()]
    elif words[:2] == ["-m", "pytest"]:
        missing = [name for name in words[2:] if "/" in name and not (ROOT / name.split("::")[0]).exists()]
    else:
        return
    assert not missing


CHECKS = {"smooseg": check_smooseg, "snakemake": check_snakemake, "make": check_make, "python": check_python}


@pytest.mark.parametrize(("page", "text"), cases("sh"))
def test_commands_and_their_options_exist(page, text):
    for program, *words in commands(text):
        if program in CHECKS:
            CHECKS[program](words, page)


def test_commands_are_found():
    found = [words[0] for page in PAGES for _, text in blocks(page, "sh") for words in commands(text)]
    assert set(CHECKS) <= set(found)
    assert commands("$ A=1 .venv/bin/smooseg fit a \\\n --out b  # c\nmake && cd x; pwd") == [
        ["smooseg", "fit", "a", "--out", "b"],
        ["make"],
        ["cd", "x"],
        ["pwd"],
    ]


@pytest.mark.parametrize(
    "command",
    [
        "smooseg fitt photos --clusters 6 --out work",
        "smooseg fit photos --cluster-number 6 --out work",
        "smooseg fit photos --clusters many --out work",
        "smooseg fit photos --clusters 6",
        "smooseg cache inform x.zarr",
        "smooseg workflow -- --kores 2",
        "snakemake --cores all camvid_tabel",
        "snakemake -n --config run=nothing",
        "snakemake -n --config runn=demo",
        "snakemake -n results/experiments/nothing/0/raw.json",
        "snakemake --workflow-profile workflow/profiles/nothing",
        "make tests",
        "python -m benchmarks nothing",
        "python -m pytest tests/nothing",
    ],
)
def test_a_wrong_command_would_be_found(command):
    ((program, *words),) = commands(command)
    with pytest.raises((AssertionError, SmoosegError, click.UsageError, SystemExit)):
        CHECKS[program](words, ROOT / "README.md")


# Python


@pytest.mark.parametrize(("page", "text"), cases("python"))
def test_what_python_imports_is_there(page, text):
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "smooseg":
            assert all(hasattr(import_module(node.module), name.name) for name in node.names), ast.unparse(node)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "smooseg":
            assert hasattr(import_module("smooseg"), node.attr), ast.unparse(node)
