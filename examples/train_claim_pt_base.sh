#!/usr/bin/env bash
# How claim-pt-base was made, from nothing: simulate 250,000 children and 15,000 Medicare patients over the switch to ICD-10,
# ingest their claims, pretrain on all of them. About an hour on one core that is free. The models of other people who run this
# differ in rounding alone.
#     bash examples/train_claim_pt_base.sh runs/claim-pt-base
set -euo pipefail
cd "$(dirname "$0")/.."
run="${1:-runs/claim-pt-base}"
mkdir -p "$run"
export OMP_NUM_THREADS=1
over_the_switch=(--start 2013-04-01 --end 2018-03-31 --icd10-from 2015-10-01)

claim-transformers simulate pediatric "$run/raw" --patients 250000 --seed 11 "${over_the_switch[@]}"
claim-transformers ingest simulated "$run/raw" "$run/claims"
claim-transformers simulate medicare "$run/medicare-raw" --patients 15000 --seed 22 "${over_the_switch[@]}"
claim-transformers ingest simulated "$run/medicare-raw" "$run/medicare-claims"
python examples/run_pretraining.py examples/configs/pretraining.yaml --use_cpu True \
  --claims "$run/claims" "$run/medicare-claims" --output_dir "$run/model"
