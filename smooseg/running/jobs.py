"""What every workflow script does around its one call: log, threads, and errors as one sentence."""

import errno
import logging
import os
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import SmoosegError
from .files import FOLDER, share_folder
from .machine import limit_gdal

OURS = {"root", "smooseg"}  # loggers whose messages the terminal shows; those of libraries stay in the log
LEVEL = "SMOOSEG_LEVEL"  # environment variable: from which level on a stage says on the terminal what it logs
FULL = {errno.ENOSPC, errno.EDQUOT}  # a disk, or a share of it
DENIED = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT}  # closed to us, or gone

MB = 1024**2 if sys.platform == "darwin" else 1024  # what a process's memory is counted in, by system


@contextmanager
def job(log: str, threads: int) -> Iterator[None]:
    """Run a rule's work: log to the rule's file, keep to its threads, say errors in one sentence.

    A :class:`SmoosegError`, a full disk and a place that may not be written end the script with one sentence and
    exit code 1; any other exception is a defect of ours, and its traceback goes to the log. What finished work took is
    recorded, see :func:`record`.

    Args:
        log: The rule's log file.
        threads: CPU threads the rule was given.
    """
    began = time.monotonic()
    Path(log).parent.mkdir(parents=True, exist_ok=True)
    to_file = logging.FileHandler(log, "w", "utf-8")
    logging.basicConfig(handlers=[to_file], level=logging.INFO, format="%(asctime)s %(message)s", force=True)
    terminal = logging.StreamHandler()  # what the stage decided
    terminal.setLevel(os.environ.get(LEVEL, "INFO"))
    terminal.addFilter(lambda record: record.name.split(".")[0] in OURS and record.levelno < logging.ERROR)
    logging.getLogger().addHandler(terminal)
    logging.raiseExceptions = False  # a log on a full disk must not bury the error that says so
    limit_threads(threads)
    limit_gdal()
    if FOLDER in os.environ:
        share_folder(Path(os.environ[FOLDER]), begin=False)
    try:
        yield
        record(log, time.monotonic() - began)
    except SmoosegError as error:
        logging.error("%s", error)
        sys.exit(f"error: {error}")
    except OSError as error:
        text = f"{error.filename or log}: {error.strerror or error}"
        if error.errno in FULL:
            text += "; free some space and run again, what is done is kept"
        logging.error("%s", text, exc_info=error.errno not in FULL | DENIED)
        sys.exit(f"error: {text}")
    except Exception as error:
        logging.exception("failed")
        sys.exit(f"error: {type(error).__name__}: {error}; the traceback is in {log}")


def record(log: str, seconds: float) -> None:
    """Write what a job took beside its log: seconds, those of processors, and memory (MB) of its largest process.

    Args:
        log: RESULTS/logs/RULE/….log, or nothing is written; the record is RESULTS/benchmarks/rules/RULE/….tsv.
        seconds: Since the work began.
    """
    folder, path = Path(os.environ.get(FOLDER, os.devnull)), Path(log).absolute()
    if not path.is_relative_to(folder / "logs"):  # somebody's own rule
        return
    place = folder / "benchmarks" / "rules" / path.relative_to(folder / "logs").with_suffix(".tsv")
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    processor = sum(each.ru_utime + each.ru_stime for each in used)
    memory = max(each.ru_maxrss for each in used) / MB
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(f"s\tcpu_time\tmax_rss\n{seconds:.2f}\t{processor:.2f}\t{memory:.1f}\n", "utf-8")


def limit_threads(threads: int) -> None:
    """Hold torch, where the script uses it, to a number of threads."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)
