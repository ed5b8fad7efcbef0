#!/usr/bin/env bash
# The main job on claims with known causes: raw claims in, a checkpoint and a report out. `make demo` runs it.
set -euo pipefail
cd "$(dirname "$0")/.."
run="${1:-runs/demo}"
rm -rf "$run"
mkdir -p "$run"

# 1. Claims of a pediatric population, in ICD-10, and the true risk of everybody, which no model sees.
claim-transformers simulate pediatric "$run/raw" --patients 60000 --seed 7 --start 2017-01-01 --end 2021-12-31

# 2. Canonical tables, quality report and one timeline per patient.
claim-transformers ingest simulated "$run/raw" "$run/claims"

# 3. A small cohort: children with asthma; the label is an admission within a year. Counts of 1 to 10 of simulated children
#    may be shown.
claim-transformers cohort event asthma_exacerbation "$run/claims" "$run/cohort" --raw-counts \
  --index-date 2020-01-01 --index-date 2021-01-01

# 4. Pretrain on everybody outside the cohort: next visit prediction and category prediction.
python examples/run_pretraining.py examples/configs/demo_pretraining.yaml \
  --claims "$run/claims" --exclude_cohort "$run/cohort" --output_dir "$run/pretrained"

# 5. Fine-tune on the cohort, the same network without pretraining, and claim-pt-base, which comes with the package and was
#    pretrained for longer on other children.
python examples/run_classification.py examples/configs/demo_classification.yaml --start_at head \
  --cohort "$run/cohort" --model_name_or_path "$run/pretrained" --name "Claim-PT, fine-tuned" \
  --output_dir "$run/models/claim-pt-finetuned"
python examples/run_classification.py examples/configs/demo_classification.yaml --start_at head \
  --cohort "$run/cohort" --model_name_or_path claim-pt-base --name "claim-pt-base, fine-tuned" \
  --output_dir "$run/models/claim-pt-base-finetuned"
python examples/run_classification.py examples/configs/demo_classification.yaml \
  --cohort "$run/cohort" --model_name_or_path "$run/pretrained" --start_at scratch --name "Claim-PT, from scratch" \
  --output_dir "$run/models/claim-pt-scratch"

# 6. Logistic regression on the same split, and the true risk as the ceiling.
python examples/run_baselines.py --cohort "$run/cohort" --output_dir "$run/models" \
  --true_risk "$run/raw/true_risk.parquet"

# 7. The table and the pictures.
claim-transformers report "$run" --title "Asthma admissions within a year, simulated children" --raw-counts
