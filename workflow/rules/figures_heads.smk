"""Figures of every head of the run. Beside each lies a CSV of what it shows."""


rule plot_segmentations:
    input:
        maps=expand(
            rules.score_labels.input.maps,
            postprocess=config["evaluate"],
            allow_missing=True,
        ),
        scores=expand(
            rules.score_labels.output[0],
            postprocess=config["evaluate"],
            allow_missing=True,
        ),
        labels=of_experiment(rules.read_labels.output.complete),
        manifest=of_experiment(rules.index_views.output[0]),
    output:
        figure=report(
            "<results>/figures/segmentations/{experiment}-{seed}.png",
            caption=caption("segmentations"),
            category="Segmentations",
            labels={"experiment": "{experiment}", "seed": "{seed}"},
        ),
        table="<results>/figures/segmentations/{experiment}-{seed}.csv",
    log:
        "<logs>/plot_segmentations/{experiment}/{seed}.log",
    threads: 1
    resources:
        mem_mb=1000,
    params:
        titles=["with CRF" if postprocess == "crf" else "without CRF" for postprocess in config["evaluate"]],
        dataset=lambda w: reading_settings(config["experiments"][w.experiment]["dataset"], "eval"),
        code=code("results.plots.segmentations"),
    message:
        "Draw segmentations of {wildcards.experiment}, seed {wildcards.seed}"
    script:
        "../scripts/plot_segmentations.py"


rule plot_confusion:
    input:
        expand(rules.score_labels.output[0], postprocess=config["evaluate"][0], allow_missing=True),
    output:
        figure=report(
            "<results>/figures/confusion/{experiment}-{seed}.png",
            caption=caption("confusion"),
            category="Confusion",
            labels={"experiment": "{experiment}", "seed": "{seed}"},
        ),
        table="<results>/figures/confusion/{experiment}-{seed}.csv",
    log:
        "<logs>/plot_confusion/{experiment}/{seed}.log",
    threads: 1
    resources:
        mem_mb=500,
    params:
        code=code("results.plots.scores"),
    message:
        "Draw the confusion matrix of {wildcards.experiment}, seed {wildcards.seed}"
    script:
        "../scripts/plot_confusion.py"


rule plot_training:
    input:
        lambda w: of_jobs(rules.train_head.output.history, [(w.experiment, seed) for seed in SEEDS[w.experiment]]),
    output:
        figure=report(
            "<results>/figures/training_curves/{experiment}.png",
            caption=caption("training_curves"),
            category="Training",
            labels={"experiment": "{experiment}"},
        ),
        table="<results>/figures/training_curves/{experiment}.csv",
    log:
        "<logs>/plot_training/{experiment}.log",
    threads: 1
    resources:
        mem_mb=500,
    params:
        code=code("results.plots.training"),
    message:
        "Draw the training of {wildcards.experiment}"
    script:
        "../scripts/plot_training.py"


rule plot_cuts:
    input:
        head=rules.train_head.output.head,
        complete=of_experiment(rules.finish_features.output.complete, "train"),
        eval_complete=of_experiment(rules.finish_features.output.complete),
        manifest=of_experiment(rules.index_views.output[0]),
        train_manifest=of_experiment(rules.index_views.output[0], "train"),
        labels=of_experiment(rules.read_labels.output.complete),
        facts=of_experiment(rules.fetch_weights.output.facts),
    output:
        figure=report(
            "<results>/figures/cuts/{experiment}-{seed}.png",
            caption=caption("cuts"),
            category="Numbers of clusters",
            labels={"experiment": "{experiment}", "seed": "{seed}"},
        ),
        table="<results>/figures/cuts/{experiment}-{seed}.csv",
    log:
        "<logs>/plot_cuts/{experiment}/{seed}.log",
    threads: config["train"]["threads"]
    resources:
        mem_mb=training_memory,
        runtime=training_minutes,
    params:
        store=store_of_experiment("eval"),
        train=store_of_experiment("train"),
        needs=needs_of_experiment,
        memory_gb=config["train"]["memory_gb"],
        classes=lambda w: len(config["datasets"][config["experiments"][w.experiment]["dataset"]]["classes"]),
        code=lambda w: " ".join(
            [code("evaluation.cuts", "results.plots.cuts"), code_of_heads(*heads_of(w.experiment), "kmeans")]
        ),
    message:
        "Score and draw every number of clusters of {wildcards.experiment}, seed {wildcards.seed}"
    script:
        "../scripts/plot_cuts.py"


# what people type
rule cuts:
    input:
        of_jobs(rules.plot_cuts.output, [job for job in FIRST if holds_tree(job[0])]),


rule confusion:
    input:
        of_jobs(rules.plot_confusion.output, FIRST),


rule segmentations:
    input:
        of_jobs(rules.plot_segmentations.output, FIRST),


rule training_curves:
    input:
        expand(rules.plot_training.output, experiment=STEPPED),
