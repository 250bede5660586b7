"""What every workflow script does around its one call: log, threads, and errors as one sentence."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import SmoosegError


@contextmanager
def job(log: str, threads: int) -> Iterator[None]:
    """Run a rule's work: log to the rule's file, keep to its threads, say errors in one sentence.

    A :class:`SmoosegError` ends the script with its text and exit code 1; any other exception is a
    defect of ours, and its traceback goes to the log.

    Args:
        log: The rule's log file.
        threads: CPU threads the rule was given.
    """
    Path(log).parent.mkdir(parents=True, exist_ok=True)
    logging.basicConfig(filename=log, filemode="w", level=logging.INFO, format="%(asctime)s %(message)s", force=True)
    terminal = logging.StreamHandler()  # what the stage decided; warnings of libraries stay in the log
    terminal.addFilter(lambda record: record.name == "root" and record.levelno == logging.INFO)
    logging.getLogger().addHandler(terminal)
    limit_threads(threads)
    try:
        yield
    except SmoosegError as error:
        logging.error("%s", error)
        sys.exit(f"error: {error}")
    except OSError as error:  # a full disk, a folder that may not be written
        logging.exception("failed")
        sys.exit(f"error: {error.filename or log}: {error.strerror or error}")
    except Exception as error:
        logging.exception("failed")
        sys.exit(f"error: {type(error).__name__}: {error}; the traceback is in {log}")


def limit_threads(threads: int) -> None:
    """Hold torch, where the script uses it, to a number of threads."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)
