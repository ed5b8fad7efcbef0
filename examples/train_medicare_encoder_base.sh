#!/usr/bin/env bash
# How medicare-encoder-base was made, from nothing: simulate 60,000 Medicare patients over the switch to ICD-10, ingest their
# claims, write their hospital stays as sequences, learn masked tokens on them. About an hour on one core that is shared.
#     bash examples/train_medicare_encoder_base.sh runs/medicare-encoder-base
set -euo pipefail
cd "$(dirname "$0")/.."
run="${1:-runs/medicare-encoder-base}"
mkdir -p "$run"
export OMP_NUM_THREADS=1

claim-transformers simulate medicare "$run/raw" --patients 60000 --seed 21 \
  --start 2013-04-01 --end 2018-03-31 --icd10-from 2015-10-01
claim-transformers ingest simulated "$run/raw" "$run/claims"
claim-transformers cohort readmission "$run/claims" "$run/cohort" --rule stays \
  --county-features "$run/raw/county_features.parquet"
claim-transformers sequences "$run/cohort" "$run/sequences" --depth category
python examples/run_pretraining.py examples/readmission/pretraining.yaml --use_cpu True \
  --claims "$run/sequences" --output_dir "$run/model"
