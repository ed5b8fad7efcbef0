"""The Medicare benchmark: readmission on simulated Medicare claims, with rivals, audits and known true risks.

Import from the modules: `populations` makes the claims and cohorts, `count_models` fits the rivals on counts.
"""
