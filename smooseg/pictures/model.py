"""A head with all that it needs, from images to masks, in the manner of scikit-learn."""

import inspect
import shutil
import tempfile
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from ..errors import SmoosegError
from ..features.cached import Features, own_features
from ..heads import Head, load_head
from ..heads.base import read_made_from
from ..heads.fitting import HISTORY, take
from ..running.files import hold_folder, write_whole
from ..settings.choices import BACKBONE, HEAD, Choice, choose, head_settings, preset_settings
from ..settings.heads import AUTO, check_clusters
from ..settings.schema import check_parts, load_schema
from .given import is_features, is_one
from .maps import Masks
from .memory import label_images
from .segmenter import Segmenter
from .stages import extract_images, fit_features, subtracts_mean


class Model:
    """A head and the backbone below it. It is used like an estimator of scikit-learn.

    After :meth:`fit`, a model has these attributes, and can be given wherever a head's file is asked for:

    - ``path``: the head's file;
    - ``history``: the course of the training, a pandas DataFrame;
    - ``module``: the torch module;
    - ``experiment``: the facts in the file, a dict.

    Args:
        clusters: Number of clusters, from 2 to 255; None lets a smooseg_plus head choose it (``module.clusters``).
        head: Name of a head that needs no labels, see ``smooseg heads``.
        backbone: Name in the catalogue, or a dict with the keys of an entry there.
        preset: Name of a set of settings: "released" or "small".
        seed: Fixes initialisation and order.
        out: Folder for everything that is written. None takes that of the features, or one that goes with the model.
        name: Name of the head's folder below ``out/results/library``; None takes the head's name.
        memory_gb: Gigabytes of features to hold in memory.
        settings: Settings of the head. Others keep the defaults of the configuration.

    Raises:
        SmoosegError: By its methods, if a setting is unknown, images cannot be used, or the model is not fitted yet.

    Example:
        >>> model = smooseg.Model(clusters=6, out="work").fit("photos")
        >>> masks = model.predict("photos")
    """

    def __init__(
        self,
        clusters: int | None = 6,
        head: str = HEAD,
        *,
        backbone: str | dict = BACKBONE,
        preset: str | None = None,
        seed: int = 0,
        out: str | Path | None = None,
        name: str | None = None,
        memory_gb: float = 4,
        **settings: Any,
    ):
        self.clusters, self.head, self.backbone, self.preset = clusters, head, backbone, preset
        self.seed, self.out, self.name, self.memory_gb, self.settings = seed, out, name, memory_gb, settings
        self.path: Path | None = None
        self.made_from = ""  # what tells the head from another that a later call writes to the same file
        self.weights: Path | None = None
        self.held: Any = None  # what a passing model lies in

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """What the model was made with: its own arguments, and the settings of the head.

        Args:
            deep: Not used; scikit-learn passes it.
        """
        names = [name for name in inspect.signature(Model).parameters if name != "settings"]
        return {name: getattr(self, name) for name in names} | self.settings

    def set_params(self, **params: Any) -> "Model":
        """Change what the model was made with. Fit it again afterwards."""
        self.__init__(**(self.get_params() | params))  # type: ignore[misc]
        return self

    def fit(self, data: Any, y: None = None) -> "Model":
        """Fit the head to images, or to features alone.

        Args:
            data: Images as for :func:`smooseg.extract`; features that it returned; or a NumPy array or torch tensor of
                real numbers (not bytes), (views, patches, channels).
            y: Not used, since no label is ever seen; scikit-learn passes it.

        Raises:
            SmoosegError: As :func:`smooseg.fit`.
        """
        features = data if isinstance(data, Features) else own_features(data) if is_features(data) else None
        if features is None:
            choice = self.choice()
            features = extract_images(data, self.out, (choice.backbone, choice.entry or {}))
        else:
            choice = self.choice(features)
        results = Path(self.out).absolute() / "results" if self.out else features.results
        self.held, self.weights = features, features.source.weights if features.source else None
        with hold_folder(results):
            path = fit_features(features, choice, self.name or self.head, self.numbers()[2], results)
            if features.held and not self.out:  # the next fit to the same features may take the same place
                own = tempfile.TemporaryDirectory(prefix="smooseg-")
                self.held, path = (features, own), take(path, Path(own.name) / path.relative_to(results.parent))
            self.path, self.made_from, self.loaded = path, read_made_from(path), load_head(path)
        return self

    def choice(self, features: Features | None = None) -> Choice:
        """The head with complete settings; of features that are there the backbone is theirs."""
        clusters, seed, _ = self.numbers()
        if features is None:
            return choose(self.head, clusters, self.backbone, self.preset, self.settings, seed)
        if features.entry:
            own = (features.backbone, features.entry)
            return choose(self.head, clusters, own, self.preset, self.settings, seed)
        settings = head_settings(self.head, preset_settings(self.head, self.preset) | self.settings)
        if settings.get("subtract_mean", False) is None:
            settings["subtract_mean"] = subtracts_mean(features)
        check_clusters("fit", self.head, clusters, settings)
        return Choice(self.head, clusters, settings, features.backbone, None, seed)

    def numbers(self) -> tuple[int | str, int, float]:
        """Number of clusters, seed and gigabytes of memory, as Python's own numbers.

        Raises:
            SmoosegError: If one of them is out of range, or the name is no folder's.
        """
        schema = load_schema()
        parts = {"clusters": schema["$defs"]["experiment"]["properties"]["clusters"]}
        parts |= {"seed": schema["$defs"]["seeds"]["items"]}
        parts |= {"memory_gb": schema["properties"]["train"]["properties"]["memory_gb"]}
        given = check_parts({name: getattr(self, name) for name in parts}, parts, schema, "fit")
        if self.name is not None and (self.name == ".." or Path(self.name).parts != (self.name,)):
            raise SmoosegError(f"name is {self.name!r}; it must be the name of one folder")
        return AUTO if given["clusters"] is None else given["clusters"], given["seed"], given["memory_gb"]

    def __fspath__(self) -> str:
        return str(self.fitted)

    @property
    def fitted(self) -> Path:
        """The head's file.

        Raises:
            SmoosegError: If the model is not fitted yet, or another fit has replaced its file.
        """
        if self.path is None:
            raise SmoosegError("this model is not fitted yet; call fit")
        if self.made_from and read_made_from(self.path) != self.made_from:
            raise SmoosegError(f"{self.path}: another fit wrote its head here; give each fit its own name, as name='b'")
        return self.path

    @cached_property
    def loaded(self) -> tuple[Head, dict]:
        """The torch module and the facts in its file."""
        return load_head(self.fitted)

    @property
    def module(self) -> Head:
        """The torch module, in evaluation mode."""
        return self.loaded[0]

    @property
    def experiment(self) -> dict:
        """The facts in the head's file."""
        return self.loaded[1]

    @property
    def history(self) -> pd.DataFrame:
        """The course of the training, a row for every recorded step."""
        return pd.read_parquet(self.fitted.with_name(HISTORY))

    def segmenter(self, **options: Any) -> Segmenter:
        """The head with its backbone. Options are those of :class:`smooseg.pictures.segmenter.Segmenter`."""
        options["weights"] = options.get("weights") or self.weights
        return Segmenter(self.fitted, **options)

    def predict(
        self,
        data: Any,
        *,
        clusters: int | None = None,
        scores: bool = False,
        batch: int = 8,
        bands: tuple[int, ...] | None = None,
        **options: Any,
    ) -> Any:
        """Ids of pixels. If features are given, ids of patches.

        Args:
            data: As for :meth:`fit`.
            clusters: Number of clusters to show, as for :func:`smooseg.segment`.
            scores: Whether masks get the scores of all clusters, ``mask.scores``.
            batch: Images in a forward pass.
            bands: Of rasters, as for :func:`smooseg.extract`.
            options: crf, size, scale, tile, names and weights, as for :func:`smooseg.segment`.

        Returns:
            A :class:`smooseg.Mask` for one image in memory; :class:`smooseg.Masks` for several images, and for paths.
            For features, uint8 (views, patches).

        Raises:
            SmoosegError: If the model is not fitted yet, or an image cannot be used.
        """
        if isinstance(data, Features) or is_features(data):
            return self.patch_ids(np.asarray(data.detach().cpu() if hasattr(data, "detach") else data), clusters)
        segmenter = self.segmenter(clusters=clusters, **options)
        masks: Masks = label_images(data, segmenter, scores=scores, batch=batch, bands=bands)
        return masks[0] if is_one(data) else masks

    @torch.inference_mode()
    def patch_ids(self, features: np.ndarray, clusters: int | None = None) -> np.ndarray:
        """Clusters of patches.

        Args:
            features: Real numbers, (views, patches, channels).
            clusters: Number of clusters to cut the head into; None takes its own.

        Returns:
            uint8 (views, patches).

        Raises:
            SmoosegError: If the head has another number of channels, or cannot be cut.
        """
        head = self.module if clusters is None else self.module.cut(clusters)
        if features.shape[-1] != head.channels:
            raise SmoosegError(f"features have {features.shape[-1]} channels, and the head is of {head.channels}")
        parts = [torch.from_numpy(np.ascontiguousarray(features[i : i + 16])) for i in range(0, len(features), 16)]
        return np.concatenate([head.logits(head.embed(part)).argmax(-1).to(torch.uint8).numpy() for part in parts])

    def fit_predict(self, data: Any, y: None = None) -> Any:
        """Fit the head, and predict the same data."""
        return self.fit(data).predict(data)

    def save(self, path: str | Path) -> Path:
        """Copy the head's file.

        With the backbone's weights, :func:`smooseg.load` makes a model of it on any machine.

        Returns:
            The path that it was copied to.
        """
        with write_whole(Path(path)) as aside:
            shutil.copyfile(self.fitted, aside)
        return Path(path)

    def __repr__(self) -> str:
        facts = {"clusters": self.module.clusters if self.path else self.clusters, "head": self.head}
        facts |= {"preset": self.preset} if self.preset else {}
        settings = self.module.settings if self.path else self.settings
        facts |= {key: value for key, value in settings.items() if not isinstance(value, dict)}
        said = ", ".join(f"{key}={value!r}" for key, value in facts.items())
        return f"Model({said}; {self.path or 'not fitted'})"


def load(path: str | Path, weights: str | Path | None = None) -> Model:
    """Load a model from the file of a head. The workflow, the command and the library write such files.

    Args:
        path: A ``head.safetensors``.
        weights: File of its backbone's weights; None looks in the results folder that the head lies in.

    Returns:
        A fitted model.

    Raises:
        SmoosegError: If the file is no head.

    Example:
        >>> model = smooseg.load("work/results/experiments/smooseg_plus/0/head.safetensors")
        >>> masks = smooseg.segment("more", model)
    """
    head, experiment = load_head(Path(path))
    model = Model(
        head.clusters,
        experiment.get("head", HEAD),
        backbone=experiment.get("backbone", BACKBONE),
        seed=experiment.get("seed", 0),
    )
    model.path, model.weights = Path(path), Path(weights) if weights else None
    model.loaded = head, experiment
    return model
