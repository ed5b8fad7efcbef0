"""Counts and times of requests, in the text format that Prometheus reads; labels are routes, statuses and codes."""

from collections import Counter, defaultdict

_BOUNDS_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class Metrics:
    """What was answered since the start."""

    def __init__(self) -> None:
        self._answers: Counter[tuple[str, int, str]] = Counter()
        self._buckets: Counter[tuple[str, float]] = Counter()
        self._seconds: defaultdict[str, float] = defaultdict(float)

    def observe(self, route: str, status: int, code: str, seconds: float) -> None:
        """Count an answer."""
        self._answers[route, status, code] += 1
        self._seconds[route] += seconds
        for bound in _BOUNDS_SECONDS:
            self._buckets[route, bound] += seconds <= bound

    def to_text(self) -> str:
        """All of it, one number a line."""
        lines = ["# TYPE claim_transformers_answers_total counter"]
        for (route, status, code), count in sorted(self._answers.items()):
            lines.append(
                f'claim_transformers_answers_total{{route="{route}",status="{status}",code="{code}"}} {count}'
            )
        name = "claim_transformers_answer_seconds"
        lines.append(f"# TYPE {name} histogram")
        for route in sorted({route for route, _, _ in self._answers}):
            total = sum(count for (of_route, _, _), count in self._answers.items() if of_route == route)
            bounds = [(f"{bound:g}", self._buckets[route, bound]) for bound in _BOUNDS_SECONDS]
            for bound, count in [*bounds, ("+Inf", total)]:
                lines.append(f'{name}_bucket{{route="{route}",le="{bound}"}} {count}')
            lines.append(f'{name}_sum{{route="{route}"}} {self._seconds[route]:.6f}')
            lines.append(f'{name}_count{{route="{route}"}} {total}')
        return "\n".join(lines) + "\n"
