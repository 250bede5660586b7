"""SmooSeg: a projector and two sets of prototypes, trained by minimising the smoothness energy."""

import logging
import time

import pandas as pd
import torch
import torch.nn.functional as F
from torch import nn

from ..device import default_device
from ..errors import SmoosegError
from ..losses import data_term, image_moments, random_partners, smoothness
from ..progress import progress
from ..reader import mean_feature, shuffled_batches
from ..store import Store
from .base import Head

RECORD_EVERY = 50  # steps between history rows: reading values off a GPU makes it wait


class Projector(nn.Module):
    """Linear layer plus a two-layer SiLU MLP, summed: C to D."""

    def __init__(self, channels: int, dimensions: int):
        super().__init__()
        self.linear = nn.Linear(channels, dimensions)
        self.mlp = nn.Sequential(nn.Linear(channels, channels), nn.SiLU(), nn.Linear(channels, dimensions))

    def forward(self, for_linear: torch.Tensor, for_mlp: torch.Tensor) -> torch.Tensor:
        """Embeddings; the two inputs are the same features under independent dropout."""
        return self.linear(for_linear) + self.mlp(for_mlp)


def channel_dropout(features: torch.Tensor, probability: float, generator: torch.Generator) -> torch.Tensor:
    """Drop whole feature channels of an image: (batch, patches, channels), mask shared by its patches."""
    if probability == 0:
        return features
    keep = torch.rand(features.shape[0], 1, features.shape[2], generator=generator) >= probability
    return features * keep.to(features.device, features.dtype).div_(1 - probability)


class SmooSegHead(Head):
    """Projector, student prototypes and teacher prototypes (their moving average); predicts by the teacher.

    Source:
        Eqs. 5 to 7 and Algorithm 1; the settings' defaults are the released configuration's.
    """

    def __init__(self, channels: int, clusters: int, settings: dict):
        super().__init__(channels, clusters, settings)
        self.projector = Projector(channels, settings["dimensions"])
        prototypes = nn.init.xavier_normal_(torch.empty(clusters, settings["dimensions"]))
        self.student = nn.Parameter(F.normalize(prototypes, dim=1))
        self.register_buffer("teacher", self.student.detach().clone())

    def embed(self, features: torch.Tensor) -> torch.Tensor:
        centred = features.float() - self.mean
        return self.projector(centred, centred)

    def classifier(self) -> tuple[torch.Tensor, torch.Tensor]:
        return F.normalize(self.teacher, dim=-1), torch.zeros(self.clusters)

    def energy(
        self, features: torch.Tensor, generator: torch.Generator
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Loss of a batch (Eq. 7), and its parts for the history.

        Args:
            features: (batch, patches, channels), any float dtype.
            generator: Of dropout and pairing.
        """
        s = self.settings
        centred = features.float() - self.mean
        dropped = [channel_dropout(centred, s["dropout"], generator) for _ in range(3)]
        embeddings = F.normalize(self.projector(dropped[0], dropped[1]), dim=-1)
        teacher_cosines = embeddings @ F.normalize(self.teacher, dim=-1).T
        assignments = F.softmax(teacher_cosines / s["temperature"], dim=-1)
        pseudo_labels = teacher_cosines.argmax(-1)
        student_cosines = embeddings.detach() @ F.normalize(self.student, dim=-1).T

        moments = image_moments(dropped[2], assignments)
        partner = random_partners(len(features), generator).to(features.device)
        within, delta_within = smoothness(moments, None, s["b1"])
        across, delta_across = smoothness(moments, partner, s["b2"])
        data = data_term(student_cosines, pseudo_labels)
        loss = s["within_term"] * within + s["across_term"] * across + s["data_term"] * data
        parts = {
            "data": data,
            "within": within,
            "across": across,
            "delta_within": delta_within,
            "delta_across": delta_across,
            "clusters": (pseudo_labels.flatten().bincount() > 0).sum(),
        }
        return loss, parts

    @torch.no_grad()
    def update_teacher(self) -> None:
        """Move the teacher's prototypes towards the student's."""
        self.teacher.lerp_(self.student, 1 - self.settings["momentum"])

    @classmethod
    def fit(cls, store: Store, clusters: int, settings: dict, *, seed: int, budget: int) -> tuple[Head, pd.DataFrame]:
        torch.manual_seed(seed)
        generator, device = torch.Generator().manual_seed(seed), default_device()
        head = cls(store.shape[-1], clusters, settings)
        if settings["subtract_mean"]:
            head.mean.copy_(mean_feature(store))
        head.to(device)
        optimizer = torch.optim.Adam(
            [
                {"params": head.projector.parameters(), "lr": settings["lr_projector"]},
                {"params": [head.student], "lr": settings["lr_prototypes"]},
            ],
            fused=True,
        )
        history, began = [], time.perf_counter()
        batches = shuffled_batches(store, settings["batch"], budget, seed, device)
        for step in progress(range(1, settings["steps"] + 1), unit="step", desc="train"):
            loss, parts = head.energy(next(batches), generator)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            head.update_teacher()
            if step % RECORD_EVERY == 0 or step == settings["steps"]:
                history.append(history_row(step, loss, parts, settings, step / (time.perf_counter() - began)))
        logging.info("%d steps at %.1f per second", settings["steps"], history[-1]["steps_per_second"])
        return head.cpu().eval(), pd.DataFrame(history)


def history_row(step: int, loss: torch.Tensor, parts: dict, settings: dict, rate: float) -> dict:
    """One row of the history.

    Raises:
        SmoosegError: If the loss is no longer finite.
    """
    if not torch.isfinite(loss):
        raise SmoosegError(f"training diverged: the loss is {loss.item()} at step {step}; lower the learning rates")
    values = {name: value.item() for name, value in parts.items()}
    return {
        "step": step,
        "loss": loss.item(),
        **values,
        "lr_projector": settings["lr_projector"],
        "lr_prototypes": settings["lr_prototypes"],
        "steps_per_second": rate,
    }
