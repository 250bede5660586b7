"""SmooSeg on cached features: index, extract, train, evaluate, collect."""

from snakemake.utils import min_version

min_version("9.19")  # as in pyproject.toml

# of the working directory, else the one beside this file
OWN_CONFIG = "config.yaml" if os.path.isfile("config.yaml") else workflow.source_path("config.yaml")


configfile: OWN_CONFIG


include: "workflow/rules/internals.smk"
include: "workflow/rules/common.smk"
include: "workflow/rules/checks.smk"
include: "workflow/rules/resources.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/features.smk"
include: "workflow/rules/labels.smk"
include: "workflow/rules/proposals.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/tables.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/figures_heads.smk"
include: "workflow/rules/figures_methods.smk"
include: "workflow/rules/suite.smk"
include: "workflow/rules/report.smk"


onstart:
    check_suite(jobs_to_run())
    require_data(jobs_to_run())
    begin_run()
    spare_rounds()


rule all:
    input:
        rules.tables.input,
        rules.figures.input,
        rules.suite.input if RUN["suite"] else [],
        rules.make_report.output,
