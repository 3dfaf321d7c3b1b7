"""Softmax regression in NumPy, trained by gradient descent."""

import numpy as np

import schedules


class Softmax:
    """A linear classifier of 64 pixels into 10 classes."""

    temperature = 1.0

    def __init__(self, rng):
        self.weights = rng.normal(scale=0.01, size=(64, 10))
        self.bias = np.zeros(10)

    def probabilities(self, images):
        scores = (images @ self.weights + self.bias) / self.temperature
        scores -= scores.max(axis=1, keepdims=True)
        exponentials = np.exp(scores)
        return exponentials / exponentials.sum(axis=1, keepdims=True)

    def loss(self, images, labels):
        chosen = self.probabilities(images)[np.arange(len(labels)), labels]
        return -np.log(chosen + 1e-12).mean()

    def step(self, images, labels, lr, progress):
        """Move down the gradient of the loss once."""
        error = self.probabilities(images)
        error[np.arange(len(labels)), labels] -= 1
        rate = schedules.decayed(lr, progress)
        self.weights -= rate * images.T @ error / len(labels)
        self.bias -= rate * error.mean(axis=0)
