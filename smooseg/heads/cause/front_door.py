"""CAUSE's front-door contrast: a student learns which patches have like codes, from a teacher and a bank."""

from copy import deepcopy
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from ..parts.average import move_average
from ..parts.contrast import contrastive_loss
from ..parts.sampling import patches_at
from .modularity import draw_patches


def nearest_codes(features: torch.Tensor, codebook: torch.Tensor) -> torch.Tensor:
    """Index int64 (...) of the codebook vector of largest cosine, of features (..., channels)."""
    return (F.normalize(features, dim=-1) @ F.normalize(codebook, dim=-1).T).argmax(-1)


def contrast(anchors: torch.Tensor, others: torch.Tensor, closeness: torch.Tensor, settings: dict) -> torch.Tensor:
    """Contrast of an image's patches with others: minus the log-probability of a positive, mean over positive pairs.

    Args:
        anchors: (n, d) normalised projections of the student.
        others: (m, d) normalised projections of the teacher.
        closeness: (n, m) cosines of their codebook vectors; NaN where a pair is one patch.
        settings: attract and repel (pairs closer than one are positive, less close than the other negative; the
            rest does not count) and temperature.

    Returns:
        A scalar, 0 where no pair is positive.

    Source:
        Kim et al. 2023 (CAUSE), section 3.3.
    """
    positive, negative = closeness > settings["attract"], closeness < settings["repel"]
    return contrastive_loss(anchors, others, positive, positive | negative, settings["temperature"])


class Bank(nn.Module):
    """The newest projections of the teacher for every codebook vector.

    Args:
        codes: Codebook vectors.
        size: Projections kept of each.
        dimensions: Of a projection.
    """

    rows: torch.Tensor
    added: torch.Tensor

    def __init__(self, codes: int, size: int, dimensions: int):
        super().__init__()
        self.register_buffer("rows", torch.zeros(codes, size, dimensions))
        self.register_buffer("added", torch.zeros(codes, dtype=torch.int64))  # so far; the next goes to added % size

    def contents(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Projections (m, dimensions), and the code int64 (m,) of each."""
        size = self.rows.shape[1]
        filled = torch.arange(size, device=self.rows.device) < self.added.unsqueeze(1)
        return self.rows[filled], filled.nonzero()[:, 0]

    @torch.no_grad()
    def add(self, codes: torch.Tensor, rows: torch.Tensor, generator: torch.Generator) -> None:
        """Keep a random half (rounded down) of every code's rows, in place of its oldest.

        Args:
            codes: int64 (n,).
            rows: (n, dimensions).
            generator: Draws the halves.
        """
        order = torch.randperm(len(codes), generator=generator, device=generator.device)
        order = order[codes[order].argsort(stable=True)]
        codes, size = codes[order], self.rows.shape[1]
        counts = codes.bincount(minlength=len(self.added))
        rank = torch.arange(len(codes), device=codes.device) - (counts.cumsum(0) - counts)[codes]
        kept = counts // 2
        keep = (rank < kept[codes]) & (rank >= kept[codes] - size)  # each place is written once
        code, place = codes[keep], ((self.added[codes] + rank) % size)[keep]
        self.rows[code, place] = rows[order[keep]]
        self.added += kept


class FrontDoor(nn.Module):
    """What is trained beside a head and thrown away: the student, both projections and the bank.

    Args:
        teacher: The head's network, which this one's student begins as and which then follows it.
        settings: Of the head.
    """

    def __init__(self, teacher: nn.Module, settings: dict):
        super().__init__()
        self.settings = settings
        self.student: Any = deepcopy(teacher).requires_grad_(True)
        self.projection = nn.Linear(settings["dimensions"], settings["projection"])
        self.teacher_projection = deepcopy(self.projection).requires_grad_(False)
        self.bank = Bank(settings["codes"], settings["bank"], settings["projection"])

    def loss(
        self, features: torch.Tensor, teacher: Any, codebook: torch.Tensor, generator: torch.Generator
    ) -> torch.Tensor:
        """Contrast of the student with the teacher on a batch and on the bank, mean over images; fills the bank.

        Args:
            features: (batch, patches, channels), centred.
            teacher: The head's network.
            codebook: (codes, channels).
            generator: Of patches, and of what the bank keeps.
        """
        views, patches, _ = features.shape
        positions = draw_patches(views, patches, self.settings["block"], generator)
        student = self.projection(self.student.embed_at(features, codebook, positions))
        with torch.no_grad():
            projected = self.teacher_projection(teacher.embed_at(features, codebook, positions))
            projected = F.normalize(projected, dim=-1)
            codes, unit = nearest_codes(patches_at(features, positions), codebook), F.normalize(codebook, dim=-1)
        loss = self.terms(F.normalize(student, dim=-1), projected, codes, unit @ unit.T)
        self.bank.add(codes.flatten(), projected.flatten(0, 1), generator)
        return loss

    def terms(
        self, student: torch.Tensor, teacher: torch.Tensor, codes: torch.Tensor, closeness: torch.Tensor
    ) -> torch.Tensor:
        """Mean of each image's contrast with the batch, and of that with what the bank holds.

        Args:
            student, teacher: (batch, n, d) normalised projections of the same patches.
            codes: int64 (batch, n) of these.
            closeness: (codes, codes) cosines of the codebook's vectors.
        """
        everyone, held, codes_held = teacher.flatten(0, 1), *self.bank.contents()
        terms, n = [], student.shape[1]
        for image, anchors in enumerate(student):
            close = closeness[codes[image]]  # (n, codes)
            in_batch = close[:, codes.flatten()]
            in_batch[torch.arange(n), image * n + torch.arange(n)] = torch.nan  # the same patch
            terms.append(contrast(anchors, everyone, in_batch, self.settings))
            if len(held):
                terms.append(contrast(anchors, held, close[:, codes_held], self.settings))
        return torch.stack(terms).mean()

    def update_teacher(self, teacher: nn.Module, first: bool) -> None:
        """Move the teacher and its projection towards the student's, as a moving average.

        Args:
            teacher: The head's network.
            first: Whether this is the first time, when both are copied: in the released code the average shares the
                student's memory until then.
        """
        momentum = 0.0 if first else self.settings["momentum"]
        for student, theirs in ((self.student, teacher), (self.projection, self.teacher_projection)):
            move_average(theirs.parameters(), student.parameters(), momentum)
