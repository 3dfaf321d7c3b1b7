"""Learn to read digits. Try: python train.py lr=0.1, python train.py careful, python train.py manual, ato why 1 2."""

import numpy as np

import data
from ato import Scope, SQLLogger
from model import Softmax

scope = Scope()


@scope.observe(default=True)
def defaults(config):
    config.seed = 0
    config.lr = 0.5
    config.epochs = 6
    config.batch_size = 64
    config.validation = 0.25
    config.data = "digits.csv"
    config.num_workers = 2


@scope.observe()
def careful(config):
    config.lr = 0.05


@scope.observe(chain_with="careful")
def long(config):
    config.epochs = 12


@scope.manual
def explain(config):
    config.lr = "Learning rate at the start; it falls by a cosine"
    config.epochs = "How often the training set is seen"


@scope.runtime_trace
def make_batch(images, labels, chosen, rng):
    return data.augment(images[chosen], rng), labels[chosen]


@scope.runtime_trace
def train_step(model, images, labels, progress, config):
    model.step(images, labels, config.lr, progress)
    return model.loss(images, labels)


@scope.runtime_trace
def evaluate(model, images, labels):
    return float((model.probabilities(images).argmax(axis=1) == labels).mean())


@scope
def train(config):
    logger = SQLLogger(config)
    logger.run()
    rng = np.random.default_rng(config.seed)
    images, labels = data.load(config.data)
    logger.log_input(config.data)
    (images, labels), validation = data.split(images, labels, config.validation)
    model = Softmax(rng)
    for epoch in range(config.epochs):
        order = rng.permutation(len(images))
        losses = []
        for start in range(0, len(order), config.batch_size):
            chosen = order[start : start + config.batch_size]
            batch = make_batch(images, labels, chosen, rng)
            progress = (epoch + start / len(order)) / config.epochs
            losses.append(train_step(model, *batch, progress, config))
        logger.log_metric("loss", np.mean(losses), epoch)
        logger.log_metric("val_accuracy", evaluate(model, *validation), epoch)
    logger.finish()
    print(f"val_accuracy {evaluate(model, *validation):.4f}")


if __name__ == "__main__":
    train()
