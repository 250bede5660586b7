"""Collection: tables of scores, and sweeps."""


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
        code=code("results.tables"),
    message:
        "Collect the scores"
    script:
        "../scripts/make_tables.py"


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
        code=code("results.comparisons"),
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
        criteria=RESULTS + "/sweeps/{sweep}_criteria.csv",
        figure=report(
            RESULTS + "/figures/sweeps/{sweep}.png",
            caption=caption("sweeps"),
            category="Sweeps",
            labels={"sweep": "{sweep}", "figure": "scores"},
        ),
        penalties=report(
            RESULTS + "/figures/sweep_penalties/{sweep}.png",
            caption=caption("sweep_penalties"),
            category="Sweeps",
            labels={"sweep": "{sweep}", "figure": "label penalties"},
        ),
        penalties_table=RESULTS + "/figures/sweep_penalties/{sweep}.csv",
    log:
        RESULTS + "/logs/collect_sweep/{sweep}.log",
    benchmark:
        RESULTS + "/benchmarks/rules/collect_sweep/{sweep}.tsv"
    threads: 1
    resources:
        mem_mb=500,
    params:
        sweep=lambda w: config["sweeps"][w.sweep],
        code=code("results.comparisons", "results.plots.sweeps", "results.plots.training"),
    message:
        "Collect the sweep {wildcards.sweep}"
    script:
        "../scripts/collect_sweep.py"


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
