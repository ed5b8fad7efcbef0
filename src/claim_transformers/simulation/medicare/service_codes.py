"""Services, supplies and drugs of an older population as claims carry them: bare codes, without texts.

Sources: HCPCS level II and HIPPS codes and the revenue centers named in the Medicare Claims Processing Manual (CMS,
Pub. 100-04, chapters 3, 4, 6, 7, 8, 10, 11, 20); level I (CPT) codes appear as on any claim, without their
descriptions, which are the property of the American Medical Association. Weights are a judgement.
"""

from __future__ import annotations

from claim_transformers.simulation.pediatric.service_codes import DRUG_CLASSES, SERVICES

MEDICARE_SERVICES: dict[str, str] = {
    "office": "99213:44 99214:33 99212:8 99203:4 99204:4 99215:4 99211:3 99202:1 G0438:1 G0439:1",
    "office_minor": (
        "99213:36 99214:16 99212:16 92014:8 99203:5 11721:5 98941:6 97110:4 17000:4 92012:3 G0101:2 69210:2"
    ),
    "office_test": (
        "36415:26 93000:14 G0008:10 90662:5 90658:4 81002:6 85610:10 83036:6 82270:4 20610:4 J3420:4 96372:5 94010:3 "
        "90732:2 G0009:2 J1030:2 81003:4 82962:4 93010:3 77080:2 76942:1 11055:1 G0444:1 94760:3 J3301:2"
    ),
    "follow_up": "99214:48 99213:36 99215:8 99495:4 99496:3 99204:2",
    "laboratory": (
        "80053:20 85025:19 80061:15 83036:10 84443:9 80048:8 85610:8 84153:5 82306:4 82607:3 81001:6 83880:3 84439:2 "
        "87086:4 82728:2 83540:2 82043:2 83970:1 80162:1 82746:1 84550:1 80076:2"
    ),
    "imaging": (
        "71020:20 77052:5 G0202:12 73030:4 73562:7 72100:5 93306:10 76700:3 74177:6 70450:4 71260:4 77080:5 93880:5 "
        "78452:4 93970:4 72148:4 73721:2 76770:3 76536:2 70553:2 74176:3 73630:4 73502:3 G0204:2"
    ),
    "clinic": (
        "99213:20 99214:16 97110:24 97140:9 97001:5 45378:5 43239:4 66984:7 97530:5 G0463:8 G0121:2 G0105:2 62311:3"
    ),
    "visit_emergency": "99284:38 99285:27 99283:27 99282:6 99281:2",
    "emergency_test": (
        "85025:20 80053:18 93005:16 84484:12 71010:14 70450:7 81001:6 96374:6 96361:4 J2405:4 74177:4 85610:5"
    ),
    "observation": "G0378:85 G0379:15",
    "observation_doctor": "99219:30 99220:40 99217:20 99218:10",
    "dialysis": "90999",
    "dialysis_drug": "J0882:38 Q4081:34 J2501:14 J1756:14",
    "dialysis_doctor": "90960:55 90961:30 90962:15",
    "chemotherapy": "96413:62 96411:12 96409:10 96365:8 96401:8",
    "chemotherapy_drug": (
        "J9171:9 J9265:9 J9045:14 J9190:12 J9263:7 J9310:8 J9035:7 J9355:5 J9201:7 J2505:6 J2469:8 J1100:5 J9060:3"
    ),
    "oxygen": "E1390:92 E1392:8",
    "oxygen_portable": "E0431:80 K0738:12 E0434:8",
    "glucose_supply": "A4253:70 A4259:26 A4256:4",
    "walker": "E0143:62 E0163:14 E0135:8 E0149:6 E0105:10",
    "wheelchair": "K0001:62 K0003:18 K0004:8 K0195:12",
    "equipment": "E0601:26 A7030:10 A7038:14 E0570:14 L3000:4 A5500:12 E0260:10 L1833:4 B4035:4 E0250:2",
    "nursing_visit": "G0154:70 G0162:8 G0163:6 G0164:6 G0300:10",
    "therapy_visit": "G0151:58 G0157:16 G0152:14 G0158:6 G0159:6",
    "aide_visit": "G0156",
    "home_health_group": (
        "1AFK1:6 1BFK1:8 1BGK1:10 1CFK2:8 1CGK1:14 2CGK1:9 2BGK2:6 3AFK1:5 3BGK1:6 3CGK1:7 5BFK3:4 5CGK4:6 "
        "1CHK1:7 2CHK2:4"
    ),
    "nursing_group": (
        "RUB10:12 RUA10:8 RUC20:9 RVB10:9 RVA20:8 RVC20:6 RHB10:7 RHC20:5 RMA10:5 RMB20:4 HB110:4 CB120:3 "
        "CA110:3 RUX10:3 "
        "RUL20:3 SSB10:3 PA110:2 ES320:2 LB110:4"
    ),
    "hospice_place": "Q5001:56 Q5003:26 Q5004:7 Q5002:7 Q5006:3 Q5005:1",
    "hospice_visit": "G0154:60 G0155:18 G0156:22",
    "admit_doctor": "99223:58 99222:34 99221:8",
    "daily_doctor": "99232:62 99233:26 99231:12",
    "discharge_doctor": "99239:52 99238:48",
    "consultant": "93010:20 99232:24 71010:14 93306:8 70450:5 74177:5 99291:10 36556:3 94002:2 90935:4 99233:5",
    "surgeon": (
        "00400:4 27447:14 27130:8 92928:8 33533:4 63047:5 22612:3 35301:3 44140:4 27236:7 36561:6 52601:3 "
        "49560:3 47562:8"
    ),
    "ambulance": "A0425:46 A0427:30 A0429:20 A0428:4",
}

_NEW_CLASSES: dict[str, str] = {
    "ace_inhibitor": "LISINOPRIL:52 LOSARTAN:18 VALSARTAN:11 BENAZEPRIL:9 RAMIPRIL:6 OLMESARTAN:4",
    "calcium_blocker": "AMLODIPINE:74 DILTIAZEM:16 NIFEDIPINE:10",
    "thiazide": "HYDROCHLOROTHIAZIDE:80 CHLORTHALIDONE:9 TRIAMTERENE_HYDROCHLOROTHIAZIDE:11",
    "statin": "SIMVASTATIN:44 ATORVASTATIN:26 PRAVASTATIN:14 ROSUVASTATIN:11 LOVASTATIN:5",
    "oral_diabetes": "METFORMIN:58 GLIPIZIDE:16 GLIMEPIRIDE:11 PIOGLITAZONE:8 SITAGLIPTIN:7",
    "beta_blocker": "METOPROLOL:52 CARVEDILOL:22 ATENOLOL:22 BISOPROLOL:4",
    "antiplatelet": "CLOPIDOGREL:88 PRASUGREL:4 ASPIRIN_DIPYRIDAMOLE:8",
    "anticoagulant": "WARFARIN:88 DABIGATRAN:8 RIVAROXABAN:4",
    "loop_diuretic": "FUROSEMIDE:86 TORSEMIDE:8 BUMETANIDE:6",
    "bronchodilator": "ALBUTEROL:48 TIOTROPIUM:34 IPRATROPIUM_ALBUTEROL:18",
    "inhaled_steroid": "FLUTICASONE_SALMETEROL:62 BUDESONIDE_FORMOTEROL:30 FLUTICASONE:8",
    "phosphate_binder": "SEVELAMER:70 CALCIUM_ACETATE:30",
    "dementia_drug": "DONEPEZIL:62 MEMANTINE:30 RIVASTIGMINE:8",
    "antiemetic": "ONDANSETRON:78 PROCHLORPERAZINE:22",
    "pain_drug": "HYDROCODONE_ACETAMINOPHEN:42 TRAMADOL:20 MELOXICAM:12 OXYCODONE:10 CELECOXIB:6 IBUPROFEN:10",
    "bone_drug": "ALENDRONATE:78 RISEDRONATE:10 IBANDRONATE:12",
    "parkinson_drug": "CARBIDOPA_LEVODOPA:78 ROPINIROLE:14 PRAMIPEXOLE:8",
    "acid_drug": "OMEPRAZOLE:62 PANTOPRAZOLE:18 ESOMEPRAZOLE:12 RANITIDINE:8",
    "eye_drug": "LATANOPROST:52 TIMOLOL:26 BRIMONIDINE:14 DORZOLAMIDE_TIMOLOL:8",
    "antibiotic": "CIPROFLOXACIN:24 AZITHROMYCIN:24 LEVOFLOXACIN:16 AMOXICILLIN:14 CEPHALEXIN:12 NITROFURANTOIN:10",
    "steroid": "PREDNISONE:76 METHYLPREDNISOLONE:24",
}
# Classes that both populations take come from the shared table.
MEDICARE_DRUGS: dict[str, str] = _NEW_CLASSES | {
    name: DRUG_CLASSES[name] for name in ("antidepressant", "antipsychotic", "insulin", "thyroid_drug")
}
MEDICARE_SERVICES["emergency_extra"] = SERVICES["extra_emergency"]
