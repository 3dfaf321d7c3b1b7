"""The handwritten digits: reading them, splitting them, making noisy batches."""

import csv
from pathlib import Path

import numpy as np

# Pixels of the data set go from 0 to 16.
SCALE = 16.0


def export_digits(path):
    """Write scikit-learn's handwritten digits as a CSV file: the label, then 64 pixels."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    with Path(path).open("w", newline="") as file:
        writer = csv.writer(file)
        for label, pixels in zip(digits.target, digits.data.astype(int), strict=True):
            writer.writerow([label, *pixels])


def load(path):
    """Read the file; returns images, float64 (N, 64) in 0..1, and labels, int64 (N,)."""
    if not Path(path).exists():
        export_digits(path)
    table = np.loadtxt(path, delimiter=",")
    return normalise(table[:, 1:]), table[:, 0].astype(np.int64)


def normalise(images):
    return images / SCALE


def split(images, labels, fraction):
    """Hold out the last part of the data, the same one in every run."""
    cut = int(len(images) * (1 - fraction))
    return (images[:cut], labels[:cut]), (images[cut:], labels[cut:])


def augment(images, rng):
    noise = rng.normal(size=images.shape)
    return images + noise * 0.1
