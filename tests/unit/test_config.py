"""config.yaml against its schema: defaults, and every mistake as one sentence."""

import copy

import pytest
import yaml

from smooseg.config import load_schema, resolve, run_jobs, sweep_jobs, table_jobs
from smooseg.errors import SmoosegError
from smooseg.heads import HEADS
from smooseg.sweeps import values_of
from tests.conftest import ROOT


@pytest.fixture
def config() -> dict:
    return yaml.safe_load((ROOT / "config.yaml").read_text())


def test_shipped_configuration_resolves(config):
    resolved = resolve(config)
    assert resolved["experiments"]["demo_smooseg"]["settings"]["b1"] == -0.02  # released, not Table 5's order
    assert resolved["experiments"]["demo_smooseg"]["settings"]["b2"] == 0.5
    assert resolved["experiments"]["camvid_smooseg"]["clusters"] == 11
    assert resolve(copy.deepcopy(config)) == resolved
    assert resolve(resolved) == resolved


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
    assert (
        set(schema["$defs"]["heads"]) == set(HEADS) == set(schema["$defs"]["experiment"]["properties"]["head"]["enum"])
    )


def change(path: str, value):
    def apply(config):
        *parents, last = path.split(".")
        for key in parents:
            config = config[key]
        config[last] = value

    return apply


MISTAKES = [
    (change("rnu", "demo"), r"config: rnu is unknown, allowed here: run, .*did you mean run\?"),
    (change("run", "dmeo"), r"config: run names 'dmeo', known: demo, camvid, .* \(did you mean demo\?\)"),
    (change("run", 3), r"config: run must be string; got 3 \(int\)"),
    (
        change("experiments.demo_smooseg.settings", {"b3": 1}),
        r"config: experiments.demo_smooseg.settings.b3 is unknown",
    ),
    (change("experiments.demo_smooseg.settings", {"b1": "0.5"}), r"settings.b1 must be number; got '0.5' \(str\)"),
    (change("experiments.demo_smooseg.settings", {"b1": None}), r"settings.b1 must be number; got None"),
    (change("experiments.demo_smooseg.settings", {"steps": 0}), r"settings.steps breaks the rule minimum: 1; got 0"),
    (change("experiments.demo_smooseg.settings", {"steps": True}), r"settings.steps must be integer; got True"),
    (
        change("experiments.demo_kmeans.settings", {"b1": 0.5}),
        r"demo_kmeans.settings.b1 is unknown, allowed here: samples",
    ),
    (change("experiments.demo_smooseg.head", "smoseg"), r"head must be one of .*\(did you mean smooseg\?\)"),
    (change("experiments.demo_smooseg.dataset", "kitti"), r"demo_smooseg.dataset names 'kitti', known: demo, camvid"),
    (change("experiments.demo_smooseg.backbone", "vgg"), r"demo_smooseg.backbone names 'vgg', known: dinov2"),
    (change("experiments.demo_smooseg.clusters", 1), r"clusters breaks the rule minimum: 2; got 1"),
    (change("experiments.demo_smooseg.clusters", 256), r"clusters breaks the rule maximum: 255"),
    (change("experiments.a/b", {"dataset": "demo", "backbone": "dino_s8", "head": "kmeans"}), r"rule pattern.*a/b"),
    (change("runs.demo", {"experiments": []}), r"runs.demo selects nothing"),
    (change("runs.demo", {"experiments": ["nothing"]}), r"runs.demo.experiments names 'nothing'"),
    (change("runs.demo", {}), r"config: runs.demo selects nothing: give it experiments, tables or sweeps"),
    (change("runs.demo", {"tables": ["table9"]}), r"runs.demo.tables names 'table9', known: table1, .*did you mean"),
    (change("tables.table1.rows", [{"method": "a", "experiment": "b"}]), r"tables.table1.rows names 'b', known: demo_"),
    (change("tables.table1.rows", []), r"tables.table1.rows breaks the rule minItems: 1"),
    (change("sweeps.fig6.experiment", "camvid"), r"sweeps.fig6.experiment names 'camvid', known"),
    (change("sweeps.fig6.settings", {"b9": [1]}), r"experiments.camvid_smooseg@b9=1.settings.b9 is unknown"),
    (change("sweeps.fig6.settings", {"b1": ["x"]}), r"camvid_smooseg@b1=x.settings.b1 must be number; got 'x'"),
    (change("sweeps.fig6.settings", {"b1": [1, 1]}), r"sweeps.fig6.settings.b1 must hold at least one .* none twice"),
    (change("sweeps.fig6.settings", {"b1": {"from": 0}}), r"sweeps.fig6.settings.b1 must be a list or {from, to, num"),
    (change("sweeps.fig6.settings", {"b1": {"from": "a", "to": "b", "number": 3}}), r"b1 must be a list or {from, to"),
    (change("sweeps.fig6.settings", {"clusters": [3, 300]}), r"clusters=300.clusters breaks the rule maximum: 255"),
    (change("sweeps.fig6.settings", {"clusters": ["x"]}), r"clusters=x.clusters must be integer or null; got 'x'"),
    (change("tables.summary", {"title": "a", "rows": [{"method": "a"}]}), r"a table or sweep cannot be called summary"),
    (change("tables.fig6", {"title": "a", "rows": [{"method": "a"}]}), r"a table or sweep cannot be called fig6"),
    (change("experiments.camvid_linear.clusters", 5), r"camvid_linear.clusters is 5, but a linear head has one output"),
    (change("datasets.cityscapes.classes", ["a", "b"]), r"config: datasets.cityscapes: .*road, sidewalk"),
    (change("runs.demo.seeds", [0, 0]), r"runs.demo.seeds breaks the rule uniqueItems"),
    (
        change("backbones.dino_s8.weights", {"source": "file"}),
        r"backbones.dino_s8.weights.path is missing, which source file",
    ),
    (change("backbones.dino_s8.block", 1.5), r"backbones.dino_s8.block must be integer; got 1.5"),
    (change("datasets.demo.eval.size", 8), r"datasets.demo.eval.size breaks the rule minimum: 16"),
    (change("extract", {"batch": 24}), r"extract.batch breaks the rule multipleOf: 16"),
    (change("extract", {"precision": "fp16"}), r"extract.precision must be one of float32, bfloat16, float16"),
    (change("crf", {"iterations": -1}), r"crf.iterations breaks the rule minimum: 1"),
    (change("results", "a{b}"), r"results breaks the rule pattern"),
    (change("datasets.camvid.void", 5), r"datasets.camvid.void is 5, which is also a class's id"),
    (change("datasets.demo.eval.split", "test"), r"datasets.demo is generated, so its layout must be folder"),
    (change("postprocess", []), r"postprocess breaks the rule minItems: 1"),
]


@pytest.mark.parametrize(("mistake", "message"), MISTAKES)
def test_a_mistake_is_one_sentence(config, mistake, message):
    mistake(config)
    with pytest.raises(SmoosegError, match=message) as raised:
        resolve(config)
    assert "\n" not in str(raised.value)


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
    assert len(jobs) == 21
    assert ("camvid_linear", 2) in jobs


# Published accuracy / mIoU, row by row: the paper's Tables 1, 2, 3, 4 and 6; with CRF, in table6 without and with.
FIGURES = {
    "table1": "24.6/8.9 21.8/6.7 32.2/9.8 48.1/13.8 50.0/14.4 42.4/18.3 25.2/10.4 43.1/19.6 52.4/18.8 29.6/10.8 "
    "52.7/17.5 48.3/24.5 63.2/26.7 69.6/32.4 74.9/41.9 78.0/45.3",
    "table2": "47.9/6.4 40.7/7.1 65.5/12.3 40.5/13.7 77.9/16.8 69.8/17.6 82.8/18.4 81.2/19.4 90.8/28.0",
    "table3": "38.2/None 45.7/None 38.2/None 65.1/None 41.7/None 71.6/None 62.2/43.3 77.0/62.6 82.7/70.3 81.8/69.0 "
    "86.3/75.7",
    "table4": "63.2/26.7 53.0/25.5 36.1/10.4 16.8/0.6",
    "table6": "46.5/22.4 48.3/24.5 60.6/25.2 63.2/26.7 63.5/16.8 69.8/17.6 79.8/18.0 82.8/18.4 74.1/58.9 77.0/62.6 "
    "81.4/68.4 82.7/70.3",
}


@pytest.mark.parametrize("name", FIGURES)
def test_published_figures_are_the_papers(config, name):
    table = resolve(config)["tables"][name]
    scores = [row["published"][p] for row in table["rows"] for p in table["postprocess"]]
    assert " ".join(f"{score['accuracy']}/{score['miou']}" for score in scores) == FIGURES[name]


def test_ranges_keep_whole_numbers_whole_and_small_ones_apart():
    assert values_of({"from": 100, "to": 300, "number": 3}, "") == [100, 200, 300]
    assert values_of({"from": 0, "to": 1, "number": 3}, "") == [0, 0.5, 1]
    assert values_of({"from": 1e-7, "to": 3e-7, "number": 3}, "") == [1e-7, 2e-7, 3e-7]
