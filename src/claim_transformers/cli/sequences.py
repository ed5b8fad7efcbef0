"""The command `sequences`: a readmission cohort in the words of the encoder."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from claim_transformers.cli.options import Engine, Overwrite, console, new_app, open_tasks

app = new_app()


@app.command()
def sequences(
    cohort: Annotated[Path, typer.Argument(help="Folder that 'cohort readmission' wrote.")],
    out: Annotated[Path, typer.Argument(help="Folder to make: the same examples in the words of the encoder.")],
    depth: Annotated[str | None, typer.Option(help="code, category or chapter (default).")] = None,
    depth_of: Annotated[
        list[str] | None, typer.Option(help="Another depth for a system, such as NDC=code; may repeat.")
    ] = None,
    hide: Annotated[
        list[str] | None, typer.Option(help="sex, race, county or disposition: left out of the examples; may repeat.")
    ] = None,
    number_bins: Annotated[
        int | None, typer.Option(min=0, help="Bins of amounts and lengths of stay; 0 for none (10).")
    ] = None,
    form_of: Annotated[
        str | None, typer.Option(help="Sequences or a checkpoint whose depths and bins are used; --hide adds to it.")
    ] = None,
    engine: Engine = "duckdb",
    overwrite: Overwrite = False,
) -> None:
    """Roll the codes of a readmission cohort up, write numbers as tokens, and print the vocabulary."""
    from claim_transformers.claims.number_bins import DEFAULT_BINS
    from claim_transformers.models.claim.form_claim import CHAPTER
    from claim_transformers.models.claim.names_claim import resolve_checkpoint
    from claim_transformers.training.sequences import find_form, make_form, write_sequences

    tasks = open_tasks(engine)
    if form_of is None:
        form = make_form(CHAPTER if depth is None else depth, _depths(depth_of or []), hide=hide or [])
        num_bins = DEFAULT_BINS if number_bins is None else number_bins
    else:
        given = {"--depth": depth is not None, "--depth-of": bool(depth_of), "--number-bins": number_bins is not None}
        if both := [option for option, is_given in given.items() if is_given]:
            raise ValueError(f"expected no {', '.join(both)} with --form-of, whose form has its own, found it")
        found = find_form(resolve_checkpoint(form_of))
        if found is None:
            raise ValueError(
                f"expected sequences, or a checkpoint with a form, as --form-of, found no form in {form_of!r}"
            )
        # What is hidden is absent, which changes no token; a form without bins learns none, or its tokens would not be
        # those of the checkpoint.
        form, num_bins = replace(found, hide=(*found.hide, *(hide or ()))), 0
    written = write_sequences(cohort, out, form, num_bins=num_bins, overwrite=overwrite, tasks=tasks)
    checkpoint = None if form_of is None else _tokenizer_folder(resolve_checkpoint(form_of))
    if checkpoint is None:
        _print_vocabulary(out, written.depth)
        return
    _print_known(out, checkpoint)


def _depths(depth_of: Sequence[str]) -> dict[str, str]:
    wrong = [entry for entry in depth_of if entry.count("=") != 1]
    if wrong:
        raise ValueError(f"expected SYSTEM=depth as --depth-of, such as NDC=code, found {wrong[0]!r}")
    return dict(entry.split("=") for entry in depth_of)


def _print_vocabulary(out: Path, depth: str) -> None:
    """The vocabulary that a tokenizer of the training split would have, and what it would cover."""
    from claim_transformers.training.sequence_vocabulary import vocabulary_rows
    from claim_transformers.training.sequences import read_splits

    table = Table(title=f"Tokens at the depth of {depth}: those that 11 training patients hold")
    for column, justify in (("system", "left"), ("different", "right"), ("kept", "right"), ("of test codes", "right")):
        table.add_column(column, justify=justify)  # type: ignore[arg-type]
    for row in vocabulary_rows(read_splits(out)):
        covered = "-" if row["covered"] is None else f"{100 * row['covered']:.2f} %"
        table.add_row(row["system"], f"{row['different']:,}", f"{row['kept']:,}", covered)
    console.print(table)


def _tokenizer_folder(folder: str) -> Path | None:
    """The folder if it holds a tokenizer; sequences have a form alone."""
    return Path(folder) if Path(folder, "tokenizer_config.json").is_file() else None


def _print_known(out: Path, checkpoint: Path) -> None:
    """How much of the test split the tokenizer of a checkpoint knows, and a warning where that is little."""
    from claim_transformers.claims.small_cells import HIDDEN, show, show_counts
    from claim_transformers.models.claim.tokenization_claim import ClaimTokenizer
    from claim_transformers.training.sequence_vocabulary import known_rows
    from claim_transformers.training.sequences import read_splits

    vocabulary = ClaimTokenizer.from_pretrained(checkpoint).vocabulary
    rows = known_rows(read_splits(out)["test"], lambda code: vocabulary.resolve(code)[1] not in ("system", "unknown"))
    table = Table(title=f"Codes of the test split that the tokenizer of {checkpoint.name} knows")
    for column, justify in (("system", "left"), ("codes", "right"), ("known", "right")):
        table.add_column(column, justify=justify)  # type: ignore[arg-type]
    counts = {(row["system"], "codes"): row["codes"] for row in rows}
    for row in rows:
        known = round((row["known"] or 0) * row["codes"])
        counts |= {(row["system"], "known"): known, (row["system"], "unknown"): row["codes"] - known}
    systems = [row["system"] for row in rows if row["system"] != "all"]
    sums = [(("all", what), [(system, what) for system in systems]) for what in ("codes", "known", "unknown")]
    sums += [((row["system"], "codes"), [(row["system"], what) for what in ("known", "unknown")]) for row in rows]
    shown = show_counts(counts, [one for one in sums if counts.get(one[0]) == sum(counts[part] for part in one[1])])
    for row in rows:
        cells = [shown[row["system"], what] for what in ("codes", "known", "unknown")]
        known = "-" if row["known"] is None else f"{100 * row['known']:.2f} %"
        table.add_row(row["system"], show(cells[0]), HIDDEN if any(isinstance(cell, str) for cell in cells) else known)
    console.print(table)
    # A code of no group is unknown to every tokenizer.
    little = [
        row["system"] for row in rows if row["known"] is not None and row["known"] < 0.5 and row["system"] != "UNK"
    ]
    if little:
        console.print(
            f"[bold]Warning:[/bold] {checkpoint.name} knows less than half of the codes of {', '.join(little)}: it "
            "was pretrained on others, and these are one unknown word to it. Pretrain one on claims like these: "
            "docs/readmission.md.",
            soft_wrap=True,
        )
