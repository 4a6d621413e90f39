"""The command `hotupgrade`. Knows what users type and see; the work is done elsewhere.

Exit codes: 0 passed, 1 failed, 2 usage or input error, 3 inconclusive, 4 cluster or infrastructure, 130 interrupted.
Sub-commands are imported when they are used: a usage error should not wait for the libraries of a run.
"""

from __future__ import annotations

import sys

import click

from harness import __version__
from harness.cli.interrupt import Interrupted, arm, disarm
from harness.errors import HotupgradeError

COMMANDS = {
    "run": "harness.cli.run",
    "scenarios": "harness.cli.scenarios",
    "load-test": "harness.cli.loadtest",
    "selftest": "harness.cli.selftest",
    "cluster": "harness.cli.cluster",
    "images": "harness.cli.images",
    "report": "harness.cli.report",
    "clean": "harness.cli.clean",
    "doctor": "harness.cli.doctor",
}


class Lazy(click.Group):
    """A group whose commands are modules with a `command`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order in which a user meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Imports the command's module."""
        if cmd_name not in COMMANDS:
            return None
        from importlib import import_module

        command: click.Command = import_module(COMMANDS[cmd_name]).command
        return command


@click.group(
    cls=Lazy,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Exit codes: 0 passed, 1 failed, 2 usage or input error, 3 inconclusive, 4 cluster, 130 interrupted.",
)
@click.version_option(__version__, "-V", "--version", prog_name="hotupgrade")
def group() -> None:
    """Upgrades a live sidecar under load and says whether a request was lost.

    \b
    Examples:
      hotupgrade doctor
      hotupgrade run -f e2e/manifests/hotupgrade-sidecarset.yaml
      hotupgrade cluster up
    """


def main() -> None:
    """Entry point: turns errors into one line and an exit code."""
    arm()
    try:
        code = group.main(standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(2)
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        command = context.command_path if context else "hotupgrade"
        message = " ".join(error.format_message().split()).rstrip(".")
        click.echo(f"hotupgrade: {message}; see {command} --help", err=True)
        sys.exit(2)
    except HotupgradeError as error:
        click.echo(f"hotupgrade: {error}", err=True)
        sys.exit(error.exit_code)
    except (Interrupted, click.Abort):
        disarm()
        click.echo("hotupgrade: interrupted", err=True)
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(4)
