"""Mask proposals of training views, for heads that are trained with them; the CRF needs the views' pixels."""


rule propose_masks:
    input:
        complete=lambda w: rules.finish_features.output.complete.format(
            dataset=w.dataset, backbone=w.backbone, view="train"
        ),
        manifest=lambda w: rules.index_views.output[0].format(dataset=w.dataset, view="train"),
        facts=rules.fetch_weights.output.facts,
    output:
        complete="<results>/proposals/{dataset}/{backbone}.zarr/complete.json",
    log:
        "<logs>/propose_masks/{dataset}/{backbone}.log",
    threads: 1 if config["dask"]["scheduler"] else ALL_CORES
    resources:
        mem_mb=crf_memory,
        runtime=proposal_minutes,
    params:
        store=lambda w: store_path(w, "train"),
        needs=lambda w: feature_needs(w.dataset, w.backbone),
        root=lambda w: dataset_settings(w.dataset)["root"],
        proposals=lambda w: proposal_settings(config["proposals"], config["backbones"][w.backbone]),
        crf=config["crf"],
        code=code_of_proposals(),
    message:
        "Propose masks for the training views of {wildcards.dataset} with {wildcards.backbone}"
    script:
        "../scripts/propose_masks.py"
