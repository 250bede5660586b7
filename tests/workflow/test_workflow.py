"""The workflow as people use it: real snakemake on a tiny configuration."""

import os
import re
import shutil
import subprocess
import sys
from io import StringIO

import pandas as pd
import pytest
import torch
import yaml
from safetensors.torch import load_file

from smooseg.features.store import Store
from smooseg.heads import load_head
from tests.conftest import write_images
from tests.support.cluster import cluster
from tests.support.package import install
from tests.support.project import TINY, UMASK, Project

OF_LABELS = {"plot_segmentations", "plot_side_by_side", "plot_embeddings", "plot_scores", "plot_confusion"}
COLLECT = {"make_tables", "make_report", "all"} | OF_LABELS
EVALUATE = {"predict_labels", "refine_crf", "score_labels"} | COLLECT
TRAIN = {"train_head", "plot_training", "plot_penalties"} | EVALUATE
OF_REFERENCE = {"train_probe", "predict_labels", "refine_crf", "score_labels"}
OF_REFERENCE |= {"plot_training", "plot_segmentations", "plot_confusion"}
FROM_FEATURES = {"plan_features", "extract_features", "finish_features", "read_labels"} | TRAIN


@pytest.fixture(scope="module")
def project(tmp_path_factory, tiny_checkpoint) -> Project:
    """A project that ran once."""
    project = Project(tmp_path_factory.mktemp("project with spaces"), tiny_checkpoint)
    result = project.snakemake("all")
    assert result.returncode == 0, result.stderr
    return project


@pytest.fixture
def fresh(tmp_path, tiny_checkpoint) -> Project:
    """A project that has not run."""
    return Project(tmp_path, tiny_checkpoint)


def test_one_command_gives_tables_figures_and_report(project):
    results = project.folder / "results"
    scores = pd.read_csv(results / "tables" / "scores.csv")
    assert len(scores) == 4
    assert scores["accuracy"].between(0, 100).all()
    assert len(pd.read_csv(results / "tables" / "class_iou.csv")) == 8
    assert (results / "report.html").stat().st_size > 10_000
    figures = {kind.name: len(list(kind.glob("*.png"))) for kind in (results / "figures").iterdir()}
    assert figures == {
        **dict.fromkeys(["side_by_side", "embeddings", "penalties", "class_scores"], 1),
        **{"segmentations": 2, "confusion": 2, "training_curves": 1},
    }
    assert all(figure.with_suffix(".csv").is_file() for figure in (results / "figures").rglob("*.png"))
    assert "steps/s" in (results / "report.html").read_text()


def test_a_group_that_shares_results_may_read_and_replace_every_file(project):
    written = list((project.folder / "results").rglob("*"))
    assert {path.stat().st_mode & 0o777 for path in written if path.is_file()} == {0o666 & ~UMASK}
    assert {path.stat().st_mode & 0o777 for path in written if path.is_dir()} == {0o777 & ~UMASK}


def test_all_cores_are_those_that_the_process_may_use(project, monkeypatch):
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "1")
    more = os.cpu_count() + 1  # a number is taken as it is
    for cores, view, provided in (("all", "eval", 1), (more, "train", more)):
        target = f"cores/manifests/tiny/{view}.parquet"
        assert f"Provided cores: {provided}" in project.snakemake(target, f"--cores={cores}", results="cores").stderr


def test_a_head_records_the_precision_that_its_cache_was_made_with(project):
    results = project.folder / "results"
    precision = Store(results / "features/tiny/tiny/train.zarr").provenance["precision"]
    assert load_head(results / "experiments/tiny_smooseg/0/head.safetensors")[1]["features"]["precision"] == precision
    planned = project.planned("train", extract={"precision": "float16"})
    assert set(planned) == {"plan_features", "extract_features", "finish_features", "train_head", "train"}


def test_nothing_changed_nothing_to_do(project):
    assert project.planned() == {}


def test_a_threshold_reruns_training_of_its_experiment_and_what_follows(project):
    planned = project.planned(experiments={"tiny_smooseg": {"settings": {"b1": 0.1}}})
    assert set(planned) == TRAIN
    assert (planned["train_head"], planned["score_labels"]) == (1, 2)


def test_a_crf_setting_reruns_refinement_and_what_follows(project):
    planned = project.planned(crf={"iterations": 3})
    assert set(planned) == {"refine_crf", "score_labels"} | COLLECT - {"plot_confusion", "plot_embeddings"}
    assert (planned["refine_crf"], planned["score_labels"]) == (2, 2)


def test_a_feature_layer_reruns_extraction_and_what_follows(project):
    assert set(project.planned(backbones={"tiny": {"block": 2}})) == FROM_FEATURES


def test_published_figures_rerun_their_table_only(project):
    row = {"method": "mine", "experiment": "tiny_smooseg", "published": {"raw": {"accuracy": 50, "miou": 10}}}
    tables = {"mine": {"title": "Mine", "rows": [row], "evaluate": ["raw"]}}
    planned = project.planned(tables=tables, runs={"tiny": {"tables": ["mine"]}})
    assert set(planned) == {"compare_methods", "make_report", "all"}


def test_speed_settings_rerun_nothing_but_the_report(project):
    planned = project.planned(extract={"workers": 1}, train={"threads": 2}, dask={"scheduler": "tcp://127.0.0.1:9"})
    assert set(planned) == {"make_report", "all"}


def test_entries_of_the_catalogue_that_a_run_does_not_use_rerun_nothing(project):
    path = project.folder / "workflow" / "catalogue" / "camvid.yaml"
    text = path.read_text("utf-8")
    try:
        path.write_text(text.replace("size: 320", "size: 160").replace("CamVid, 11 classes", "CamVid"), "utf-8")
        assert project.planned() == {}
    finally:
        path.write_text(text, "utf-8")


def test_an_entry_of_config_yaml_stands_in_place_of_the_catalogues_and_one_of_a_configfile_is_merged(fresh):
    change = {"experiments": {"demo_hp": {"clusters": 5}}}
    assert fresh.planned("results/experiments/demo_hp/0/head.safetensors", **change)["train_head"] == 1
    with open(fresh.folder / "config.yaml", "a", encoding="utf-8") as file:
        file.write(yaml.safe_dump(change))
    result = fresh.snakemake("--dry-run", "train")
    assert "config: experiments.demo_hp.dataset is missing" in result.stdout + result.stderr


def test_a_class_renamed_reruns_scores_and_no_training(project):
    planned = project.planned(datasets={"tiny": {"classes": ["above", "below"]}})
    assert set(planned) == {"read_labels", "score_labels"} | COLLECT


@pytest.mark.parametrize(
    ("module", "old", "new", "expected"),
    [
        ("heads/parts/epsilon.py", "EPSILON = 1e-12", "EPSILON = 1e-12  # a comment", set()),
        ("heads/parts/epsilon.py", "EPSILON = 1e-12", "EPSILON = 1e-11", TRAIN),
        ("images/imaging.py", "[:, ::-1]", "[::-1, ::-1]", {"index_part", "index_views"} | FROM_FEATURES),
        ("features/extraction.py", "AHEAD = 2", "AHEAD = 3", FROM_FEATURES),
        (
            "evaluation/metrics.py",
            "100 * correct.sum()",
            "99 * correct.sum()",
            {"read_labels", "score_labels"} | COLLECT,
        ),
        ("evaluation/crf/native.py", "NEVER = -1e30", "NEVER = -1e29", EVALUATE | {"plot_penalties"}),
        ("errors.py", "MAX_LISTED = 20", "MAX_LISTED = 21", set()),
    ],
)
def test_a_library_change_that_alters_results_is_seen(project, module, old, new, expected):
    project.edit(module, old, new)
    try:
        planned = set(project.planned())
    finally:
        project.edit(module, new, old)
    assert planned == expected


def test_a_head_that_classifies_otherwise_gives_other_maps_though_its_parameters_are_the_same(fresh):
    place = fresh.folder / "results/experiments/tiny_kmeans/0"
    found = []
    for _ in range(2):
        result = fresh.snakemake("results/experiments/tiny_kmeans/0/raw.zarr/complete.json")
        assert result.returncode == 0, result.stderr
        found.append((load_file(place / "head.safetensors"), Store(place / "raw.zarr").read(0, 9)))
        fresh.edit("heads/kmeans.py", "self.centroids, -0.5", "-self.centroids, -0.5")
    assert all(torch.equal(found[0][0][name], found[1][0][name]) for name in found[0][0])
    assert (found[0][1] != found[1][1]).any()


def test_the_same_configuration_and_seed_give_the_same_tables_however_the_work_is_shared(project):
    extract = {"jobs": 2, "workers": 4, "batch": 16, "cache": "elsewhere"}
    result = project.snakemake("all", "--cores=1", results="again", extract=extract)
    assert result.returncode == 0, result.stderr
    for name in ("tables/scores.csv", "tables/class_iou.csv", "experiments/tiny_smooseg/0/head.safetensors"):
        assert (project.folder / "again" / name).read_bytes() == (project.folder / "results" / name).read_bytes()
    chunks = [project.folder / cache / "tiny/tiny/train.zarr/c.2.0.0" for cache in ("elsewhere", "results/features")]
    assert chunks[0].read_bytes() == chunks[1].read_bytes()


def test_a_dask_cluster_gives_the_same_scores(project):
    folder = project.folder / "results/experiments/tiny_smooseg/0"
    scores = {path: path.read_bytes() for path in (folder / "raw.json", folder / "crf.json")}
    for path in scores:
        path.unlink()
        shutil.rmtree(path.with_suffix(".zarr"))
    with cluster(project.folder / "cluster", 1, project.folder) as (address, _):
        result = project.snakemake("evaluate", dask={"scheduler": address})
    assert result.returncode == 0, result.stderr
    assert {path: path.read_bytes() for path in scores} == scores
    assert address in (project.folder / "results/logs/refine_crf/tiny_smooseg/0.log").read_text()


def test_a_cache_at_a_url_gives_the_same_head(project, bucket):
    result = project.snakemake("train", results="remote", extract={"jobs": 2, "batch": 16, "cache": f"{bucket}/tiny"})
    assert result.returncode == 0, result.stderr
    heads = [
        project.folder / folder / "experiments/tiny_smooseg/0/head.safetensors" for folder in ("remote", "results")
    ]
    assert heads[0].read_bytes() == heads[1].read_bytes()
    assert not list((project.folder / "remote").rglob("zarr.json"))


def test_a_table_a_sweep_and_a_reference_with_labels(project):
    primaps = {"steps": 4, "start_steps": 2, "batch": 4}
    experiments = {
        f"tiny_{head}": {"dataset": "tiny", "backbone": "tiny", "head": head, "settings": settings}
        for head, settings in {"linear": {}, "primaps": primaps}.items()
    }
    rows = [{"method": name, "experiment": f"tiny_{name}"} for name in ("kmeans", "smooseg", "linear", "primaps")]
    rows.append({"method": "theirs", "published": {"raw": {"accuracy": 50, "miou": 10}}})
    changes = {
        "experiments": experiments,
        "tables": {"mine": {"title": "Mine", "rows": rows, "evaluate": ["raw"]}},
        "sweeps": {"grid": {"experiment": "tiny_smooseg", "settings": {"b1": [0, 0.1]}}},
        "evaluate": ["raw"],
        "train": {"states": 2},
        "runs": {"tiny": {"experiments": [], "tables": ["mine"], "sweeps": ["grid"]}},
    }
    changes["runs"]["tiny"]["compare"] = ["tiny_kmeans", "tiny_smooseg"]
    result = project.snakemake("all", "sweep", **changes)
    assert result.returncode == 0, result.stderr
    results = project.folder / "results"
    table = pd.read_csv(results / "tables" / "mine.csv")
    assert table["uses_labels"].tolist() == [False, False, True, False, False]
    assert table["raw_accuracy"].isna().tolist() == [False, False, False, False, True]
    assert table["best_miou"].isna().tolist() == [True, False, False, False, True]  # k-means has no steps
    assert len(pd.read_csv(results / "sweeps" / "grid.csv")) == 2
    page = (results / "report.html").read_text()
    assert "linear †" in page
    assert "Sweep grid" in page
    changes["sweeps"]["grid"]["settings"]["b1"].append(0.2)
    assert project.planned("sweep", **changes)["train_head"] == 1  # only what is new


QUICK = {  # the suite with the heads of the run, whose settings are a preset here
    "presets": {head: {"quick": TINY["experiments"][f"tiny_{head}"]["settings"]} for head in ("kmeans", "smooseg")},
    "suite": {"presets": ["quick"], "seeds": [0], "backbone": "tiny"},
    "suite_heads": ["kmeans", "smooseg"],
    "suite_datasets": ["tiny", "other"],
    "datasets": {"other": TINY["datasets"]["tiny"] | {"path": "other", "source": "our own"}},
}


def test_the_suite_sets_heads_side_by_side_on_all_sets_and_trains_only_what_is_not_there(project):
    for split in ("train", "val"):
        write_images(project.folder / "data/other", split, 3, seed=2)
    planned = project.planned("suite", **QUICK)
    assert (planned["train_head"], planned["score_point"], planned["plan_features"]) == (2, 2, 2)  # of the other set
    result = project.snakemake("suite", **QUICK)
    assert result.returncode == 0, result.stderr
    suite = project.folder / "results/suite"
    scores, summary = pd.read_csv(suite / "scores.csv"), pd.read_csv(suite / "summary.csv")
    assert scores["set"].tolist() == ["tiny", "tiny", "other", "other"]
    assert scores["experiment"].tolist()[::2] == ["tiny_kmeans", "suite@other,kmeans,quick"]
    assert sorted(summary["method"]) == ["SmooSeg", "k-means", "one class everywhere"]
    assert summary["miou_rank"].sum() == 3
    assert set(pd.read_csv(suite / "leave_one_out.csv")["set"]) == {"tiny", "other"}
    assert (suite / "ranks.png").stat().st_size > 5000
    page = (suite / "report.html").read_text("utf-8")
    inside = set(re.findall(r'id="([^"]+)"', page))
    assert {link[1:] for link in re.findall(r'href="(#[^"]+)"', page)} <= inside
    assert {"head-kmeans", "head-smooseg", "set-tiny", "set-other"} <= inside
    assert "where it comes from: our own" in page
    assert all((suite / name).is_file() for name in re.findall(r'href="([^"#]+\.csv)"', page))


def test_a_run_with_the_suite_shows_it_first(project):
    assert project.snakemake("suite", **QUICK).returncode == 0
    run = {"runs": {"tiny": {"suite": True}}}
    assert set(project.planned(**QUICK, **run)) <= COLLECT  # the suite's heads and scores are there
    assert project.snakemake("all", **QUICK, **run).returncode == 0
    page = (project.folder / "results/report.html").read_text("utf-8")
    assert page.index('id="suite-table"') < page.index('id="suite"') < page.index('id="scores"')
    assert 'href="suite/summary.csv"' in page


def test_only_evaluation_and_the_marked_reference_take_labels(project):
    linear = {"tiny_linear": {"dataset": "tiny", "backbone": "tiny", "head": "linear"}}
    compared = ["tiny_kmeans", "tiny_smooseg"]
    run = {"tiny": {"experiments": [*compared, "tiny_linear"], "compare": compared}}
    assert project.snakemake("all", experiments=linear, runs=run).returncode == 0
    summary = project.snakemake("--detailed-summary", experiments=linear, runs=run).stdout
    files = pd.read_csv(StringIO(summary), sep="\t").fillna("")
    inputs = {row.output_file: set(row[4].split(",")) for row in files.itertuples(index=False)}
    informed, size = {"data/tiny/labels/val", "data/tiny/labels/train"}, 0  # everything that follows from labels
    assert {path for path, sources in inputs.items() if informed & sources} == {
        f"results/labels/tiny/tiny/{view}.zarr/complete.json" for view in ("train", "eval")
    }
    while len(informed) != size:
        size = len(informed)
        informed |= {path for path, sources in inputs.items() if sources & informed}
    reference = files["output_file"].str.contains(r"/tiny_linear\b")
    knows = files["output_file"].isin(informed)
    assert set(files["rule"][knows & ~reference]) == {"read_labels", "score_labels"} | COLLECT - {"all"}
    assert set(files["rule"][knows & reference]) == OF_REFERENCE
    blind = set(files["rule"][~knows])
    assert {"index_views", "extract_features", "train_head", "predict_labels", "refine_crf"} <= blind
    assert {"plot_training", "plot_penalties"} <= blind


def test_files_that_change_in_place_are_seen(project):
    label = project.folder / "data/tiny/labels/val/000.png"
    os.utime(label)
    assert set(project.planned()) == {"read_labels", "score_labels"} | COLLECT
    os.utime(project.folder / "data/tiny/images/train/000.png")
    planned = set(project.planned())
    assert {"index_views", "train_head"} <= planned
    os.utime(project.folder / "tiny.safetensors")
    assert "fetch_weights" in project.planned()


OUTER = """
configfile: "tiny.yaml"
rule all:
    input: "mine.txt"
rule mine:
    output: "mine.txt"
    shell: "echo mine > {output}"
module one:
    snakefile: "Snakefile"
    config: config
    prefix: "one"
use rule * from one as one_*
module two:
    snakefile: "Snakefile"
    config: config | {"backbones": {"tiny": config["backbones"]["tiny"] | {"block": 2}}}
    prefix: "two"
use rule * from two as two_*
"""


def test_as_a_module_it_keeps_to_its_prefix_and_leaves_the_default_target_alone(fresh):
    (fresh.folder / "outer.smk").write_text(OUTER)
    assert fresh.planned("--snakefile=outer.smk") == {"mine": 1, "all": 1}
    planned = fresh.planned("one_all", "two_all", "--snakefile=outer.smk")
    assert (planned["one_plan_features"], planned["two_plan_features"], planned["two_all"]) == (2, 2, 1)
    store = fresh.folder / "two/results/features/tiny/tiny/eval.zarr"
    result = fresh.snakemake(str((store / "plan.json").relative_to(fresh.folder)), "--snakefile=outer.smk")
    assert result.returncode == 0, result.stderr
    assert Store(store).provenance["block"] == 2
    assert not (fresh.folder / "results").exists()
    refused = fresh.snakemake("one_all", "--snakefile=outer.smk", "--dry-run", results=str(fresh.folder / "absolute"))
    assert (
        "absolute is absolute, which a module's prefix cannot move; give a relative folder"
        in refused.stdout + refused.stderr
    )


def test_from_another_folder_the_configuration_beside_the_snakefile_is_taken(fresh):
    folder = fresh.folder / "elsewhere"
    folder.mkdir()
    planned = fresh.planned("--directory=elsewhere", data_root=str(fresh.folder / "data"))
    assert planned["index_views"] == 2
    snakefile = fresh.folder / "Snakefile"
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(snakefile), "--cores", "1", "--dry-run"]
    result = subprocess.run(
        command, cwd=folder, env=os.environ | {"PYTHONPATH": str(fresh.folder)}, capture_output=True
    )
    assert result.returncode == 0, result.stderr
    assert b"Train demo_smooseg, seed 0" in result.stdout


def failure(result: subprocess.CompletedProcess) -> str:
    """What a failed run said; never a traceback."""
    said = result.stdout + result.stderr
    assert result.returncode != 0, said
    assert "Traceback" not in said, said
    return said


def test_missing_data_is_said_before_anything_is_computed_and_a_dry_run_works(fresh):
    shutil.rmtree(fresh.folder / "data")
    assert fresh.planned()["extract_features"] == 2
    said = failure(fresh.snakemake("all", experiments={"tiny_kmeans": {"names": "names.csv"}}))
    assert (
        "Missing data: tiny at data/tiny; the names of the clusters of tiny_kmeans at names.csv; docs/reference/data-sets.md says"
        in said
    )
    assert not (fresh.folder / "results" / "weights").exists()


def test_missing_labels_are_said_before_anything_is_computed(fresh):
    shutil.rmtree(fresh.folder / "data" / "tiny" / "labels")
    assert "Missing data: tiny at data/tiny/labels/val; docs/reference/data-sets.md" in failure(fresh.snakemake("all"))
    shutil.copytree(fresh.folder / "data/tiny/images", fresh.folder / "data/tiny/labels")
    (fresh.folder / "data/tiny/labels/val/003.png").unlink()
    assert "tiny: these images have no label: images/val/003.png" in failure(fresh.snakemake("all"))
    assert not (fresh.folder / "results").exists()
    assert fresh.snakemake("results/manifests/tiny/eval.parquet").returncode == 0  # which needs none


def test_the_papers_tables_plan_without_data_and_say_what_is_missing(fresh):
    planned = fresh.planned("table1", "table2", "table3")
    assert (planned["fetch_weights"], planned["index_views"], planned["compare_methods"]) == (10, 8, 3)
    said = failure(fresh.snakemake("table1"))
    assert "cocostuff27 at data/cocostuff (train2017.zip (19.3 GB) and" in said
    assert "the weights of moco_v2 at weights/moco_v2_800ep_pretrain.pth.tar" in said
    assert not (fresh.folder / "results").exists()


def test_a_truncated_image_is_named_and_the_rest_resumes(fresh):
    path = fresh.folder / "data" / "tiny" / "images" / "val" / "004.png"
    whole = path.read_bytes()
    path.write_bytes(whole[:300])
    said = failure(fresh.snakemake("features"))
    assert "004.png: image does not decode" in said
    assert not list((fresh.folder / "results").rglob("eval.parquet"))
    path.write_bytes(whole)
    assert fresh.snakemake("features").returncode == 0


def test_a_head_of_another_package_runs_to_the_report_and_its_code_counts(fresh):
    package = install(fresh.folder)
    own = {"experiments": {"own": {"dataset": "tiny", "backbone": "tiny", "head": "cosine", "settings": {"steps": 5}}}}
    own["runs"] = {"tiny": {"experiments": ["own"]}}
    result = fresh.snakemake("all", **own)
    assert result.returncode == 0, result.stderr
    assert {"side_by_side", "embeddings", "penalties"} <= {
        kind.name for kind in (fresh.folder / "results/figures").iterdir()
    }
    assert fresh.planned("train", **own) == {}
    suite = {"suite_heads": ["cosine"], "suite_datasets": ["tiny"], "suite": {"backbone": "tiny", "seeds": [0]}}
    assert fresh.planned("suite", **suite)["train_head"] == 1  # with its defaults, 500 steps
    text = (package / "cosine.py").read_text()
    (package / "cosine.py").write_text(text.replace(".max(-1)", ".max(2)"))
    assert fresh.planned("train", **own) == {"train": 1, "train_head": 1}
