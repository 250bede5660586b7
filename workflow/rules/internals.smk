"""Everything that smooseg takes from inside Snakemake, in one place.

The names below are not part of what Snakemake documents, so a release may change them. Other files use documented names only
(``workflow.source_path``, ``snakemake.utils``, ``snakemake.exceptions``); tests/unit/test_lint.py checks this.
"""

import shutil

from snakemake.shell import shell
from snakemake.utils import available_cpu_count

from smooseg.running.warm import warm_shell

LOOKED_AT = 50  # jobs, of those that are ready, among which the scheduler chooses


def in_main_process():
    """Whether this parse is the run's own, and not that of a job."""
    return workflow.is_main_process


def given_configs():
    """Files of the configuration, ours and those of ``--configfile``, in their order."""
    return list(workflow.configfiles)


def config_is_replaced():
    """Whether ``config.yaml`` was left out: by who uses this as a module, or by ``--replace-workflow-config``."""
    return workflow.modifier.skip_configfile or workflow.config_settings.replace_workflow_config


def prefixed(path):
    """Where a rule's path lies, below the prefix of who uses this as a module."""
    return str(workflow.modifier.modify_path(path))


def run_cores(usable):
    """Cores of the run. ``--cores all`` means all that are usable, while Snakemake counts those beyond a quota, too."""
    cores = workflow.resource_settings.cores or usable
    if workflow.local_exec and cores == available_cpu_count():
        cores = usable
        workflow.register_resource("_cores", cores)
    return cores


def jobs_to_run():
    """Jobs of this run, once the graph is known: each has its ``rule.name`` and its ``wildcards``."""
    return list(workflow.persistence.dag.needrun_jobs())


def runs_jobs():
    """Whether this run executes jobs: no dry run, no --touch, and nothing that only shows the graph."""
    return in_main_process() and workflow.executor_plugin is not None and not (workflow.dryrun or workflow.touch)


def start_warm(scripts):
    """Start scripts of these names from a process that has the libraries loaded, where nobody chose another shell."""
    if shell.get_executable() == shutil.which("bash") and (path := warm_shell(scripts)):
        shell.executable(path)


def spare_rounds():
    """Once the graph is known, let the scheduler look at its jobs when one has ended, and at some of them.

    Snakemake limits how many jobs start in a second. To do so it looks again a second after every look, each time at all
    jobs that are ready: with hundreds of jobs this takes longer than they do. On one machine its cores are the limit.
    """
    scheduler = workflow.scheduler
    limit = scheduler.job_rate_limiter
    if workflow.local_exec and limit and (limit.max_jobs, limit.timespan) == (100, 1):  # Snakemake's default
        scheduler.job_rate_limiter = None
        scheduler.subsample = scheduler.subsample or max(LOOKED_AT, 4 * ALL_CORES)
