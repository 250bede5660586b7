"""A folder to fit a head in, and the command that does."""

import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from PIL import Image

from smooseg.cli import main
from tests.support.project import TINY
from tests.support.segmenting import picture

HEAD = "out/results/experiments/kmeans/0/head.safetensors"
TURNED = 6  # EXIF orientation: to be shown, the picture is turned right


def save_turned(image: Image.Image, path) -> None:
    """A picture as a camera that was held upright saves it."""
    exif = Image.Exif()
    exif[0x0112] = TURNED
    image.rotate(90, expand=True).save(path, exif=exif)


def write_photos(folder) -> None:
    """Pictures of every kind that people have, and labels of two of them."""
    (folder / "photos" / "more").mkdir(parents=True)
    picture().save(folder / "photos" / "a.v2.jpg")
    picture(120, 90, 1).convert("CMYK").save(folder / "photos" / "cmyk.JPEG")
    picture(seed=2).convert("RGBA").save(folder / "photos" / "more" / "alpha.png")
    picture(seed=3).quantize(32).save(folder / "photos" / "palette.webp")
    deep = np.asarray(picture(seed=4).convert("L")).astype(np.uint16) * 257
    Image.fromarray(deep).save(folder / "photos" / "deep.png")
    save_turned(picture(seed=5), folder / "photos" / "turned.jpg")
    (folder / "labels").mkdir()
    label = np.ones((80, 96), np.uint8)
    label[:40] = 0
    for name in ("a.v2", "turned"):
        Image.fromarray(label).save(folder / "labels" / f"{name}.png")


@pytest.fixture
def place(tmp_path, tiny_checkpoint, monkeypatch):
    """A folder with pictures and a catalogue that holds the tiny backbone, as the working directory."""
    folder = tmp_path / "somebody's pictures"
    write_photos(folder)
    (folder / "tiny.safetensors").write_bytes(tiny_checkpoint.read_bytes())
    (folder / "config.yaml").write_text(yaml.safe_dump(TINY))
    monkeypatch.chdir(folder)
    return folder


def fit(*arguments, classes=2, head="kmeans", out="out"):
    options = ["--classes", classes, "--head", head, "--backbone", "tiny", "--out", out, "--cores", 2]
    return CliRunner().invoke(main, ["fit", *map(str, [*arguments, *options])])


def times(folder) -> dict[str, int]:
    return {path.as_posix(): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def cut(folder):
    path = folder / "photos" / "a.v2.jpg"
    path.write_bytes(path.read_bytes()[:300])
    Image.new("RGB", (1, 1)).save(folder / "photos" / "dot.png")
