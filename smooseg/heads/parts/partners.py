"""Random images of a batch that others are compared with."""

import torch


def random_partners(batch: int, generator: torch.Generator) -> torch.Tensor:
    """A random pairing in which no image is its own partner: (batch,) int64, on the generator's device.

    Each image's partner is the next on a random cycle through the batch.
    """
    order = torch.randperm(batch, generator=generator, device=generator.device)
    partner = torch.empty_like(order)
    partner[order] = order.roll(1)
    return partner
