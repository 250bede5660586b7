"""Heads: trained from a feature cache alone."""

HEAD = RESULTS + "/experiments/{experiment}/{seed}"


rule train_head:
    input:
        complete=of_experiment(rules.finish_features.output.complete, "train"),
        manifest=of_experiment(rules.index_views.output[0], "train"),
        facts=of_experiment(rules.fetch_weights.output.facts),
    output:
        head=HEAD + "/head.safetensors",
        history=HEAD + "/history.parquet",
    log:
        RESULTS + "/logs/train_head/{experiment}/{seed}.log",
    benchmark:
        RESULTS + "/benchmarks/rules/train_head/{experiment}/{seed}.tsv"
    threads: config["train"]["threads"]
    resources:
        mem_mb=int(1000 * config["train"]["memory_gb"]) + 2000,
    params:
        experiment=experiment_settings,
        memory_gb=config["train"]["memory_gb"],  # decides the order of views: held, or streamed
        store=store_of_experiment("train"),
        needs=needs_of_experiment,
        code=lambda w: code("heads." + config["experiments"][w.experiment]["head"]),
    message:
        "Train {wildcards.experiment}, seed {wildcards.seed}"
    script:
        "../scripts/train_head.py"


rule train:
    input:
        of_run(rules.train_head.output.head),
