"""The stages of the workflow in this process, on somebody's own pictures: features, masks, a head."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import SmoosegError
from ..evaluation.proposals import proposal_facts, propose_masks
from ..features.cached import Features
from ..features.caching import Source, cache_features
from ..features.provenance import feature_needs
from ..features.store import Store, open_store
from ..features.weights import keep_weights, own_weights
from ..heads import load_head
from ..heads.fitting import HEAD, Fitting, fit_head, other_place
from ..heads.inputs import picture_numbers
from ..images.indexing import index_views
from ..images.manifests import write_manifest
from ..running.codes import code_of_proposals
from ..running.device import threads
from ..running.files import hold_folder
from ..running.machine import is_writable, usable_cores
from ..settings.catalogue import find_backbone, stated_needs
from ..settings.choices import Choice
from ..settings.heads import proposal_settings
from ..settings.schema import check_parts, load_schema, with_defaults
from .given import as_files
from .linking import TRAIN
from .segmenter import crf_defaults
from .sets import DATASET, PictureSet, Views, find_set


def part_defaults(name: str) -> dict:
    """A part of the configuration where nobody sets anything in it."""
    schema = load_schema()
    return with_defaults({}, schema["properties"][name], schema)


@dataclass(frozen=True)
class Extraction:
    """How features are extracted; the defaults are the configuration's.

    Args:
        precision, batch, workers, codec: As ``extract`` in config.yaml; codec None takes that of a cache that is there.
    """

    precision: str
    batch: int
    workers: int
    codec: str | None

    @classmethod
    def of(cls, **changes: Any) -> "Extraction":
        """The configuration's defaults with some changes, where they are not None.

        Raises:
            SmoosegError: If a value is out of range.
        """
        schema, asked = load_schema(), {key: value for key, value in changes.items() if value is not None}
        given = check_parts(asked, schema["properties"]["extract"]["properties"], schema, "extract")
        given |= {"codec": asked.get("codec")}
        return cls(**{key: given[key] for key in cls.__dataclass_fields__})


def extract_images(
    images: Any,
    out: str | Path | None,
    backbone: tuple[str, dict],
    views: Views = Views(),  # noqa: B008 (it does not change)
    scale: float | None = None,
    bands: tuple[int, ...] | None = None,
    **how: Any,
) -> Features:
    """What :func:`smooseg.extract` gives.

    Args:
        images, out, scale, bands: As there.
        backbone: Name and entry.
        views: How they are cut.
        how: Changes of :class:`Extraction`.
    """
    held = None if out else tempfile.TemporaryDirectory(prefix="smooseg-")
    folder = Path(out or held.name)  # type: ignore[union-attr]
    with tempfile.TemporaryDirectory(prefix="smooseg-") as given:  # for what lies in memory; links outlive it
        pictures = find_set(as_files(images, Path(given)), folder, None, scale, bands, views)
        return extract_set(pictures, backbone, Extraction.of(**how), held)


@threads()
def extract_set(
    pictures: PictureSet,
    backbone: tuple[str, dict],
    how: Extraction,
    held: tempfile.TemporaryDirectory | None = None,
) -> Features:
    """Features of the training views of pictures; what an earlier call, or the workflow, finished is kept.

    Args:
        pictures: They are put in their folder; the results lie beside it.
        backbone: Name and entry.
        how: Settings.
        held: A folder that goes when the features do.
    """
    pictures, results = pictures.check(2, how.workers), pictures.root.parent / "results"
    with hold_folder(results):
        pictures.link()
        return cache_set(pictures, backbone, how, results, held)


def cache_set(
    pictures: PictureSet,
    backbone: tuple[str, dict],
    how: Extraction,
    results: Path,
    held: tempfile.TemporaryDirectory | None,
) -> Features:
    """What :func:`extract_set` gives, of pictures that lie in their folder; arguments as there.

    Args:
        results: Folder that views, weights and features are written to.
    """
    (name, entry), dataset = backbone, pictures.dataset()
    facts = keep_weights(name, entry["model"], entry["weights"], weights_places(results, bool(held)))
    views, manifest = pictures.views, results / "library" / "manifests" / DATASET / f"{TRAIN}.parquet"
    rows = index_views(dataset, TRAIN, views.crops, views.size, False, how.workers)
    write_manifest(manifest, [rows])
    needs = feature_needs(stated_needs(entry, views.resample, how.precision), manifest, facts)
    source = Source(manifest, dataset.root, facts.with_suffix(".safetensors"), needs)
    path = results / "features" / DATASET / name / f"{TRAIN}.zarr"
    features = Features(path, DATASET, name, entry, source, held)
    codec = how.codec or part_defaults("extract")["codec"]
    kept = how.codec is None  # whatever the codec of a cache that is there
    store = cache_features(source, path, codec=codec, batch=how.batch, workers=how.workers, any_codec=kept)
    vars(features)["store"] = store  # opened now, so that another call's are told from these
    return features


def weights_places(results: Path, passing: bool) -> list[Path]:
    """Where weights may lie, and at last where they are put: beside the results, or if those pass, with the user."""
    beside = [results / "weights", results / "library" / "weights"]
    return [*beside, own_weights()] if passing and is_writable(own_weights()) else beside


@threads()
def fit_features(features: Features, choice: Choice, name: str, memory_gb: float, results: Path) -> Path:
    """Fit a head to features alone, and return its file.

    Args:
        features: What it is fitted to.
        choice: The head.
        name: Of its folder.
        memory_gb: Features to hold in memory.
        results: Folder of results that it is written to.
    """
    features.require_same()
    experiment: dict[str, Any] = {"dataset": features.dataset, "backbone": features.backbone, "head": choice.head}
    experiment |= {"clusters": choice.clusters, "settings": choice.settings}
    base = base_file(results, choice)
    inputs = {wanted: INPUTS[wanted](features) for wanted in choice.inputs if wanted in INPUTS}
    if base:
        inputs["base"] = load_head(base)[0]
    fitting = Fitting(experiment, choice.seed, features.store, features.needs, memory_gb, inputs, base)
    output = results / "library" / name / str(choice.seed) / HEAD
    return fit_head(fitting, output, other_place(output))


def base_file(results: Path, choice: Choice) -> Path | None:
    """File of the head that another is put on, by the name of its folder.

    Raises:
        SmoosegError: If there is none.
    """
    name = choice.settings.get("base")
    if name is None:
        return None
    path = results / "library" / name / str(choice.seed) / HEAD
    found = next((place for place in (path, other_place(path)) if place.is_file()), None)
    if found is None:
        raise SmoosegError(f"base {name!r}: there is no head {path}; fit it first, with name={name!r}")
    return found


def known_source(features: Features, what: str) -> Source:
    """What features were extracted from.

    Raises:
        SmoosegError: If nobody knows.
    """
    if features.source is None:
        raise SmoosegError(f"this head also needs {what}; features alone do not hold them: give images")
    return features.source


def weights_of(features: Features) -> Path:
    """The backbone's weights, for a head that goes on with its blocks."""
    return known_source(features, "the backbone's weights").weights


def proposals_of(features: Features) -> Store:
    """Mask proposals of the views, found once for a cache; the workflow's are taken as they are."""
    source = known_source(features, "masks of the images")
    path = features.results / "proposals" / features.dataset / f"{features.backbone}.zarr"
    settings = proposal_settings(part_defaults("proposals"), features.entry or {"subtract_mean": False})
    views, crf, code = (source.manifest, source.root), crf_defaults(), code_of_proposals()
    needs = {key: features.needs[key] for key in ("manifest_sha256", "size")} | proposal_facts(settings, crf, code)
    try:
        return open_store(path, needs)
    except SmoosegError:  # none yet, or made from something else
        propose_masks(features.store, path, code, *views, settings, crf, workers=usable_cores())
    return open_store(path, needs)


def pictures_of(features: Features) -> np.ndarray | None:
    """Number of the picture that each view is of; None where that is not known."""
    return picture_numbers(features.manifest) if features.manifest else None


# what heads ask for besides features, and how it is had
INPUTS = {"weights": weights_of, "proposals": proposals_of, "pictures": pictures_of}


def subtracts_mean(features: Features) -> bool:
    """Whether the backbone of features, where its name is in the catalogue, asks for their mean to be subtracted."""
    try:
        return bool(find_backbone(features.backbone)[1]["subtract_mean"])
    except SmoosegError:
        return False
