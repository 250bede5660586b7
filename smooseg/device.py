"""Where tensors are computed."""

import torch


def default_device(job: int = 0) -> torch.device:
    """A GPU where there is one (jobs that share work take turns over all of them), else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda", job % torch.cuda.device_count())
    return torch.device("cpu")
