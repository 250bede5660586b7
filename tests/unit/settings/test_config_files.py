"""The catalogue's files: what they hold, and what of them config.yaml, --configfile and --config replace or change."""

import json

import pytest
import yaml

from smooseg.errors import SmoosegError
from smooseg.settings.catalogue import load_catalogue
from smooseg.settings.config import resolve
from smooseg.settings.files import CATALOGUE, over_catalogue, read_catalogue
from smooseg.settings.shipped import shipped_path
from tests.conftest import ROOT, shipped_config

REFERENCE = ROOT / "tests" / "reference"
FILES = [ROOT / "config.yaml", *sorted((ROOT / CATALOGUE).glob("*.yaml"))]
ENTRY = {"dataset": "demo", "backbone": "dinov2_s14_focus", "head": "smooseg"}


def without_preset(experiments: dict) -> dict:
    """Entries without the key that names a preset, and without the points of sweeps."""
    return {
        name: {key: value for key, value in entry.items() if key != "preset"}
        for name, entry in experiments.items()
        if "@" not in name
    }


def test_entries_resolve_as_they_did_in_one_file():
    """tests/reference/catalogue.json was written from the one config.yaml that the files were made of."""
    resolved = resolve(shipped_config())
    expected = json.loads((REFERENCE / "catalogue.json").read_text("utf-8"))
    found = resolved | {"experiments": without_preset(resolved["experiments"])}
    for section, entries in expected.items():
        assert found[section].keys() >= entries.keys(), section
        for name, entry in entries.items():
            now = found[section][name]
            if entry.get("head") == "smooseg_plus":  # has other settings since it holds one tree
                now, entry = ({**one, "settings": None} for one in (now, entry))
            if section == "datasets":  # sources can be fetched, folders have settings, and the suite takes sets since
                now, entry = ({**one, "source": None, "settings": None, "suite": None} for one in (now, entry))
            if section == "runs":  # can hold the suite since
                now = {key: value for key, value in now.items() if key != "suite"}
            assert now == entry, f"{section}.{name}"


def test_no_line_is_long_and_what_people_edit_is_short():
    assert len(FILES) == 9
    long = [
        f"{path.name}: {line}" for path in FILES for line in path.read_text("utf-8").splitlines() if len(line) > 120
    ]
    assert long == []
    assert len(FILES[0].read_text("utf-8").splitlines()) < 60


def test_own_entries_stand_in_place_of_the_catalogues_and_others_are_merged_into_them():
    mine, change = {**ENTRY, "settings": {"steps": 7}}, {"settings": {"steps": 9}}
    own = {"experiments": {"demo_hp": mine}}
    config = {"experiments": {"demo_hp": mine, "demo_eagle": change}, "datasets": {"camvid": {"path": "mine"}}}
    merged, catalogue = over_catalogue(config, own), read_catalogue()
    assert merged["experiments"]["demo_hp"] == mine
    assert merged["experiments"]["demo_eagle"] == catalogue["experiments"]["demo_eagle"] | change
    assert merged["datasets"]["camvid"] == catalogue["datasets"]["camvid"] | {"path": "mine"}


def test_own_presets_replace_those_of_their_name_alone():
    merged = over_catalogue({"presets": {"hp": {"small": {"steps": 5}}}})["presets"]["hp"]
    assert merged["small"] == {"steps": 5}
    assert merged["released"] == read_catalogue()["presets"]["hp"]["released"]


def test_an_own_sweep_can_have_the_name_of_a_table_of_the_catalogue():
    sweep = {"experiment": "demo_smooseg", "settings": {"b1": [0, 1]}}
    merged = over_catalogue({"runs": {"a": {"sweeps": ["table1"]}}, "run": "a", "sweeps": {"table1": sweep}})
    assert resolve(merged)["sweeps"]["table1"]["settings"] == sweep["settings"]
    assert "table1" not in merged["tables"]


def test_what_is_merged_leaves_the_catalogue_as_it_was():
    before = read_catalogue()
    over_catalogue({"experiments": {"demo_hp": {"settings": {"steps": 1}}}}, {})["experiments"].clear()
    assert read_catalogue() == before


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"a": "datasets: {x: {}, x: {}}"}, "a.yaml: the key x appears twice, in lines 1 and 1; keep one"),
        ({"a": "datasets: {x: {}}", "b": "datasets: {x: {}}"}, r"b.yaml: datasets.x stands in .*a.yaml too; keep one"),
        (
            {"a": "presets: {hp: {s: {}}}", "b": "presets: {hp: {s: {}}}"},
            r"b.yaml: presets.hp.s stands in .*a.yaml too",
        ),
        ({"a": "run: demo"}, "a.yaml: the catalogue holds experiments, datasets, .* and not run"),
    ],
)
def test_what_files_of_a_catalogue_cannot_hold_is_one_sentence(tmp_path, files, message):
    for name, text in files.items():
        (tmp_path / f"{name}.yaml").write_text(text)
    with pytest.raises(SmoosegError, match=message):
        read_catalogue(tmp_path)


def test_a_head_may_have_presets_in_two_files(tmp_path):
    (tmp_path / "a.yaml").write_text("presets: {hp: {small: {steps: 1}}}")
    (tmp_path / "b.yaml").write_text("presets: {hp: {large: {steps: 2}}}")
    assert read_catalogue(tmp_path)["presets"]["hp"] == {"small": {"steps": 1}, "large": {"steps": 2}}


def test_settings_override_the_preset():
    config = shipped_config()
    config["experiments"]["mine"] = ENTRY | {"preset": "released", "settings": {"b1": 0.3}}
    settings = resolve(config)["experiments"]["mine"]["settings"]
    assert [settings[key] for key in ("b1", "b2", "steps")] == [0.3, 0.48, 8000]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"preset": "smal"}, r"experiments.mine.preset: head smooseg has no preset smal; its presets are .*\(did you mean small\?\)"),
        ({"head": "linear", "preset": "small"}, "experiments.mine.preset: head linear has no preset small; it has none"),
    ],
)  # fmt: skip
def test_an_unknown_preset_is_one_sentence(changes, message):
    config = shipped_config()
    config["experiments"]["mine"] = ENTRY | changes
    with pytest.raises(SmoosegError, match=message):
        resolve(config)


@pytest.mark.parametrize(
    ("presets", "message"),
    [
        ({"smoseg": {}}, r"presets names 'smoseg', known: .*\(did you mean smooseg\?\)"),
        ({"smooseg": {"small": {"step": 3}}}, r"presets.smooseg.small.step is unknown, .*\(did you mean steps\?\)"),
    ],
)
def test_presets_are_checked(presets, message):
    with pytest.raises(SmoosegError, match=message):
        resolve(over_catalogue(shipped_config() | {"presets": presets}))


def test_every_head_without_labels_has_a_small_and_a_released_preset():
    heads = set(
        yaml.safe_load(shipped_path("workflow/schemas/config.schema.yaml").read_text("utf-8"))["$defs"]["heads"]
    )
    presets = read_catalogue()["presets"]
    assert set(presets) == heads - {"linear"}
    assert all({"small", "released"} <= set(names) for names in presets.values())


def test_commands_read_a_configuration_of_this_folder_over_the_catalogue(tmp_path, monkeypatch):
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"run": "a", "runs": {"a": {"experiments": ["demo_hp"]}}}))
    monkeypatch.chdir(tmp_path)
    assert load_catalogue()["experiments"]["demo_hp"]["settings"]["pool"] == 1024
