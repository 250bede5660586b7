"""Data sets: draw the demo's scenes, list the views of every data set."""


rule make_demo:
    output:
        train_images=directory("<results>/data/{dataset}/images/train"),
        train_labels=directory("<results>/data/{dataset}/labels/train"),
        val_images=directory("<results>/data/{dataset}/images/val"),
        val_labels=directory("<results>/data/{dataset}/labels/val"),
    log:
        "<logs>/make_demo/{dataset}.log",
    wildcard_constraints:
        dataset="|".join(GENERATED) or "(?!)",
    threads: ALL_CORES
    resources:
        mem_mb=growing(500, 200),
    params:
        generate=lambda w: config["datasets"][w.dataset]["generate"],
        code=code("images.demo.drawing"),
    message:
        "Draw the scenes of {wildcards.dataset}"
    script:
        "../scripts/make_demo.py"


# what a manifest depends on, of which the parts, once they are joined, leave no trace
INDEXING = {
    "dataset": lambda w: {key: dataset_settings(w.dataset)[key] for key in ("layout", "root", "settings")},
    "view": lambda w: config["datasets"][w.dataset][w.view],
    "files": lambda w: files_state(w.dataset, image_sources(w)),
    "code": lambda w: f"{code('images.indexing')} {code_of('images.datasets', config['datasets'][w.dataset]['layout'])}",
}


rule index_part:
    input:
        image_sources,
    output:
        temp("<results>/manifests/{dataset}/{view}/{part}-of-{parts}.parquet"),
    log:
        "<logs>/index_part/{dataset}/{view}/{part}-of-{parts}.log",
    threads: max(1, ALL_CORES // config["extract"]["jobs"])
    resources:
        mem_mb=growing(500, 200),
        runtime=lambda w, attempt: 120 * attempt,
    params:
        **INDEXING,
    message:
        "List the {wildcards.view} views of {wildcards.dataset}, part {wildcards.part} of {wildcards.parts}"
    script:
        "../scripts/index_part.py"


rule index_views:
    input:
        expand(
            rules.index_part.output,
            part=range(1, config["extract"]["jobs"] + 1),
            parts=config["extract"]["jobs"],
            allow_missing=True,
        ),
    output:
        "<results>/manifests/{dataset}/{view}.parquet",
    log:
        "<logs>/index_views/{dataset}/{view}.log",
    threads: 1
    resources:
        mem_mb=growing(1000),
    params:
        **INDEXING,
    message:
        "Join the lists of the {wildcards.view} views of {wildcards.dataset}"
    script:
        "../scripts/index_views.py"
