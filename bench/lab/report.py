"""Tables for docs/benchmarks.md: each lies between a line `<!-- lab: NAME -->` and a line `<!-- end -->`."""
import re
from dataclasses import dataclass, field
from pathlib import Path

CPU_BOUND_IDLE = 0.05  # of all cores; less, and it is the cores that bind


@dataclass
class Row:
    """An experiment's answer; `points` are for its plot."""

    question: str
    goal: str
    result: str
    points: dict[str, list[float]] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.question}: {self.result} (goal: {self.goal})"


def table(head: list[str], rows: list[list[str]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows])


def replace_between(page: Path, name: str, text: str) -> None:
    """Puts the text between the lines of that name."""
    begin = f"<!-- lab: {name} -->\n"
    whole = page.read_text()
    if begin not in whole:
        raise SystemExit(f"{page} has no line {begin.strip()}: nowhere to put the results")
    before, after = whole.split(begin, 1)
    rest = after.split("<!-- end -->", 1)[1]
    page.write_text(f"{before}{begin}\n{text}\n\n<!-- end -->{rest}")


def put_row(page: Path, name: str, experiment: str, row: Row) -> None:
    """Replaces the experiment's row in the table of that name, or adds it; its first cell is the experiment."""
    inside = page.read_text().split(f"<!-- lab: {name} -->", 1)[-1].split("<!-- end -->", 1)[0]
    lines = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in inside.splitlines()
             if re.match(r"\| `(?!--only`)", line)]
    rows = {line[0]: line for line in lines}
    rows[f"`{experiment}`"] = [f"`{experiment}`", row.question, row.goal, row.result]
    replace_between(page, name, table(["`--only`", "what", "goal", "result"], list(rows.values())))
