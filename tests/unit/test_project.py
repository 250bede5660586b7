"""Promises about the repository itself."""

import ast
import re
import tomllib

import yaml

from smooseg.running import fingerprint
from smooseg.running.fingerprint import source_hash
from tests.conftest import ROOT


def test_the_conda_route_installs_the_same():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    conda = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    assert conda[-1]["pip"] == project["dependencies"]
    assert f"python{project['requires-python']}" in conda


def imported(path):
    """Top-level names of the packages that a module imports."""
    nodes = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Import | ast.ImportFrom)]
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    return {
        name.split(".")[0] for name in names + [n.module for n in nodes if isinstance(n, ast.ImportFrom) and n.module]
    }


def test_each_large_dependency_has_one_home():
    users = {
        package: sorted(str(p.relative_to(ROOT)) for p in ROOT.glob("smooseg/**/*.py") if package in imported(p))
        for package in ("zarr", "timm", "snakemake", "pydensecrf", "numba")
    }
    assert users == {
        "zarr": [
            "smooseg/features/store/array.py",
            "smooseg/features/store/chunkbytes.py",
            "smooseg/features/store/create.py",
        ],
        "timm": ["smooseg/features/backbones.py"],
        "snakemake": [],
        "pydensecrf": ["smooseg/evaluation/crf/library.py"],
        "numba": ["smooseg/evaluation/crf/compiled.py"],
    }


def unspecified(path) -> list[int]:
    """Lines that read or write text in the encoding of whatever locale there is; ruff sees only half of them."""
    calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    found = []
    for call in calls:
        name = getattr(call.func, "attr", getattr(call.func, "id", None))
        texts = [part.value for part in call.args if isinstance(part, ast.Constant)]
        keys = {keyword.arg: keyword.value for keyword in call.keywords}
        plain = {"read_text": 1, "write_text": 2}.get(name, 99) > len(call.args) and name in {"read_text", "write_text"}
        opened = isinstance(call.func, ast.Name) and name == "open" and not any("b" in str(text) for text in texts[-1:])
        if (plain or opened or {"text", "universal_newlines"} & keys.keys()) and "encoding" not in keys:
            found.append(call.lineno)
    return found


def test_text_is_read_and_written_as_utf_8():
    sources = [path for folder in ("smooseg", "workflow", "benchmarks") for path in ROOT.glob(f"{folder}/**/*.py")]
    assert {str(path.relative_to(ROOT)): lines for path in sources if (lines := unspecified(path))} == {}


def test_scripts_are_thin_and_rules_are_named_after_them():
    scripts = {path.stem: path.read_text() for path in (ROOT / "workflow/scripts").glob("*.py")}
    rules = "\n".join(path.read_text() for path in (ROOT / "workflow/rules").glob("*.smk"))
    for name, text in scripts.items():
        assert len(text.splitlines()) <= 32, name
        assert f"rule {name}:" in rules
        assert f'"../scripts/{name}.py"' in rules


def test_a_fingerprint_follows_the_code_and_its_imports(tmp_path, monkeypatch):
    monkeypatch.setattr(fingerprint, "PACKAGE", tmp_path)
    (tmp_path / "a.py").write_text("from .sub.b import value\n")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b.py").write_text("value = 1\n")
    (tmp_path / "c.py").write_text("from . import a\n")
    first = source_hash("c")
    (tmp_path / "sub" / "b.py").write_text('"""Now with a docstring."""\n\nvalue = 1  # and a comment\n')
    assert source_hash("c") == first
    (tmp_path / "sub" / "b.py").write_text("value = 2\n")
    assert source_hash("c") != first


def test_adding_a_data_set_or_a_head_leaves_features_and_other_heads_alone():
    for module in ("features.backbones", "images.imaging", "heads.kmeans", "heads.linear"):
        assert not {"images.datasets", "images.datasets.camvid", "heads", "heads.smooseg"} & set(
            fingerprint.sources(module)
        )
    assert not {"images.datasets", "images.datasets.camvid"} & set(fingerprint.sources("evaluation.prediction"))


def test_readme_is_read_in_minutes():
    text = (ROOT / "README.md").read_text("utf-8")
    assert len(text.splitlines()) <= 140
    assert len(re.sub(r"```.*?```", "", text, flags=re.DOTALL).split()) <= 1000  # tables count, code does not
