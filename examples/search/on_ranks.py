"""Hyperband under torchrun: all ranks train one trial together, or share out the trials.

    pip install 'ato-rs[demo,torch]'
    torchrun --standalone --nproc-per-node 2 on_ranks.py data
    torchrun --standalone --nproc-per-node 2 on_ranks.py trials

With `data` each rank takes its part of every batch and the gradients are averaged (gloo here, nccl
on GPUs); with `trials` each rank trains trials of its own.
"""

import sys

import torch
from ato import Scope, SQLLogger
from ato.hyperopt.hyperband import DistributedHyperBand
from digits import split
from torch import distributed, nn

parallel = sys.argv.pop() if sys.argv[1:] else "data"
scope = Scope()


@scope.observe(default=True)
def defaults(config):
    config.lr = 0.1
    config.width = 32
    config.seed = 0
    config.experiment = {"project_name": "digits", "sql": {"db_path": "runs.db"}}


hyperband = DistributedHyperBand(
    scope,
    {
        "lr": {"param_type": "FLOAT", "param_range": (1e-2, 3.0), "space_type": "LOG"},
        "width": {"param_type": "INTEGER", "param_range": (4, 64)},
    },
    max_budget=9,
    tracker=SQLLogger(scope.config),
    mode_parallel=parallel,
    name=parallel,
)


@hyperband.main
def train(config, trial):
    torch.manual_seed(config.seed)
    model = nn.Sequential(nn.Linear(64, config.width), nn.ReLU(), nn.Linear(config.width, 10))
    file = trial.checkpoint_dir / "model.pt"
    if file.exists():
        model.load_state_dict(torch.load(file, weights_only=True))
    pictures, digits, held_out, truth = (torch.as_tensor(part) for part in split())
    together = parallel == "data"
    rank, world = (distributed.get_rank(), distributed.get_world_size()) if together else (0, 1)
    for epoch in range(trial.previous_budget, trial.budget):
        order = torch.randperm(len(digits), generator=torch.Generator().manual_seed(epoch))
        for rows in order.split(60):
            mine = rows[rank::world]
            model.zero_grad()
            loss = nn.functional.cross_entropy(model(pictures[mine].float()), digits[mine])
            loss.backward()
            with torch.no_grad():
                for weight in model.parameters():
                    if together:
                        distributed.all_reduce(weight.grad)
                    weight -= config.lr * weight.grad / world
    if not together or rank == 0:
        torch.save(model.state_dict(), file)
    return (model(held_out.float()).argmax(1) == truth).float().mean()


if __name__ == "__main__":
    distributed.init_process_group("gloo")
    best = train()
    if distributed.get_rank() == 0:
        print(f"{best.metric:.4f} with {dict(best.rungs[-1][0].job.values)}")
    distributed.destroy_process_group()
