"""Drug ingredients, where somebody can name them: no complete table of NDC to ingredient is free to ship."""

from pathlib import Path

from claim_transformers.codes.errors import ClaimDataError


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
