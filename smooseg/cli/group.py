"""What every command shares: how it speaks, how it fails."""

import errno
import logging

import click

from ..errors import SmoosegError
from ..running.progress import hide_progress


class Speaker(logging.Handler):
    """Log messages as plain lines on standard error."""

    def emit(self, record: logging.LogRecord) -> None:
        click.echo(self.format(record), err=True)


def set_level(context: click.Context, option: click.Option, chosen: bool) -> None:
    """Make ``--quiet`` and ``--verbose`` take effect; the default is warnings and progress."""
    if not chosen:
        return
    hide_progress(option.name == "quiet")
    context.meta["volume"] = option.name
    logging.getLogger().setLevel(logging.ERROR if option.name == "quiet" else logging.INFO)


def volume(name: str, letter: str, text: str) -> click.Option:
    """An option that sets how much is said."""
    return click.Option(
        [f"--{name}", f"-{letter}"], is_flag=True, is_eager=True, expose_value=False, callback=set_level, help=text
    )


VOLUME = (
    volume("quiet", "q", "Print only results and errors."),
    volume("verbose", "v", "Print what is done, and the traceback of a defect."),
)


class Commands(click.Group):
    """Commands that know --quiet and --verbose, and whose failures are one sentence and exit code 1."""

    group_class = type

    def add_command(self, command: click.Command, name: str | None = None) -> None:
        if not isinstance(command, click.Group) or command.invoke_without_command:
            command.params.extend(VOLUME)
        super().add_command(command, name)

    def invoke(self, context: click.Context):
        root = logging.getLogger()
        if not any(isinstance(handler, Speaker) for handler in root.handlers):
            root.addHandler(Speaker())
        if context.parent is None:  # a group within keeps what its own options have set
            root.setLevel(logging.WARNING)
            hide_progress(False)
        try:
            return super().invoke(context)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except SmoosegError as error:
            raise click.ClickException(str(error)) from None
        except OSError as error:  # a full disk, a folder that may not be written
            if error.errno == errno.EPIPE:
                raise
            raise click.ClickException(f"{error.filename or 'input or output'}: {error.strerror or error}") from None
        except Exception as error:
            if context.meta.get("volume") == "verbose":
                raise
            text = f"{type(error).__name__}: {error}; this is a defect, --verbose shows where"
            raise click.ClickException(text) from None


def show_table(rows: list[dict], columns: list[str]) -> None:
    """Print some columns of rows, aligned; what is empty shows as -."""
    cells = [columns, *([as_text(row[column]) for column in columns] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def as_text(value) -> str:
    """A cell."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        value = [f"{key}={as_text(part)}" for key, part in value.items()]
    return (" ".join(map(str, value)) if isinstance(value, list) else str(value)) or "-"
