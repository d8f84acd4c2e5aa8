"""`flexsync completion`: the script that lets a shell complete commands, options and their values.

Promised: stdout holds the script only; a completion imports nothing heavy.
"""

from __future__ import annotations

import click
from click.shell_completion import ShellComplete, get_completion_class

from connector.errors import FixInput
from pipelines.cli.exit_codes import DONE

__all__ = ["completion"]


_HELP = """Print the completion script of a shell: bash, zsh or fish.

\b
bash: add  eval "$(flexsync completion bash)"   to ~/.bashrc
zsh:  add  eval "$(flexsync completion zsh)"    to ~/.zshrc
fish: flexsync completion fish > ~/.config/fish/completions/flexsync.fish
"""


@click.command(help=_HELP)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> int:
    """Print the completion script of a shell: bash, zsh or fish."""
    kind = get_completion_class(shell)
    if kind is None:
        raise FixInput(f"there is no completion for {shell}.", remedy="Give bash, zsh or fish.")
    root = click.get_current_context().find_root().command
    # The class's own `source` of bash also starts a bash, to warn about an old one on this machine.
    click.echo(ShellComplete.source(kind(root, {}, "flexsync", "_FLEXSYNC_COMPLETE")))
    return DONE
