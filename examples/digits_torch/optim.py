"""What moves the weights: the loss, the optimizer, its schedule, and clipping."""

import torch
from torch import nn

LIMIT = 0.3


def loss_of(scores, labels):
    return nn.functional.cross_entropy(scores, labels)


def make_optimizer(model, config):
    return torch.optim.SGD(
        model.parameters(), lr=config.lr, momentum=config.momentum, weight_decay=config.decay
    )


def make_scheduler(optimizer, config):
    return torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=config.gamma)


def clip(model):
    nn.utils.clip_grad_norm_(model.parameters(), LIMIT)
