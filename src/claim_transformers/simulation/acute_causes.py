"""Acute illness, injury and single needs of childhood; sources of the rates in docs/simulation.md."""

from __future__ import annotations

from .causes import DENTAL, OFFICE, Episode

_FEVER_DRUGS = "fever_drug:0.15"
_INJURY = "injury_cause:0.6"
_INJURY_XRAY = ("xray_limb:0.55 xray_other:0.1", "splint:0.12")

EPISODES: tuple[Episode, ...] = (
    Episode(
        "uri", "uri", "fever:0.08 otitis:0.05 respiratory_symptom:0.08",
        services=("rapid_test:0.1", "lab_blood:0.03"), drugs=("antihistamine:0.1 amoxicillin:0.1 macrolide:0.05", _FEVER_DRUGS),
        rates=(0.85, 0.85, 0.55, 0.32, 0.2, 0.18, 0.16), season="winter", emergency=0.16, follow_up=0.05,
    ),
    Episode(
        "otitis", "otitis", "uri:0.2 fever:0.08", services=("hearing_test:0.05",),
        drugs=("amoxicillin:0.6 penicillin_plus:0.13 cephalosporin:0.12 macrolide:0.07", "ear_drop:0.04"),
        rates=(0.6, 0.85, 0.42, 0.15, 0.05, 0.03, 0.02), male_ratio=1.1, season="winter", emergency=0.13, follow_up=0.25,
    ),
    Episode(
        "otitis_externa", "otitis_externa", drugs=("ear_drop:0.75",),
        rates=(0.01, 0.02, 0.03, 0.04, 0.03, 0.02, 0.015), season="summer", emergency=0.15,
    ),
    Episode(
        "pharyngitis", "pharyngitis", "fever:0.1 uri:0.08", services=("strep_test:0.65", "throat_culture:0.2"),
        drugs=("amoxicillin:0.4 penicillin:0.08 macrolide:0.12 cephalosporin:0.07",),
        rates=(0.04, 0.12, 0.3, 0.36, 0.26, 0.22, 0.2), season="winter", emergency=0.18, follow_up=0.04,
    ),
    Episode(
        "pneumonia", "pneumonia", "fever:0.12 breathing_distress:0.12", services=("xray_chest:0.6", "lab_blood:0.2 nebuliser:0.1"),
        drugs=("amoxicillin:0.35 macrolide:0.3 penicillin_plus:0.1 cephalosporin:0.1", "saba:0.15"), drg="195", stay_days=3.2,
        procedures="respiratory_procedure:0.25",
        rates=(0.03, 0.035, 0.03, 0.015, 0.008, 0.007, 0.006), season="winter", emergency=0.35, stay=0.1, follow_up=0.3,
    ),
    Episode(
        "croup", "croup", services=("nebuliser:0.15", "injection:0.15"), drugs=("ocs:0.4",), drg="153", stay_days=1.3,
        rates=(0.05, 0.06, 0.025, 0.005, 0.001, 0, 0), male_ratio=1.4, season="asthma", emergency=0.45, stay=0.02,
    ),
    Episode(
        "gastroenteritis", "gastroenteritis", "fever:0.1 abdominal_pain:0.08",
        services=("lab_blood:0.1 lab_stool:0.06", "hydration:0.06"), drugs=("antiemetic:0.22",), drg="392", stay_days=1.9,
        rates=(0.12, 0.15, 0.1, 0.06, 0.04, 0.045, 0.055), season="winter", emergency=0.38, stay=0.018,
    ),
    Episode(
        "uti", "uti", "fever:0.08 abdominal_pain:0.06", services=("urine_test:0.8", "urine_culture:0.5"),
        drugs=("sulfa:0.35 cephalosporin:0.25 nitrofurantoin:0.12",), drg="690", stay_days=2.8,
        rates=(0.025, 0.02, 0.03, 0.03, 0.015, 0.04, 0.07), male_ratio=0.25, season="summer", emergency=0.3, stay=0.025,
        follow_up=0.15,
    ),
    Episode(
        "conjunctivitis", "conjunctivitis", drugs=("eye_drop:0.65",),
        rates=(0.15, 0.13, 0.09, 0.06, 0.03, 0.02, 0.02), season="winter", emergency=0.15,
    ),
    Episode(
        "skin_infection", "skin_infection", services=("drainage:0.12", "wound_culture:0.1"),
        drugs=("cephalosporin:0.25 clindamycin:0.15 sulfa:0.2", "skin_antibiotic:0.35"), drg="603", stay_days=2.9,
        rates=(0.05, 0.06, 0.055, 0.05, 0.045, 0.05, 0.055), season="summer", emergency=0.3, stay=0.02, follow_up=0.12,
    ),
    Episode(
        "viral", "viral", "fever:0.2 rash:0.05", services=("rapid_test:0.1",), drugs=(_FEVER_DRUGS,),
        rates=(0.16, 0.18, 0.11, 0.07, 0.05, 0.045, 0.04), season="winter", emergency=0.3, stay=0.01, drg="866",
    ),
    Episode(
        "influenza", "influenza", "fever:0.15", services=("flu_test:0.6",), drugs=("antiviral:0.35",), drg="195",
        rates=(0.02, 0.03, 0.04, 0.04, 0.025, 0.02, 0.015), season="influenza", emergency=0.3, stay=0.02,
    ),
    Episode(
        "fever", "fever", services=("lab_blood:0.2 urine_test:0.2", "xray_chest:0.08"), drugs=(_FEVER_DRUGS,), drg="864",
        rates=(0.18, 0.16, 0.09, 0.04, 0.025, 0.02, 0.02), season="winter", emergency=0.42, stay=0.025, stay_days=2.0,
    ),
    Episode(
        "contusion", "contusion", _INJURY, services=_INJURY_XRAY, drugs=("pain_drug:0.12",),
        rates=(0.035, 0.07, 0.07, 0.065, 0.085, 0.09, 0.08), male_ratio=1.3, season="summer", emergency=0.6,
    ),
    Episode(
        "wound", "wound", _INJURY, services=("wound_repair:0.5", "injection:0.05"), drugs=("skin_antibiotic:0.1 cephalosporin:0.06",),
        rates=(0.012, 0.045, 0.05, 0.038, 0.03, 0.032, 0.035), male_ratio=1.6, season="summer", emergency=0.8, follow_up=0.2,
    ),
    Episode(
        "fracture", "fracture", _INJURY, services=("xray_limb:0.9", "cast:0.5 splint:0.3"), drugs=("pain_drug:0.3",), drg="563",
        procedures="fracture_procedure:0.7", stay_days=1.8,
        rates=(0.004, 0.011, 0.016, 0.024, 0.033, 0.026, 0.015), male_ratio=1.5, season="summer", emergency=0.6, stay=0.03,
        follow_up=0.9,
    ),
    Episode(
        "sprain", "sprain", _INJURY, services=_INJURY_XRAY, drugs=("pain_drug:0.15",),
        rates=(0.001, 0.006, 0.012, 0.03, 0.08, 0.085, 0.065), season="summer", emergency=0.5, follow_up=0.25,
    ),
    Episode(
        "head_injury", "head_injury", _INJURY, services=("ct_head:0.3",), drg="089", stay_days=1.6,
        rates=(0.018, 0.022, 0.016, 0.011, 0.015, 0.018, 0.011), male_ratio=1.5, season="summer", emergency=0.82, stay=0.02,
        follow_up=0.2,
    ),
    Episode(
        "burn", "burn", _INJURY, services=("burn_care:0.5",), drugs=("burn_cream:0.5",), drg="935", stay_days=4.0,
        procedures="skin_procedure:0.5",
        rates=(0.003, 0.007, 0.003, 0.0018, 0.0015, 0.0018, 0.002), male_ratio=1.2, emergency=0.75, stay=0.05, follow_up=0.4,
    ),
    Episode(
        "poisoning", "poisoning", "poisoning_cause:0.7", services=("lab_drug:0.35 lab_blood:0.2",), drg="918", stay_days=1.4,
        rates=(0.002, 0.007, 0.005, 0.0008, 0.0005, 0.001, 0.0015), male_ratio=1.15, emergency=0.85, stay=0.06,
    ),
    Episode(
        "bite_foreign_body", "bite_foreign_body", "injury_cause:0.35", services=("foreign_body_removal:0.3",),
        drugs=("antihistamine:0.1 steroid_cream:0.1",),
        rates=(0.01, 0.028, 0.028, 0.018, 0.011, 0.008, 0.008), season="summer", emergency=0.5,
    ),
    Episode(
        "abdominal_pain", "abdominal_pain", "constipation:0.12", services=("lab_blood:0.25 urine_test:0.3", "ultrasound:0.1 xray_other:0.2"),
        drugs=("acid_drug:0.1 antiemetic:0.08",), drg="392",
        rates=(0.01, 0.02, 0.04, 0.065, 0.07, 0.085, 0.11), male_ratio=0.7, season="school", emergency=0.38, stay=0.01,
    ),
    Episode(
        "appendicitis", "appendicitis", drg="343", stay_days=2.6, procedures="appendectomy:0.95", services=("ct_abdomen:0.6",),
        rates=(0, 0.0001, 0.0003, 0.001, 0.0015, 0.0012, 0.0009), male_ratio=1.3, season="summer", emergency=0.0, stay=1.0,
        follow_up=0.6,
    ),
    Episode(
        "rash", "rash", drugs=("steroid_cream:0.3 antihistamine:0.08 antifungal_cream:0.08",),
        rates=(0.25, 0.17, 0.09, 0.07, 0.06, 0.055, 0.05), emergency=0.15,
    ),
    Episode(
        "fungal", "fungal", drugs=("antifungal_cream:0.4 antifungal:0.3",),
        rates=(0.17, 0.06, 0.045, 0.045, 0.03, 0.02, 0.025), season="summer", emergency=0.06,
    ),
    Episode(
        "infestation", "infestation", drugs=("lice_drug:0.75",),
        rates=(0.008, 0.015, 0.03, 0.04, 0.025, 0.012, 0.009), male_ratio=0.75, season="school", emergency=0.12,
    ),
    Episode(
        "sinusitis", "sinusitis", "respiratory_symptom:0.1",
        drugs=("amoxicillin:0.3 penicillin_plus:0.25 macrolide:0.2 cephalosporin:0.08", "nasal_spray:0.12"),
        rates=(0.003, 0.025, 0.055, 0.065, 0.06, 0.055, 0.05), season="winter", emergency=0.06,
    ),
    Episode(
        "chest_symptom", "chest_symptom", services=("ecg:0.5", "xray_chest:0.3"),
        rates=(0.003, 0.003, 0.004, 0.012, 0.03, 0.045, 0.05), season="school", emergency=0.42, stay=0.01, drg="313",
    ),
    Episode(
        "joint_pain", "joint_pain", services=("xray_limb:0.3 xray_other:0.1", "therapy_physical:0.12"), drugs=("pain_drug:0.2",),
        rates=(0.002, 0.01, 0.02, 0.04, 0.08, 0.1, 0.11), season="school", emergency=0.18, follow_up=0.3,
    ),
    Episode(
        "gynaecology", "gynaecology", "screening:0.15", services=("std_test:0.45", "pregnancy_test:0.35"),
        drugs=("std_drug:0.18 antifungal:0.1 pain_drug:0.08",),
        rates=(0.001, 0.001, 0.003, 0.004, 0.025, 0.13, 0.26), male_ratio=0.12, emergency=0.18,
    ),
    Episode(
        "dental", "dental", services=("dental_clean:0.7", "dental_more:0.5"), kind=DENTAL,
        rates=(0.01, 0.12, 0.5, 0.75, 0.65, 0.5, 0.22), season="back_to_school", emergency=0.01, follow_up=0.3,
    ),
    Episode(
        "vision", "vision", services=("vision_exam:0.8", "glasses:0.35"),
        rates=(0.008, 0.01, 0.05, 0.13, 0.15, 0.12, 0.07), season="back_to_school", emergency=0.0,
    ),
    Episode(
        "anaemia", "anaemia", services=("lab_blood:0.8",), drugs=("iron:0.4",), drg="812",
        rates=(0.015, 0.03, 0.012, 0.006, 0.006, 0.012, 0.018), male_ratio=0.8, emergency=0.06, stay=0.012, follow_up=0.4,
    ),
    Episode(
        "newborn_problem", "newborn_problem", services=("lab_bilirubin:0.3",), drg="794",
        rates=(0.45, 0.004, 0, 0, 0, 0, 0), emergency=0.1, stay=0.035, follow_up=0.35,
    ),
    Episode(
        "reflux", "reflux", drugs=("acid_drug:0.5",), services=("xray_other:0.05",), drg="392",
        rates=(0.13, 0.03, 0.012, 0.012, 0.018, 0.025, 0.03), emergency=0.08, stay=0.006, follow_up=0.4,
    ),
    Episode(
        "allergic_reaction", "allergic_reaction", "food_allergy:0.12", services=("injection:0.12", "allergy_test:0.06"),
        drugs=("antihistamine:0.3 ocs:0.2", "epinephrine:0.12"),
        rates=(0.02, 0.03, 0.028, 0.02, 0.018, 0.017, 0.018), season="summer", emergency=0.4,
    ),
    Episode(
        "respiratory_symptom", "respiratory_symptom", services=("xray_chest:0.15 nebuliser:0.08",), drugs=("antihistamine:0.1 saba:0.08",),
        rates=(0.13, 0.12, 0.08, 0.055, 0.04, 0.035, 0.03), season="winter", emergency=0.22,
    ),
    Episode(
        "behaviour_symptom", "behaviour_symptom", services=("developmental_test:0.2",),
        rates=(0.01, 0.02, 0.035, 0.04, 0.03, 0.025, 0.015), male_ratio=1.3, season="school", emergency=0.04, follow_up=0.3,
    ),
    Episode(
        "acne_wart", "acne_wart", drugs=("acne_drug:0.55",), services=("wart_removal:0.25",), kind=OFFICE,
        rates=(0.01, 0.012, 0.02, 0.035, 0.06, 0.1, 0.07), emergency=0.01, follow_up=0.35,
    ),
    Episode(
        "contraception", "contraception", services=("pregnancy_test:0.4", "contraceptive_service:0.4"),
        drugs=("contraceptive:0.65",),
        rates=(0, 0, 0, 0, 0.025, 0.3, 0.55), male_ratio=0.02, emergency=0.0, follow_up=0.15,
    ),
)
