"""A small classifier of 64 pixels into 10 classes."""

from torch import nn


class Block(nn.Module):
    """A linear layer with its activation."""

    slope = 0.01

    def __init__(self, inputs, outputs):
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)

    def forward(self, x):
        return nn.functional.leaky_relu(self.linear(x), self.slope)


class Net(nn.Module):
    """Two blocks and a head, with dropout between them."""

    def __init__(self, hidden, dropout):
        super().__init__()
        self.first = Block(64, hidden)
        self.second = Block(hidden, hidden)
        self.drop = nn.Dropout(dropout)
        self.head = nn.Linear(hidden, 10)

    def forward(self, images):
        return self.head(self.drop(self.second(self.first(images))))
