"""Drug ingredients, where somebody can name them, and their therapeutic classes.

No complete table of NDC to ingredient is free to ship; classes of the ingredients that fill most prescriptions are.
"""

import csv
import functools
import re
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from types import MappingProxyType

from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.codes.normalize import normalize_code

_CLASSES_FILE = "drug_classes.csv"
_CLASS = re.compile("[A-Z0-9](?:[A-Z0-9_-]*[A-Z0-9])?")


def read_drug_ingredients(path: str | Path) -> dict[str, str]:
    r"""Reads a table of ingredients by labeler and product.

    Args:
        path (`str` or `Path`): Parquet or CSV file with the columns `ndc9` (labeler and product, 9 digits; the
            11-digit code works too) and `ingredient`. The simulator writes one as `drug_ingredients.parquet`.

    Returns:
        `dict[str, str]`: Ingredient by code, for `category_rules(drug_ingredients=...)`.

    Raises:
        ClaimDataError: If a column is missing (`E_COLUMN`).
        FileNotFoundError: If there is no such file.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = Path(folder, "ingredients.csv")
        ...     _ = file.write_text("ndc9,ingredient\n000930145,ALBUTEROL\n")
        ...     read_drug_ingredients(file)
        {'000930145': 'ALBUTEROL'}
    """
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet

    path = Path(path)
    if path.suffix == ".parquet":
        table = pyarrow.parquet.read_table(path)
    else:
        text = pyarrow.csv.ConvertOptions(column_types={"ndc9": pa.string(), "ingredient": pa.string()})
        table = pyarrow.csv.read_csv(path, convert_options=text)
    missing = sorted({"ndc9", "ingredient"} - set(table.column_names))
    if missing:
        raise ClaimDataError(
            "E_COLUMN", f"{path.name}: expected the columns 'ndc9' and 'ingredient', missing {missing}"
        )
    codes, ingredients = (table[name].cast(pa.string()).to_pylist() for name in ("ndc9", "ingredient"))
    return dict(zip(codes, ingredients, strict=True))


@functools.cache
def read_drug_classes() -> Mapping[str, str]:
    """Read the shipped classes of the ingredients that fill most outpatient prescriptions in the United States.

    A class is an established pharmacologic class of the FDA, spelt as [`read_ndc_directory`] spells it, so that the
    same class is the same token whichever of the two names it. Of several classes an ingredient has the one of its
    main use; a combination has the first in order of the alphabet, capital letters first, that one of its ingredients
    has, as `read_ndc_directory` finds it. Ingredients without such a class (acetaminophen, iron, supplies) are left
    out. The names were checked by their form, not against a copy of the directory.

    Returns:
        `Mapping[str, str]`: Class by ingredient, for `category_rules(drug_classes=...)`.

    Raises:
        ClaimDataError: `E_LAYOUT` if the file of the installation is damaged. The message holds the line.

    Examples:
        >>> classes = read_drug_classes()
        >>> classes["METFORMIN"], classes["AMOXICILLIN-CLAVULANATE"], "ACETAMINOPHEN" in classes
        ('BIGUANIDE', 'PENICILLIN-CLASS_ANTIBACTERIAL', False)
    """
    file = resources.files("claim_transformers.codes").joinpath(_CLASSES_FILE)
    rows = list(csv.reader(file.read_text(encoding="utf-8").splitlines()))
    if rows[:1] != [["ingredient", "class"]]:
        raise ClaimDataError("E_LAYOUT", f"{_CLASSES_FILE}: expected the columns ingredient,class, found others")
    classes: dict[str, str] = {}
    for line, row in enumerate(rows[1:], 2):
        if len(row) != 2 or row[0] in classes or not _is_canonical(*row):
            raise ClaimDataError(
                "E_LAYOUT",
                f"{_CLASSES_FILE}, line {line}: expected an ingredient of its own and its class, both in canonical "
                "form, found something else; install the package anew",
            )
        classes[row[0]] = row[1]
    return MappingProxyType(classes)


def _is_canonical(ingredient: str, group: str) -> bool:
    try:
        return normalize_code("DRUG", ingredient) == ingredient and _CLASS.fullmatch(group) is not None
    except ClaimDataError:
        return False
