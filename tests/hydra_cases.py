"""Config folders that Hydra and Ato must compose to the same values.

Each is (files, Hydra's overrides, the arguments for Ato).
"""

from __future__ import annotations

from typing import Any

Case = tuple[dict[str, str], list[str], dict[str, Any]]

MODELS = {
    "model/resnet50": "name: resnet50\nlr: 0.5\nlayers: [3, 4]\nnorm: {kind: batch, eps: 1e-5}\n",
    "model/vit": "name: vit\npatch: 16\nnorm: {kind: layer}\n",
}
DATABASES = {
    "db/mysql": "driver: mysql\nport: 3306\n",
    "db/postgresql": "driver: postgresql\nport: 5432\n",
    "server/apache": "name: apache\ntimeout: 10\n",
    "server/nginx": "name: nginx\n",
}

CASES: dict[str, Case] = {
    "a primary config alone": ({"config": "lr: 0.1\nnested: {a: 1, b: [1, 2]}\n"}, [], {}),
    "an empty primary config": ({"config": ""}, [], {}),
    "a group at its own key": (
        {**MODELS, "config": "defaults:\n  - model: resnet50\nlr: 0.1\n"},
        [],
        {},
    ),
    "own values under a group": (
        {**MODELS, "config": "defaults:\n  - _self_\n  - model: vit\nmodel: {name: mine, a: 1}\n"},
        [],
        {},
    ),
    "own values over a group": (
        {**MODELS, "config": "defaults:\n  - model: vit\n  - _self_\nmodel: {name: mine, a: 1}\n"},
        [],
        {},
    ),
    "own values over a group without _self_": (
        {**MODELS, "config": "defaults:\n  - model: vit\nmodel: {name: mine, norm: {eps: 1}}\n"},
        [],
        {},
    ),
    "a choice that is changed": (
        {**MODELS, "config": "defaults:\n  - model: resnet50\n"},
        ["model=vit"],
        {"select": {"model": "vit"}},
    ),
    "a group that no list has": (
        {**MODELS, "config": "model: {lr: 7, own: true}\n"},
        ["+model=resnet50"],
        {"select": {"model": "resnet50"}},
    ),
    "values that are overridden": (
        {**MODELS, "config": "defaults:\n  - model: resnet50\n"},
        ["model.lr=0.01", "++model.norm={kind:group,groups:32}", "model.layers=[1]", "++a.b=text"],
        {
            "overrides": {
                "model.lr": 0.01,
                "model.norm": {"kind": "group", "groups": 32},
                "model.layers": [1],
                "a.b": "text",
            }
        },
    ),
    "a value that is removed": (
        {**MODELS, "config": "defaults:\n  - model: resnet50\n"},
        ["~model.norm.eps"],
        {"overrides": {"~model.norm.eps": None}},
    ),
    "several choices of a group": (
        {
            "config": "defaults:\n  - aug: [flip, crop]\n",
            "aug/flip": "p: 0.5\nflip: true\n",
            "aug/crop": "p: 0.1\nsize: 32\n",
            "aug/jitter": "p: 0.9\n",
        },
        [],
        {},
    ),
    "several choices that are changed": (
        {
            "config": "defaults:\n  - aug: [flip, crop]\n",
            "aug/flip": "p: 0.5\nflip: true\n",
            "aug/crop": "p: 0.1\nsize: 32\n",
            "aug/jitter": "p: 0.9\n",
        },
        ["aug=[jitter,flip]"],
        {"select": {"aug": ["jitter", "flip"]}},
    ),
    "a header that merges at the root": (
        {
            "config": "defaults:\n  - experiment: big\n  - _self_\nname: base\n",
            "experiment/big": "# @package _global_\nlr: 3\nmodel: {depth: 101}\n",
        },
        [],
        {},
    ),
    "a header that names a key": (
        {
            "config": "defaults:\n  - db: mysql\n",
            "db/mysql": "\n# @package backend.store\nport: 1\n",
        },
        [],
        {},
    ),
    "a header below another comment, which is none": (
        {
            "config": "defaults:\n  - db: mysql\n",
            "db/mysql": "# A comment.\n# @package backend.store\nport: 1\n",
        },
        [],
        {},
    ),
    "packages in the list": (
        {
            **DATABASES,
            "config": "defaults:\n  - db@source: mysql\n  - db@target: postgresql\n"
            "  - server@_global_: apache\n",
        },
        [],
        {},
    ),
    "a packaged choice that is changed": (
        {
            **DATABASES,
            "config": "defaults:\n  - db@source: mysql\n  - db@target: mysql\n",
        },
        ["db@target=postgresql"],
        {"select": {"db@target": "postgresql"}},
    ),
    "the keyword _here_": (
        {
            **DATABASES,
            "config": "defaults:\n  - server: all\n",
            "server/all": "defaults:\n  - nginx@_here_\n  - /db@_here_: mysql\nown: 1\n",
        },
        [],
        {},
    ),
    "the keyword _group_": (
        {
            **DATABASES,
            "config": "defaults:\n  - db@_group_.first: mysql\n  - db@x._group_: postgresql\n",
        },
        [],
        {},
    ),
    "lists inside of groups": (
        {
            "config": "defaults:\n  - exp: one\n  - _self_\nlast: config\n",
            "exp/one": "defaults:\n  - sub: a\n  - base\n  - _self_\nlast: one\n",
            "exp/base": "last: base\nbase: 1\n",
            "exp/sub/a": "defaults:\n  - deeper: z\nlast: a\n",
            "exp/sub/deeper/z": "last: z\n",
        },
        [],
        {},
    ),
    "an override from the primary config": (
        {
            "config": "defaults:\n  - exp: one\n  - override exp/sub: b\n",
            "exp/one": "defaults:\n  - sub: a\nlast: one\n",
            "exp/sub/a": "v: a\n",
            "exp/sub/b": "v: b\n",
        },
        [],
        {},
    ),
    "an override from a group, of an absolute one": (
        {
            **DATABASES,
            "config": "defaults:\n  - db: mysql\n  - server: nginx\n  - exp: nglite\n",
            "exp/nglite": "# @package _global_\ndefaults:\n  - override /db: postgresql\n"
            "db: {port: 9}\nserver: {timeout: 1}\n",
        },
        [],
        {},
    ),
    "a selection inside of a group": (
        {
            "config": "defaults:\n  - exp: one\n",
            "exp/one": "defaults:\n  - sub: a\nlast: one\n",
            "exp/sub/a": "v: a\n",
            "exp/sub/b": "v: b\n",
        },
        ["exp/sub=b"],
        {"select": {"exp/sub": "b"}},
    ),
    "an absolute group in a group": (
        {
            **DATABASES,
            "config": "defaults:\n  - server: web\n",
            "server/web": "defaults:\n  - /db: mysql\n  - /server/nginx@front\n  - _self_\nw: 1\n",
        },
        [],
        {},
    ),
    "an optional entry that is missing": (
        {
            **DATABASES,
            "config": "defaults:\n  - db: mysql\n  - optional server: iis\n  - optional none: x\n",
        },
        [],
        {},
    ),
    "a choice that names other choices": (
        {
            **DATABASES,
            "config": "defaults:\n  - db: mysql\n  - server: apache\n"
            "  - optional db_server: ${db}_${server}\n",
            "db_server/mysql_apache": "# @package _global_\ntuned: 1\n",
            "db_server/postgresql_apache": "# @package _global_\ntuned: 2\n",
        },
        ["db=postgresql"],
        {"select": {"db": "postgresql"}},
    ),
    "a choice that is another choice": (
        {
            **DATABASES,
            "config": "defaults:\n  - db: mysql\n  - schema: ${db}\n",
            "schema/mysql": "tables: 3\n",
            "schema/postgresql": "tables: 4\n",
        },
        ["db=postgresql"],
        {"select": {"db": "postgresql"}},
    ),
    "a choice of nothing": (
        {**DATABASES, "config": "defaults:\n  - db: null\n  - server: nginx\n"},
        [],
        {},
    ),
    "a choice for nothing": (
        {**DATABASES, "config": "defaults:\n  - db: null\n  - server: nginx\n"},
        ["db=mysql"],
        {"select": {"db": "mysql"}},
    ),
    "an entry that is deleted": (
        {**DATABASES, "config": "defaults:\n  - db: mysql\n  - server: nginx\n"},
        ["~db"],
        {"select": {"~db": None}},
    ),
    "files beside the primary one": (
        {
            "config": "defaults:\n  - base\n  - other@o\n  - sub/deep\na: config\n",
            "base": "a: base\nb: base\n",
            "other": "a: other\n",
            "sub/deep": "a: deep\n",
        },
        [],
        {},
    ),
    "nested groups": (
        {
            "config": "defaults:\n  - net/optim: sgd\n  - net/optim@second: adam\n",
            "net/optim/sgd": "lr: 1\n",
            "net/optim/adam": "lr: 2\n",
        },
        [],
        {},
    ),
    "Hydra's own groups and section": (
        {
            **DATABASES,
            "config": "defaults:\n  - db: mysql\n  - override hydra/job_logging: disabled\n"
            "hydra:\n  run:\n    dir: out/${now:%Y}\n",
        },
        [],
        {},
    ),
    "references": (
        {
            **MODELS,
            "config": "defaults:\n  - model: resnet50\n  - _self_\n"
            "lr: ${model.lr}\nname: run_${model.name}_${lr}\nnorm: ${model.norm}\n"
            "first: ${model.layers[0]}\nkey: model\ncomputed: ${${key}.norm.kind}\n"
            "list: ['${lr}', {k: '${.j}', j: 2}, '${.1.j}', 'a${..lr}']\n"
            "opt:\n  lr: ${..lr}\n  own: ${.lr}\n",
        },
        [],
        {},
    ),
    "resolvers": (
        {
            "config": "home: ${oc.env:ATO_TEST_HOME}\nuser: ${oc.env:ATO_TEST_NONE,nobody}\n"
            "n: ${oc.decode:${oc.env:ATO_TEST_NUMBER}}\nnothing: ${oc.env:ATO_TEST_NONE,null}\n"
            "sel: '${oc.select:missing.key,[1, two, {a: 3.5}]}'\nsel2: ${oc.select:n}\n"
            "keys: ${oc.dict.keys:d}\nvalues: ${oc.dict.values:d}\nd: {a: 1, b: '${n}'}\n"
            "made: ${oc.create:{x:1}}\n",
        },
        [],
        {},
    ),
    "texts that look like references": (
        {"config": r"a: \${b}" + "\nb: $5\nc: '{$}'\n" + r"d: 'x\\${b}'" + "\n"},
        [],
        {},
    ),
    "a reference that a mapping is merged into": (
        {
            "config": "defaults:\n  - base\n  - _self_\nmine:\n  b: 20\n",
            "base": "origin: {a: 1, b: 2}\nmine: ${origin}\n",
        },
        [],
        {},
    ),
    "an override that is a reference": (
        {**MODELS, "config": "defaults:\n  - model: resnet50\nlr: 3\n"},
        ["model.lr=${lr}"],
        {"overrides": {"model.lr": "${lr}"}},
    ),
    "null, a scalar and a mapping over each other": (
        {
            "config": "defaults:\n  - base\n  - _self_\na: null\nb: 1\nc: {x: 1}\nd: {x: 1}\ne: ???\n",
            "base": "a: {x: 1}\nb: {x: 1}\nc: null\nd: 5\ne: 7\n",
        },
        [],
        {},
    ),
    "values that were not given": (
        {"config": "a: ???\nb:\n  c: ???\nd: 1\n"},
        ["a=1"],
        {"overrides": {"a": 1}, "on_missing": "ignore"},
    ),
    "scalars of every kind": (
        {
            "config": "a: 1e-3\nb: 0x10\nc: 010\nd: yes\ne: 'no'\nf: .inf\ng: ~\nh: 1_000\n"
            "i: 12:30\nj: -1.5E+3\nk: 'text: with colon'\nl: |\n  two\n  lines\nm: []\nn: {}\n"
            "1: int key\n"
        },
        [],
        {},
    ),
}

# Keywords that Hydra knows in headers and packages up to version 1.1.
OLD_CASES: dict[str, Case] = {
    "the keyword _name_ in a list": (
        {**DATABASES, "config": "defaults:\n  - db@stores._name_: mysql\n"},
        [],
        {},
    ),
    "the keyword _name_ in a header": (
        {
            "config": "defaults:\n  - db: mysql\n",
            "db/mysql": "# @package _group_._name_\nport: 1\n",
        },
        [],
        {},
    ),
    "the keyword _group_ in a header": (
        {"config": "defaults:\n  - db: mysql\n", "db/mysql": "# @package _group_\nport: 1\n"},
        [],
        {},
    ),
}

# What both refuse.
WRONG: dict[str, Case] = {
    "a choice that is not there": ({**MODELS, "config": "defaults:\n  - model: vgg\n"}, [], {}),
    "a file that is not there": ({"config": "defaults:\n  - base\n"}, [], {}),
    "an override that changes nothing": (
        {**DATABASES, "config": "defaults:\n  - db: mysql\n  - override server: nginx\n"},
        [],
        {},
    ),
    "an override before a choice": (
        {
            **DATABASES,
            "config": "defaults:\n  - db: mysql\n  - override db: mysql\n  - server: nginx\n",
        },
        [],
        {},
    ),
    "a group that is chosen twice": (
        {**DATABASES, "config": "defaults:\n  - db: mysql\n  - db: postgresql\n"},
        [],
        {},
    ),
    "a deletion of nothing": (
        {**DATABASES, "config": "defaults:\n  - db: mysql\n"},
        ["~server"],
        {"select": {"~server": None}},
    ),
    "a choice that must be made": ({**DATABASES, "config": "defaults:\n  - db: ???\n"}, [], {}),
    "a choice that names an unknown one": (
        {**DATABASES, "config": "defaults:\n  - db: ${server}\n"},
        [],
        {},
    ),
    "two times _self_": ({"config": "defaults:\n  - _self_\n  - _self_\na: 1\n"}, [], {}),
    "a defaults list that is a mapping": ({"config": "defaults:\n  db: mysql\n"}, [], {}),
    "a reference to nothing": ({"config": "a: ${b}\n"}, [], {}),
    "a reference to itself": ({"config": "a: ${b}\nb: ${a}\n"}, [], {}),
    "a resolver that nobody knows": ({"config": "a: ${unknown:1}\n"}, [], {}),
    "a reference that is not closed": ({"config": "a: ${b\nb: 1\n"}, [], {}),
    "a variable that is not set": ({"config": "a: ${oc.env:ATO_TEST_NONE}\n"}, [], {}),
    "a list over a mapping": (
        {"config": "defaults:\n  - base\n  - _self_\na: [1]\n", "base": "a: {b: 1}\n"},
        [],
        {},
    ),
    "files that choose each other": (
        {"config": "defaults:\n  - a\n", "a": "defaults:\n  - b\n", "b": "defaults:\n  - a\n"},
        [],
        {},
    ),
}
