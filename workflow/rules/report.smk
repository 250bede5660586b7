"""Collection: tables, figures and one page that shows them."""


rule make_tables:
    input:
        rules.evaluate.input,
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
        experiments={name: config["experiments"][name] for name in RUN["experiments"]},
        splits={
            name: config["datasets"][config["experiments"][name]["dataset"]]["eval"]["split"]
            for name in RUN["experiments"]
        },
        seeds=RUN["seeds"],
        postprocess=config["postprocess"],
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
        dataset=lambda w: dataset_settings(config["experiments"][w.experiment]["dataset"]),
        postprocess=config["postprocess"],
        code=code("plots"),
    message:
        "Draw segmentations of {wildcards.experiment}, seed {wildcards.seed}"
    script:
        "../scripts/plot_segmentations.py"


rule make_report:
    input:
        template=workflow.source_path("../report/report.html.j2"),
        scores=rules.make_tables.output.scores,
        classes=rules.make_tables.output.classes,
        summary=rules.make_tables.output.summary,
        figures=expand(
            rules.plot_segmentations.output[0],
            experiment=RUN["experiments"],
            seed=RUN["seeds"][:1],
        ),
        histories=of_run(rules.train_head.output.history),
    output:
        RESULTS + "/report.html",
    log:
        RESULTS + "/logs/make_report.log",
    benchmark:
        RESULTS + "/benchmarks/rules/make_report.tsv"
    threads: 1
    resources:
        mem_mb=500,
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


rule figures:
    input:
        rules.make_report.input.figures,
