"""Potsdam-3's MATLAB files: whatever is not what it should be is refused."""

import numpy as np
import pytest
from scipy.io import savemat

from smooseg.errors import SmoosegError
from smooseg.images.datasets import open_dataset
from smooseg.images.imaging import decode

PIXELS = np.zeros((8, 8, 4), np.uint8)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"image": PIXELS}, "without an array named img"),
        ({"img": PIXELS.astype(float)}, r"img must be uint8 .*, got float64 \(8, 8, 4\)"),
        ({"img": PIXELS[..., 0]}, r"got uint8 \(8, 8\)"),
        ({"img": PIXELS[..., :2]}, r"got uint8 \(8, 8, 2\)"),
        ({"img": PIXELS[:0]}, r"got uint8 \(0, 8, 4\)"),
        ({"img": {"nested": PIXELS}}, "img must be uint8"),
    ],
)
def test_a_potsdam_image_of_another_kind_is_refused(tmp_path, arrays, message):
    path = tmp_path / "tile.mat"
    savemat(path, arrays)
    with pytest.raises(SmoosegError, match=rf"tile\.mat: .*{message}"):
        decode(path, path.read_bytes())


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"label": PIXELS[..., 0]}, "without an array named gt"),
        ({"gt": PIXELS[..., 0].astype(float)}, r"gt must hold integers, got float64 \(8, 8\)"),
        ({"gt": PIXELS}, "one channel"),
        ({"gt": PIXELS[..., 0] + 6}, r"label ids \[6\] are outside 0\.\.5"),
        ({"gt": np.full((8, 8), -2, np.int16)}, r"label ids \[-2\] are outside"),
        ({"gt": np.full((8, 8), 256, np.int16)}, r"label ids \[256\] are outside"),
    ],
)
def test_a_potsdam_label_of_another_kind_is_refused(tmp_path, arrays, message):
    path = tmp_path / "tile.mat"
    savemat(path, arrays)
    with pytest.raises(SmoosegError, match=rf"tile\.mat: .*{message}"):
        open_dataset({"root": tmp_path, "layout": "potsdam3"}).read_label(path)


def test_a_matlab_file_of_hdf5_says_how_to_convert_it(tmp_path):
    path = tmp_path / "tile.mat"
    path.write_bytes(b"MATLAB 7.3 MAT-file".ljust(124) + b"\0\2IM" + bytes(400) + b"\x89HDF\r\n\x1a\n")
    with pytest.raises(SmoosegError) as refused:
        decode(path, path.read_bytes())
    remedy = "s = load('tile.mat'); save('tile.mat', '-struct', 's', '-v7')"
    assert (
        str(refused.value) == f"{path}: is a MATLAB file of version 7.3; save it as version 7, in MATLAB with {remedy}"
    )


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int32", ">i4"])
def test_potsdam_labels_may_be_of_any_integer_type(tmp_path, dtype):
    path = tmp_path / "tile.mat"
    savemat(path, {"gt": np.array([[0, 1, 2], [3, 4, 5]], dtype)})
    label = open_dataset({"root": tmp_path, "layout": "potsdam3"}).read_label(path)
    assert (label.dtype, label.tolist()) == (np.uint8, [[0, 1, 2], [2, 0, 1]])


@pytest.mark.parametrize("compressed", [False, True])
def test_a_matlab_file_cut_anywhere_is_refused(tmp_path, compressed):
    path = tmp_path / "tile.mat"
    savemat(path, {"img": PIXELS}, do_compression=compressed)
    data = path.read_bytes()
    for length in range(0, len(data), 7):
        with pytest.raises(SmoosegError, match=r"tile\.mat: (does not decode|MATLAB file without)"):
            decode(path, data[:length])
