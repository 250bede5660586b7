"""Arrays in MATLAB files, apart from their layout: images are decoded without knowing the data set."""

import io
from pathlib import Path

import numpy as np

from ...errors import SmoosegError


def read_array(path: Path, data: bytes, key: str) -> np.ndarray:
    """The array called ``key`` in the bytes of a MATLAB file.

    Raises:
        SmoosegError: If the bytes do not decode or hold no such array.
    """
    from scipy.io import loadmat  # takes long to import, and data sets are imported whenever the workflow is parsed

    try:
        arrays = loadmat(io.BytesIO(data), variable_names=[key])
    except NotImplementedError as error:  # for HDF5, which scipy leaves to others
        raise SmoosegError(
            f"{path}: is a MATLAB file of version 7.3; save it as version 7, in MATLAB with "
            f"s = load('{path.name}'); save('{path.name}', '-struct', 's', '-v7')"
        ) from error
    except Exception as error:  # damage surfaces as whatever its bytes lead the parser to
        raise SmoosegError(f"{path}: does not decode as a MATLAB file ({error})") from error
    if key not in arrays:
        raise SmoosegError(f"{path}: MATLAB file without an array named {key}")
    return np.asarray(arrays[key])


def image_array(path: Path, data: bytes) -> np.ndarray:
    """The first three channels of array ``img``: uint8 (height, width, 3).

    Raises:
        SmoosegError: If there is no such array, or it has another type or shape.
    """
    image = read_array(path, data, "img")
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] < 3 or not image.size:
        raise SmoosegError(f"{path}: img must be uint8 (height, width, 3 or more), got {image.dtype} {image.shape}")
    return image[..., :3]
