"""Evaluation on a real Dask cluster on this machine: a scheduler and two workers, each a process of its own."""

import os
import shutil
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from smooseg.errors import SmoosegError
from smooseg.evaluation.prediction import predict_labels, refine_labels
from smooseg.evaluation.scoring import count_block, read_labels, score_labels
from smooseg.features.store import open_store
from smooseg.running import parallel
from smooseg.running.parallel import compute
from tests.conftest import ROOT
from tests.support.cluster import cluster
from tests.support.evaluation import crf_settings, make_case

IMAGES = 200  # 25 blocks: enough to lose a worker among them


def test_a_worker_killed_half_way_changes_neither_maps_nor_scores(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder, dataset, manifest = make_case(Path("case"), IMAGES)
    features = open_store(folder / "f.zarr", {})
    read_labels(manifest, dataset, "val", folder / "f.zarr", folder / "labels.zarr", code="1")
    head, crf = folder / "head.safetensors", (manifest, dataset.root, crf_settings())
    predict_labels(features, head, folder / "raw.zarr", "1", workers=2)
    refine_labels(features, head, folder / "crf.zarr", "1", *crf)
    with cluster(tmp_path / "cluster", 2) as (address, workers), ThreadPoolExecutor(1) as pool:
        distributed = {"scheduler": address}
        predict_labels(features, head, folder / "raw-cluster.zarr", "1", **distributed)
        written = lambda: list((folder / "crf-cluster.zarr").glob("c.*.0"))  # noqa: E731
        refining = pool.submit(refine_labels, features, head, folder / "crf-cluster.zarr", "1", *crf, **distributed)
        while len(written()) < 5 and not refining.done():
            time.sleep(0.01)
        os.kill(workers[0].pid, signal.SIGKILL)
        assert len(written()) < 20
        refining.result()
        assert workers[0].wait() == -signal.SIGKILL
        labels = open_store(folder / "labels.zarr", {})
        for name in ("raw", "crf"):
            ours, theirs = (open_store(folder / f"{name}{suffix}.zarr", {}) for suffix in ("", "-cluster"))
            assert ours.listed == theirs.listed  # the checksums of all chunks
            scores = [
                score_labels(maps, labels, 2, dataset.classes, matched=True, scheduler=where)
                for maps, where in ((ours, None), (theirs, address))
            ]
            assert scores[0] == scores[1]
            assert scores[0]["accuracy"] > 85
        with pytest.raises(SmoosegError, match=r"absent\.zarr: there is no store"):  # said by the other worker
            compute(count_block, [(tmp_path / "absent.zarr",) * 2 + (2, 2, 0, 8)], 1, address, "count")


def test_results_come_in_the_order_of_the_tasks(tmp_path):
    folder, dataset, manifest = make_case(tmp_path, 24)
    read_labels(manifest, dataset, "val", folder / "f.zarr", folder / "labels.zarr", code="1")
    tasks = [(folder / "labels.zarr",) * 2 + (2, 2, start, start + 8) for start in (16, 0, 8)]
    alone, shared = (compute(count_block, tasks, workers, None, "count") for workers in (1, 2))
    np.testing.assert_array_equal(alone, shared)
    np.testing.assert_array_equal(alone[1], count_block(*tasks[1]))


def test_a_cluster_that_cannot_be_used_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(parallel, "PATIENCE", 3)
    task = (tmp_path / "labels.zarr",) * 2 + (2, 2, 0, 8)
    with pytest.raises(SmoosegError, match=r"tcp://127\.0\.0\.1:9: nothing answers there; docs/how-to/machines\.md"):
        compute(count_block, [task], 1, "tcp://127.0.0.1:9", "count")
    with (
        cluster(tmp_path / "empty", 0) as (address, _),
        pytest.raises(SmoosegError, match=f"{address}: it has no worker"),
    ):
        compute(count_block, [task], 1, address, "count")


@pytest.mark.parametrize("module", ["evaluation/metrics.py", "heads/kmeans.py"])
def test_a_worker_with_other_code_is_refused(tmp_path, module):
    shutil.copytree(ROOT / "smooseg", tmp_path / "other" / "smooseg", ignore=shutil.ignore_patterns("__pycache__"))
    with (tmp_path / "other" / "smooseg" / module).open("a") as file:
        file.write("VERSION = 2\n")
    task = (tmp_path / "labels.zarr",) * 2 + (2, 2, 0, 8)
    with (
        cluster(tmp_path / "cluster", 1, tmp_path / "other") as (address, _),
        pytest.raises(SmoosegError, match="a worker there has another version of smooseg"),
    ):
        compute(count_block, [task], 1, address, "count")
