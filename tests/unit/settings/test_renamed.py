"""Names of before: read as those of now, each said once; and what cannot be read so is one sentence."""

import json
import logging

import click
import pytest
import torch
from safetensors.torch import save

from smooseg.cli.fit import HeadName
from smooseg.errors import SmoosegError
from smooseg.heads import HEADS, load_head
from smooseg.settings.choices import choose
from smooseg.settings.config import resolve
from smooseg.settings.files import over_catalogue, read_config
from smooseg.settings.renamed import head_name, rename_keys
from tests.conftest import ROOT, shipped_config
from tests.support.heads import settings

REFERENCE = ROOT / "tests" / "reference"
ENTRY = {"dataset": "demo", "backbone": "dinov2_s14_focus"}
CASES = [
    ({"masks": {"covered": 0.9}}, ("proposals", "covered"), 0.9, "masks is called proposals now"),
    ({"postprocess": ["raw"]}, ("evaluate",), ["raw"], "postprocess is called evaluate now"),
    (
        {"tables": {"t": {"title": "a", "rows": [{"method": "a"}], "postprocess": ["raw"]}}},
        ("tables", "t", "evaluate"),
        ["raw"],
        "tables.t.postprocess is called evaluate now",
    ),
    (
        {"sweeps": {"fig6": {"postprocess": "crf"}}},
        ("sweeps", "fig6", "evaluate"),
        "crf",
        "sweeps.fig6.postprocess is called evaluate now",
    ),
    (
        {"experiments": {"x": ENTRY | {"head": "smooth"}}},
        ("experiments", "x", "head"),
        "smooseg_plus",
        "experiments.x.head smooth is called smooseg_plus now",
    ),
]


@pytest.mark.parametrize(("given", "place", "value", "message"), CASES, ids=[case[3][:20] for case in CASES])
def test_old_names_are_taken_and_said_once(caplog, given, place, value, message):
    resolved = resolve(over_catalogue(given | {"runs": shipped_config()["runs"]}, {}))
    for key in place:
        resolved = resolved[key]
    assert resolved == value
    assert [message in record.message for record in caplog.records] == [True]


def test_one_key_in_several_places_is_said_once(caplog):
    rename_keys({"postprocess": ["raw"], "tables": {"a": {"postprocess": ["raw"]}, "b": {"postprocess": ["raw"]}}})
    (record,) = caplog.records
    assert "postprocess (and 2 more) is called evaluate now" in record.message


def test_the_command_takes_a_head_by_its_old_name(caplog):
    choice = HeadName()
    assert choice.convert("smooth", None, None) == "smooseg_plus"
    assert "head smooth is called smooseg_plus now" in caplog.text
    with pytest.raises(click.BadParameter):
        choice.convert("smoth", None, None)


def test_what_is_given_is_left_as_it_is():
    given = {"masks": {}, "experiments": {"x": {"head": "smooth"}}}
    assert rename_keys(given) == {"proposals": {}, "experiments": {"x": {"head": "smooseg_plus"}}}
    assert given == {"masks": {}, "experiments": {"x": {"head": "smooth"}}}


@pytest.mark.parametrize(
    "broken", [{"tables": 3}, {"tables": {"t": None}}, {"experiments": {"x": {"head": ["a"]}}}, {1: 2}]
)
def test_what_is_no_configuration_is_left_to_the_schema(broken):
    assert rename_keys(broken) == broken


def test_both_names_in_one_place_are_one_sentence():
    with pytest.raises(SmoosegError, match="^config: masks is called proposals now, and proposals is there too; keep"):
        rename_keys({"masks": {}, "proposals": {}})


def test_settings_that_are_gone_are_left_out_where_they_say_what_counts_now(caplog):
    experiment = ENTRY | {"head": "equss", "settings": {"correspond": "embedding", "steps": 3}}
    config = shipped_config()
    config["experiments"]["mine"] = experiment
    assert "correspond" not in resolve(config)["experiments"]["mine"]["settings"]
    assert "experiments.mine.settings.correspond is no setting any more" in caplog.text
    experiment["settings"]["correspond"] = "quantised"
    with pytest.raises(
        SmoosegError, match="mine.settings.correspond is no setting any more, and its 'quantised' is gone"
    ):
        resolve(config)


@pytest.mark.parametrize(("key", "value"), [("exponent", 0.5), ("relabellings", 3), ("finest", 2)])
def test_former_settings_are_said_to_be_gone(key, value):
    message = f"smooseg_plus.{key} is no setting any more, and its {value} is gone; leave it out"
    with pytest.raises(SmoosegError, match=message):
        choose("smooth", settings={key: value})
    with pytest.raises(SmoosegError, match=f"presets.{message}".replace(f".{key}", f".mine.{key}")):
        rename_keys({"presets": {"smooth": {"mine": {key: value}}}})


def test_settings_that_count_anyway_are_left_out_of_presets_and_arguments(caplog):
    preset = {"exponent": 0.75, "finest": 1.5, "views": 3}
    assert rename_keys({"presets": {"smooth": {"mine": preset}}}) == {
        "presets": {"smooseg_plus": {"mine": {"views": 3}}}
    }
    assert "config: presets.smooth is called smooseg_plus now" in caplog.text
    assert "finest" not in choose("smooseg_plus", settings=preset).settings and preset["finest"] == 1.5


def test_a_whole_configuration_of_before_resolves_to_itself():
    """tests/reference/earlier_config.yaml is a config.yaml with the catalogue in it, as people may have one."""
    earlier = read_config(REFERENCE / "earlier_config.yaml")
    alone, merged = resolve(earlier), resolve(over_catalogue(earlier))
    catalogue = resolve(shipped_config())
    for section in ("datasets", "backbones", "experiments", "tables", "sweeps", "runs"):
        assert {name: merged[section][name] for name in alone[section]} == alone[section], section
    ours = {"demo_kmeans", "demo_smooseg", "demo_stego", "demo_plus", "camvid_smooseg", "camvid_hp", "camvid_equss"}
    for name in ours:  # which have not changed since then
        assert alone["experiments"][name] | {"preset": None} == catalogue["experiments"][name] | {"preset": None}, name


def saved(name: str, path, **changes) -> dict:
    """Write a head under an old name; its facts."""
    of = settings(head_name(name)) | changes
    head = HEADS[head_name(name)](32, 3, of)
    facts = {"head": name, "channels": 32, "clusters": 3, "settings": of, "experiment": {}}
    path.write_bytes(save(head.state_dict(), metadata={"smooseg": json.dumps(facts)}))
    return facts


def test_a_saved_head_of_an_old_name_loads_and_says_so(tmp_path, caplog):
    saved("smooth", tmp_path / "head.safetensors")
    head, _ = load_head(tmp_path / "head.safetensors")
    assert type(head) is HEADS["smooseg_plus"]
    assert "the saved head smooth is called smooseg_plus now" in caplog.text


@pytest.mark.parametrize(
    ("name", "gone"),
    [
        ("cause", {"grid": None}),
        ("cause", {"grid": 4, "network": "decoder"}),
        ("equss", {"correspond": "quantised"}),
        ("primaps", {"prototypes": "running"}),
    ],
)
def test_a_saved_head_with_a_setting_that_is_gone_loads(tmp_path, name, gone):
    saved(name, tmp_path / "head.safetensors", **gone)
    head, _ = load_head(tmp_path / "head.safetensors")
    assert torch.isfinite(head.logits(head.embed(torch.randn(2, 16, 32)))).all()


def test_the_log_of_old_names_can_be_silenced(caplog):
    logging.getLogger("smooseg.settings.renamed").setLevel(logging.ERROR)
    try:
        assert head_name("smooth") == "smooseg_plus"
    finally:
        logging.getLogger("smooseg.settings.renamed").setLevel(logging.NOTSET)
    assert caplog.records == []
