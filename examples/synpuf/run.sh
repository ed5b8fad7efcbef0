#!/usr/bin/env bash
# From CMS's files to a fine-tuned checkpoint and a report: all of DE-SynPUF Sample 1, or whatever of it is in FOLDER.
set -euo pipefail
cd "$(dirname "$0")/../.."
raw="${1:?usage: examples/synpuf/run.sh FOLDER (with CMS's files; '-' downloads Sample 1)}"
run=runs/synpuf

claim-transformers ingest synpuf "$raw" $run/claims --overwrite
claim-transformers cohort event examples/synpuf/cohort.yaml $run/claims $run/cohort --overwrite --raw-counts
rm -rf $run/pretrained $run/models
python examples/run_pretraining.py examples/synpuf/pretraining.yaml
python examples/run_classification.py examples/synpuf/classification.yaml
python examples/run_baselines.py --cohort $run/cohort --output_dir $run/models
claim-transformers report $run --title "Hospital admission within a year, DE-SynPUF Sample 1" --raw-counts
