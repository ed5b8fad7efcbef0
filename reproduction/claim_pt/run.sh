#!/usr/bin/env bash
# Every table and figure of docs/benchmark, in order. `make benchmark` and `make benchmark-quick` run it. A run that was
# stopped goes on where it was: what is done stands in the workspace.
#
#     bash reproduction/claim_pt/run.sh reproduction/claim_pt/profiles/full.yaml
set -euo pipefail
cd "$(dirname "$0")/../.."
profile="${1:?expected a profile, such as reproduction/claim_pt/profiles/quick.yaml}"

run() {
  echo "== $1"
  python -m "reproduction.claim_pt.scripts.$1" --profile "$profile"
}

# 1. People: claims, cohorts with their flow charts (Figures 4 and 5), and who may be pretrained on.
run prepare

# 2. The tables of the paper, next diagnoses, and how much of the true risk claims can tell.
run table1_suicide
run table2_asthma
run next_diagnoses
run claims_ceiling

# 3. What the model has learned: maps of codes and patients (Figure 3), and where it looks.
run figure3_embedding_maps
run attention_view

# 4. What pretraining gains with few and many patients, here and in another institution (Figure 6).
run figure6_training_size

# 5. The authors' extra plots, and what each choice of the pretraining is worth.
run heads_and_layers
run ablations

# 6. Next visits on sequences with a real order, and on DE-SynPUF, which has none: `CLAIMS_DATA_DIR` names their folder.
bash reproduction/claim_pt/real_structure.sh "$profile"

# 7. What ran, where, and for how long.
run summary
