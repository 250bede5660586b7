"""Figures of methods side by side, by data set. Beside each lies a CSV of what it shows."""

COMPARED = compared(config)  # experiments side by side, by data set
HEAD_TITLES = {
    "kmeans": "k-means",
    "linear": "linear probe †",
    "smooseg": "SmooSeg",
    "smooth": "SmooSeg+",
    "stego": "STEGO",
}


def titles_of(dataset):
    """What to call the compared experiments of a data set: by their heads, where that tells them apart."""
    heads = {name: config["experiments"][name]["head"] for name in COMPARED[dataset]}
    if len(set(heads.values())) < len(heads):
        return {name: name + (" †" if is_supervised(name) else "") for name in heads}
    return {name: HEAD_TITLES[head] for name, head in heads.items()}


def side_by_side(wildcards):
    """Experiment and postprocessing of each segmentation of fig3: every method, and the last one also with the CRF."""
    first, *others = config["postprocess"]
    names = COMPARED[wildcards.dataset]
    return [(name, first) for name in names] + [(names[-1], postprocess) for postprocess in others]


def of_side_by_side(pattern):
    """Input function: a file of each segmentation of fig3."""
    return lambda w: [
        pattern.format(experiment=name, seed=SEEDS[name][0], postprocess=postprocess)
        for name, postprocess in side_by_side(w)
    ]


def compared_jobs(wildcards):
    """(experiment, seed) pairs of the compared experiments of a data set."""
    return [(name, seed) for name in COMPARED[wildcards.dataset] for seed in SEEDS[name]]


def embedding_panels(wildcards):
    """Spaces of fig5 and the files behind each: every backbone's features, every embedding that a head learned."""
    titles = titles_of(wildcards.dataset)
    names = COMPARED[wildcards.dataset]
    backbones = dict.fromkeys(config["experiments"][name]["backbone"] for name in names)
    panels = [(f"features of {backbone}", backbone, {}) for backbone in backbones]
    for name in names:
        if "dimensions" in config["experiments"][name]["settings"]:
            files = {
                "head": HEAD.format(experiment=name, seed=SEEDS[name][0]) + "/head.safetensors",
                "scores": HEAD.format(experiment=name, seed=SEEDS[name][0]) + f"/{config['postprocess'][0]}.json",
            }
            panels.append((titles[name], config["experiments"][name]["backbone"], files))
    labels = rules.read_labels.output.complete.replace("{view}", "eval")
    return [
        {"title": title, "labels": labels.format(dataset=wildcards.dataset, backbone=backbone), **files}
        | {"store": store_path(SimpleNamespace(dataset=wildcards.dataset, backbone=backbone), "eval")}
        for title, backbone, files in panels
    ]


def embedding_inputs(wildcards):
    """Files behind the panels of fig5; the stores of features are finished where their labels are read."""
    kinds = ("head", "scores", "labels")
    return sorted({path for panel in embedding_panels(wildcards) for kind, path in panel.items() if kind in kinds})


use rule plot_segmentations as plot_side_by_side with:
    input:
        maps=of_side_by_side(HEAD + "/{postprocess}.zarr/complete.json"),
        scores=of_side_by_side(rules.score_labels.output[0]),
        labels=lambda w: of_experiment(rules.read_labels.output.complete)(
            SimpleNamespace(experiment=COMPARED[w.dataset][0])
        ),
        manifest=rules.index_views.output[0].replace("{view}", "eval"),
    output:
        figure=report(
            RESULTS + "/figures/fig3/{dataset}.png",
            caption=caption("fig3"),
            category="Methods",
            labels={"data set": "{dataset}", "figure": "segmentations"},
        ),
        table=RESULTS + "/figures/fig3/{dataset}.csv",
    log:
        RESULTS + "/logs/plot_side_by_side/{dataset}.log",
    benchmark:
        RESULTS + "/benchmarks/rules/plot_side_by_side/{dataset}.tsv"
    params:
        titles=lambda w: [
            titles_of(w.dataset)[name] + (" + CRF" if postprocess == "crf" else "")
            for name, postprocess in side_by_side(w)
        ],
        dataset=lambda w: reading_settings(w.dataset, "eval"),
        code=code("results.plots.segmentations"),
    message:
        "Draw the segmentations of {wildcards.dataset} side by side"


rule plot_embeddings:
    input:
        embedding_inputs,
        manifest=rules.index_views.output[0].replace("{view}", "eval"),
    output:
        figure=report(
            RESULTS + "/figures/fig5/{dataset}.png",
            caption=caption("fig5"),
            category="Methods",
            labels={"data set": "{dataset}", "figure": "embeddings"},
        ),
        table=RESULTS + "/figures/fig5/{dataset}.csv",
    log:
        RESULTS + "/logs/plot_embeddings/{dataset}.log",
    benchmark:
        RESULTS + "/benchmarks/rules/plot_embeddings/{dataset}.tsv"
    threads: 1
    resources:
        mem_mb=2000,
    params:
        panels=embedding_panels,
        classes=lambda w: config["datasets"][w.dataset]["classes"],
        code=code("results.plots.embeddings"),
    message:
        "Draw the embeddings of {wildcards.dataset}"
    script:
        "../scripts/plot_embeddings.py"


rule plot_penalties:
    input:
        lambda w: of_jobs(rules.measure_head.output[0], compared_jobs(w)),
    output:
        figure=report(
            RESULTS + "/figures/fig8/{dataset}.png",
            caption=caption("fig8"),
            category="Methods",
            labels={"data set": "{dataset}", "figure": "label penalties"},
        ),
        table=RESULTS + "/figures/fig8/{dataset}.csv",
    log:
        RESULTS + "/logs/plot_penalties/{dataset}.log",
    benchmark:
        RESULTS + "/benchmarks/rules/plot_penalties/{dataset}.tsv"
    threads: 1
    resources:
        mem_mb=500,
    params:
        titles=lambda w: titles_of(w.dataset),
        code=code("results.plots.training"),
    message:
        "Draw the label penalties of {wildcards.dataset}"
    script:
        "../scripts/plot_penalties.py"


rule plot_scores:
    input:
        scores=rules.make_tables.output.scores,
        classes=rules.make_tables.output.classes,
    output:
        figure=report(
            RESULTS + "/figures/class_scores/{dataset}.png",
            caption=caption("class_scores"),
            category="Methods",
            labels={"data set": "{dataset}", "figure": "scores by class"},
        ),
        table=RESULTS + "/figures/class_scores/{dataset}.csv",
    log:
        RESULTS + "/logs/plot_scores/{dataset}.log",
    benchmark:
        RESULTS + "/benchmarks/rules/plot_scores/{dataset}.tsv"
    threads: 1
    resources:
        mem_mb=500,
    params:
        titles=lambda w: titles_of(w.dataset),
        code=code("results.plots.scores"),
    message:
        "Draw the scores of {wildcards.dataset} by class"
    script:
        "../scripts/plot_scores.py"


# what people type
rule fig3:
    input:
        expand(rules.plot_side_by_side.output, dataset=COMPARED),


rule fig5:
    input:
        expand(rules.plot_embeddings.output, dataset=COMPARED),


rule fig8:
    input:
        expand(rules.plot_penalties.output, dataset=COMPARED),
        expand(rules.collect_sweep.output.penalties, sweep=RUN["sweeps"]),


rule class_scores:
    input:
        expand(rules.plot_scores.output, dataset=COMPARED),
