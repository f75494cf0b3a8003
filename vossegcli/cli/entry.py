"""Entry point of the program: settles what a signal does before it loads the commands, which takes a second."""

from __future__ import annotations

from vossegcli.cli.early_signals import leave_early


def main() -> None:
    """Run the command line."""
    leave_early()
    from vossegcli.cli.app import main as run

    run()
