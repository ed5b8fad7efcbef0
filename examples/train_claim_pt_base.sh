#!/usr/bin/env bash
# How claim-pt-base was made, from nothing: simulate 300,000 children, ingest their claims, pretrain on all of them.
# About an hour on one core that is free. The models of other people who run this differ in rounding alone.
#     bash examples/train_claim_pt_base.sh runs/claim-pt-base
set -euo pipefail
cd "$(dirname "$0")/.."
run="${1:-runs/claim-pt-base}"
mkdir -p "$run"
export OMP_NUM_THREADS=1

claim-transformers simulate pediatric "$run/raw" --patients 300000 --seed 11
claim-transformers ingest simulated "$run/raw" "$run/claims"
python examples/run_pretraining.py examples/configs/pretraining.yaml --use_cpu True \
  --claims "$run/claims" --output_dir "$run/model"
