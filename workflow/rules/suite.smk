"""The suite: every head on every labelled data set that is there, on the caches of the workflow."""

SUITE_JOBS = [(name, seed) for name in SUITE for seed in config["suite"]["seeds"]]
SUITE_HEADS = list(dict.fromkeys(member["head"] for member in SUITE.values()))


# what a report says of the suite besides its tables
SHOWN_SUITE = {"members": SUITE, "heads": {head: facts_of_head(head) for head in SUITE_HEADS}}


rule collect_suite:
    input:
        of_jobs(rules.score_labels.output[0], SUITE_JOBS, postprocess=config["suite"]["evaluate"]),
    output:
        scores="<results>/suite/scores.csv",
        summary="<results>/suite/summary.csv",
        choices="<results>/suite/leave_one_out.csv",
        ranks="<results>/suite/ranks.csv",
        figure=report(
            "<results>/suite/ranks.png",
            caption=caption("suite"),
            category="Suite",
            labels={"figure": "ranks of heads"},
        ),
    log:
        "<logs>/collect_suite.log",
    threads: 1
    resources:
        mem_mb=500,
    params:
        members=SUITE,
        titles={head: facts["title"] for head, facts in SHOWN_SUITE["heads"].items()},
        code=code("results.suite.tables", "results.suite.ranks", "results.plots.ranks"),
    message:
        "Collect the scores of the suite"
    script:
        "../scripts/collect_suite.py"


# what its page says of the configuration
SUITE_SAID = {
    "experiments": list(SUITE),
    "datasets": {member["dataset"] for member in SUITE.values()},
    "backbones": {config["experiments"][name]["backbone"] for name in SUITE},
}
NOT_SAID = {section: {} for section in ("runs", "tables", "sweeps", "presets")}


rule report_suite:
    input:
        template=workflow.source_path("../report/report.html.j2"),
        caption=caption("suite"),
        tables=[rules.collect_suite.output.summary, rules.collect_suite.output.choices],
        figure=rules.collect_suite.output.figure,
        weights=expand(rules.fetch_weights.output.facts, backbone=sorted(SUITE_SAID["backbones"])),
    output:
        "<results>/suite/report.html",
    log:
        "<logs>/report_suite.log",
    threads: 1
    resources:
        mem_mb=1000,
    params:
        **SHOWN_SUITE,
        config={key: value for key, value in config.items() if key != "run"}
        | {"results": PLACED}
        | NOT_SAID
        | {key: entries(key, names) for key, names in SUITE_SAID.items()},
        code=code("results.report", "results.suite.page"),
    message:
        "Write the report of the suite"
    script:
        "../scripts/report_suite.py"


rule suite:
    input:
        rules.collect_suite.output,
        rules.report_suite.output,
