"""Figures of methods side by side, by data set. Beside each lies a CSV of what it shows."""


use rule plot_segmentations as plot_side_by_side with:
    input:
        maps=of_side_by_side(rules.score_labels.input.maps),
        scores=of_side_by_side(rules.score_labels.output[0]),
        labels=lambda w: of_experiment(rules.read_labels.output.complete)(
            SimpleNamespace(experiment=COMPARED[w.dataset][0])
        ),
        manifest=lambda w: rules.index_views.output[0].format(dataset=w.dataset, view="eval"),
    output:
        figure=report(
            "<results>/figures/fig3/{dataset}.png",
            caption=caption("fig3"),
            category="Methods",
            labels={"data set": "{dataset}", "figure": "segmentations"},
        ),
        table="<results>/figures/fig3/{dataset}.csv",
    log:
        "<logs>/plot_side_by_side/{dataset}.log",
    benchmark:
        "<benchmarks>/plot_side_by_side/{dataset}.tsv"
    params:
        titles=titles_side_by_side,
        dataset=lambda w: reading_settings(w.dataset, "eval"),
        code=code("results.plots.segmentations"),
    message:
        "Draw the segmentations of {wildcards.dataset} side by side"


rule plot_embeddings:
    input:
        embedding_inputs,
        manifest=lambda w: rules.index_views.output[0].format(dataset=w.dataset, view="eval"),
    output:
        figure=report(
            "<results>/figures/fig5/{dataset}.png",
            caption=caption("fig5"),
            category="Methods",
            labels={"data set": "{dataset}", "figure": "embeddings"},
        ),
        table="<results>/figures/fig5/{dataset}.csv",
    log:
        "<logs>/plot_embeddings/{dataset}.log",
    benchmark:
        "<benchmarks>/plot_embeddings/{dataset}.tsv"
    threads: 1
    resources:
        mem_mb=2000,
    params:
        panels=embedding_panels,
        classes=lambda w: config["datasets"][w.dataset]["classes"],
        code=code_with_heads("results.plots.embeddings"),
    message:
        "Draw the embeddings of {wildcards.dataset}"
    script:
        "../scripts/plot_embeddings.py"


rule plot_penalties:
    input:
        lambda w: of_jobs(rules.predict_labels.output.measures, compared_jobs(w)),
    output:
        figure=report(
            "<results>/figures/fig8/{dataset}.png",
            caption=caption("fig8"),
            category="Methods",
            labels={"data set": "{dataset}", "figure": "label penalties"},
        ),
        table="<results>/figures/fig8/{dataset}.csv",
    log:
        "<logs>/plot_penalties/{dataset}.log",
    benchmark:
        "<benchmarks>/plot_penalties/{dataset}.tsv"
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
            "<results>/figures/class_scores/{dataset}.png",
            caption=caption("class_scores"),
            category="Methods",
            labels={"data set": "{dataset}", "figure": "scores by class"},
        ),
        table="<results>/figures/class_scores/{dataset}.csv",
    log:
        "<logs>/plot_scores/{dataset}.log",
    benchmark:
        "<benchmarks>/plot_scores/{dataset}.tsv"
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
