"""A head with all that it needs, from images to masks, in the manner of scikit-learn."""

import inspect
import shutil
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from ..errors import SmoosegError
from ..features.cached import Features, own_features
from ..heads import Head, load_head
from ..heads.fitting import HISTORY
from ..running.files import whole
from ..settings.choices import BACKBONE, HEAD, Choice, choose, head_settings, preset_settings
from ..settings.heads import AUTO, check_clusters
from .given import is_features, is_one
from .maps import Masks
from .memory import label_images
from .segmenter import Segmenter
from .stages import extract_images, fit_features, subtracts_mean


class Model:
    """A head and the backbone below it.

    ``Model(clusters=6).fit(images).predict(images)`` gives masks. Attributes after a fit: ``path``, the head's file
    (a model can be given wherever one is asked for); ``history``, a DataFrame; ``module``, the torch module;
    ``experiment``, the facts in the file.

    Args:
        clusters: How many; None lets the head choose, where it can (``module.clusters`` is what it chose).
        head: One of ``smooseg heads`` that needs no labels.
        backbone: Name in the catalogue, or an entry as there.
        preset: Name of a set of the head's settings: "released" or "small".
        seed: Fixes initialisation and order.
        out: Folder for everything that is written; None takes one that goes with the model.
        name: Folder of the head below ``out/results/library``; the head's name where not given.
        memory_gb: Features to hold in memory.
        settings: Hyperparameters of the head; defaults are the configuration's.
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
        self.weights: Path | None = None
        self.held: Any = None  # what a passing model lies in

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """What it was made with, settings of the head beside the others."""
        names = [name for name in inspect.signature(Model).parameters if name != "settings"]
        return {name: getattr(self, name) for name in names} | self.settings

    def set_params(self, **params: Any) -> "Model":
        """Change what it was made with; it must be fitted again."""
        self.__init__(**(self.get_params() | params))  # type: ignore[misc]
        return self

    def fit(self, data: Any, y: None = None) -> "Model":
        """Fit the head to images, or to features alone.

        Args:
            data: Images as :func:`smooseg.segment` takes them; features of :func:`smooseg.extract`; or a NumPy array or
                torch tensor of numbers that are no bytes, (views, patches, channels).
            y: Left out, since no label is ever seen.
        """
        if self.clusters is not None and not 2 <= self.clusters <= 255:
            raise SmoosegError(f"clusters is {self.clusters}; it must be from 2 to 255")
        features = data if isinstance(data, Features) else own_features(data) if is_features(data) else None
        if features is None:
            choice = self.choice()
            features = extract_images(data, self.out, (choice.backbone, choice.entry or {}))
        else:
            choice = self.choice(features)
        path = fit_features(features, choice, self.name or self.head, self.memory_gb)
        self.held, self.weights = features, features.source.weights if features.source else None
        self.path = path
        vars(self).pop("loaded", None)
        return self

    def choice(self, features: Features | None = None) -> Choice:
        """The head with complete settings; of features that are there the backbone is theirs."""
        if features is None:
            return choose(self.head, self.clusters, self.backbone, self.preset, self.settings, self.seed)
        if features.entry:
            own = (features.backbone, features.entry)
            return choose(self.head, self.clusters, own, self.preset, self.settings, self.seed)
        settings = head_settings(self.head, preset_settings(self.head, self.preset) | self.settings)
        if settings.get("subtract_mean", False) is None:
            settings["subtract_mean"] = subtracts_mean(features)
        clusters = AUTO if self.clusters is None else self.clusters
        check_clusters("fit", self.head, clusters, settings)
        return Choice(self.head, clusters, settings, features.backbone, None, self.seed)

    def __fspath__(self) -> str:
        return str(self.fitted)

    @property
    def fitted(self) -> Path:
        """The head's file.

        Raises:
            SmoosegError: If there is none yet.
        """
        if self.path is None:
            raise SmoosegError("this model is not fitted yet; call fit")
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
        """The head with its backbone; options as of :class:`smooseg.pictures.segmenter.Segmenter`."""
        options["weights"] = options.get("weights") or self.weights
        return Segmenter(self.fitted, **options)

    def predict(
        self,
        data: Any,
        *,
        scores: bool = False,
        batch: int = 8,
        bands: tuple[int, ...] | None = None,
        **options: Any,
    ) -> Any:
        """Ids of pixels, or of patches where features are given.

        Args:
            data: As for :meth:`fit`.
            scores: Whether masks get scores of each cluster.
            batch: Images in a forward pass.
            bands: That are seen of rasters.
            options: crf, size, scale, tile and names, as of :func:`smooseg.segment`.

        Returns:
            A :class:`smooseg.Mask` of one image in memory; :class:`smooseg.Masks` of several, and of paths; of features
            uint8 (views, patches).
        """
        if isinstance(data, Features) or is_features(data):
            return self.patch_ids(np.asarray(data.detach().cpu() if hasattr(data, "detach") else data))
        masks: Masks = label_images(data, self.segmenter(**options), scores=scores, batch=batch, bands=bands)
        return masks[0] if is_one(data) else masks

    @torch.inference_mode()
    def patch_ids(self, features: np.ndarray) -> np.ndarray:
        """Clusters of patches: uint8 (views, patches) of features (views, patches, channels)."""
        head = self.module
        if features.shape[-1] != head.channels:
            raise SmoosegError(f"features have {features.shape[-1]} channels, and the head is of {head.channels}")
        parts = [torch.from_numpy(np.ascontiguousarray(features[i : i + 16])) for i in range(0, len(features), 16)]
        return np.concatenate([head.logits(head.embed(part)).argmax(-1).to(torch.uint8).numpy() for part in parts])

    def fit_predict(self, data: Any, y: None = None) -> Any:
        """What :meth:`predict` gives of what the head is fitted to."""
        return self.fit(data).predict(data)

    def save(self, path: str | Path) -> Path:
        """Copy the head's file; with ``weights`` of the backbone it segments anywhere."""
        with whole(Path(path)) as aside:
            shutil.copyfile(self.fitted, aside)
        return Path(path)

    def __repr__(self) -> str:
        facts = {"clusters": self.clusters, "head": self.head}
        facts |= {"preset": self.preset} if self.preset else {}
        settings = self.module.settings if self.path else self.settings
        facts |= {key: value for key, value in settings.items() if not isinstance(value, dict)}
        said = ", ".join(f"{key}={value!r}" for key, value in facts.items())
        return f"Model({said}; {self.path or 'not fitted'})"


def load(path: str | Path, weights: str | Path | None = None) -> Model:
    """A model from the file of its head, as the workflow, the command or the library wrote it.

    Args:
        path: The file.
        weights: Of its backbone; those in its folder of results if None.

    Raises:
        SmoosegError: If it is no head.
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
