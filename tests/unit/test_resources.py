"""What jobs ask for follows from the data they read."""

import json
from types import SimpleNamespace

import pytest

from tests.conftest import ROOT

CONFIG = {
    "train": {"memory_gb": 4},
    "experiments": {"long": {"settings": {"steps": 8000}}, "kmeans": {"settings": {"samples": 1000}}},
}


@pytest.fixture
def resources() -> SimpleNamespace:
    """The functions of the rules' file, which is plain Python."""
    path, names = ROOT / "workflow" / "rules" / "resources.smk", {"config": CONFIG}
    exec(compile(path.read_text(), path, "exec"), names)
    return SimpleNamespace(**names)


@pytest.fixture
def store(tmp_path):
    """A job's inputs with a store of some shape."""

    def inputs(*shape: int) -> SimpleNamespace:
        marker = tmp_path / "complete.json"
        marker.write_text(json.dumps({"shape": shape}))
        return SimpleNamespace(plan=str(marker), complete=str(marker))

    return inputs


def test_an_extractions_time_follows_views_patches_jobs_and_cores(resources, store):
    def limit(inputs, parts=1, threads=2, attempt=1):
        return resources.extraction_minutes(SimpleNamespace(parts=str(parts)), inputs, threads, attempt)

    assert limit(store(1835, 256, 384)) == 10 + 8  # three times the 153 s that it took on 2 cores
    coco = store(248145, 784, 384)
    assert limit(coco) == pytest.approx(3 * 60 * 21, rel=0.05)
    assert limit(coco, parts=4) == pytest.approx(limit(coco) / 4, rel=0.02)
    assert limit(coco, threads=8) == pytest.approx(limit(coco) / 4, rel=0.02)
    assert limit(coco, attempt=2) == 2 * limit(coco)


def test_a_training_asks_for_the_features_it_holds_and_the_time_of_its_steps(resources, store):
    def ask(experiment, inputs, attempt=1):
        wildcards = SimpleNamespace(experiment=experiment)
        asked = (resources.training_memory, resources.training_minutes)
        return [function(wildcards, inputs, attempt) for function in asked]

    assert ask("long", store(1835, 256, 384))[0] == 361 + 2500
    memory, minutes = ask("long", store(248145, 784, 384))
    assert memory == 4000 + 2500  # streamed beyond the budget
    assert 3 * 42 < minutes < 6 * 42 + 180  # 42 minutes of steps, and reading twice 150 GB
    assert ask("kmeans", store(1835, 256, 384)) == [2861, 11]
    assert ask("kmeans", store(1835, 256, 384), attempt=2) == [5361, 22]


def test_what_no_job_wrote_yet_is_not_guessed(resources, tmp_path):
    with pytest.raises(FileNotFoundError):  # which Snakemake takes for "to be determined"
        resources.store_shape(str(tmp_path / "complete.json"))
