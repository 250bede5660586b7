"""A manifest read by parts: the same hash as of the whole, and rows under their own numbers."""

import hashlib

import pandas as pd
import pytest

from smooseg.images import manifests
from smooseg.images.manifests import manifest_parts, manifest_sha256, parts_sha256, read_rows


@pytest.fixture
def views(tmp_path, monkeypatch):
    monkeypatch.setattr(manifests, "ROWS", 3)
    views = pd.DataFrame({"image": [f"ä,{i // 2}.png" for i in range(10)], "left": range(10), "mirror": [False] * 10})
    views.to_parquet(tmp_path / "views.parquet", row_group_size=4)
    return views


def test_the_hash_by_parts_is_that_of_the_whole(views, tmp_path):
    assert [len(part) for part in manifest_parts(tmp_path / "views.parquet")] == [3, 3, 3, 1]
    whole = hashlib.sha256(views.to_csv(index=False).encode()).hexdigest()
    assert manifest_sha256(views) == parts_sha256(manifest_parts(tmp_path / "views.parquet")) == whole
    assert manifest_sha256(views.assign(left=0)) != whole


@pytest.mark.parametrize("limits", [(0, 10), (2, 7), (3, 6), (9, 10)])
def test_rows_keep_their_numbers(views, tmp_path, limits):
    found = read_rows(tmp_path / "views.parquet", *limits)
    pd.testing.assert_frame_equal(found, views.iloc[slice(*limits)], check_index_type=False)
