"""SmooSeg: a projector and two sets of prototypes, trained by minimising the smoothness energy."""

import pandas as pd
import torch
import torch.nn.functional as F
from torch import nn

from ...features.reader import shuffled_batches
from ...features.store import Store
from ...running.device import default_device, make_generator
from ...running.machine import fast_precision
from ..parts.average import move_average
from ..parts.partners import random_partners
from ..parts.projected import ProjectedHead
from ..parts.projector import channel_dropout
from ..snapshot import Snapshot
from ..training import Energy, minimise
from .energy import data_term, image_moments, smoothness
from .thresholds import choose_thresholds

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


class SmooSegHead(ProjectedHead):
    """Projector, student prototypes and teacher prototypes (their moving average); predicts by the teacher.

    Source:
        Eqs. 5 to 7 and Algorithm 1; the settings' defaults are the released configuration's.
    """

    activation = nn.SiLU
    teacher: torch.Tensor

    def __init__(self, channels: int, clusters: int, settings: dict):
        chosen = {"precision": fast_precision()} if settings.get("precision") == "auto" else {}
        super().__init__(channels, clusters, settings | chosen)
        prototypes = nn.init.xavier_normal_(torch.empty(clusters, settings["dimensions"]))
        self.student = nn.Parameter(F.normalize(prototypes, dim=1))
        self.register_buffer("teacher", self.student.detach().clone())

    def classifier(self) -> tuple[torch.Tensor, torch.Tensor]:
        return F.normalize(self.teacher, dim=-1), torch.zeros(self.clusters)

    def energy(self, features: torch.Tensor, generator: torch.Generator) -> Energy:
        """Loss of a batch (Eq. 7), and its parts for the history.

        Args:
            features: (batch, patches, channels), any float dtype.
            generator: Of dropout and pairing.
        """
        s = self.settings
        if s["patches"] and s["patches"] < features.shape[1]:
            order = torch.randperm(features.shape[1], generator=generator, device=generator.device)
            features = features[:, order[: s["patches"]]]
        precision = PRECISIONS[s["precision"]]
        centred = (features - self.mean).to(precision)  # by float32: float16 becomes bfloat16 slowly
        dropped = [channel_dropout(centred, s["dropout"], generator) for _ in range(3)]
        with torch.autocast(centred.device.type, precision, enabled=precision != torch.float32):
            embeddings = self.projector(dropped[0], dropped[1])
        embeddings = F.normalize(embeddings.float(), dim=-1)
        teacher_cosines = embeddings @ F.normalize(self.teacher, dim=-1).T
        assignments = F.softmax(teacher_cosines / s["temperature"], dim=-1)
        pseudo_labels = teacher_cosines.argmax(-1)
        student_cosines = embeddings.detach() @ F.normalize(self.student, dim=-1).T

        moments = image_moments(dropped[2], assignments)
        partner = random_partners(len(features), generator)
        within, delta_within = smoothness(moments, None, s["b1"])
        across, delta_across = smoothness(moments, partner, s["b2"])
        data = data_term(student_cosines, pseudo_labels)
        loss = s["within_term"] * within + s["across_term"] * across + s["data_term"] * data
        used = torch.zeros(self.clusters, dtype=torch.bool, device=loss.device)  # bincount would wait for a GPU
        parts = {
            "data": data,
            "within": within,
            "across": across,
            "delta_within": delta_within,
            "delta_across": delta_across,
            "clusters": used.index_fill_(0, pseudo_labels.flatten(), True).sum(),
        }
        return loss, parts

    def update_teacher(self, *_: object) -> None:
        """Move the teacher's prototypes towards the student's."""
        move_average([self.teacher], [self.student], self.settings["momentum"])

    def optimizer(self) -> torch.optim.Optimizer:
        """A new one of all that is trained; before each of its steps the teacher moves, as released."""
        groups = [
            {"name": "projector", "params": self.projector.parameters(), "lr": self.settings["lr_projector"]},
            {"name": "prototypes", "params": [self.student], "lr": self.settings["lr_prototypes"]},
        ]
        optimizer = torch.optim.Adam(groups, fused=True)
        optimizer.register_step_pre_hook(self.update_teacher)
        return optimizer

    def learn(self, store: Store, *, seed: int, budget: int, snapshot: Snapshot | None) -> pd.DataFrame:
        self.settings = settings = choose_thresholds(self.settings, store, self.mean, seed)
        device = default_device()
        generator = make_generator(device, seed)
        self.to(device)
        return minimise(
            self,
            lambda skip: shuffled_batches(store, settings["batch"], budget, seed, device, skip),
            lambda batch: self.energy(batch, generator),
            self.optimizer(),
            settings["steps"],
            [generator],
            snapshot,
        )
