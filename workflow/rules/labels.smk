"""Labels: read for evaluation, and to train the supervised reference; no other rule takes them."""


rule read_labels:
    input:
        labels=label_sources,
        manifest=rules.index_views.output[0],
        complete=rules.finish_features.output.complete,
    output:
        complete="<results>/labels/{dataset}/{backbone}/{view}.zarr/complete.json",
    log:
        "<logs>/read_labels/{dataset}/{backbone}/{view}.log",
    threads: 1
    resources:
        mem_mb=1000,
        runtime=labels_minutes,
    params:
        store=store_path,
        dataset=lambda w: reading_settings(w.dataset, w.view),
        files=lambda w: files_state(w.dataset, label_sources(w)),
        code=lambda w: f"{code('images.imaging', 'evaluation.scoring')} "
        f"{code_of('images.datasets', config['datasets'][w.dataset]['layout'])}",
    message:
        "Read the {wildcards.view} labels of {wildcards.dataset} at the size of {wildcards.backbone}'s views"
    script:
        "../scripts/read_labels.py"
