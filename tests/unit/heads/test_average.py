"""The moving average of teachers."""

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from smooseg.heads.parts.average import move_average


def test_it_moves_as_averaged_models_do():
    torch.manual_seed(0)
    student = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    theirs = AveragedModel(student, multi_avg_fn=get_ema_multi_avg_fn(0.7))
    theirs.update_parameters(student)  # the first move of theirs is a copy
    ours = [parameter.detach().clone() for parameter in student.parameters()]
    for _ in range(3):
        with torch.no_grad():
            for parameter in student.parameters():
                parameter.add_(torch.randn_like(parameter))
        theirs.update_parameters(student)
        move_average(ours, student.parameters(), 0.7)
    assert all(map(torch.equal, ours, theirs.module.parameters()))
    assert not any(map(torch.equal, ours, student.parameters()))


def test_it_moves_parameters_in_place_and_carries_no_gradient():
    average, value = nn.Parameter(torch.zeros(2)), nn.Parameter(torch.ones(2))
    move_average([average], [value], 0.75)
    assert average.tolist() == [0.25, 0.25]
    assert average.is_leaf and value.tolist() == [1, 1]


@pytest.mark.parametrize("momentum", [-0.1, 1.1])
def test_a_momentum_outside_0_to_1_is_refused(momentum):
    with pytest.raises(ValueError, match="decay"):
        move_average([torch.zeros(1)], [torch.ones(1)], momentum)


def test_each_average_needs_a_value():
    with pytest.raises(ValueError, match="shorter"):
        move_average([torch.zeros(1), torch.zeros(1)], [torch.ones(1)], 0.5)
