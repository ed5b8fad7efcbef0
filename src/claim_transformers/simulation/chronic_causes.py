"""Chronic conditions besides allergic disease and mental health; sources of the rates in docs/simulation.md."""

from __future__ import annotations

from .causes import BEHAVIOURAL, Course

COURSES: tuple[Course, ...] = (
    Course(
        "prematurity", "prematurity", at_birth=1.0, after=(("premature", 1.0), ("term", 0.0)), remission=0.7, visits=4.0, emergency=0.2,
        stays=0.12, drg="791", services=("developmental_test:0.15", "rsv_antibody:0.06"), mention=0.6,
    ),
    Course(
        "heart_defect", "heart_defect", at_birth=0.009, after=(("premature", 2.0),), remission=0.08, visits=1.8, emergency=0.08,
        stays=0.07, stay_days=5.0, drg="306", services=("echo:0.45", "ecg:0.4"), regimen=("heart_drug",), treated=0.12,
        procedures="heart_procedure:0.6",
    ),
    Course(
        "chromosomal", "chromosomal", at_birth=0.012, remission=0.05, visits=2.0, emergency=0.08, stays=0.04, stay_days=3.5,
        drg="564", services=("genetic_test:0.15 echo:0.08", "xray_other:0.15"), procedures="other_procedure:0.5",
    ),
    Course(
        "cerebral_palsy", "cerebral_palsy", at_birth=0.002, onset=(0.0012, 0.0005, 0.0001, 0, 0, 0, 0), male_ratio=1.3,
        after=(("premature", 5.0),), visits=6.0, emergency=0.15, stays=0.1, stay_days=4.5, drg="057",
        services=("therapy_physical:0.6", "equipment:0.2"), regimen=("muscle_drug",), treated=0.3, mention=0.6,
    ),
    Course(
        "cystic_fibrosis", "cystic_fibrosis", at_birth=0.00028, visits=7.0, emergency=0.1, stays=0.5, stay_days=9.0, drg="177",
        services=("spirometry:0.5", "lab_blood:0.4"), regimen=("cystic_fibrosis_drug", "saba"), treated=0.95, mention=0.9,
        procedures="respiratory_procedure:0.4",
    ),
    Course(
        "sickle_cell", "sickle_cell", at_birth=0.0027, after=(("black", 1.0), ("not_black", 0.02)), visits=4.0, emergency=0.9, stays=0.6,
        stay_days=3.8, drg="812", services=("lab_blood:0.7", "transfusion:0.06"), regimen=("sickle_cell_drug", "penicillin"),
        treated=0.55, mention=0.9, procedures="transfusion_procedure:0.25", drugs=("pain_drug:0.3",), flare=0.25,
    ),
    Course(
        "delay", "delay", onset=(0.006, 0.045, 0.028, 0.006, 0.001, 0, 0), male_ratio=1.9, after=(("premature", 1.8), ("chromosomal", 3.0)),
        remission=0.22, visits=9.0, emergency=0.0, services=("therapy_speech:0.7", "developmental_test:0.1"),
    ),
    Course(
        "autism", "autism", onset=(0, 0.0006, 0.0028, 0.0007, 0.0002, 0.0001, 0), male_ratio=4.5, after=(("delay", 3.0),), visits=6.0,
        emergency=0.06, stays=0.015, stay_days=6.0, drg="886", services=("therapy_speech:0.3 therapy_behaviour:0.3",),
        regimen=("antipsychotic",), treated=0.2, kind=BEHAVIOURAL, mention=0.6,
    ),
    Course(
        "learning", "learning", onset=(0, 0.0005, 0.002, 0.005, 0.003, 0.001, 0), male_ratio=1.5, after=(("delay", 2.0),), remission=0.15,
        visits=1.5, emergency=0.0, services=("developmental_test:0.3",), kind=BEHAVIOURAL,
    ),
    Course(
        "febrile_seizure", "febrile_seizure", onset=(0.005, 0.012, 0.005, 0.0004, 0, 0, 0), male_ratio=1.2, remission=1.5, visits=0.8,
        emergency=1.3, stays=0.12, stay_days=1.4, drg="101", services=("lab_blood:0.3",), mention=0.05,
    ),
    Course(
        "seizure", "seizure", onset=(0.0022, 0.0014, 0.0009, 0.0008, 0.0007, 0.0007, 0.0006), remission=0.07,
        after=(("cerebral_palsy", 12.0), ("febrile_seizure", 2.5), ("autism", 4.0)), visits=3.0, emergency=0.45, stays=0.16,
        stay_days=2.6, drg="101", services=("eeg:0.25 mri_head:0.08", "lab_blood:0.25"), regimen=("antiepileptic",), treated=0.85,
        flare_pool="seizure_intractable", flare=0.2, mention=0.6,
    ),
    Course(
        "diabetes", "diabetes", onset=(0.00002, 0.00008, 0.00014, 0.00021, 0.0003, 0.0002, 0.00015), visits=4.0, emergency=0.18,
        stays=0.12, stay_days=2.4, drg="639", services=("lab_glucose:0.6", "lab_blood:0.3"), regimen=("insulin", "diabetes_supply"),
        treated=0.98, flare_pool="diabetes_uncontrolled", flare=0.35, mention=0.8,
    ),
    Course(
        "thyroid", "thyroid", at_birth=0.0004, onset=(0.0003, 0.0002, 0.0002, 0.0005, 0.001, 0.0015, 0.0015), male_ratio=0.45, remission=0.08,
        after=(("diabetes", 8.0), ("chromosomal", 4.0)), visits=2.2, emergency=0.01, services=("lab_thyroid:0.7",),
        regimen=("thyroid_drug",), treated=0.5,
    ),
    Course(
        "headache", "headache", onset=(0, 0.0005, 0.003, 0.012, 0.021, 0.028, 0.03), male_ratio=0.7, remission=0.45, visits=2.0,
        emergency=0.25, stays=0.006, drg="103", services=("mri_head:0.05 ct_head:0.08",), drugs=("triptan:0.12 pain_drug:0.15",),
        regimen=("migraine_preventive",), treated=0.12,
    ),
    Course(
        "constipation", "constipation", onset=(0.03, 0.03, 0.026, 0.016, 0.009, 0.007, 0.006), remission=0.6, visits=1.8, emergency=0.16,
        stays=0.006, drg="392", services=("xray_other:0.15",), drugs=("laxative:0.6",), regimen=("laxative",), treated=0.3,
    ),
    Course(
        "enuresis", "enuresis", onset=(0, 0, 0.004, 0.014, 0.005, 0.001, 0), male_ratio=1.6, remission=0.5, visits=1.3, emergency=0.01,
        services=("urine_test:0.5",), regimen=("enuresis_drug",), treated=0.25,
    ),
    Course(
        "apnoea", "apnoea", onset=(0.004, 0.014, 0.022, 0.014, 0.006, 0.004, 0.003), after=(("chromosomal", 3.0),), remission=0.5, visits=1.6,
        emergency=0.02, stays=0.04, stay_days=1.2, drg="134", procedures="tonsillectomy:0.8", services=("sleep_study:0.1",),
        drugs=("nasal_spray:0.15",),
    ),
    Course(
        "eye_chronic", "eye_chronic", onset=(0.006, 0.007, 0.007, 0.005, 0.002, 0.0015, 0.001), after=(("premature", 2.0),), remission=0.2,
        visits=2.0, emergency=0.0, services=("vision_exam:0.8",),
    ),
    Course(
        "hearing", "hearing", at_birth=0.002, onset=(0.004, 0.006, 0.006, 0.004, 0.002, 0.001, 0.001), remission=0.35, visits=1.5,
        emergency=0.0, services=("hearing_test:0.7",),
    ),
    Course(
        "kidney", "kidney", at_birth=0.003, onset=(0.002, 0.001, 0.0007, 0.0005, 0.0005, 0.0008, 0.001), remission=0.25, visits=2.2,
        emergency=0.1, stays=0.08, stay_days=3.0, drg="699", services=("ultrasound:0.4", "urine_test:0.4"), regimen=("sulfa",), treated=0.15,
    ),
    Course(
        "cancer", "cancer", onset=(0.0002, 0.0002, 0.0002, 0.00012, 0.00013, 0.00018, 0.0002), remission=0.25, visits=14.0, emergency=0.5,
        stays=2.0, stay_days=5.0, drg="839", services=("lab_blood:0.8", "chemotherapy:0.5"), regimen=("cancer_drug", "antiemetic"),
        treated=0.7, mention=0.95, procedures="cancer_procedure:0.6",
    ),
    Course(
        "bowel", "bowel", onset=(0, 0.00002, 0.00004, 0.00008, 0.0002, 0.0003, 0.0003), visits=4.0, emergency=0.2, stays=0.2, stay_days=4.5,
        drg="386", services=("lab_blood:0.6", "endoscopy:0.12"), regimen=("bowel_drug",), treated=0.85, mention=0.7,
    ),
    Course(
        "arthritis", "arthritis", onset=(0, 0.0001, 0.0001, 0.0001, 0.00012, 0.00015, 0.0002), male_ratio=0.5, remission=0.1, visits=4.0,
        emergency=0.05, stays=0.03, drg="546", services=("lab_blood:0.6",), regimen=("arthritis_drug",), treated=0.75,
    ),
    Course(
        "spine", "spine", onset=(0.006, 0.004, 0.003, 0.004, 0.012, 0.01, 0.004), male_ratio=0.7, remission=0.4, visits=1.5, emergency=0.01,
        stays=0.006, stay_days=5.0, drg="458", procedures="spine_procedure:0.9", services=("xray_other:0.6", "equipment:0.08"),
    ),
    Course(
        "hypertension", "hypertension", onset=(0.0003, 0.0002, 0.0003, 0.001, 0.002, 0.004, 0.006), male_ratio=1.3, after=(("kidney", 8.0),),
        remission=0.25, visits=1.8, emergency=0.03, services=("lab_blood:0.4",), regimen=("blood_pressure_drug",), treated=0.45,
    ),
    Course(
        "lipids", "lipids", onset=(0, 0, 0.0005, 0.003, 0.005, 0.004, 0.003), remission=0.4, visits=1.0, emergency=0.0,
        services=("lab_lipids:0.7",), after=(("diabetes", 3.0),),
    ),
    Course(
        "tic", "tic", onset=(0, 0, 0.0005, 0.0022, 0.0012, 0.0003, 0.0001), male_ratio=3.0, remission=0.3, visits=1.8, emergency=0.02,
        regimen=("alpha_agonist",), treated=0.35,
    ),
    Course(
        "eating", "eating", onset=(0, 0, 0.0002, 0.0002, 0.0009, 0.0018, 0.0016), male_ratio=0.2, remission=0.4, visits=7.0, emergency=0.06,
        stays=0.08, stay_days=12.0, drg="887", kind=BEHAVIOURAL, services=("lab_blood:0.25",),
    ),
    Course(
        "adjustment", "adjustment", onset=(0, 0.002, 0.008, 0.022, 0.026, 0.03, 0.018), remission=1.3, visits=6.0, emergency=0.02,
        after=(("hardship", 2.0), ("abused", 2.5)), kind=BEHAVIOURAL, mention=0.2,
    ),
    Course(
        "trauma_stress", "trauma_stress", onset=(0, 0.0002, 0.0007, 0.0012, 0.002, 0.003, 0.003), male_ratio=0.6, remission=0.45,
        after=(("abused", 14.0),), visits=9.0, emergency=0.08, kind=BEHAVIOURAL, regimen=("alpha_agonist",), treated=0.15,
    ),
    Course(
        "psychosis", "psychosis", onset=(0, 0, 0, 0.0001, 0.0003, 0.001, 0.0016), male_ratio=1.3, remission=0.3, visits=8.0, emergency=0.3,
        stays=0.2, stay_days=8.0, drg="885", regimen=("antipsychotic",), treated=0.8, kind=BEHAVIOURAL, mention=0.5,
    ),
)
