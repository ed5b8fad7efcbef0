"""The FDA's National Drug Code Directory: which active ingredients a labeler's product holds, and their class."""

import csv
import io
import re
import zipfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from claim_transformers.codes.errors import ClaimDataError

_FILE = "product.txt"
_COLUMNS = ("PRODUCTNDC", "NONPROPRIETARYNAME", "SUBSTANCENAME", "PHARM_CLASSES")
_NDC = re.compile("([0-9]{4,5})-([0-9]{3,4})")
_LONGEST_NAME = 64
_OTHERS = "-OTHERS"
# What a salt, an ester or a hydrate adds behind the name of an ingredient; of SODIUM CHLORIDE nothing else is left.
_SALTS = frozenset((
    "ACETATE", "ACETONIDE", "ALUMINUM", "ANHYDROUS", "ASPARTATE", "AXETIL", "BENZOATE", "BESYLATE", "BITARTRATE",
    "BROMIDE", "BUTYRATE", "CALCIUM", "CARBONATE", "CHLORIDE", "CILEXETIL", "CITRATE", "CYPIONATE", "DIHYDRATE",
    "DIHYDROCHLORIDE", "DIMESYLATE", "DIPROPIONATE", "DISODIUM", "DISOPROXIL", "ENANTHATE", "ETEXILATE", "FERROUS",
    "FLUORIDE", "FUMARATE", "FUROATE", "GLUCONATE", "HEMIHYDRATE", "HYCLATE", "HYDROBROMIDE", "HYDROCHLORIDE",
    "HYDROXIDE", "LACTATE", "MAGNESIUM", "MALATE", "MALEATE", "MEDOXOMIL", "MESYLATE", "MONOHYDRATE", "NITRATE",
    "OXALATE", "OXIDE", "PAMOATE", "PHOSPHATE", "POTASSIUM", "PROPIONATE", "PROXETIL", "SACCHARATE", "SODIUM",
    "SUCCINATE", "SULFATE", "TARTRATE", "TOSYLATE", "TRIHYDRATE", "VALERATE", "XINAFOATE", "ZINC",
))  # fmt: skip


@dataclass(frozen=True)
class NdcDirectory:
    """Drugs by labeler and product.

    Args:
        ingredients (`Mapping[str, str]`): NDC of 9 digits (labeler and product) to the name of its ingredients.
        classes (`Mapping[str, str]`): Name of ingredients to their established pharmacologic class, where it is given.

    Examples:
        >>> NdcDirectory({"000930145": "ALBUTEROL"}, {"ALBUTEROL": "BETA2-ADRENERGIC_AGONIST"}).classes["ALBUTEROL"]
        'BETA2-ADRENERGIC_AGONIST'
    """

    ingredients: Mapping[str, str]
    classes: Mapping[str, str]


def read_ndc_directory(path: str | Path) -> NdcDirectory:
    r"""Reads the FDA's NDC Directory, `product.txt` or the zip file that holds it.

    A product has the names of its active substances (`SUBSTANCENAME`, else `NONPROPRIETARYNAME`) without salts, esters
    and hydrates, in alphabetical order, joined by `-`: `AMOXICILLIN-CLAVULANATE`. A name of more than 64 characters
    keeps the first that fit and ends in `-OTHERS`. A name has the class (`[EPC]` of `PHARM_CLASSES`, the first) that
    most of its products have.

    Args:
        path (`str` or `Path`): Tab-separated file with a header, or a zip file with `product.txt`.

    Returns:
        [`NdcDirectory`]: For `category_rules(drug_ingredients=..., drug_classes=...)`.

    Raises:
        ClaimDataError: `E_COLUMN` if a column is missing, `E_LAYOUT` if a zip file has no `product.txt` or no product
            has an ingredient.
        FileNotFoundError: If there is no such file.

    Examples:
        >>> import tempfile
        >>> head = "PRODUCTNDC\tNONPROPRIETARYNAME\tSUBSTANCENAME\tPHARM_CLASSES\n"
        >>> row = "0093-0145\talbuterol\tALBUTEROL SULFATE\tbeta2-Adrenergic Agonist [EPC],Other [MoA]\n"
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = Path(folder, "product.txt").write_text(head + row)
        ...     read_ndc_directory(Path(folder, "product.txt"))
        NdcDirectory(ingredients={'000930145': 'ALBUTEROL'}, classes={'ALBUTEROL': 'BETA2-ADRENERGIC_AGONIST'})
    """
    ingredients: dict[str, str] = {}
    classes: defaultdict[str, Counter[str]] = defaultdict(Counter)
    with _open(Path(path)) as file:
        # The file is UTF-8 but for a few bytes in brand names, which are not read.
        rows = csv.reader(
            io.TextIOWrapper(file, encoding="utf-8", errors="replace"), delimiter="\t", quoting=csv.QUOTE_NONE
        )
        header = next(rows, [])
        missing = sorted(set(_COLUMNS) - set(header))
        if missing:
            raise ClaimDataError(
                "E_COLUMN", f"{Path(path).name}: expected the columns {', '.join(_COLUMNS)}, missing {missing}"
            )
        places = [header.index(column) for column in _COLUMNS]
        for row in rows:
            ndc, name, substances, groups = (row[place].strip() if place < len(row) else "" for place in places)
            found, product = _NDC.fullmatch(ndc), _name(substances, name)
            if found is None or not product:
                continue
            ingredients[found[1].zfill(5) + found[2].zfill(4)] = product
            # Classes are parted by commas, which stand inside them too: each ends in what kind it is.
            if kind := re.search(r"(?:^|[\]],? ?|; ?)([^\[\]]+) \[EPC\]", groups):
                classes[product][_text(kind[1])] += 1
    if not ingredients:
        raise ClaimDataError("E_LAYOUT", f"{Path(path).name}: expected products with ingredients, found none")
    return NdcDirectory(ingredients, {name: of.most_common(1)[0][0] for name, of in classes.items()})


@contextmanager
def _open(path: Path) -> Iterator[IO[bytes]]:
    if not zipfile.is_zipfile(path):
        with path.open("rb") as file:
            yield file
        return
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if name.rpartition("/")[2].lower() == _FILE]
        if not names:
            raise ClaimDataError("E_LAYOUT", f"{path.name}: expected {_FILE} in the zip file, found none")
        with archive.open(names[0]) as member:
            yield member


def _name(substances: str, other: str) -> str:
    """The ingredients of a product as one name."""
    parts = substances.split(";") if substances else re.split(r",|;| and ", other)
    names = sorted({name for part in parts if (name := _ingredient(part))})
    joined = "-".join(names)
    if len(joined) <= _LONGEST_NAME:
        return joined
    while len(joined) + len(_OTHERS) > _LONGEST_NAME and len(names) > 1:
        names.pop()
        joined = "-".join(names)
    return joined[: _LONGEST_NAME - len(_OTHERS)] + _OTHERS


def _ingredient(substance: str) -> str:
    """One substance without its salt."""
    words = _text(substance).split("_")
    while words[-1] in _SALTS and not _SALTS.issuperset(words[:-1]):
        words.pop()
    return "_".join(words)


def _text(text: str) -> str:
    """Upper case, with `_` for everything that is no letter, digit or hyphen."""
    return re.sub("[^A-Z0-9-]+", "_", text.upper()).strip("_-")
