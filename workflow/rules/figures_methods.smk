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
            "<results>/figures/side_by_side/{dataset}.png",
            caption=caption("side_by_side"),
            category="Methods",
            labels={"data set": "{dataset}", "figure": "segmentations"},
        ),
        table="<results>/figures/side_by_side/{dataset}.csv",
    log:
        "<logs>/plot_side_by_side/{dataset}.log",
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
            "<results>/figures/embeddings/{dataset}.png",
            caption=caption("embeddings"),
            category="Methods",
            labels={"data set": "{dataset}", "figure": "embeddings"},
        ),
        table="<results>/figures/embeddings/{dataset}.csv",
    log:
        "<logs>/plot_embeddings/{dataset}.log",
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
            "<results>/figures/penalties/{dataset}.png",
            caption=caption("penalties"),
            category="Methods",
            labels={"data set": "{dataset}", "figure": "label penalties"},
        ),
        table="<results>/figures/penalties/{dataset}.csv",
    log:
        "<logs>/plot_penalties/{dataset}.log",
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
rule side_by_side:
    input:
        expand(rules.plot_side_by_side.output, dataset=COMPARED),


rule embeddings:
    input:
        expand(rules.plot_embeddings.output, dataset=COMPARED),


rule penalties:
    input:
        expand(rules.plot_penalties.output, dataset=COMPARED),
        expand(rules.collect_sweep.output.penalties, sweep=RUN["sweeps"]),


# their earlier names
use rule side_by_side as fig3


use rule embeddings as fig5


use rule penalties as fig8


rule class_scores:
    input:
        expand(rules.plot_scores.output, dataset=COMPARED),
