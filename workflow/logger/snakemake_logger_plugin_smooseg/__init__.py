"""What Snakemake says under ``smooseg fit``: a line for each stage, and errors with the log of the stage that failed.

Snakemake finds it as ``--logger smooseg`` where the folder above is in PYTHONPATH.
"""

import sys
from logging import ERROR, LogRecord
from pathlib import Path

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent


class LogHandler(LogHandlerBase):
    """Stages on standard error; their bars and errors are the jobs' own."""

    writes_to_stream, writes_to_file = True, False
    has_filter, has_formatter, needs_rulegraph = True, True, False

    def __post_init__(self) -> None:
        self.total, self.stages, self.failed = 0, dict[int, str](), False

    def emit(self, record: LogRecord) -> None:
        """Say what is new about the run."""
        match getattr(record, "event", None):
            case LogEvent.RUN_INFO:
                self.total = record.stats["total"] - record.stats.get("all", 0)  # which does nothing
            case LogEvent.JOB_INFO if record.rule_msg:
                self.stages[record.jobid] = f"[{len(self.stages) + 1}/{self.total}] {record.rule_msg}"
                say(self.stages[record.jobid])
            case LogEvent.JOB_ERROR:
                logs = ", ".join(str(Path(path).absolute()) for path in record.log)
                self.failed = True
                say(f"failed: {self.stages[record.jobid]}; its log: {logs}")
            case LogEvent.ERROR if record.exception != "RuleException" and not self.failed:  # which the job said itself
                say(f"error: {sentence(record.getMessage())}")
            case None if record.levelno >= ERROR and not self.failed:
                say(f"error: {record.getMessage()}")


def say(line: str) -> None:
    """Print a line at once."""
    print(line, file=sys.stderr, flush=True)


def sentence(message: str) -> str:
    """What an error of Snakemake's says, without its kind and the lines of the Snakefile that it came through."""
    lines = message.splitlines()[1:] or [message]
    return " ".join(line.strip() for line in lines if not line.startswith("  File "))
