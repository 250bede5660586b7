"""Frozen features: fetch a backbone's weights, extract patch features to the cache."""


rule fetch_weights:
    input:
        weights_file,
    output:
        weights="<results>/weights/{backbone}.safetensors",
        facts="<results>/weights/{backbone}.json",
    log:
        "<logs>/fetch_weights/{backbone}.log",
    threads: 1
    resources:
        mem_mb=4000,
    params:
        model=lambda w: config["backbones"][w.backbone]["model"],
        weights=lambda w: config["backbones"][w.backbone]["weights"],
        code=code("features.weights"),
    message:
        "Fetch the weights of {wildcards.backbone}"
    script:
        "../scripts/fetch_weights.py"


rule plan_features:
    input:
        manifest=rules.index_views.output[0],
        facts=rules.fetch_weights.output.facts,
    output:
        # a marker, not the store itself: a failed or killed job must leave that for the next one to finish
        plan="<results>/features/{dataset}/{backbone}/{view}.zarr/plan.json",
    log:
        "<logs>/plan_features/{dataset}/{backbone}/{view}.log",
    threads: 1
    resources:
        mem_mb=1000,
    params:
        store=store_path,
        needs=lambda w: feature_needs(w.dataset, w.backbone),
        codec=config["extract"]["codec"],
        code=code_of_features(),
    message:
        "Plan the {wildcards.view} features of {wildcards.dataset} with {wildcards.backbone}"
    script:
        "../scripts/plan_features.py"


rule extract_features:
    input:
        plan=rules.plan_features.output.plan,
        manifest=rules.index_views.output[0],
        weights=rules.fetch_weights.output.weights,
    output:
        part=temp("<results>/features/{dataset}/{backbone}/{view}.zarr/part-{part}-of-{parts}.done"),
    log:
        "<logs>/extract_features/{dataset}/{backbone}/{view}/{part}-of-{parts}.log",
    threads: max(1, ALL_CORES // config["extract"]["jobs"])
    resources:
        mem_mb=growing(4000),
        runtime=extraction_minutes,
    params:
        store=store_path,
        root=lambda w: dataset_settings(w.dataset)["root"],
    message:
        "Extract {wildcards.view} features of {wildcards.dataset} with {wildcards.backbone}, part {wildcards.part} of {wildcards.parts}"
    script:
        "../scripts/extract_features.py"


rule finish_features:
    input:
        expand(
            rules.extract_features.output.part,
            part=range(1, config["extract"]["jobs"] + 1),
            parts=config["extract"]["jobs"],
            allow_missing=True,
        ),
    output:
        complete="<results>/features/{dataset}/{backbone}/{view}.zarr/complete.json",
    log:
        "<logs>/finish_features/{dataset}/{backbone}/{view}.log",
    threads: 1
    resources:
        mem_mb=1000,
    params:
        store=store_path,
    message:
        "Check and close the {wildcards.view} features of {wildcards.dataset} with {wildcards.backbone}"
    script:
        "../scripts/finish_features.py"


rule features:
    input:
        [
            of_experiment(rules.finish_features.output.complete, view)(SimpleNamespace(experiment=name))
            for name in dict(JOBS + SWEPT)
            for view in ("train", "eval")
        ],
