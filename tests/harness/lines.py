"""The lines of a job, exactly as the reference and the design print them."""
import re

HEAD = {
    "loaded": r"Loaded (?:(?P<tensors>\d+) tensors?|1 file) \((?P<megabytes>\d+\.\d) MB\)"
              r" from (?P<key>.+) — chunking into (?P<shards>\d+) shards?",
    "sent": r"  ✓ rank (?P<rank>\d+) \((?P<host>[^)]+)\) \[round (?P<round>\d+)\]",
    "retry": r"  ↻ rank (?P<rank>\d+) failed — queuing retry: (?P<number>\d) of 6 in (?P<wait>\d+) s:"
             r" (?P<cause>.+)",
    "gave_up": r"  ✗ rank (?P<rank>\d+) permanently failed: (?P<cause>.+)",
    "stands_in": r"  → rank (?P<rank>\d+) \((?P<host>[^)]+)\) stands in for rank (?P<failed>\d+) \((?P<failed_host>[^)]+)\)",
    "stored": r"Done: (?P<sent>\d+)/(?P<wanted>\d+) sends \((?P<copies>\d+)x replicated\) → (?P<key>.+)",
    "replica": r"  trying replica rank (?P<rank>\d+) for shard (?P<shard>\d+)"
               r" \(primary rank (?P<primary>\d+) failed\)",
    "saved": r"  ✓ shard (?P<shard>\d+) — saved → (?P<path>.+)",
    "merging": r"Merging (?P<shards>\d+) shards? → (?P<path>.+)",
    "gathered": r"Done: saved → (?P<path>.+)",
    "error": r"ERROR: (?P<message>.+)",
}
PATTERNS = {kind: re.compile(pattern + r"\Z") for kind, pattern in HEAD.items()}


def matches(lines: list[str], kind: str) -> list[re.Match]:
    return [match for line in lines if (match := PATTERNS[kind].match(line))]


def only(lines: list[str], kind: str) -> re.Match:
    found = matches(lines, kind)
    assert len(found) == 1, f"{len(found)} lines are {kind!r}, not one, in:\n" + "\n".join(lines)
    return found[0]


def is_done(lines: list[str]) -> bool:
    return bool(lines) and lines[-1].startswith("Done:")


def assert_one_error(lines: list[str]) -> str:
    """One ERROR: line, the last one, and no Done:; returns its message."""
    text = "\n".join(lines)
    errors = [line for line in lines if line.startswith("ERROR")]
    assert len(errors) == 1 and lines[-1] == errors[0], f"not one ERROR: at the end:\n{text}"
    assert not any(line.startswith("Done") for line in lines), text
    return only(lines, "error")["message"]


def assert_our_own_lines_are_indented(lines: list[str]) -> None:
    """Every line that is not one of the reference's starts with two spaces."""
    for line in lines:
        if not any(pattern.match(line) for pattern in PATTERNS.values()):
            assert line.startswith("  "), f"a line of our own without its indent: {line!r}"
