"""Tables 1 and 2 of Claim-PT: all models on the same splits of a cohort, beside what the paper prints."""

from collections.abc import Mapping

from claim_transformers.analysis import ResultTable
from reproduction.claim_pt.benchmark import ClaimPTBenchmark
from reproduction.claim_pt.contestants import standard_contestants
from reproduction.engine.contestants import run_contestants
from reproduction.engine.tables import compare_over_repeats

NOTE = "The paper's figures are of real claims of another population and other cohorts."


def paper_table(
    benchmark: ClaimPTBenchmark, cohort: str, *, title: str, published: Mapping[str, float]
) -> ResultTable:
    """Compare all models on a cohort of the paper.

    Args:
        benchmark ([`ClaimPTBenchmark`]): Steps and sizes.
        cohort (`str`): A cohort of its profile.
        title (`str`): Heading.
        published (`Mapping[str, float]`): What the paper prints, by slug.

    Returns:
        [`ResultTable`]: One row per model.

    Raises:
        ValueError: If the profile has no such cohort, or as [`ClaimPTBenchmark.checkpoint`].
    """
    given, profile = benchmark.populations.cohort(cohort), benchmark.profile
    contestants = standard_contestants(
        str(benchmark.checkpoint()), paper_checkpoint=benchmark.paper_checkpoint(), epochs=profile.epochs
    )
    models = run_contestants(benchmark.workspace, given, contestants, repeats=profile.repeats)
    return compare_over_repeats(title, models, notes=[given.describe(), NOTE], published=published).to_table()
