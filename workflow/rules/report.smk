"""Collection: tables, figures and one page that shows them."""

FIRST_SEEDS = {**dict(JOBS), **dict(reversed(JOBS))}.items()  # of each experiment; whose segmentations are shown


rule make_tables:
    input:
        of_jobs(rules.score_labels.output[0], JOBS, postprocess=config["postprocess"]),
    output:
        scores=RESULTS + "/tables/scores.csv",
        classes=RESULTS + "/tables/class_iou.csv",
        summary=RESULTS + "/tables/summary.csv",
    log:
        RESULTS + "/logs/make_tables.log",
    benchmark:
        RESULTS + "/benchmarks/rules/make_tables.tsv"
    threads: 1
    resources:
        mem_mb=500,
    params:
        experiments={name: config["experiments"][name] for name in dict(JOBS)},
        splits={
            name: config["datasets"][config["experiments"][name]["dataset"]]["eval"]["split"] for name in dict(JOBS)
        },
        supervised=[name for name in dict(JOBS) if is_supervised(name)],
        code=code("tables"),
    message:
        "Collect the scores"
    script:
        "../scripts/make_tables.py"


rule plot_segmentations:
    input:
        maps=expand(
            HEAD + "/{postprocess}.zarr/complete.json",
            postprocess=config["postprocess"],
            allow_missing=True,
        ),
        scores=expand(
            rules.score_labels.output[0],
            postprocess=config["postprocess"],
            allow_missing=True,
        ),
        labels=of_experiment(rules.read_labels.output.complete),
        manifest=of_experiment(rules.index_views.output[0]),
    output:
        report(
            RESULTS + "/figures/segmentations/{experiment}-{seed}.png",
            caption="../report/segmentations.rst",
            category="Segmentations",
            labels={"experiment": "{experiment}", "seed": "{seed}"},
        ),
    log:
        RESULTS + "/logs/plot_segmentations/{experiment}/{seed}.log",
    benchmark:
        RESULTS + "/benchmarks/rules/plot_segmentations/{experiment}/{seed}.tsv"
    threads: 1
    resources:
        mem_mb=1000,
    params:
        dataset=lambda w: reading_settings(config["experiments"][w.experiment]["dataset"], "eval"),
        postprocess=config["postprocess"],
        code=code("plots"),
    message:
        "Draw segmentations of {wildcards.experiment}, seed {wildcards.seed}"
    script:
        "../scripts/plot_segmentations.py"


rule compare_methods:
    input:
        scores=lambda w: of_jobs(
            rules.score_labels.output[0],
            table_jobs(config["tables"][w.table]),
            postprocess=config["tables"][w.table]["postprocess"],
        ),
        histories=lambda w: of_jobs(rules.train_head.output.history, table_jobs(config["tables"][w.table])),
    output:
        RESULTS + "/tables/{table}.csv",
    log:
        RESULTS + "/logs/compare_methods/{table}.log",
    benchmark:
        RESULTS + "/benchmarks/rules/compare_methods/{table}.tsv"
    threads: 1
    resources:
        mem_mb=500,
    params:
        table=lambda w: config["tables"][w.table],
        supervised=lambda w: [name for name in dict(table_jobs(config["tables"][w.table])) if is_supervised(name)],
        code=code("comparisons"),
    message:
        "Compare the methods of {wildcards.table}"
    script:
        "../scripts/compare_methods.py"


rule collect_sweep:
    input:
        scores=lambda w: of_jobs(
            rules.score_labels.output[0],
            sweep_jobs(config["sweeps"][w.sweep]),
            postprocess=config["sweeps"][w.sweep]["postprocess"],
        ),
        histories=lambda w: of_jobs(rules.train_head.output.history, sweep_jobs(config["sweeps"][w.sweep])),
        measures=lambda w: of_jobs(rules.measure_head.output[0], sweep_jobs(config["sweeps"][w.sweep])),
    output:
        table=RESULTS + "/sweeps/{sweep}.csv",
        figure=report(
            RESULTS + "/figures/sweeps/{sweep}.png",
            caption="../report/sweep.rst",
            category="Sweeps",
            labels={"sweep": "{sweep}"},
        ),
    log:
        RESULTS + "/logs/collect_sweep/{sweep}.log",
    benchmark:
        RESULTS + "/benchmarks/rules/collect_sweep/{sweep}.tsv"
    threads: 1
    resources:
        mem_mb=500,
    params:
        sweep=lambda w: config["sweeps"][w.sweep],
        code=code("comparisons", "plots"),
    message:
        "Collect the sweep {wildcards.sweep}"
    script:
        "../scripts/collect_sweep.py"


rule make_report:
    input:
        template=workflow.source_path("../report/report.html.j2"),
        scores=rules.make_tables.output.scores,
        classes=rules.make_tables.output.classes,
        summary=rules.make_tables.output.summary,
        figures=of_jobs(rules.plot_segmentations.output[0], FIRST_SEEDS),
        histories=of_jobs(rules.train_head.output.history, JOBS),
        tables=expand(rules.compare_methods.output[0], table=RUN["tables"]),
        sweeps=expand(rules.collect_sweep.output.table, sweep=RUN["sweeps"]),
        sweep_figures=expand(rules.collect_sweep.output.figure, sweep=RUN["sweeps"]),
    output:
        RESULTS + "/report.html",
    log:
        RESULTS + "/logs/make_report.log",
    benchmark:
        RESULTS + "/benchmarks/rules/make_report.tsv"
    threads: 1
    resources:
        mem_mb=1500,
    params:
        run=config["run"],
        config=lambda w: config,
        code=code("report"),
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
        rules.make_report.input.sweep_figures,


rule sweep:
    input:
        expand(rules.collect_sweep.output, sweep=RUN["sweeps"]),


for table in config["tables"]:

    rule:
        name:
            table
        input:
            f"{RESULTS}/tables/{table}.csv",


for sweep in config["sweeps"]:

    rule:
        name:
            sweep
        input:
            f"{RESULTS}/sweeps/{sweep}.csv",
            f"{RESULTS}/figures/sweeps/{sweep}.png",
