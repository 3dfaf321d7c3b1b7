"""A small network on scikit-learn's digits, in NumPy: what the searches of this folder train."""

import numpy as np
from sklearn.datasets import load_digits

TRAINING = 600


def split():
    """Training and validation pictures, scaled to 0 … 1, with their digits."""
    pictures, digits = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(digits))
    first, second = order[:TRAINING], order[TRAINING:]
    return pictures[first] / 16, digits[first], pictures[second] / 16, digits[second]


def new_network(width, seed):
    """Weights and offsets of one hidden layer."""
    rng = np.random.default_rng(seed)
    return {
        "first": rng.normal(0, 0.15, (64, width)),
        "offset": np.zeros(width),
        "second": rng.normal(0, 0.15, (width, 10)),
    }


def train_epoch(network, lr, batch, data, seed):
    """One epoch of stochastic gradient descent on the cross-entropy, in place."""
    pictures, digits = data[:2]
    order = np.random.default_rng(seed).permutation(len(digits))
    for start in range(0, len(order), batch):
        rows = order[start : start + batch]
        hidden = np.maximum(pictures[rows] @ network["first"] + network["offset"], 0)
        scores = hidden @ network["second"]
        chances = np.exp(scores - scores.max(1, keepdims=True))
        chances /= chances.sum(1, keepdims=True)
        chances[np.arange(len(rows)), digits[rows]] -= 1
        chances /= len(rows)
        back = (chances @ network["second"].T) * (hidden > 0)
        network["second"] -= lr * (hidden.T @ chances)
        network["first"] -= lr * (pictures[rows].T @ back)
        network["offset"] -= lr * back.sum(0)


def accuracy(network, data):
    """The part of the validation digits that is right."""
    hidden = np.maximum(data[2] @ network["first"] + network["offset"], 0)
    return float(((hidden @ network["second"]).argmax(1) == data[3]).mean())
