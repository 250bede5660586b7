"""Heads: trained from a feature cache alone."""

KEPT_STATES = (
    {"states": directory("<results>/experiments/{experiment}/{seed}/states")} if config["train"]["states"] else {}
)


rule train_head:
    input:
        unpack(training_inputs),
    output:
        **KEPT_STATES,
        # snapshot.pt lies beside them meanwhile, undeclared: what a job declares is deleted when it fails
        head="<results>/experiments/{experiment}/{seed}/head.safetensors",
        history="<results>/experiments/{experiment}/{seed}/history.parquet",
    log:
        "<logs>/train_head/{experiment}/{seed}.log",
    wildcard_constraints:
        experiment=one_of(name for name in config["experiments"] if not is_supervised(name)),
    threads: config["train"]["threads"]
    resources:
        mem_mb=training_memory,
        runtime=training_minutes,
    params:
        experiment=experiment_settings,
        memory_gb=config["train"]["memory_gb"],  # decides the order of views: held, or streamed
        store=store_of_experiment("train"),
        needs=needs_of_experiment,
        code=lambda w: code_of_heads(*heads_of(w.experiment)),
    message:
        "Train {wildcards.experiment}, seed {wildcards.seed}"
    script:
        "../scripts/train_head.py"


# the only training that takes labels: a reference, and marked as one in every table
use rule train_head as train_probe with:
    input:
        unpack(training_inputs),
        labels=of_experiment(rules.read_labels.output.complete, "train"),
    wildcard_constraints:
        experiment=one_of(name for name in config["experiments"] if is_supervised(name)),


rule train:
    input:
        of_jobs(rules.train_head.output.head, JOBS + SWEPT),
