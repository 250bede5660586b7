"""What figures show, and the files behind it."""

SEEDS = {name: [seed for other, seed in JOBS if other == name] for name in dict(JOBS)}
FIRST = [(name, seeds[0]) for name, seeds in SEEDS.items()]  # heads that have figures of their own
STEPPED = [name for name in SEEDS if "steps" in config["experiments"][name]["settings"]]  # have a course of training
COMPARED = compared_experiments(config)  # experiments side by side, by data set


def holds_tree(experiment):
    """Whether an experiment's head holds every number of clusters."""
    entry = config["experiments"][experiment]
    return bool(entry["settings"].get(CHOOSING.get(entry["head"])))


def titles_of(dataset):
    """What to call the compared experiments of a data set: by their heads, where that tells them apart."""
    heads = {name: config["experiments"][name]["head"] for name in COMPARED[dataset]}
    alike = len(set(heads.values())) < len(heads)
    called = {name: name if alike else head_schema(SCHEMA, head)["title"] for name, head in heads.items()}
    return {name: title + (" †" if is_supervised(name) else "") for name, title in called.items()}


def side_by_side(wildcards):
    """Experiment and postprocessing of each segmentation of a figure side by side: every method, and the last one also with the CRF."""
    first, *others = config["evaluate"]
    names = COMPARED[wildcards.dataset]
    return [(name, first) for name in names] + [(names[-1], postprocess) for postprocess in others]


def titles_side_by_side(wildcards):
    """What to call each segmentation of a figure side by side."""
    titles = titles_of(wildcards.dataset)
    return [titles[name] + (" + CRF" if kind == "crf" else "") for name, kind in side_by_side(wildcards)]


def of_side_by_side(pattern):
    """Input function: a file of each segmentation of a figure side by side."""
    return lambda w: [
        pattern.format(experiment=name, seed=SEEDS[name][0], postprocess=postprocess)
        for name, postprocess in side_by_side(w)
    ]


def compared_jobs(wildcards):
    """(experiment, seed) pairs of the compared experiments of a data set."""
    return [(name, seed) for name in COMPARED[wildcards.dataset] for seed in SEEDS[name]]


def embedding_panels(wildcards):
    """Spaces of the figure of embeddings and the files behind each: every backbone's features, every embedding that a head learned."""
    titles = titles_of(wildcards.dataset)
    names = COMPARED[wildcards.dataset]
    backbones = dict.fromkeys(config["experiments"][name]["backbone"] for name in names)
    panels = [(f"features of {backbone}", backbone, {}) for backbone in backbones]
    for name in names:
        if "dimensions" in config["experiments"][name]["settings"]:
            job = {"experiment": name, "seed": SEEDS[name][0], "postprocess": config["evaluate"][0]}
            files = {"head": rules.train_head.output.head, "scores": rules.score_labels.output[0]}
            files = {kind: pattern.format(**job) for kind, pattern in files.items()}
            panels.append((titles[name], config["experiments"][name]["backbone"], files))
    labels = rules.read_labels.output.complete
    return [
        {"title": title, "labels": labels.format(dataset=wildcards.dataset, backbone=backbone, view="eval"), **files}
        | {"store": store_path(SimpleNamespace(dataset=wildcards.dataset, backbone=backbone), "eval")}
        for title, backbone, files in panels
    ]


def embedding_inputs(wildcards):
    """Files behind the panels of the figure of embeddings; the stores of features are finished where their labels are read."""
    kinds = ("head", "scores", "labels")
    return sorted({path for panel in embedding_panels(wildcards) for kind, path in panel.items() if kind in kinds})
