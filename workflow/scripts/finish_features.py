"""Check that a feature store has every chunk, and declare it complete."""

import json
from pathlib import Path

from smooseg.features.store import Store
from smooseg.running.jobs import job

if __name__ == "__main__":
    with job(snakemake.log[0], snakemake.threads):
        complete, marker = Store(snakemake.params.store).finish(), Path(snakemake.output.complete)
        if not marker.exists():  # the store is elsewhere: here lies only its marker
            marker.write_text(json.dumps(complete, indent=1), "utf-8")
