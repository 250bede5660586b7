"""Procedural outdoor scenes with exact labels: the embedded data set, drawn from a seed.

A scene is painted back to front on a canvas that holds colours and kinds of things together, so labels
are exact by construction: sky and clouds, a ground plane in perspective with grass, water and road,
then trees and buildings from far to near, with shadows, haze and a camera's imperfections.
"""

from pathlib import Path

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

from ...running.parallel import compute
from .scenes import BLOCK, BUILDING, CLASS_OF, CONIFER, FOREST, GRASS, ROAD, ROOF, SKY, TREE, WATER, Scene, fractal

SEED_STRIDE = 100_000  # data sets of different seeds share no scene
FADED = 3.0  # reaches, at which a shadow no longer changes a colour in float32
GRASSES = [(0.33, 0.50, 0.17), (0.44, 0.55, 0.22), (0.55, 0.54, 0.28), (0.28, 0.43, 0.18)]
LEAVES = [(0.16, 0.34, 0.12), (0.22, 0.38, 0.14), (0.30, 0.36, 0.12), (0.45, 0.30, 0.10), (0.12, 0.28, 0.17)]
WALLS = [
    (0.66, 0.36, 0.28),
    (0.84, 0.78, 0.66),
    (0.62, 0.62, 0.63),
    (0.90, 0.89, 0.86),
    (0.52, 0.45, 0.40),
    (0.78, 0.66, 0.45),
]
ROOFS = [(0.42, 0.20, 0.15), (0.28, 0.27, 0.29), (0.50, 0.33, 0.22)]
ASPHALTS = [(0.34, 0.34, 0.36), (0.46, 0.45, 0.44), (0.56, 0.52, 0.46)]


def draw_sky(scene: Scene) -> None:
    """Gradient and clouds."""
    rng, height, width = scene.rng, scene.height, scene.width
    share = np.clip(scene.rows / max(scene.horizon, 1), 0, 1)[..., None] ** 0.8
    sky = scene.zenith * (1 - share) + scene.haze * share
    clouds = Image.fromarray(fractal(rng, height, width // 2, rng.uniform(40, 90), 5))
    cloud = np.asarray(clouds.resize((width, height), Image.Resampling.BILINEAR))  # clouds are wider than tall
    cover = np.clip((cloud - rng.uniform(0.42, 0.62)) * 6, 0, 1)[..., None] * rng.uniform(0.3, 0.95)
    shade = (0.80 + 0.35 * cloud[..., None]) * np.clip(scene.haze + 0.12, 0, 1)
    scene.colour[:] = sky * (1 - cover) + shade * cover


def draw_grass(scene: Scene) -> None:
    """The ground, until something else covers it."""
    scene = scene.ground()
    base, dry = (np.array(GRASSES[i], np.float32) for i in scene.rng.choice(len(GRASSES), 2, replace=False))
    patches = np.clip((scene.ground_noise(0.5) - 0.35) * 2.5, 0, 1)[..., None]
    blades = (0.3 * scene.ground_noise(5) + 0.7 * scene.ground_noise(18))[..., None]
    colour = (base * (1 - patches) + dry * patches) * (0.20 + 1.6 * blades)
    scene.paint(np.ones_like(scene.kind, bool), colour, GRASS, far=0.06)


def draw_water(scene: Scene) -> None:
    """A lake or a coast: a shoreline that wanders, the sky's reflection, ripples."""
    rng = scene.rng
    wander = fractal(rng, scene.height, scene.width, 120, 4) - 0.5
    if rng.random() < 0.5:  # a lake across the middle distance
        top, bottom = sorted(rng.uniform(0.0, 0.5, 2))
        mask = (scene.near > top * 0.5) & (scene.near < max(bottom, 0.18) + 0.25 * wander)
    else:  # a coast on one side
        side = rng.choice([-1, 1])
        reach = (scene.columns / scene.width - 0.5) * side + 0.5
        mask = reach < rng.uniform(0.35, 0.75) + 0.25 * wander + 0.2 * (scene.near - 0.5)
    mask &= scene.rows >= scene.horizon
    mirrored = np.clip(2 * scene.horizon - scene.rows, 0, scene.height - 1).astype(int)
    reflection = gaussian_filter(scene.colour[mirrored, scene.columns.astype(int)], (3, 8, 0))
    deep = np.array(rng.choice([(0.10, 0.26, 0.34), (0.13, 0.30, 0.27), (0.16, 0.24, 0.36)]), np.float32)
    clear = (0.25 + 0.55 * scene.near)[..., None]
    ripples = scene.ground_noise(2.5, stretch=5)[..., None]
    scene.paint(mask, (reflection * (1 - clear) + deep * clear) * (0.45 + 1.10 * ripples), WATER)


def draw_road(scene: Scene) -> None:
    """A road to the horizon, straight or curved, with edge lines and a dashed centre line."""
    scene = scene.ground()
    rng, near = scene.rng, scene.near
    goal, start = rng.uniform(0.2, 0.8), rng.uniform(0.1, 0.9)
    bend = rng.normal(0, 0.35)
    centre = scene.width * (goal + (start - goal) * near + bend * near * (1 - near))
    half = scene.width * (0.004 + rng.uniform(0.14, 0.34) * near)
    offset = (scene.columns - centre) / half
    mask = np.abs(offset) < 1
    asphalt = np.array(ASPHALTS[rng.integers(len(ASPHALTS))], np.float32)
    surface = asphalt * (0.80 + 0.25 * scene.ground_noise(6) + 0.15 * scene.ground_noise(0.8))[..., None]
    if rng.random() < 0.7:
        dashes = np.sin(14 / np.maximum(near, 0.05)) > 0
        lines = (np.abs(np.abs(offset) - 0.9) < 0.03) | ((np.abs(offset) < 0.03) & dashes)
        surface = np.where(lines[..., None], 0.88, surface)
    scene.paint(mask, surface, ROAD)


def draw_forest(scene: Scene) -> None:
    """A band of distant trees along the horizon."""
    rng = scene.rng
    top = fractal(rng, 4, scene.width, rng.uniform(20, 60), 5)[0] * scene.height * rng.uniform(0.06, 0.20)
    mask = (scene.rows > scene.horizon - top) & (scene.rows <= scene.horizon + 2)
    leaves = np.array(LEAVES[rng.integers(len(LEAVES))], np.float32)
    texture = fractal(rng, scene.height, scene.width, 9, 3)[..., None]
    scene.paint(mask, leaves * (0.6 + 0.9 * texture), FOREST, far=rng.uniform(0.15, 0.45))


def draw_shadow(scene: Scene, x: float, base: float, reach: float) -> None:
    """Darken the ground beside an object, away from the sun."""
    wide, tall, middle = FADED * reach, FADED * (0.16 * reach + 1), x - scene.sun * reach * 0.5
    scene = scene.window(middle - wide, middle + wide, max(base - tall, scene.horizon), base + tall)
    dx = (scene.columns - x + scene.sun * reach * 0.5) / reach
    dark = np.exp(-2 * (dx**2 + ((scene.rows - base) / (0.16 * reach + 1)) ** 2))
    ground = (scene.kind != SKY) & (scene.rows > scene.horizon)
    scene.colour *= 1 - 0.55 * (dark * ground)[..., None]


def draw_tree(scene: Scene, x: float, base: float, near: float) -> None:
    """A broad-leaved tree or a conifer standing at (x, base), in pixels."""
    rng = scene.rng
    tall = scene.height * rng.uniform(0.40, 0.70) * (0.30 + near)
    wide = tall * rng.uniform(0.28, 0.42)
    draw_shadow(scene, x, base, 1.3 * wide)
    scene = scene.window(x - 2 * wide, x + 2 * wide, base - 1.6 * tall, base + 0.5 * tall)
    u, v = (scene.columns - x) / wide, (base - scene.rows) / tall  # v: 0 at the foot, 1 at the top
    rough = scene.noise(max(wide / 2, 4)) - 0.5
    kind = CONIFER if rng.random() < 0.3 else TREE
    if kind == CONIFER:
        crown = (v > 0.12) & (v < 0.92) & (np.abs(u) + 0.35 * rough + 0.08 * np.abs(np.sin(22 * v)) < 0.75 * (1 - v))
        light = 0.75 - 0.45 * u * scene.sun
    else:
        crown, light = np.zeros_like(u, bool), np.zeros_like(u)
        for _ in range(rng.integers(6, 11)):
            cu, cv, radius = rng.uniform(-0.55, 0.55), rng.uniform(0.42, 0.82), rng.uniform(0.28, 0.45)
            distance = np.hypot(u - cu, (v - cv) * 1.9) / radius
            blob = distance + 1.5 * rough < 1
            light = np.where(blob, 0.8 - 0.35 * (u - cu) / radius * scene.sun + 0.3 * (v - cv) / radius, light)
            crown |= blob
    far = 0.35 * (1 - near) ** 3
    trunk = (np.abs(u) < 0.09) & (v >= 0) & (v < 0.55)
    scene.paint(trunk, np.array((0.27, 0.20, 0.14), np.float32) * (0.7 + 0.6 * rough + 0.3)[..., None], kind, far)
    leaves = np.array(LEAVES[rng.integers(len(LEAVES))], np.float32)
    detail = scene.noise(max(3 + 8 * near, 3), 2)
    scene.paint(crown, leaves * np.clip(light * (0.45 + 1.1 * detail), 0.15, 2.2)[..., None], kind, far)


def draw_building(scene: Scene, x: float, base: float, near: float) -> None:
    """A house or a block at (x, base): lit front, darker side, windows, flat or gabled roof."""
    rng = scene.rng
    house = rng.random() < 0.5
    tall = scene.height * (rng.uniform(0.26, 0.40) if house else rng.uniform(0.55, 1.10)) * (0.30 + near)
    wide = scene.height * rng.uniform(0.35, 0.70) * (0.30 + near)
    draw_shadow(scene, x, base, 0.9 * wide)
    scene = scene.window(x - 0.6 * wide, x + 0.6 * wide, base - 1.6 * tall, base + 2)
    u, v = (scene.columns - x) / wide + 0.5, (base - scene.rows) / tall
    wall = np.array(WALLS[rng.integers(len(WALLS))], np.float32) * rng.uniform(0.85, 1.1)
    grain = (0.88 + 0.24 * scene.noise(max(20 * near, 3), 3))[..., None]
    far = 0.35 * (1 - near) ** 3
    corner = rng.uniform(0.55, 0.85) if scene.sun < 0 else rng.uniform(0.15, 0.45)
    shaded = (u > corner) if scene.sun < 0 else (u < corner)
    body = (u > 0) & (u < 1) & (v >= 0) & (v < 1)
    facade = wall * np.where(shaded, 0.62, 1.0)[..., None] * grain
    floors, bays = (rng.integers(1, 3), rng.integers(2, 5)) if house else (rng.integers(3, 9), rng.integers(3, 8))
    across, up = (u * bays) % 1, (v * floors) % 1
    panes = (np.abs(across - 0.5) < rng.uniform(0.18, 0.34)) & (np.abs(up - 0.55) < rng.uniform(0.18, 0.30))
    lit = rng.random((16, 16))[(v * floors).astype(int).clip(0, 15), (u * bays).astype(int).clip(0, 15)]
    glass = np.array((0.22, 0.27, 0.33), np.float32) + 0.30 * lit[..., None] * scene.haze
    scene.paint(body, np.where(panes[..., None], glass, facade), BUILDING if house else BLOCK, far)
    roof = np.array(ROOFS[rng.integers(len(ROOFS))], np.float32) * grain
    ridge = 0.55 * np.clip(1 - np.abs(u - 0.5) / 0.56, 0, 1) if house else np.where(np.abs(u - 0.5) < 0.52, 0.04, 0)
    scene.paint((v >= 1) & (v < 1 + ridge), roof, ROOF, far)


def draw_objects(scene: Scene) -> None:
    """Trees and buildings from far to near, none of them in the water or on the road."""
    rng = scene.rng
    town = rng.random() < 0.65
    kinds = [draw_building] * rng.integers(3, 9) * town + [draw_tree] * rng.integers(2, 9)
    places = sorted((rng.uniform(0.02, 0.55), rng.uniform(0.02, 0.98), i) for i in range(len(kinds)))
    order = rng.permutation(len(kinds))
    for near, across, i in places:
        base = scene.horizon + near * (scene.height - scene.horizon)
        x = across * scene.width
        if scene.kind[int(base), int(x)] not in (WATER, ROAD):
            kinds[order[i]](scene, x, base, near)


def draw_kinds(seed: int, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """One scene and what is where in it.

    Args:
        seed: Fixes it entirely.
        width, height: In pixels.

    Returns:
        uint8 (height, width, 3) image and uint8 (height, width) ids of :data:`~smooseg.images.demo.scenes.KINDS`.
    """
    rng = np.random.default_rng(seed)
    scene = Scene(rng, width, height)
    draw_sky(scene)
    draw_grass(scene)
    if rng.random() < 0.5:
        draw_water(scene)
    if rng.random() < 0.6:
        draw_road(scene)
    if rng.random() < 0.7:
        draw_forest(scene)
    draw_objects(scene)
    image = gaussian_filter(scene.colour, (0.4, 0.4, 0)) * rng.uniform(0.85, 1.1)
    image += rng.normal(0, 0.012, image.shape)  # sensor noise
    return (np.clip(image, 0, 1) * 255).astype(np.uint8), scene.kind


def draw_scene(seed: int, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """One scene and its class ids, see :func:`draw_kinds`."""
    image, kinds = draw_kinds(seed, width, height)
    return image, CLASS_OF[kinds]


def write_scene(folder: Path, split: str, seed: int, width: int, height: int) -> None:
    """Write one scene as PNG under ``images/{split}`` and ``labels/{split}``."""
    for kind, pixels in zip(("images", "labels"), draw_scene(seed, width, height), strict=True):
        Image.fromarray(pixels).save(folder / kind / split / f"{seed:06d}.png")


def write_splits(folder: Path, generate: dict, workers: int) -> None:
    """Draw a whole data set.

    Args:
        folder: Where its ``images`` and ``labels`` go.
        generate: Resolved ``generate`` entry: train and val (scenes), width and height (pixels), seed.
        workers: Processes.
    """
    scenes = [split for split in ("train", "val") for _ in range(generate[split])]
    for kind in ("images", "labels"):
        for split in ("train", "val"):
            (folder / kind / split).mkdir(parents=True, exist_ok=True)
    size = generate["width"], generate["height"]
    first = generate["seed"] * SEED_STRIDE
    tasks = [(folder, split, first + number, *size) for number, split in enumerate(scenes)]
    compute(write_scene, tasks, workers, None, "draw", "scene")
