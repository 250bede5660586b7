"""config.yaml against its schema: defaults, and every mistake as one sentence."""

import copy

import pytest
import yaml

from smooseg.config import load_schema, resolve
from smooseg.errors import SmoosegError
from smooseg.heads import HEADS
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
            optional_score = path.startswith("experiment.published.")  # absent means nothing was published
            assert required or optional_score or "default" in key, (path, reference)


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
    (change("run", "dmeo"), r"config: run names 'dmeo', known: demo, camvid \(did you mean demo\?\)"),
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
    (change("runs.demo", {"experiments": []}), r"runs.demo.experiments breaks the rule minItems: 1"),
    (change("runs.demo", {"experiments": ["nothing"]}), r"runs.demo.experiments names 'nothing'"),
    (change("runs.demo", {}), r"config: runs.demo.experiments is missing"),
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
