"""Small OpenMMLab configs: one case for each feature, used alone and beside mmengine.

A case is file name → text; `main.*` is the one that is loaded.
"""

from __future__ import annotations

from pathlib import Path

BASE = """\
model = dict(
    type='Net',
    backbone=dict(depth=50, norm=dict(type='BN', eps=1e-5)),
    head=None)
lr = 0.1
steps = [8, 11]
stages = [dict(width=1), dict(width=2)]
name = 'base'
"""
READ_BASE = "from mmengine.config import read_base\nwith read_base():\n    from .base import *\n"

# What Ato and mmengine read alike.
CASES: dict[str, dict[str, str]] = {
    "one base, merged deeply": {
        "base.py": BASE,
        "main.py": "_base_ = 'base.py'\nmodel = dict(backbone=dict(depth=101))\nlr = 0.2\n",
    },
    "a chain of bases in other folders": {
        "a/root.py": BASE,
        "a/base.py": "_base_ = './root.py'\nlr = 0.3\nextra = {1: 'one'}\n",
        "b/c/main.py": "_base_ = ['../../a/base.py']\nmodel = dict(head=3)\nextra = {2: dict(x=1)}\n",
    },
    "many bases": {
        "base.py": BASE,
        "sgd.py": "optimizer = dict(type='SGD', momentum=0.9)\n",
        "main.py": "_base_ = ['base.py', 'sgd.py']\noptimizer = dict(momentum=0.8)\n",
    },
    "a base computed from literals": {
        "base.py": BASE,
        "main.py": "_base_ = ['ba' + 'se.py'] + []\n",
    },
    "delete replaces, and stays where there is nothing to replace": {
        "base.py": BASE,
        "main.py": (
            "_base_ = 'base.py'\n"
            "model = dict(backbone=dict(_delete_=True, width=8), head=dict(_delete_=True, x=1))\n"
            "steps = dict(_delete_=True, at=3)\n"
            "new = dict(_delete_=True, x=1)\n"
        ),
    },
    "other kinds of values replace": {
        "base.py": BASE,
        "main.py": "_base_ = 'base.py'\nmodel = None\nsteps = (1, 2)\nlr = [0.1]\n",
    },
    "names of the file": {
        "base_of_main.py": "where = '{{ fileBasename }}'\n",
        "main.py": (
            "_base_ = 'base_of_{{fileBasenameNoExtension}}.py'\n"
            "folder = '{{ fileDirname }}/x'\nend = '{{fileExtname}}'\nother = '{{ something }}'\n"
        ),
    },
    "environment variables": {
        "main.py": "a = '{{$ATO_TEST_SET:3}}'\nb = 'in {{ $ATO_TEST_UNSET:x/y.z }} text'\n",
    },
    "environment variables that are numbers": {
        "main.yaml": "a: {{$ATO_TEST_SET:3}}\nb: '{{$ATO_TEST_SET:3}}'\nc: [{{$ATO_TEST_UNSET:1.5}}]\n",
    },
    "references to the base": {
        "base.py": BASE,
        "main.py": (
            "_base_ = 'base.py'\n"
            "depth = _base_.model.backbone.depth + 1\nfirst = _base_['steps'][0]\n"
            "norm = {{_base_.model.backbone.norm}}\n"
            "other = dict(a={{ _base_.lr }}, b=[{{_base_.steps}}])\n"
            "asked = _base_.get('nothing', 4)\n"
        ),
    },
    "the base changed by the config": {
        "base.py": BASE,
        "main.py": (
            "_base_ = 'base.py'\n"
            "_base_.model.backbone.depth = 18\n_base_.model.update(dict(backbone=dict(x=1)))\n"
            "_base_.stages[0].width = 5\ndel _base_.lr\n_base_.model.pop('head')\n"
            "mine = [dict(k=1)]\n_base_.model.mine = mine\nmine[0]['k'] = 2\n"
            "steps = _base_.steps\nsteps.append(12)\n"
        ),
    },
    "templates see the changed base": {
        "base.py": BASE,
        "main.py": "_base_ = 'base.py'\n_base_.lr = 5\nx = {{_base_.lr}}\nlr = 7\n",
    },
    "values that share an object in the base": {
        "base.py": "a = dict(x=1)\nb = a\nc = [a, a]\n",
        "main.py": "_base_ = 'base.py'\n_base_.a.x = 5\n_base_.c[0].x = 7\nb = dict(y=2)\n",
    },
    "modules, functions and private names": {
        "base.py": BASE,
        "main.py": (
            "_base_ = 'base.py'\nimport math\ndef double(x):\n    return 2 * x\n"
            "lr = double(_base_.lr)\n_kept = math.pi\n__dropped = 1\nkinds = {1, 2}\n"
        ),
    },
    "yaml over yaml": {
        "base.yaml": "model: {depth: 50, width: 2}\nname: base\n",
        "main.yaml": (
            "_base_: base.yaml\nmodel:\n  depth: 101\n  x: {{_base_.model.width}}\n"
            "file: '{{fileBasename}} {{fileExtname}}'\n"
        ),
    },
    "json over python over yaml": {
        "root.yml": "model: {depth: 50}\n",
        "base.py": "_base_ = 'root.yml'\nmodel = dict(out=(1, 2))\n",
        "main.json": '{"_base_": ["base.py"], "model": {"depth": 34}, "n": {{$ATO_TEST_SET:3}}}',
    },
    "read_base, with names of packages": {
        "base.py": "from torch.nn import ReLU\nact = dict(type=ReLU, inplace=True)\nlr = 0.1\n",
        "main.py": (
            READ_BASE
            + "from torch.optim import SGD\nimport torch.nn as nn\nimport torch.utils.data\n"
            "act.update(dict(slope=2))\nact.inplace = False\n"
            "optimizer = dict(type=SGD, lr=lr * 2)\nlayers = [nn.Conv2d, (ReLU,)]\n"
            "data = torch.utils.data.DataLoader\n"
        ),
    },
    "read_base from other folders, renamed": {
        "base.py": "a = dict(x=1)\nb = 1\n",
        "sub/own.py": "c = 4\n_q = 3\n",
        "sub/main.py": (
            "from mmengine.config import read_base\nwith read_base():\n"
            "    from ..base import a as model, b\n    from .own import *\n"
            "model.merge(dict(y=dict(z=1)))\nz = model.x + c\n"
        ),
    },
    "read_base, a chain": {
        "root.py": "r = dict(p=1)\n",
        "base.py": (
            "from mmengine.config import read_base\nwith read_base():\n    from .root import *\n"
            "r.p = 2\na = r\n"
        ),
        "main.py": READ_BASE + "x = r.p\nr.update(n=1)\na = dict(own=True)\n",
    },
    "read_base leaves templates alone": {
        "base.py": "a = 1\n",
        "main.py": READ_BASE + "x = '{{ fileBasename }}'\n",
    },
    "merge with delete": {
        "base.py": "a = dict(x=1, y=dict(z=2))\n",
        "main.py": READ_BASE + "a.merge(dict(w=3, y=dict(_delete_=True, r=2)))\n",
    },
}


def write(folder: Path, files: dict[str, str]) -> Path:
    """Write the files of a case and return the main one."""
    for name, text in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return next(folder / name for name in files if Path(name).stem == "main")
