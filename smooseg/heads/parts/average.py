"""The moving average by which a teacher follows its student."""

from collections.abc import Iterable

import torch
from torch.optim.swa_utils import get_ema_multi_avg_fn


def move_average(averages: Iterable[torch.Tensor], values: Iterable[torch.Tensor], momentum: float) -> None:
    """Move tensors in place towards others: momentum times itself plus (1 - momentum) times the other.

    This is the rule of :class:`torch.optim.swa_utils.AveragedModel`. The class counts its moves in a tensor and reads
    it twice a move, for which the program waits for a GPU in every step; it also renames the tensors of saved heads.

    Args:
        averages: Floating-point tensors that move, such as a teacher's parameters.
        values: What each moves towards, in the same order; no gradient flows through the move.
        momentum: 0 copies the values, 1 leaves the averages as they are.

    Raises:
        ValueError: If the momentum is not between 0 and 1, or there are not as many values as averages.
    """
    pairs = list(zip(averages, values, strict=True))
    get_ema_multi_avg_fn(momentum)([average for average, _ in pairs], [value for _, value in pairs], None)
