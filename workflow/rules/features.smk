"""Frozen features: fetch a backbone's weights, extract patch features to the cache."""


rule fetch_weights:
    output:
        weights=RESULTS + "/weights/{backbone}.safetensors",
        facts=RESULTS + "/weights/{backbone}.json",
    log:
        RESULTS + "/logs/fetch_weights/{backbone}.log",
    benchmark:
        RESULTS + "/benchmarks/rules/fetch_weights/{backbone}.tsv"
    threads: 1
    resources:
        mem_mb=2000,
    params:
        model=lambda w: config["backbones"][w.backbone]["model"],
        weights=lambda w: config["backbones"][w.backbone]["weights"],
        code=code("weights"),
    message:
        "Fetch the weights of {wildcards.backbone}"
    script:
        "../scripts/fetch_weights.py"


rule extract_features:
    input:
        manifest=rules.index_views.output[0],
        weights=rules.fetch_weights.output.weights,
        facts=rules.fetch_weights.output.facts,
    output:
        # not the store itself, which a failed or killed job must leave for the next one to finish
        complete=RESULTS + "/features/{dataset}/{backbone}/{view}.zarr/complete.json",
    log:
        RESULTS + "/logs/extract_features/{dataset}/{backbone}/{view}.log",
    benchmark:
        RESULTS + "/benchmarks/rules/extract_features/{dataset}/{backbone}/{view}.tsv"
    threads: ALL_CORES
    resources:
        mem_mb=4000,
    params:
        root=lambda w: dataset_settings(w.dataset)["root"],
        backbone=backbone_settings,
        resample=lambda w: config["datasets"][w.dataset]["resample"],
        precision=config["extract"]["precision"],
        code=code("backbones", "imaging"),
    message:
        "Extract {wildcards.view} features of {wildcards.dataset} with {wildcards.backbone}"
    script:
        "../scripts/extract_features.py"


rule features:
    input:
        [
            of_experiment(rules.extract_features.output.complete, view)(
                SimpleNamespace(experiment=name)
            )
            for name in RUN["experiments"]
            for view in ("train", "eval")
        ],
