"""`ato completion`: the script that lets a shell complete commands, runs and projects."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

__all__ = ["completion"]

_VARIABLE = "_ATO_COMPLETE"
_INSTRUCTIONS = {
    "bash": "# For every new shell:  ato completion bash >> ~/.bashrc",
    "zsh": "# For every new shell:  ato completion zsh >> ~/.zshrc   (after `compinit`)",
    "fish": "# For every new shell:  ato completion fish > ~/.config/fish/completions/ato.fish",
}


@click.command()
@click.argument("shell", type=click.Choice(sorted(_INSTRUCTIONS)))
def completion(shell: str) -> None:
    """Print the script that lets a shell complete commands, options, runs and projects.

    For this shell alone: source <(ato completion bash)
    """
    kind = get_completion_class(shell)
    assert kind is not None
    root = click.get_current_context().find_root().command
    maker = kind(root, {}, "ato", _VARIABLE)
    # The script itself: `source()` would first run a bash, to ask for its version.
    click.echo(_INSTRUCTIONS[shell])
    click.echo(maker.source_template % maker.source_vars())
