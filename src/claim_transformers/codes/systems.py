"""Code systems of a claim, and the string that names one code: `SYSTEM/CODE`.

A bare code is ambiguous: V and E codes are history and injuries in ICD-9-CM, transport accidents and diabetes in
ICD-10-CM. Every code in this package therefore carries its system, and the column a code was read from decides which
one.
"""

import datetime as dt
from types import MappingProxyType

SYSTEM_TITLES = MappingProxyType(
    {
        "ICD9CM": "ICD-9-CM diagnosis",
        "ICD10CM": "ICD-10-CM diagnosis",
        "ICD9PCS": "ICD-9-CM procedure (volume 3)",
        "ICD10PCS": "ICD-10-PCS procedure",
        "HCPCS": "HCPCS Level I or II service",
        "NDC": "drug product (National Drug Code)",
        "DRUG": "drug ingredient",
        "REV": "revenue center",
        "DRG": "diagnosis-related group",
        "POS": "place of service",
        "DISP": "discharge disposition",
    }
)
SYSTEMS = tuple(SYSTEM_TITLES)

ICD10_START_DATE = dt.date(2015, 10, 1)  # 45 CFR 162.1002(c): the date of discharge decides for an inpatient claim.


def check_system(system: str) -> str:
    """Return the name of a code system, or refuse it."""
    if system not in SYSTEM_TITLES:
        raise ValueError(f"expected one of the code systems {', '.join(SYSTEMS)}, found another name")
    return system


def join_code(system: str, code: str) -> str:
    """Name one code of one system.

    Args:
        system (`str`): A name out of `SYSTEMS`.
        code (`str`): The code in its canonical form, as [`normalize_code`] returns it.

    Raises:
        ValueError: If the system is unknown or the code is empty.

    Examples:
        >>> join_code("ICD9CM", "49392")
        'ICD9CM/49392'
    """
    if not code:
        raise ValueError(f"expected a code of the system {check_system(system)}, found empty text")
    return f"{check_system(system)}/{code}"


def split_code(code: str) -> tuple[str, str]:
    """Take `SYSTEM/CODE` apart.

    Args:
        code (`str`): A code with its system.

    Raises:
        ValueError: If there is no slash, the system is unknown, or nothing follows the slash. The message never holds
            the code.

    Examples:
        >>> split_code("HCPCS/99213")
        ('HCPCS', '99213')
        >>> split_code("99213")
        Traceback (most recent call last):
        ValueError: expected SYSTEM/CODE, found text without a slash
    """
    system, slash, bare = code.partition("/")
    if not slash:
        raise ValueError("expected SYSTEM/CODE, found text without a slash")
    check_system(system)
    if not bare:
        raise ValueError("expected SYSTEM/CODE, found nothing after the slash")
    return system, bare
