"""What jobs ask a scheduler for: memory and time limits from the size of what they read.

The rates are of one core where they were measured (docs/results/scaling.md), rounded to the safe side. Limits are three times
that and ten minutes, and more with every attempt. A rule without ``runtime`` takes minutes on any data, and the profile's default. Which jobs get a GPU
is for the profile to say.
"""

import json
import math
import os
from functools import cache

FORWARD = 6.0  # views a second, of a ViT-S/14 at 224 pixels
STEP = 0.17  # seconds, of SmooSeg or STEGO on a batch of such views
UPSAMPLE = 0.1  # seconds, of an image at 320 pixels
CRF = 0.7  # seconds, of an image at 320 pixels
MASKS = 0.3  # seconds, of a view at 224 pixels
LABEL = 0.003  # seconds, of a view
READ = 1e8  # bytes a second, of a cache on a shared file system: assumed, not measured
VIT_S14 = (256, 384)  # patches and channels of a view
BATCH = 32  # views


def store_shape(marker):
    """Views, patches and channels that a store's plan or completion records; unknown until an earlier job wrote it."""
    return read_shape(str(marker), os.stat(marker).st_mtime_ns)


@cache
def read_shape(marker, written):
    """As :func:`store_shape`, read once for all jobs that ask, and again if an earlier job has written it meanwhile."""
    with open(marker, encoding="utf-8") as file:
        return json.load(file)["shape"]


def minutes(seconds, attempt):
    """Time limit of a job that takes ``seconds`` at the rates above."""
    return attempt * (10 + math.ceil(3 * seconds / 60))


def extraction_minutes(wildcards, input, threads, attempt):
    """Time limit of one part of an extraction on its CPU cores: a transformer's products decide it."""

    def products(patches, channels):
        return patches * channels * (6 * channels + patches)

    views, *view = store_shape(input.plan)
    work = views / int(wildcards.parts) * products(*view) / products(*VIT_S14)
    return minutes(work / (FORWARD * threads), attempt)


def training_minutes(wildcards, input, attempt):
    """Time limit of a training: its steps on one core, what they read, and one pass over the cache."""
    views, *view = store_shape(input.complete)
    steps = config["experiments"][wildcards.experiment]["settings"].get("steps", 0)
    computing = steps * STEP * math.prod(view) / math.prod(VIT_S14)
    return minutes(computing + 2 * math.prod(view) * (views + steps * BATCH) / READ, attempt)


def training_memory(wildcards, input, attempt):
    """Memory of a training (MB): the features that it holds, and PyTorch with a step."""
    held = min(1e3 * config["train"]["memory_gb"], 2e-6 * math.prod(store_shape(input.complete)))
    return math.ceil(held) + 2500 * attempt


def labels_minutes(wildcards, input, attempt):
    """Time limit of reading the labels of views."""
    return minutes(LABEL * store_shape(input.complete)[0], attempt)


def maps_minutes(wildcards, input, attempt):
    """Time limit of a pass over evaluation views; an image has two, itself and its mirror image."""
    return minutes(UPSAMPLE * store_shape(input.complete)[0] / 2, attempt)


def crf_memory(wildcards, threads, attempt):
    """Memory (MB) of refinement: one process whose threads share what they load, or with pydensecrf one for each core."""
    shared, each = (0, 1500) if config["crf"]["engine"] == "pydensecrf" else (1500, 250)
    return attempt * (shared + each * threads)


def crf_minutes(wildcards, input, threads, attempt):
    """Time limit of refining evaluation images on some cores."""
    return minutes(CRF * store_shape(input.complete)[0] / 2 / threads, attempt)


def proposal_minutes(wildcards, input, threads, attempt):
    """Time limit of proposing masks for training views on some cores."""
    views, *view = store_shape(input.complete)
    return minutes(MASKS * views * math.prod(view) / math.prod(VIT_S14) / threads, attempt)


def growing(mb, mb_per_thread=0):
    """Memory (MB) that grows with every attempt."""
    return lambda wildcards, threads, attempt: attempt * (mb + mb_per_thread * threads)
