"""Drug products that do not exist: NDC codes under labelers that nobody holds."""

from collections.abc import Sequence

import numpy as np

# Labelers above 90000 have not been assigned by the Food and Drug Administration to the makers of these ingredients,
# so that a simulated product can never be mistaken for a real one.
_FIRST_LABELER = 90101
_LABELERS = 60
# Fewest and most products per ingredient, a judgement.
_PRODUCTS_PER_INGREDIENT = (12, 48)


def product_pools(ingredients: Sequence[str]) -> dict[str, str]:
    """Products of every ingredient: 11 digits, labeler, product and package."""
    pools = {}
    generator = np.random.Generator(np.random.Philox(20100101))
    least, most = _PRODUCTS_PER_INGREDIENT
    for number, ingredient in enumerate(ingredients):
        count = int(generator.integers(least, most))
        labelers = _FIRST_LABELER + generator.choice(_LABELERS, size=count, replace=True)
        packages = generator.integers(1, 90, size=count)
        pools[ingredient] = " ".join(
            f"{labeler}{number * 50 + product:04d}{package:02d}"
            for product, (labeler, package) in enumerate(zip(labelers, packages, strict=True))
        )
    return pools
