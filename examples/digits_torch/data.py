"""The handwritten digits as a torch data set: reading them, splitting them, jittering them."""

import csv
from pathlib import Path

import torch
from torch.utils.data import Dataset

# Pixels of the data set go from 0 to 16.
SCALE = 16.0
# A small part of the 1,797 digits, so that a training takes a second.
ROWS = 480


def export_digits(path):
    """Write some of scikit-learn's handwritten digits as a CSV file: the label, then 64 pixels."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    with Path(path).open("w", newline="") as file:
        writer = csv.writer(file)
        for label, pixels in zip(digits.target[:ROWS], digits.data.astype(int), strict=False):
            writer.writerow([label, *pixels])


def load(path, validation):
    """Read the file and hold out its last part; returns two data sets."""
    if not Path(path).exists():
        export_digits(path)
    with Path(path).open(newline="") as file:
        table = torch.tensor([[int(cell) for cell in row] for row in csv.reader(file)])
    images, labels = normalise(table[:, 1:]), table[:, 0]
    cut = int(len(images) * (1 - validation))
    return Digits(images[:cut], labels[:cut], jitter), Digits(images[cut:], labels[cut:])


def normalise(images):
    return images.float() / SCALE


def jitter(image):
    return image + 0.05 * torch.randn(image.shape)


class Digits(Dataset):
    """Images, float32 (64,), with their labels; `transform` is applied whenever one is taken."""

    def __init__(self, images, labels, transform=None):
        self.images = images
        self.labels = labels
        self.transform = transform

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        image = self.images[index]
        if self.transform is not None:
            image = self.transform(image)
        return image, self.labels[index]
