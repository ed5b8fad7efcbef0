"""Drug products that do not exist: NDC codes under labelers that nobody holds."""

import re
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

# Labelers above 90000 have not been assigned by the Food and Drug Administration to the makers of these ingredients,
# so that a simulated product can never be mistaken for a real one.
_FIRST_LABELER = 90101
_LABELERS = 60
# Fewest and most products per ingredient, a judgement.
_PRODUCTS_PER_INGREDIENT = (12, 48)
_INGREDIENT_SCHEMA = pa.schema([("ndc9", pa.string()), ("ingredient", pa.string())])


# Ingredients of one page of labelers: products have four digits, fifty for an ingredient.
_PAGE_INGREDIENTS = 200
_PAGE_LABELERS = 600
# The same ingredient in another form, whose products the simulators tell apart and an ingredient table does not.
_FORMS = re.compile("_(CREAM|INHALED|NASAL|OPHTHALMIC|OTIC|RECTAL|SUSPENSION|TABLET)$")
# What the first version named otherwise than an ingredient table does: words joined by `_`, ingredients in order of
# the alphabet by `-`.
_GENERIC_NAMES = {
    "AMOXICILLIN_CLAVULANATE": "AMOXICILLIN-CLAVULANATE", "AMPHETAMINE_SALTS": "AMPHETAMINE-DEXTROAMPHETAMINE",
    "ASPIRIN_DIPYRIDAMOLE": "ASPIRIN-DIPYRIDAMOLE",
    "BENZOYL_PEROXIDE_CLINDAMYCIN": "BENZOYL_PEROXIDE-CLINDAMYCIN", "BUDESONIDE_FORMOTEROL": "BUDESONIDE-FORMOTEROL",
    "BUPRENORPHINE_NALOXONE": "BUPRENORPHINE-NALOXONE", "CARBIDOPA_LEVODOPA": "CARBIDOPA-LEVODOPA",
    "CIPROFLOXACIN_DEXAMETHASONE": "CIPROFLOXACIN-DEXAMETHASONE", "CODEINE_ACETAMINOPHEN": "ACETAMINOPHEN-CODEINE",
    "DORZOLAMIDE_TIMOLOL": "DORZOLAMIDE-TIMOLOL", "DROSPIRENONE": "DROSPIRENONE-ETHINYL_ESTRADIOL",
    "ETHINYL_ESTRADIOL_NORETHINDRONE": "ETHINYL_ESTRADIOL-NORETHINDRONE",
    "ETHINYL_ESTRADIOL_NORGESTIMATE": "ETHINYL_ESTRADIOL-NORGESTIMATE",
    "ETONOGESTREL_RING": "ETHINYL_ESTRADIOL-ETONOGESTREL", "FLUTICASONE_SALMETEROL": "FLUTICASONE-SALMETEROL",
    "HYDROCODONE_ACETAMINOPHEN": "ACETAMINOPHEN-HYDROCODONE", "IPRATROPIUM_ALBUTEROL": "ALBUTEROL-IPRATROPIUM",
    "NEOMYCIN_POLYMYXIN_HC": "HYDROCORTISONE-NEOMYCIN-POLYMYXIN_B", "POLYETHYLENE_GLYCOL": "POLYETHYLENE_GLYCOL_3350",
    "POLYMYXIN_TRIMETHOPRIM": "POLYMYXIN_B-TRIMETHOPRIM",
    "SULFAMETHOXAZOLE_TRIMETHOPRIM": "SULFAMETHOXAZOLE-TRIMETHOPRIM",
    "TRIAMTERENE_HYDROCHLOROTHIAZIDE": "HYDROCHLOROTHIAZIDE-TRIAMTERENE", "VALPROATE": "DIVALPROEX",
}  # fmt: skip


def product_pools(ingredients: Sequence[str], first: Mapping[str, str]) -> dict[str, str]:
    """Products of every ingredient: 11 digits, labeler, product and package."""
    pools = {}
    generator = np.random.Generator(np.random.Philox(20100101))
    least, most = _PRODUCTS_PER_INGREDIENT
    published = [part.partition(":")[0] for pool in first.values() for part in pool.split()]
    for number, ingredient in enumerate(dict.fromkeys([*published, *ingredients])):
        page, place = divmod(number, _PAGE_INGREDIENTS)
        count = int(generator.integers(least, most))
        labelers = _FIRST_LABELER + page * _PAGE_LABELERS + generator.choice(_LABELERS, size=count, replace=True)
        packages = generator.integers(1, 90, size=count)
        pools[ingredient] = " ".join(
            f"{labeler}{place * 50 + product:04d}{package:02d}"
            for product, (labeler, package) in enumerate(zip(labelers, packages, strict=True))
        )
    return {ingredient: pools[ingredient] for ingredient in ingredients}


def ingredient_table(pools: Mapping[str, str], *, generic: bool) -> pa.Table:
    """Ingredient of every product, by labeler and product, under its generic name or that of the data file."""
    pairs = sorted(
        {(ndc[:9], _generic_name(name) if generic else name) for name, pool in pools.items() for ndc in pool.split()}
    )
    columns = [pa.array([ndc9 for ndc9, _ in pairs]), pa.array([name for _, name in pairs])]
    return pa.Table.from_arrays(columns, schema=_INGREDIENT_SCHEMA)


def _generic_name(name: str) -> str:
    return _GENERIC_NAMES.get(name, _FORMS.sub("", name))
