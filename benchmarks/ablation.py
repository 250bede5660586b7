"""Whether the energy's terms order on CamVid as the paper finds on COCO-Stuff (Table 4), from the run's table.

Needs ``snakemake --cores all camvid_terms`` before.
"""

from pathlib import Path

import pandas as pd

from benchmarks.common import row

TABLE = Path("results/tables/camvid_terms.csv")
VARIANTS = {
    "without the data term": "camvid_smooseg_no_data",
    "without the across-image term": "camvid_smooseg_no_across",
    "without smoothness": "camvid_smooseg_no_smoothness",
}


def run() -> list[dict]:
    """Accuracy and mIoU of the whole energy against each variant, means over seeds, without CRF."""
    table = pd.read_csv(TABLE).set_index("experiment")
    rows = []
    for name, experiment in VARIANTS.items():
        for score in ("accuracy", "miou"):
            whole, part = (table.loc[e, f"raw_{score}"] for e in ("camvid_smooseg", experiment))
            rows.append(row(f"{score} of SmooSeg against {name} (%)", whole, part, whole / part, "higher", 1.0))
    return rows
