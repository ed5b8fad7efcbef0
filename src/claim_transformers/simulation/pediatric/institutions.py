"""Two institutions that see the same diseases and bill them differently, for experiments on transfer."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Institution:
    """Habits of coding and of use that belong to a place, not to a disease.

    Args:
        name (`str`): Name, also the salt of its patient identifiers.
        number (`int`): Enters every random stream, so that two institutions never share patients.
        code_jitter (`float`): Standard deviation of the log weight of each code, product and service.
        repeat (`float`): Probability that a visit repeats a code the patient already has for its cause.
        visit_rate (`float`): Multiplier of all elective visits.
        emergency_rate (`float`): Multiplier of the share of acute illness that is seen in an emergency department.
        comorbidity_mention (`float`): Probability that a visit names a chronic condition besides its reason.
        marker_mention (`float`): Multiplier of the chance that circumstances are coded.

    Examples:
        >>> INSTITUTIONS["b"].visit_rate < INSTITUTIONS["a"].visit_rate
        True
    """

    name: str
    number: int
    code_jitter: float
    repeat: float
    visit_rate: float
    emergency_rate: float
    comorbidity_mention: float
    marker_mention: float


INSTITUTIONS: dict[str, Institution] = {
    "a": Institution("a", 0, 0.0, 0.6, 1.0, 1.0, 0.42, 1.0),
    "b": Institution("b", 1, 1.0, 0.5, 0.85, 1.35, 0.52, 0.7),
}
