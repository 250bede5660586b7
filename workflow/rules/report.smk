"""The page that shows a run, and the phases of collecting."""

# in the order of the report
KINDS = [
    "suite",
    "side_by_side",
    "class_scores",
    "sweeps",
    "sweep_penalties",
    "penalties",
    "embeddings",
    *("segmentations", "confusion", "training_curves"),
]
OF_SUITE = list(SUITE) if RUN["suite"] else []
USED = {
    key: {config["experiments"][name][key] for name in [*dict(JOBS + SWEPT), *OF_SUITE]}
    for key in ("dataset", "backbone")
}
# what the run's page says of the configuration: no entry that the run does not use, so that those can change
SAID = {
    "runs": [config["run"]],
    "experiments": [*dict(JOBS + SWEPT), *OF_SUITE],
    "datasets": USED["dataset"],
    "backbones": USED["backbone"],
    "tables": RUN["tables"],
    "sweeps": RUN["sweeps"],
    "presets": [],
}
FIGURES = [
    *([rules.collect_suite.output.figure] if RUN["suite"] else []),
    *expand(rules.plot_side_by_side.output.figure, dataset=COMPARED),
    *expand(rules.plot_scores.output.figure, dataset=COMPARED),
    *expand(rules.plot_penalties.output.figure, dataset=COMPARED),
    *expand(rules.plot_embeddings.output.figure, dataset=COMPARED),
    *of_jobs(rules.plot_segmentations.output.figure, FIRST),
    *of_jobs(rules.plot_confusion.output.figure, FIRST),
    *expand(rules.plot_training.output.figure, experiment=STEPPED),
    *expand(rules.collect_sweep.output.figure, sweep=RUN["sweeps"]),
    *expand(rules.collect_sweep.output.penalties, sweep=RUN["sweeps"]),
]


rule make_report:
    input:
        template=workflow.source_path("../report/report.html.j2"),
        captions=[caption(kind) for kind in KINDS],
        scores=rules.make_tables.output.scores,
        classes=rules.make_tables.output.classes,
        summary=rules.make_tables.output.summary,
        histories=of_jobs(rules.train_head.output.history, JOBS),
        tables=expand(rules.compare_methods.output[0], table=RUN["tables"]),
        sweeps=expand(rules.collect_sweep.output.table, sweep=RUN["sweeps"]),
        criteria=expand(rules.collect_sweep.output.criteria, sweep=RUN["sweeps"]),
        suite=rules.report_suite.input.tables if RUN["suite"] else [],
        figures=FIGURES,
        weights=expand(rules.fetch_weights.output.facts, backbone=USED["backbone"]),
    output:
        page="<results>/report.html",
        times="<results>/tables/times.csv",
    log:
        "<logs>/make_report.log",
    threads: 1
    resources:
        mem_mb=1500,
    params:
        suite=SHOWN_SUITE if RUN["suite"] else {},
        names=[*dict(JOBS + SWEPT), *OF_SUITE, *USED["dataset"], *USED["backbone"], *RUN["tables"], *RUN["sweeps"]],
        config=lambda w: config | {"results": PLACED} | {key: entries(key, names) for key, names in SAID.items()},
        code=code("results.report", "results.suite.page", "results.timing"),
    message:
        "Write the report"
    script:
        "../scripts/make_report.py"


rule tables:
    input:
        rules.make_tables.output,
        rules.make_report.input.tables,
        rules.make_report.input.sweeps,


rule figures:
    input:
        rules.make_report.input.figures,


rule sweep:
    input:
        expand(rules.collect_sweep.output, sweep=RUN["sweeps"]),
