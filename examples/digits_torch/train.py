"""Learn to read digits with torch. Try: python train.py, python train.py dropout=0.5, ato why 1 2."""

import torch
from torch.utils.data import DataLoader

import data
import optim
from ato import Scope, SQLLogger
from model import Net

scope = Scope()


@scope.observe(default=True)
def defaults(config):
    config.seed = 0
    config.lr = 0.2
    config.momentum = 0.9
    config.decay = 0.001
    config.gamma = 0.5
    config.epochs = 3
    config.batch_size = 60
    config.hidden = 32
    config.dropout = 0.2
    config.validation = 0.25
    config.workers = 0
    config.data = "digits.csv"
    config.log_every = 1


@scope.observe()
def regularised(config):
    config.dropout = 0.5
    config.decay = 0.01


@scope.runtime_trace
def train_step(model, optimizer, images, labels):
    model.train()
    optimizer.zero_grad()
    loss = optim.loss_of(model(images), labels)
    loss.backward()
    optim.clip(model)
    optimizer.step()
    return loss.item()


@scope.runtime_trace
@torch.no_grad()
def evaluate(model, loader):
    model.eval()
    hits = [(model(images).argmax(dim=1) == labels).float().mean() for images, labels in loader]
    return torch.stack(hits).mean().item()


@scope
def train(config):
    logger = SQLLogger(config)
    logger.run()
    torch.manual_seed(config.seed)
    training, validation = data.load(config.data, config.validation)
    logger.log_input(config.data)
    loader = DataLoader(training, config.batch_size, shuffle=True, num_workers=config.workers)
    held_out = DataLoader(validation, 60)
    model = Net(config.hidden, config.dropout)
    optimizer = optim.make_optimizer(model, config)
    scheduler = optim.make_scheduler(optimizer, config)
    for epoch in range(config.epochs):
        for images, labels in loader:
            loss = train_step(model, optimizer, images, labels)
        scheduler.step()
        logger.log_metric("loss", loss, epoch)
        logger.log_metric("val_accuracy", evaluate(model, held_out), epoch)
    logger.finish()


if __name__ == "__main__":
    train()
