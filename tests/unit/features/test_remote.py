"""A store at a URL: the same code against an S3 server, over HTTP on loopback."""

import logging

import boto3
import numpy as np
import pytest

from smooseg.errors import SmoosegError
from smooseg.features.store import Store, create_store, open_store
from smooseg.heads import HEADS
from tests.conftest import SECRET, clustered_features, make_store
from tests.support.extraction import Case, plan
from tests.support.heads import settings


def test_extraction_and_training_on_a_remote_store(bucket, tmp_path, tiny_checkpoint):
    case = Case(tmp_path, tiny_checkpoint)
    local = case.plan()
    case.extract(local)
    local.finish()
    url = f"{bucket}/project/train.zarr"
    store = plan(url, 50)
    case.extract(store, 1, 2)
    with pytest.raises(SmoosegError, match=r"s3://.*: it is incomplete"):
        open_store(url, {})
    case.extract(plan(url, 50), 2, 2)
    assert store.finish()["chunks"] == local.finish()["chunks"]
    remote = open_store(url, {"block": 3})
    np.testing.assert_array_equal(remote.read(0, 50), local.read(0, 50))
    heads = [
        HEADS["smooseg"].fit(s, 2, settings("smooseg", steps=3), seed=0, budget=10**9)[0].state_dict()
        for s in (remote, local)
    ]
    assert all(bool((heads[0][key] == heads[1][key]).all()) for key in heads[0])


def test_credentials_reach_no_log_no_error_and_no_store(bucket, caplog):
    with caplog.at_level(logging.INFO):
        make_store(f"{bucket}/secret.zarr", clustered_features(40)[0])
        store = open_store(f"{bucket}/secret.zarr", {})
        HEADS["smooseg"].fit(store, 2, settings("smooseg", steps=1), seed=0, budget=10**9)
        with pytest.raises(SmoosegError) as error:
            open_store(f"{bucket}/secret.zarr", {"made": "otherwise"})
    client = boto3.client("s3")
    keys = [entry["Key"] for entry in client.list_objects_v2(Bucket="caches", Prefix="secret.zarr")["Contents"]]
    written = b"".join(client.get_object(Bucket="caches", Key=key)["Body"].read() for key in keys)
    assert "secret.zarr: held in memory" in caplog.text
    assert SECRET not in caplog.text + str(error.value) + repr(store.info())
    assert SECRET.encode() not in written


def test_damage_is_seen_at_a_url_too(bucket):
    features, _ = clustered_features(40)
    make_store(f"{bucket}/s.zarr", features)
    client = boto3.client("s3")
    client.delete_object(Bucket="caches", Key="s.zarr/c.1.0.0")
    with pytest.raises(SmoosegError, match=r"s3://caches/s\.zarr: chunk 1 is missing"):
        open_store(f"{bucket}/s.zarr", {})
    again = create_store(f"{bucket}/s.zarr", features.shape, "float16", 16, {"made": "otherwise"}, "raw")
    assert not any(again.is_written(*block) for block in again.blocks(16))
    with pytest.raises(SmoosegError, match="metadata does not parse"):
        Store(f"{bucket}/nothing.zarr")
