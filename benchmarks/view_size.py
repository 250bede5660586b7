"""Views of several sizes, the head being the same: scores of masks at the pictures' size, near borders too, and time.

``python -m benchmarks.view_size --data ../shared/data`` fits SmooSeg+ on the training cache of every labelled set
below a folder and segments evaluation images as ``smooseg segment`` does, at each size, and with ``--scales`` in
windows of the first size. Clusters are matched on all pixels of a set.
"""

import argparse
import time
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import torch
from scipy.ndimage import distance_transform_edt

from benchmarks.sets import BACKBONE, features_of, find_datasets, make_caches
from smooseg.evaluation.metrics import confusion_matrix, match_clusters, score
from smooseg.evaluation.segmentation import averaged_embeddings, pixel_logits
from smooseg.features.provenance import round_to_patch
from smooseg.heads import Head
from smooseg.heads.smooseg_plus.head import SmooSegPlusHead
from smooseg.images.datasets import open_dataset
from smooseg.images.datasets.base import VOID
from smooseg.pictures.output.masks import scaled_ids
from smooseg.pictures.photos import PhotoView, upright_size
from smooseg.pictures.shapes import ShapedBackbone, scaled_shape, view_shape
from smooseg.pictures.windows import Unfinished, Windows, label_windows
from smooseg.running.device import default_device
from smooseg.settings.choices import choose

TRIMAP = 5  # pixels on either side of a class border
RESAMPLE = "bilinear"  # as fit resizes people's pictures
HEAD, BUDGET = "smooseg_plus", 4 * 10**9  # bytes of features in memory


def near_border(label: np.ndarray) -> np.ndarray:
    """Which pixels are within :data:`TRIMAP` of a border between two classes; void has no border.

    Args:
        label: uint8 (height, width), 255 = void.

    Returns:
        bool (height, width).
    """
    border = np.zeros(label.shape, bool)
    for one, other in (((slice(1, None),), (slice(-1),)), ((..., slice(1, None)), (..., slice(-1)))):
        differs = (label[one] != label[other]) & (label[one] != VOID) & (label[other] != VOID)
        border[one] |= differs
        border[other] |= differs
    return distance_transform_edt(~border) < TRIMAP if border.any() else border


class Seen:
    """An image at a view's size, whose parts go through the backbone once, however many heads look at them.

    Args:
        backbone: As the heads were fitted on.
        patch: Of it (pixels).
        path: The image's file.
        shape: Height and width of the view (pixels).
    """

    def __init__(self, backbone: ShapedBackbone, patch: int, path: Path, shape: tuple[int, int]):
        self.backbone, self.patch, self.shape = backbone, patch, shape
        self.view = PhotoView.of_file(path, shape, RESAMPLE, None)
        self.features: dict[bytes, torch.Tensor] = {}

    def logits(self, head: Head, pixels: np.ndarray) -> torch.Tensor:
        """A head's logits of pixels of the view, uint8 (height, width, 3)."""
        key, shape = pixels.tobytes(), pixels.shape[:2]
        if key not in self.features:
            pair = torch.from_numpy(np.stack([pixels, pixels[:, ::-1]]))
            self.features[key] = self.backbone.prepare_shape(shape, default_device())(pair).cpu()
        grid = shape[0] // self.patch, shape[1] // self.patch
        return pixel_logits(head, averaged_embeddings(head, self.features[key], grid)[0], shape)

    def scores(self, head: Head, views: np.ndarray) -> list[np.ndarray]:
        """A head's scores of windows' pixels, uint8 (windows, height, width, 3)."""
        return [self.logits(head, pixels).numpy() for pixels in views]

    def ids(self, head: Head, side: int | None) -> np.ndarray:
        """Clusters of the view's pixels, uint8 (height, width), in windows of a side (pixels), or at once."""
        if side is None:
            pixels = self.view.read(slice(0, self.shape[0]), slice(0, self.shape[1]))
            return self.logits(head, pixels).argmax(0).to(torch.uint8).numpy()
        windows = Windows(self.shape, side, self.patch)
        with TemporaryDirectory() as folder:
            done = Unfinished(Path(folder, "windows"), windows, head.clusters, {})
            for _ in label_windows(windows, self.view.read, partial(self.scores, head), done, 1):
                pass
            return np.array(done.ids)


def count(
    heads: list[Head],
    backbone: ShapedBackbone,
    patch: int,
    path: Path,
    label: np.ndarray,
    size: int,
    scale: float | None,
) -> tuple[np.ndarray, float]:
    """Confusion matrices of one image's masks, in one view of a size or in windows of it at a scale.

    Returns:
        int64 (heads, 2, clusters, clusters), of all pixels and of those near a border; CPU seconds with one head.
    """
    edges = np.where(near_border(label), label, VOID)
    began = time.process_time()
    width, height = upright_size(path)
    shape = scaled_shape(width, height, scale, patch) if scale else view_shape(width, height, size, patch)
    seen, side = Seen(backbone, patch, path, shape), round_to_patch(size, patch) if scale else None
    masks = [scaled_ids(seen.ids(heads[0], side), *label.shape)]
    seconds = time.process_time() - began
    masks += [scaled_ids(seen.ids(head, side), *label.shape) for head in heads[1:]]
    clusters = heads[0].clusters
    return np.array([[confusion_matrix(m, ids, clusters, clusters) for ids in (label, edges)] for m in masks]), seconds


def run_set(
    name: str, entry: dict, data: Path, out: Path, ways: list[tuple[int, float | None]], images: int, seeds: list[int]
) -> list[dict]:
    """One row for each way and seed: accuracy, mIoU, accuracy near borders, median CPU seconds of an image."""
    store, settings, rows = features_of(out, name, "train"), choose(HEAD, backbone=BACKBONE).settings, []
    clusters = len(entry["classes"])
    heads = [SmooSegPlusHead.fit(store, clusters, settings, seed=seed, budget=BUDGET)[0] for seed in seeds]
    backbone = ShapedBackbone.of(store.provenance)
    backbone.load(out / "weights" / f"{BACKBONE}.safetensors")
    dataset = open_dataset(entry | {"root": data / entry["path"]})
    entries = dataset.entries(entry["eval"]["split"])
    chosen = [entries[i] for i in np.unique(np.linspace(0, len(entries) - 1, images).astype(int))]
    pairs = [(dataset.root / image.image, dataset.read_label(dataset.root / image.label)) for image in chosen]
    patch = store.provenance["patch"]
    for size, scale in ways:
        counted, seconds = zip(*(count(heads, backbone, patch, *pair, size, scale) for pair in pairs), strict=True)
        for seed, (whole, border) in zip(seeds, sum(counted), strict=True):
            matched = match_clusters(whole)
            scores, trimap = score(whole, matched), score(border, matched).accuracy
            way = f"{size} in windows at {scale:g}" if scale else str(size)
            row = {"set": name, "size": way, "seed": seed, "images": len(pairs), "seconds": np.median(seconds)}
            rows.append(row | {"accuracy": scores.accuracy, "miou": scores.miou, "trimap": trimap})
    return rows


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the labelled data sets")
    parser.add_argument("--out", type=Path, default=Path("results/view_size"), help="caches and view_size.csv")
    parser.add_argument("--sets", nargs="+", help="only these of the sets")
    parser.add_argument("--sizes", type=int, nargs="+", default=[322, 448, 644], help="shorter side of a view (pixels)")
    parser.add_argument("--scales", type=float, nargs="*", default=[], help="pixels of a view for one of its image")
    parser.add_argument("--images", type=int, default=20, help="of each set at most, evenly spread over its list")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--precision", default="float32", help="of the extraction")
    given = parser.parse_args()
    datasets = {k: entry for k, entry in find_datasets(given.data).items() if not given.sets or k in given.sets}
    given.out.mkdir(parents=True, exist_ok=True)
    make_caches(datasets, given.data, given.out, given.precision)
    torch.set_num_threads(1)
    rows, ways = [], [*((size, None) for size in given.sizes), *((given.sizes[0], scale) for scale in given.scales)]
    for name, entry in datasets.items():
        rows += run_set(name, entry, given.data, given.out, ways, given.images, given.seeds)
        pd.DataFrame(rows).to_csv(given.out / "view_size.csv", index=False)
    groups = pd.DataFrame(rows).drop(columns="seed").groupby(["set", "size"], sort=False)
    spread = groups[["accuracy", "miou", "trimap"]].std().add_suffix(" spread")
    print(groups.mean().join(spread).round(2).to_string())
