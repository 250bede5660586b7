"""An extraction from images to a finished store."""

from smooseg.features import extraction
from smooseg.features.planning import plan_features
from smooseg.images.datasets import open_dataset
from smooseg.images.indexing import index_views
from tests.conftest import TINY_MODEL, write_images

NEEDS = {
    "model": TINY_MODEL, "block": 3, "norm": False, "resample": "nearest", "precision": "float32", "patch": 16, "size": 32, "channels": 64,
    "features": "tokens", "prefix": 0,
}  # fmt: skip


def plan(path, views, code="1", codec="raw"):
    return plan_features(views, path, NEEDS, code=code, codec=codec, batch=16, replace=True)


class Case:
    """Five views of each image to extract, and where to."""

    def __init__(self, folder, checkpoint, images=10):
        if not (folder / "data").exists():
            write_images(folder / "data", "train", images)
        self.folder, self.checkpoint = folder, checkpoint
        self.dataset = open_dataset({"root": folder / "data", "layout": "folder", "classes": ["a", "b"], "void": 255})
        self.manifest = index_views(self.dataset, "train", "five", 30, evaluation=False, workers=2)
        self.manifest.to_parquet(folder / "views.parquet")

    def plan(self, name="s.zarr", code="1", codec="raw"):
        return plan(self.folder / name, len(self.manifest), code, codec)

    def extract(self, store, part=1, parts=1):
        extraction.extract_features(
            self.folder / "views.parquet",
            self.dataset.root,
            self.checkpoint,
            store,
            part=part,
            parts=parts,
            batch=16,
            workers=2,
        )


def files(path):
    return {f.relative_to(path).as_posix(): f.read_bytes() for f in path.rglob("*") if f.is_file()}
