"""How the learning rate falls while training goes on."""

import math

FLOOR = 0.1


def decayed(lr, progress):
    """The learning rate at `progress` (0 to 1) of the training."""
    return lr * max(FLOOR, cosine(progress))


def cosine(progress):
    return 0.5 * (1 + math.cos(math.pi * progress))
