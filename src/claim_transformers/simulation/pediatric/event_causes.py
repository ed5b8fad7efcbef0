"""Causes whose timing comes from the disease processes or from the schedule of childhood."""

from __future__ import annotations

from claim_transformers.simulation.pediatric.causes import BEHAVIOURAL, PREVENTIVE, Cause

_ASTHMA_ACUTE = ("nebuliser:0.6", "xray_chest:0.15 spirometry:0.1", "injection:0.12")

EVENTS: tuple[Cause, ...] = (
    Cause(
        "bronchiolitis",
        "bronchiolitis",
        "respiratory_symptom:0.1 fever:0.08",
        services=("rsv_test:0.25", "nebuliser:0.3 xray_chest:0.2"),
        drugs=("saba:0.35",),
        drg="203",
        stay_days=2.8,
        procedures="respiratory_procedure:0.3",
    ),
    Cause(
        "asthma_visit",
        "asthma_mild",
        services=("spirometry:0.2", "nebuliser:0.06"),
        drugs=("saba:0.35", "ics:0.12 montelukast:0.06"),
    ),
    Cause("asthma_flare", "asthma_flare_other", "uri:0.15", services=_ASTHMA_ACUTE, drugs=("ocs:0.97", "saba:0.5")),
    Cause(
        "asthma_emergency", "asthma_flare_other", "uri:0.12", services=_ASTHMA_ACUTE, drugs=("ocs:0.6", "saba:0.55")
    ),
    Cause(
        "asthma_stay",
        "asthma_stay_other",
        "pneumonia:0.12 uri:0.1",
        services=("nebuliser:0.5", "xray_chest:0.4"),
        drugs=("ocs:0.65", "saba:0.5", "ics:0.3"),
        drg="203",
        stay_days=2.3,
        procedures="respiratory_procedure:0.55",
    ),
    Cause(
        "asthma_follow_up",
        "asthma_other",
        "follow_up:0.1",
        services=("spirometry:0.2",),
        drugs=("saba:0.2", "ics:0.15"),
    ),
    Cause("eczema", "eczema", drugs=("steroid_cream:0.6", "antihistamine:0.1")),
    Cause(
        "rhinitis",
        "rhinitis",
        services=("allergy_test:0.05 immunotherapy:0.08",),
        drugs=("antihistamine:0.35", "nasal_spray:0.3 montelukast:0.1"),
    ),
    Cause("food_allergy", "food_allergy", services=("allergy_test:0.3",), drugs=("epinephrine:0.35",)),
    Cause("obesity", "obesity", services=("lab_lipids:0.25 lab_glucose:0.2", "nutrition:0.15")),
    Cause("adhd", "adhd", kind=BEHAVIOURAL),
    Cause("anxiety", "anxiety", kind=BEHAVIOURAL, drugs=("hydroxyzine:0.04",)),
    Cause("conduct", "conduct", "family_conflict:0.1", kind=BEHAVIOURAL),
    Cause("depression", "depression_mild", "family_conflict:0.08", kind=BEHAVIOURAL),
    Cause("bipolar", "bipolar", kind=BEHAVIOURAL),
    Cause("substance", "substance", "tobacco:0.12", services=("lab_drug:0.35",), kind=BEHAVIOURAL),
    Cause(
        "mind_emergency",
        "depression_mild",
        "suicidal_ideation:0.3 adjustment:0.1",
        services=("lab_drug:0.4", "lab_blood:0.3"),
        drg="885",
        stay_days=6.5,
    ),
    Cause(
        "self_harm",
        "self_harm_poisoning",
        services=("lab_drug:0.6", "lab_blood:0.6", "ecg:0.3"),
        drg="918",
        stay_days=2.0,
    ),
    Cause("mind_follow_up", "depression_mild", "trauma_stress:0.05", kind=BEHAVIOURAL),
    Cause(
        "well_child",
        "well_child",
        "immunisation:0.35 screening:0.12",
        kind=PREVENTIVE,
        services=("hearing_test:0.12 lab_lead:0.06", "lab_haemoglobin:0.12 developmental_test:0.08"),
    ),
    Cause("newborn", "newborn", "newborn_problem:0.25", drg="795", stay_days=2.1, procedures="newborn_procedure:0.35"),
    Cause(
        "prenatal",
        "prenatal",
        "prenatal:0.2",
        services=("ultrasound_prenatal:0.2", "lab_prenatal:0.3"),
        drugs=("prenatal_vitamin:0.4",),
    ),
    Cause(
        "delivery",
        "delivery",
        "delivery:0.6",
        drg="775",
        stay_days=2.3,
        procedures="delivery_procedure:0.9",
        drugs=("pain_drug:0.5",),
    ),
    Cause("follow_up", "follow_up"),
)
