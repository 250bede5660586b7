"""Evaluation: label maps, with and without the CRF, and their scores. Maps are kept, so figures need no second pass.

With config["dask"]["scheduler"], the workers of that cluster compute, and the jobs here only wait for them. Points of
sweeps are scored by their own jobs.
"""

# up to four heads are refined side by side, each after a start that takes one core, and beside a training that does
CRF_THREADS = max(1, ALL_CORES // min(max(len(JOBS + SWEPT), 1), 4))


rule predict_labels:
    input:
        head=rules.train_head.output.head,
        complete=of_experiment(rules.finish_features.output.complete),
        manifest=of_experiment(rules.index_views.output[0]),
        facts=of_experiment(rules.fetch_weights.output.facts),
    output:
        complete="<results>/experiments/{experiment}/{seed}/raw.zarr/complete.json",
        measures="<results>/experiments/{experiment}/{seed}/measures.json",  # in the same job, since a start costs more
    log:
        "<logs>/predict_labels/{experiment}/{seed}.log",
    wildcard_constraints:
        experiment=one_of(name for name in config["experiments"] if name not in POINTS),
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=maps_minutes,
    params:
        store=store_of_experiment("eval"),
        needs=needs_of_experiment,
        named=names_rows,
        code=lambda w: code_of_maps(*heads_of(w.experiment)),
        code_of_measures=code("evaluation.measures"),
    message:
        "Predict {wildcards.experiment}, seed {wildcards.seed}, and measure it without labels"
    script:
        "../scripts/predict_labels.py"


rule refine_crf:
    input:
        head=rules.train_head.output.head,
        complete=of_experiment(rules.finish_features.output.complete),
        manifest=of_experiment(rules.index_views.output[0]),
        facts=of_experiment(rules.fetch_weights.output.facts),
    output:
        complete="<results>/experiments/{experiment}/{seed}/crf.zarr/complete.json",
    log:
        "<logs>/refine_crf/{experiment}/{seed}.log",
    threads: 1 if config["dask"]["scheduler"] else CRF_THREADS
    resources:
        mem_mb=crf_memory,
        runtime=crf_minutes,
    params:
        store=store_of_experiment("eval"),
        needs=needs_of_experiment,
        root=lambda w: dataset_settings(config["experiments"][w.experiment]["dataset"])["root"],
        crf=config["crf"],
        named=names_rows,
        code=lambda w: code_of_maps(*heads_of(w.experiment)),
    message:
        "Refine {wildcards.experiment}, seed {wildcards.seed}, with the dense CRF"
    script:
        "../scripts/refine_crf.py"


rule score_labels:
    input:
        maps="<results>/experiments/{experiment}/{seed}/{postprocess}.zarr/complete.json",
        labels=of_experiment(rules.read_labels.output.complete),
        manifest=of_experiment(rules.index_views.output[0]),
        head=rules.train_head.output.head,
        names=names_file,
    output:
        "<results>/experiments/{experiment}/{seed}/{postprocess}.json",
    log:
        "<logs>/score_labels/{experiment}/{seed}/{postprocess}.log",
    threads: 1
    resources:
        mem_mb=1000,
    params:
        classes=lambda w: config["datasets"][config["experiments"][w.experiment]["dataset"]]["classes"],
        matched=lambda w: not is_supervised(w.experiment),
        names=lambda w: config["experiments"][w.experiment]["names"],
        code=code("evaluation.scoring", "evaluation.naming"),
    message:
        "Score {wildcards.experiment}, seed {wildcards.seed}, {wildcards.postprocess}"
    script:
        "../scripts/score_labels.py"


# maps of a point of a sweep, for whoever asks for them: its measures come with its scores
use rule predict_labels as predict_point with:
    output:
        complete="<results>/experiments/{experiment}/{seed}/raw.zarr/complete.json",
    wildcard_constraints:
        experiment=one_of(POINTS),


# a point of a sweep, in one job of this machine and without a label map
rule score_point:
    input:
        head=rules.train_head.output.head,
        complete=of_experiment(rules.finish_features.output.complete),
        manifest=of_experiment(rules.index_views.output[0]),
        facts=of_experiment(rules.fetch_weights.output.facts),
        labels=of_experiment(rules.read_labels.output.complete),
    output:
        scores="<results>/experiments/{experiment}/{seed}/raw.json",
        measures="<results>/experiments/{experiment}/{seed}/measures.json",
    log:
        "<logs>/score_point/{experiment}/{seed}.log",
    wildcard_constraints:
        experiment=one_of(POINTS),
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=maps_minutes,
    params:
        store=store_of_experiment("eval"),
        needs=needs_of_experiment,
        classes=lambda w: config["datasets"][config["experiments"][w.experiment]["dataset"]]["classes"],
        matched=lambda w: not is_supervised(w.experiment),
        code=lambda w: code_of_maps(*heads_of(w.experiment)),
        code_of_scores=code("evaluation.scoring", "evaluation.states", "evaluation.measures"),
    message:
        "Score {wildcards.experiment}, seed {wildcards.seed}, and measure it without labels"
    script:
        "../scripts/score_point.py"


ruleorder: score_point > score_labels


rule evaluate:
    input:
        of_jobs(rules.score_labels.output[0], JOBS, postprocess=config["evaluate"]),
        [
            of_jobs(rules.score_labels.output[0], sweep_jobs(sweep), postprocess=sweep["evaluate"])
            for sweep in map(config["sweeps"].get, RUN["sweeps"])
        ],


if KEPT_STATES:  # of the states that a training went through

    rule score_states:
        input:
            head=rules.train_head.output.head,
            states=KEPT_STATES["states"],
            labels=of_experiment(rules.read_labels.output.complete),
            complete=of_experiment(rules.finish_features.output.complete),
            manifest=of_experiment(rules.index_views.output[0]),
            facts=of_experiment(rules.fetch_weights.output.facts),
        output:
            "<results>/experiments/{experiment}/{seed}/states.csv",
        log:
            "<logs>/score_states/{experiment}/{seed}.log",
        threads: 1
        resources:
            mem_mb=growing(2000),
            runtime=lambda w, input, attempt: config["train"]["states"] * maps_minutes(w, input, attempt),
        params:
            store=store_of_experiment("eval"),
            needs=needs_of_experiment,
            classes=lambda w: len(config["datasets"][config["experiments"][w.experiment]["dataset"]]["classes"]),
            matched=lambda w: not is_supervised(w.experiment),
            code=lambda w: f"{code('evaluation.states')} {code_of_heads(*heads_of(w.experiment))}",
        message:
            "Score the states of {wildcards.experiment}, seed {wildcards.seed}"
        script:
            "../scripts/score_states.py"
