"""config.yaml against its schema: defaults, and every mistake as one sentence."""

import copy
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smooseg.errors import SmoosegError
from smooseg.heads import HEADS
from smooseg.settings.config import resolve, run_jobs, sweep_jobs, table_jobs
from smooseg.settings.schema import load_schema
from smooseg.settings.sweeps import values_of
from smooseg.settings.taken import taken_names
from tests.conftest import ROOT, shipped_config


@pytest.fixture
def config() -> dict:
    return shipped_config()


def test_shipped_configuration_resolves(config):
    resolved = resolve(config)
    assert resolved["experiments"]["demo_smooseg"]["settings"]["b1"] == -0.02  # released, not Table 5's order
    assert resolved["experiments"]["demo_smooseg"]["settings"]["b2"] == 0.5
    assert resolved["experiments"]["camvid_smooseg"]["clusters"] == 11
    assert resolve(copy.deepcopy(config)) == resolved
    assert resolve(resolved) == resolved


def test_paths_are_written_as_snakemake_wants_them(config, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", "/home/me")
    config |= {"data_root": "~/data//", "results": "./out/", "extract": {"cache": "~/cache/"}}
    config["backbones"]["moco_v2"]["weights"]["path"] = "~/moco.pth"
    resolved = resolve(config)
    assert [resolved[key] for key in ("data_root", "results")] == ["/home/me/data", "out"]
    assert resolved["extract"]["cache"] == "/home/me/cache"
    assert resolved["backbones"]["moco_v2"]["weights"]["path"] == "/home/me/moco.pth"
    assert resolve(config | {"data_root": "../shared/data"})["data_root"] == "../shared/data"
    assert resolve(config | {"extract": {"cache": "s3://bucket//x/"}})["extract"]["cache"] == "s3://bucket//x/"
    monkeypatch.chdir(tmp_path)
    assert resolve(config | {"results": "./"})["results"] == str(tmp_path)


def test_mean_is_subtracted_by_default_where_the_backbone_says_so(config):
    config["experiments"]["plain"] = {"dataset": "demo", "backbone": "dino_s8", "head": "smooseg"}
    resolved = resolve(config)["experiments"]
    assert resolved["demo_smooseg"]["settings"]["subtract_mean"] is True
    assert resolved["plain"]["settings"]["subtract_mean"] is False
    assert resolved["demo_kmeans"]["settings"]["subtract_mean"] is False


def parts(schema: dict, path: str = ""):
    """Every named key of the schema: (path, its schema, whether it is required)."""
    for key, part in schema.get("properties", {}).items():
        yield f"{path}.{key}", part, key in schema.get("required", [])
        yield from parts(part, f"{path}.{key}")


def test_every_key_has_a_description_and_a_default_or_is_required():
    schema = load_schema()
    definitions = {**schema["$defs"], **schema["$defs"].pop("heads")}
    for name, part in [("", schema), *definitions.items()]:
        for path, key, required in parts(part, name):
            reference = definitions.get(key.get("$ref", "").rsplit("/", 1)[-1], {})
            assert "description" in key or "$ref" in key, path
            optional_score = path.startswith("table_row.published.")  # absent means nothing was published
            assert required or optional_score or "default" in key or "default" in reference, path


def test_every_head_has_a_schema():
    schema = load_schema()
    assert set(schema["$defs"]["heads"]) == set(HEADS)


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.sampled_from(["", "demo", "smooseg", "kmeans", "train", "a/b", "@", "é", "1e-3", "summary", "five", "file"]),
)
KEYS = st.one_of(
    st.sampled_from(["steps", "clusters", "from", "to", "number", "b1", "path", "run", "x y"]), st.integers()
)
VALUES = st.recursive(
    SCALARS, lambda some: st.lists(some, max_size=3) | st.dictionaries(KEYS, some, max_size=3), max_leaves=4
)
SMALL = {
    "run": "tiny",
    "runs": {"tiny": {"experiments": ["head", "other"], "seeds": [0], "tables": ["table"], "sweeps": ["grid"]}},
    "experiments": {
        "head": {"dataset": "photos", "backbone": "net", "head": "smooseg", "settings": {"b1": 0.1, "steps": 5}},
        "other": {"dataset": "photos", "backbone": "net", "head": "linear", "clusters": 2},
    },
    "tables": {"table": {"title": "t", "rows": [{"method": "m", "experiment": "head", "published": {"crf": {"accuracy": 1}}}]}},
    "sweeps": {"grid": {"experiment": "head", "settings": {"b1": {"from": 0, "to": 1, "number": 3}, "clusters": [2, 3]}}},
    "datasets": {
        "photos": {
            "layout": "folder",
            "path": "photos",
            "classes": ["up", "down"],
            "train": {"split": "train", "crops": "five", "size": 32},
            "eval": {"split": "val", "crops": "whole", "size": 64},
        }
    },
    "backbones": {"net": {"model": "m", "weights": {"source": "file", "path": "w"}, "block": 3, "norm": False}},
    "crf": {"iterations": 3},
    "extract": {"batch": 16},
}  # fmt: skip


LIKE = {
    bool: st.booleans(),
    int: st.integers(-1, 300),
    float: st.floats(-1, 2),
    str: st.sampled_from(["head", "crf", "a"]),
}


def places(value) -> list[tuple[dict | list, object]]:
    """Every (container, key) inside a configuration."""
    keys = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    return [place for key in keys for place in [(value, key), *places(value[key])]]


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_any_change_is_one_sentence_or_a_configuration_that_resolves_to_itself(data):
    config = copy.deepcopy(SMALL)
    for _ in range(data.draw(st.integers(1, 3))):
        container, key = data.draw(st.sampled_from(places(config)))
        change = data.draw(st.sampled_from(["vary", "vary", "replace", "delete", "add"]))
        if change == "delete":
            del container[key]
        elif change == "vary":
            container[key] = data.draw(LIKE.get(type(container[key]), VALUES))
        elif change == "replace" or isinstance(container, list):
            container[key] = data.draw(VALUES)
        else:
            container[data.draw(KEYS)] = data.draw(VALUES)
    try:
        resolved = resolve(config)
    except SmoosegError as error:
        assert str(error).startswith("config: ") and "\n" not in str(error)
    else:
        assert resolve(copy.deepcopy(resolved)) == resolved
        run_jobs(resolved)


def test_a_sweep_becomes_experiments_that_say_what_they_changed(config):
    sweep = {"experiment": "demo_smooseg", "settings": {"b1": [0, 0.5], "clusters": [6, 8]}, "seeds": [0, 1]}
    config["sweeps"]["mine"] = sweep
    resolved = resolve(config)
    assert len(sweep_jobs(resolved["sweeps"]["mine"])) == 8
    point = resolved["experiments"]["demo_smooseg@b1=0.5,clusters=8"]
    assert (point["settings"]["b1"], point["settings"]["steps"], point["clusters"]) == (0.5, 600, 8)


def test_extending_a_sweep_keeps_the_names_of_its_points(config):
    sweep = {"experiment": "demo_smooseg", "settings": {"b1": {"from": 0, "to": 0.5, "number": 3}}, "seeds": [0]}
    before = sweep_jobs(sweep)
    sweep["settings"]["b1"] = [0.0, 0.1, 0.25, 0.5]
    assert set(before) < set(sweep_jobs(sweep))


def test_two_rows_of_one_experiment_count_its_seeds_once():
    rows = [{"experiment": "a"}, {"experiment": None}, {"experiment": "a"}]
    assert table_jobs({"rows": rows, "seeds": [0, 1]}) == [("a", 0), ("a", 1)]


def test_a_run_holds_the_experiments_and_seeds_of_its_tables(config):
    config["run"] = "camvid"
    jobs = run_jobs(resolve(config))
    assert len(jobs) == 54
    assert ("camvid_linear", 2) in jobs


# Published accuracy / mIoU, row by row: the paper's Tables 1, 2, 3, 4 and 6, and what later papers and repositories state;
# with CRF, in table6 without and with.
FIGURES = {
    "table1": "24.6/8.9 21.8/6.7 32.2/9.8 48.1/13.8 50.0/14.4 42.4/18.3 25.2/10.4 43.1/19.6 52.4/18.8 29.6/10.8 "
    "52.7/17.5 48.3/24.5 63.2/26.7 53.7/24.6 53.8/25.8 46.5/16.4 57.8/25.1 66.8/27.9 69.6/32.4 74.9/41.9 78.0/45.3",
    "table2": "47.9/6.4 40.7/7.1 65.5/12.3 40.5/13.7 77.9/16.8 69.8/17.6 82.8/18.4 79.9/22.0 "
    "81.2/19.4 76.6/19.2 87.7/21.7 89.4/24.6 90.8/28.0",
    "table3": "38.2/None 45.7/None 38.2/None 65.1/None 41.7/None 71.6/None 62.2/43.3 77.0/62.6 82.7/70.3 80.5/67.0 "
    "83.3/71.0 81.8/69.0 86.3/75.7",
    "table4": "63.2/26.7 53.0/25.5 36.1/10.4 16.8/0.6",
    "table6": "46.5/22.4 48.3/24.5 60.6/25.2 63.2/26.7 63.5/16.8 69.8/17.6 79.8/18.0 82.8/18.4 74.1/58.9 77.0/62.6 "
    "81.4/68.4 82.7/70.3",
}


@pytest.mark.parametrize("name", FIGURES)
def test_published_figures_are_the_papers(config, name):
    table = resolve(config)["tables"][name]
    rows = [row["published"] for row in table["rows"] if row["published"]]
    scores = [published[p] for published in rows for p in table["evaluate"]]
    assert " ".join(f"{score['accuracy']}/{score['miou']}" for score in scores) == FIGURES[name]


MODELS = {
    "DINO ViT-S/8": "vit_small_patch8_224.dino",
    "DINO ViT-S/16": "vit_small_patch16_224.dino",
    "DINO ViT-B/8": "vit_base_patch8_224.dino",
    "DINOv2 ViT-B/14": "vit_base_patch14_dinov2.lvd142m",
    "MoCo v2": "resnet50",
    "ResNet-50": "resnet50.tv_in1k",
}


@pytest.mark.parametrize("name", ["table1", "table2", "table3"])
def test_every_row_names_the_backbone_that_it_is_trained_on(config, name):
    config = resolve(config)
    rows = [row for row in config["tables"][name]["rows"] if row["experiment"]]
    for row in rows:
        backbone = config["experiments"][row["experiment"]]["backbone"]
        assert config["backbones"][backbone]["model"] == MODELS[row["method"].split(" + ")[0]], row


PRESETS = {  # constants and steps of the released configurations (epochs of the views in the released batches)
    "cityscapes_dino_stego": {
        "b_within": 0.4582847,
        "b_neighbour": 0.1754346,
        "b_random": 0.3136124,
        "within_weight": 1,
        "neighbour_weight": 0.5774535,
        "random_weight": 0.9058763,
    },
    "cocostuff27_dino_equss": {"books": 64, "b_within": 0.08, "b_random": 0.66, "steps": 15 * (118_287 * 5 // 16)},
    "cityscapes_dino_equss": {"books": 32, "words": 32, "b_within": 0.36, "steps": 15 * (2975 * 5 // 16)},
    "cocostuff27_dino_cause": {"steps": 36_966, "clip": 0.1},
    "cityscapes_dino_cause": {"steps": 928, "clip": 1},
    "cocostuff27_dino_s16_ppap": {"psi": 0.15, "sigma_ambiguous": 4, "patches_per_anchor": 4, "weight_decay": 0.01},
    "cityscapes_dino_b8_ppap": {"phi": 0.6, "moves": 3, "sigma_ambiguous": 2, "temperature": 0.1, "weight_decay": 0},
}


@pytest.mark.parametrize("name", PRESETS)
def test_presets_have_the_released_constants(config, name):
    assert resolve(config)["experiments"][name]["settings"].items() >= PRESETS[name].items()


@pytest.mark.parametrize("head", ["hp", "ppap", "hp_primaps"])
def test_heads_that_score_potsdam_at_320_pixels_do_so(config, head):
    config = resolve(config)
    dataset = config["datasets"][config["experiments"][f"potsdam3_dino_{head}"]["dataset"]]
    assert (dataset["train"]["size"], dataset["eval"]["size"]) == (224, 320)


def test_ranges_keep_whole_numbers_whole_and_small_ones_apart():
    assert values_of({"from": 100, "to": 300, "number": 3}, "") == [100, 200, 300]
    assert values_of({"from": 0, "to": 1, "number": 3}, "") == [0, 0.5, 1]
    assert values_of({"from": 1e-7, "to": 3e-7, "number": 3}, "") == [1e-7, 2e-7, 3e-7]


@pytest.mark.parametrize(
    ("base", "said"),
    [
        ("nowhere", "base names 'nowhere', which is no experiment"),
        ("camvid_linear", "camvid_linear is trained with labels, which no other head may see"),
        ("demo_kmeans", "demo_kmeans has dataset demo, and top camvid"),
        ("camvid_eagle", "camvid_eagle has backbone dinov2_s14_focus_keys, and top dinov2_s14_focus"),
        ("more", "more has clusters 12, and top 11"),
        ("top", "top would be put on itself"),
        ("turn", "top would be put on itself"),
    ],
)
def test_a_head_that_cannot_be_put_on_another_is_one_sentence(config, base, said):
    entry = {"dataset": "camvid", "backbone": "dinov2_s14_focus", "head": "primaps"}
    config["experiments"] |= {
        "top": entry | {"settings": {"base": base}},
        "more": entry | {"clusters": 12},
        "turn": entry | {"settings": {"base": "top"}},
    }
    with pytest.raises(SmoosegError, match=said):
        resolve(config)


def test_a_head_on_another_on_another_resolves(config):
    entry = {"dataset": "camvid", "backbone": "dinov2_s14_focus", "head": "primaps"}
    config["experiments"] |= {"top": entry | {"settings": {"base": "middle"}}}
    config["experiments"] |= {"middle": entry | {"settings": {"base": "camvid_stego"}}}
    assert resolve(config)["experiments"]["top"]["settings"]["base"] == "middle"


def test_both_decoders_of_ppap_say_what_cache_they_need(config):
    entry = {"dataset": "camvid", "head": "ppap"}
    for backbone, decoder, needed in (
        ("dinov2_s14_focus", "block", "prefix: true"),
        ("dinov2_s14_focus_entering", "projector", "prefix: false"),
    ):
        config["experiments"]["mine"] = entry | {"backbone": backbone, "settings": {"decoder": decoder}}
        with pytest.raises(SmoosegError, match=f"head ppap with decoder {decoder} needs a backbone .* {needed}"):
            resolve(config)


def test_taken_names_are_those_that_snakemake_knows():
    command = [sys.executable, "-m", "snakemake", "--list-rules"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    shipped = shipped_config()
    rules = set(listed) - set(shipped["tables"]) - set(shipped["sweeps"])
    assert {"all", "train_head", "tables", "side_by_side", "fig3"} <= rules
    assert rules <= taken_names()
    files = {"scores", "summary", "class_iou", "times"}
    assert taken_names() - rules == files | {"score_states"}  # a rule of some configurations


@pytest.mark.parametrize("kind", ["tables", "sweeps"])
@pytest.mark.parametrize("name", ["train_head", "tables", "make_report", "score_states", "times"])
def test_tables_and_sweeps_have_no_name_of_the_workflow(config, kind, name):
    entry = next(iter(config[kind].values()))
    with pytest.raises(SmoosegError, match=f"^config: a table or sweep cannot be called {name}: that target"):
        resolve(config | {kind: config[kind] | {name: entry}})


def test_files_of_two_sweeps_have_two_names(config):
    config["sweeps"]["fig6_criteria"] = config["sweeps"]["fig6"]
    with pytest.raises(SmoosegError, match="^config: a table or sweep cannot be called fig6_criteria: that target"):
        resolve(config)
