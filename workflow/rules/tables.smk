"""Collection: tables of scores, and sweeps."""


rule make_tables:
    input:
        of_jobs(rules.score_labels.output[0], JOBS, postprocess=config["evaluate"]),
    output:
        scores="<results>/tables/scores.csv",
        classes="<results>/tables/class_iou.csv",
        summary="<results>/tables/summary.csv",
    log:
        "<logs>/make_tables.log",
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
            postprocess=config["tables"][w.table]["evaluate"],
        ),
        histories=lambda w: of_jobs(rules.train_head.output.history, table_jobs(config["tables"][w.table])),
        states=lambda w: (
            of_jobs(rules.score_states.output[0], table_jobs(config["tables"][w.table])) if KEPT_STATES else []
        ),
    output:
        "<results>/tables/{table}.csv",
    log:
        "<logs>/compare_methods/{table}.log",
    threads: 1
    resources:
        mem_mb=500,
    params:
        table=lambda w: config["tables"][w.table],
        supervised=lambda w: [name for name in dict(table_jobs(config["tables"][w.table])) if is_supervised(name)],
        merged=lambda w: [
            name for name in dict(table_jobs(config["tables"][w.table])) if config["experiments"][name]["names"]
        ],
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
            postprocess=config["sweeps"][w.sweep]["evaluate"],
        ),
        histories=lambda w: of_jobs(rules.train_head.output.history, sweep_jobs(config["sweeps"][w.sweep])),
        measures=lambda w: of_jobs(rules.score_point.output.measures, sweep_jobs(config["sweeps"][w.sweep])),
    output:
        table="<results>/sweeps/{sweep}.csv",
        criteria="<results>/sweeps/{sweep}_criteria.csv",
        figure=report(
            "<results>/figures/sweeps/{sweep}.png",
            caption=caption("sweeps"),
            category="Sweeps",
            labels={"sweep": "{sweep}", "figure": "scores"},
        ),
        penalties=report(
            "<results>/figures/sweep_penalties/{sweep}.png",
            caption=caption("sweep_penalties"),
            category="Sweeps",
            labels={"sweep": "{sweep}", "figure": "label penalties"},
        ),
        penalties_table="<results>/figures/sweep_penalties/{sweep}.csv",
    log:
        "<logs>/collect_sweep/{sweep}.log",
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
            f"<results>/tables/{table}.csv",


for sweep in config["sweeps"]:

    rule:
        name:
            sweep
        input:
            f"<results>/sweeps/{sweep}.csv",
            f"<results>/figures/sweeps/{sweep}.png",
