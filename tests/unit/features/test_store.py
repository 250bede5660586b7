"""The cache: whole or an error, never a silent fill value."""

import json

import numpy as np
import pytest
import zarr

from smooseg.errors import SmoosegError
from smooseg.features.store import CIRCUMSTANCES, COMPLETE, create, create_store, open_store
from smooseg.features.store.chunkbytes import is_finite
from tests.conftest import make_store


@pytest.fixture
def rows():
    return np.random.default_rng(0).normal(size=(40, 4, 8)).astype(np.float16)


@pytest.fixture
def path(tmp_path, rows):
    make_store(tmp_path / "features.zarr", rows, block=9)
    return tmp_path / "features.zarr"


def chunk_file(path, chunk):
    return path / f"c.{chunk}.0.0"


def test_what_was_written_is_read(path, rows):
    store = open_store(path, {"block": 9})
    assert (store.views, store.chunk, store.chunks) == (40, 16, 3)
    np.testing.assert_array_equal(store.read(0, 40), rows)
    np.testing.assert_array_equal(store.read(15, 17), rows[15:17])


def test_a_chunk_is_one_file_beside_the_others(path):
    assert sorted(file.name for file in path.iterdir()) == [f"c.{i}.0.0" for i in range(3)] + [COMPLETE, "zarr.json"]


def test_a_store_with_chunks_in_folders_is_read_and_completed(tmp_path, rows, monkeypatch):
    old, arguments = tmp_path / "old.zarr", (rows.shape, "float16", 16, {"made": "by a test"}, "raw")
    with monkeypatch.context() as patch:
        patch.setattr(create, "FLAT", {"name": "default", "separator": "/"})  # as all stores had them once
        make_store(old, rows)
    kept, lost = old / "c" / "0" / "0" / "0", old / "c" / "2" / "0" / "0"
    np.testing.assert_array_equal(open_store(old, {}).read(0, 40), rows)
    space = np.empty_like(rows)
    open_store(old, {}).scatter(1, space, np.arange(16, 32))
    np.testing.assert_array_equal(space[16:32], rows[16:32])
    before = kept.stat().st_mtime_ns
    lost.unlink()
    again = create_store(old, *arguments)
    assert [again.is_written(*block) for block in again.blocks(16)] == [True, True, False]
    again.write(32, rows[32:])
    again.finish()
    np.testing.assert_array_equal(open_store(old, {}).read(0, 40), rows)
    assert (kept.stat().st_mtime_ns, lost.is_file()) == (before, True)


def test_zeros_are_stored_too(tmp_path):
    make_store(tmp_path / "zeros.zarr", np.zeros((20, 2, 2), np.uint8))
    assert (open_store(tmp_path / "zeros.zarr", {}).read(0, 20) == 0).all()


def test_a_lossy_codec_keeps_five_bits(tmp_path, rows):
    store = create_store(tmp_path / "s.zarr", rows.shape, "float16", 16, {}, "bits5")
    store.write(0, rows)
    store.finish()
    read = open_store(tmp_path / "s.zarr", {"codec": "bits5"}).read(0, 40)
    np.testing.assert_allclose(read, rows, rtol=2**-6)
    assert (read != rows).mean() > 0.5


def test_an_unfinished_store_is_not_read(tmp_path, rows):
    store = create_store(tmp_path / "half.zarr", rows.shape, "float16", 16, {}, "raw")
    store.write(0, rows[:16])
    with pytest.raises(SmoosegError, match="chunk 1 was never written"):
        store.finish()
    with pytest.raises(SmoosegError, match="it is incomplete"):
        open_store(tmp_path / "half.zarr", {})


def test_an_interrupted_store_is_kept_and_a_different_one_replaced(tmp_path, rows):
    arguments = (tmp_path / "s.zarr", rows.shape, "float16", 16)
    create_store(*arguments, {"block": 9}, "raw").write(16, rows[16:32])
    again = create_store(*arguments, {"block": 9}, "raw")
    assert [again.is_written(*block) for block in again.blocks(16)] == [False, True, False]
    assert not create_store(*arguments, {"block": 8}, "raw").is_written(16, 32)


def test_a_folder_that_is_no_store_is_never_replaced(tmp_path):
    (tmp_path / "photos").mkdir()
    with pytest.raises(SmoosegError, match="refusing to write"):
        create_store(tmp_path / "photos", (4, 2, 2), "uint8", 2, {}, "raw")
    assert (tmp_path / "photos").is_dir()


def test_looking_for_a_store_leaves_nothing(tmp_path):
    with pytest.raises(SmoosegError, match="there is no store"):
        open_store(tmp_path / "none.zarr", {})
    assert list(tmp_path.iterdir()) == []


def test_a_chunk_swapped_or_removed_after_opening_is_seen_when_read(path, tmp_path, rows):
    make_store(tmp_path / "other.zarr", rows + 1)
    store = open_store(path, {})
    chunk_file(path, 2).write_bytes(chunk_file(tmp_path / "other.zarr", 2).read_bytes())
    chunk_file(path, 0).unlink()
    for chunk, span, problem in ((2, (32, 40), "chunk 2 has checksum"), (0, (0, 16), "chunk 0 is missing")):
        with pytest.raises(SmoosegError, match=problem):
            store.read(*span)
        with pytest.raises(SmoosegError, match=problem):
            store.scatter(chunk, np.empty_like(rows), np.arange(store.length(chunk)))


def damage_foreign(path, other):
    chunk_file(path, 1).write_bytes(chunk_file(other, 1).read_bytes())


def damage_empty(path, other):
    chunk_file(path, 1).write_bytes(b"")


def damage_truncated(path, other):
    chunk_file(path, 1).write_bytes(chunk_file(path, 1).read_bytes()[:50])


def damage_flipped(path, other):
    data = bytearray(chunk_file(path, 1).read_bytes())
    data[10] ^= 1
    chunk_file(path, 1).write_bytes(data)


@pytest.mark.parametrize("damage", [damage_foreign, damage_empty, damage_truncated, damage_flipped])
def test_planning_again_keeps_whole_chunks_and_drops_bad_ones(path, tmp_path, rows, damage):
    make_store(tmp_path / "other.zarr", rows + 1)
    damage(path, tmp_path / "other.zarr")
    provenance = {"made": "by a test", "block": 9}
    again = create_store(path, rows.shape, "float16", 16, provenance, "raw")
    assert [again.is_written(*block) for block in again.blocks(16)] == [True, False, True]


def test_a_failing_disk_or_network_is_no_reason_to_delete(path, rows, monkeypatch):
    def fail(*arguments, **options):
        raise ConnectionError("503 slow down")

    monkeypatch.setattr(zarr, "open_array", fail)
    with pytest.raises(ConnectionError):
        create_store(path, rows.shape, "float16", 16, {"made": "by a test", "block": 9}, "raw")
    monkeypatch.undo()
    open_store(path, {"block": 9})


def test_a_finished_store_elsewhere_is_not_replaced(path, rows):
    with pytest.raises(SmoosegError, match=r"a finished store with block = 9 lies here, and this run needs 8"):
        create_store(path, rows.shape, "float16", 16, {"made": "by a test", "block": 8}, "raw", replace=False)
    open_store(path, {"block": 9})


def test_other_circumstances_keep_a_finished_store_and_replace_an_unfinished_one(tmp_path, rows):
    arguments = (tmp_path / "s.zarr", rows.shape, "float16", 16)
    create_store(*arguments, {CIRCUMSTANCES: {"torch": "1"}}, "raw").write(0, rows)
    assert not create_store(*arguments, {CIRCUMSTANCES: {"torch": "2"}}, "raw").is_written(0, 16)
    store = create_store(*arguments, {CIRCUMSTANCES: {"torch": "2"}}, "raw")
    store.write(0, rows)
    store.finish()
    assert create_store(*arguments, {CIRCUMSTANCES: {"torch": "3"}}, "raw").is_written(0, 40)


def test_a_flipped_byte_is_named_when_read(path):
    data = bytearray(chunk_file(path, 1).read_bytes())
    data[10] ^= 1
    chunk_file(path, 1).write_bytes(data)
    store = open_store(path, {})
    store.read(0, 16)
    for span in ((16, 32), (0, 40)):
        with pytest.raises(SmoosegError, match=r"features\.zarr: chunk 1 is damaged"):
            store.read(*span)
    with pytest.raises(SmoosegError, match=r"features\.zarr: chunk 1 is damaged"):
        store.scatter(1, np.empty((40, *store.shape[1:]), np.float16), np.arange(16))


@pytest.mark.parametrize("codec", ["raw", "zstd"])
def test_chunks_are_scattered_to_any_place(tmp_path, rows, codec):
    store = create_store(tmp_path / "s.zarr", rows.shape, "float16", 16, {}, codec)
    store.write(0, rows)
    store.finish()
    store, space, order = open_store(tmp_path / "s.zarr", {}), np.empty_like(rows), np.random.permutation(len(rows))
    for chunk in range(store.chunks):
        store.scatter(chunk, space, order[chunk * 16 : chunk * 16 + store.length(chunk)])
    np.testing.assert_array_equal(space[order], rows)


def test_a_list_of_chunks_that_does_not_fit_is_an_error(path):
    complete = json.loads((path / COMPLETE).read_text())
    complete["chunks"].pop()
    (path / COMPLETE).write_text(json.dumps(complete))
    with pytest.raises(SmoosegError, match="3 chunks where complete.json lists 2"):
        open_store(path, {})


def test_nan_and_infinity_are_told_by_their_bits():
    every = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    assert [is_finite(every[i : i + 1]) for i in range(1 << 16)] == np.isfinite(every).tolist()
    assert is_finite(np.full(3, 255, np.uint8)) and not is_finite(np.array([[1, np.nan], [2, 3]], np.float16))


def test_blocks_hold_whole_chunks(path):
    store = open_store(path, {})
    assert store.blocks(32) == [(0, 32), (32, 40)]
    with pytest.raises(ValueError, match="whole chunks"):
        store.blocks(20)
