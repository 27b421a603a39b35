"""The rules of the house: which room may include which, what is banned where, how long a file is.

A new door between rooms is a new line in ROOMS, and in docs/architecture.md, first.
"""
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SRC = ROOT / "src"

# A room and those it may include. Only direct includes are checked.
ROOMS = {
    "base": "",
    "format": "base",
    "plan": "base format",
    "store": "base format",
    "net": "base",
    "transfer": "base format plan net",
    "worker": "base format store net transfer",
    "coordinator": "base format plan net transfer",
    "watcher": "base format plan net",
    "cli": "base net worker coordinator watcher",
}
# What may not stand in a room's code (tests may: they make folders and read files), and why.
BANNED_IN = [
    ("base format plan store", r"boost/(asio|beast)|\basio::", "no Asio below net/"),
    ("format plan", r"\bnow\(\)", "format/ and plan/ know no time"),
    ("format plan", r"<random>|\brand\(|random_device|mt19937", "… and no chance"),
    ("format plan", r"\b[io]?fstream\b|\bfopen\(|base/file\.h", "… and no files"),
]
# The calls that decide what is durable and visible. A member of ours may be named open.
DURABLE = re.compile(r"(?<![\w>.:])(::|std::|std::filesystem::)?"
                     r"(fsync|fdatasync|syncfs|rename|renameat2?|openat2?|open(?=\((?:[^()]|\([^()]*\))*O_)|creat)\(")
DURABLE_ALLOWED_IN = {"src/base/file.cpp", "src/base/beneath.cpp"}
# net/ owns tasks: spawned ones, and those that run side by side inside one.
SPAWNING_ALLOWED_IN = {"src/net/task_group.cpp", "src/net/task_group.h", "src/net/parallel.cpp"}
BANNED_NAMES = re.compile(r"utils?|common|helpers?|manager|impl|core")
AT_THE_ROOT = {
    "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "SECURITY.md", "Makefile",
    "CMakeLists.txt", ".clang-format", ".clang-tidy", ".editorconfig", ".gitignore", ".ci", "src",
    "tests", "fuzz", "bench", "docs", "scripts", "configs", "monitoring", "watcher",
}
LINES_MAX = 450
LINES_MAX_EXCEPTIONS: set[str] = set()
SOURCE_SUFFIXES = {".cpp", ".h", ".py", ".sh"}


def tracked() -> list[Path]:
    """The files of the project: git's, or all where there is no git (an unpacked archive)."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"], cwd=ROOT,
        capture_output=True, check=False) if (ROOT / ".git").exists() else None
    if listing and listing.returncode == 0:
        names = listing.stdout.decode().split("\0")
        return [path for name in names if name and (path := ROOT / name).is_file()]
    return [path for path in ROOT.rglob("*") if path.is_file() and
            not any(part.startswith("build") or part == "__pycache__"
                    for part in path.relative_to(ROOT).parts)]


FILES = tracked()
SOURCES = [path for path in FILES if path.is_relative_to(SRC) and path.suffix in {".cpp", ".h"}]


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def room_of(path: Path) -> str | None:
    parts = path.relative_to(SRC).parts
    return parts[0] if len(parts) > 1 else None


def code_lines(path: Path) -> list[tuple[int, str]]:
    """The lines with their numbers, without // comments and the text inside quotes."""
    lines = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line.lstrip().startswith("#include"):
            line = re.sub(r'"(\\.|[^"\\])*"', '""', line)
        lines.append((number, line.split("//", 1)[0]))
    return lines


def report(found: list[str]) -> None:
    assert not found, "\n" + "\n".join(found)


def test_every_room_is_known() -> None:
    report([f"{name_of(path)}: {room} is no room; see ROOMS" for path in SOURCES
            if (room := room_of(path)) and room not in ROOMS])


def test_rooms_include_only_through_their_doors() -> None:
    found = []
    for path in SOURCES:
        room = room_of(path)
        if room is None:  # main.cpp: wiring
            continue
        allowed = {room, *ROOMS.get(room, "").split()}
        for number, line in code_lines(path):
            match = re.match(r'\s*#include "([^"/]+)/', line)
            if match and match[1] not in allowed:
                found.append(f"{name_of(path)}:{number}: {room}/ may not include {match[1]}/")
    report(found)


def test_the_rooms_have_no_cycle() -> None:
    done: set[str] = set()
    while len(done) < len(ROOMS):
        ready = {room for room, doors in ROOMS.items() if set(doors.split()) <= done}
        assert ready - done, f"a cycle among {sorted(ROOMS.keys() - done)}"
        done |= ready


def test_what_other_rooms_see_of_transfer_shows_no_plan() -> None:
    headers = [SRC / "transfer/pull.h", SRC / "transfer/worker_client.h"]
    report([f"{name_of(path)}: includes plan/" for path in headers
            if path.exists() and '#include "plan/' in path.read_text()])


@pytest.mark.parametrize(("rooms", "pattern", "why"), BANNED_IN)
def test_banned_words(rooms: str, pattern: str, why: str) -> None:
    report([f"{name_of(path)}:{number}: {why}: {line.strip()}" for path in SOURCES
            if room_of(path) in rooms.split() and not path.stem.endswith("_test")
            for number, line in code_lines(path) if re.search(pattern, line)])


def test_only_base_file_opens_syncs_and_renames() -> None:
    report([f"{name_of(path)}:{number}: belongs in base/file.cpp: {line.strip()}" for path in SOURCES
            if name_of(path) not in DURABLE_ALLOWED_IN and not path.stem.endswith("_test")
            for number, line in code_lines(path) if DURABLE.search(line)])


def test_detached_is_used_nowhere() -> None:
    report([f"{name_of(path)}:{number}: spawn with net/task_group" for path in SOURCES
            for number, line in code_lines(path) if re.search(r"\bdetached\b|\.detach\(", line)])


def test_spawning_is_left_to_the_task_group() -> None:
    report([f"{name_of(path)}:{number}: {line.strip()}" for path in SOURCES
            if name_of(path) not in SPAWNING_ALLOWED_IN and not path.stem.endswith("_test")
            for number, line in code_lines(path) if re.search(r"\bco_spawn\(", line)])


def conditions(text: str) -> Iterator[tuple[int, str]]:
    """Line and text of what each if, while and switch decides on, without an init-statement."""
    for match in re.finditer(r"\b(?:if|while|switch) \(", text):
        depth, end = 1, match.end()
        while depth and end < len(text):
            depth += {"(": 1, ")": -1}.get(text[end], 0)
            end += 1
        yield text.count("\n", 0, match.start()) + 1, text[match.end():end - 1].split(";")[-1]


def test_no_condition_awaits() -> None:
    """g++ 12 lays the frame of `if (co_await f())` out wrongly: the first resumption jumps astray.
    A name for the value (`bool const done = co_await f();`) is laid out well."""
    named = re.compile(r"\s*[\w:<>&* ]+ \w+ = co_await")
    report([f"{name_of(path)}:{number}: {condition}" for path in SOURCES
            for number, condition in conditions("\n".join(line for _, line in code_lines(path)))
            if "co_await" in condition and not named.match(condition)])


def test_files_are_named_for_what_they_hold() -> None:
    found = []
    for path in FILES:
        inner = path.relative_to(ROOT)
        if inner.parts[0] not in {"src", "tests", "fuzz", "bench"}:
            continue
        for part in [*inner.parts[:-1], path.stem]:
            if any(BANNED_NAMES.fullmatch(word) for word in part.split("_")):
                found.append(f"{inner}: {part} says nothing; name what is in it")
    report(found)


def test_no_file_is_too_long() -> None:
    report([f"{name_of(path)}: {lines} lines; {LINES_MAX} is the most: split it where it has two ideas"
            for path in FILES if path.suffix in SOURCE_SUFFIXES
            and name_of(path) not in LINES_MAX_EXCEPTIONS
            and (lines := len(path.read_text().splitlines())) > LINES_MAX])


def test_nothing_strange_at_the_root() -> None:
    top = {path.relative_to(ROOT).parts[0] for path in FILES}
    assert top <= AT_THE_ROOT, f"not for the root: {sorted(top - AT_THE_ROOT)}"


def test_text_is_clean() -> None:
    """No tabs, no trailing blanks, a newline at the end."""
    found = []
    for path in FILES:
        if path.suffix not in SOURCE_SUFFIXES | {".md", ".txt", ".yaml"} or "corpus" in path.parts:
            continue
        text = path.read_text()
        if text and not text.endswith("\n"):
            found.append(f"{name_of(path)}: no newline at its end")
        for number, line in enumerate(text.splitlines(), 1):
            if "\t" in line or line != line.rstrip():
                found.append(f"{name_of(path)}:{number}: a tab, or blanks at the end")
    report(found)


def test_every_todo_has_an_issue() -> None:
    word = "TO" + "DO"
    report([f"{name_of(path)}:{number}: {line.strip()}" for path in FILES
            if path.suffix in SOURCE_SUFFIXES
            for number, line in enumerate(path.read_text().splitlines(), 1)
            if re.search(rf"\b({word}|FIXME|XXX)\b(?!\(#\d+\))", line) and path != Path(__file__)])


def test_headers_say_pragma_once_and_what_they_are() -> None:
    found = []
    for path in SOURCES:
        if path.suffix != ".h":
            continue
        text = path.read_text()
        if not text.startswith("// "):
            found.append(f"{name_of(path)}: does not begin with what it is")
        if "#pragma once\n" not in text:
            found.append(f"{name_of(path)}: lacks #pragma once")
    report(found)


def anchors_of(path: Path) -> set[str]:
    """The anchors GitHub makes of a page's headings."""
    anchors = set()
    for line in path.read_text().splitlines():
        if match := re.match(r"#+ (.+)", line):
            plain = re.sub(r"[^\w\- ]", "", match[1].strip().lower())
            anchors.add(plain.replace(" ", "-"))
    return anchors


def test_links_in_the_documentation_lead_somewhere() -> None:
    found = []
    for path in FILES:
        if path.suffix != ".md":
            continue
        text = re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL)
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            if re.match(r"[a-z]+:", target):
                continue
            file, _, anchor = target.partition("#")
            page = (path.parent / file).resolve() if file else path
            if not page.exists():
                found.append(f"{name_of(path)}: {target} is not there")
            elif anchor and page.suffix == ".md" and anchor not in anchors_of(page):
                found.append(f"{name_of(path)}: no heading {anchor} in {name_of(page)}")
    report(found)


def test_pages_named_in_code_exist() -> None:
    """`docs/formats.md#chunk` in a comment is a promise too."""
    found = []
    for path in SOURCES:
        for page, anchor in re.findall(r"\b(docs/[\w/\-]+\.md)(?:#([\w\-]+))?", path.read_text()):
            if not (ROOT / page).exists():
                found.append(f"{name_of(path)}: {page} is not there")
            elif anchor and anchor not in anchors_of(ROOT / page):
                found.append(f"{name_of(path)}: no heading {anchor} in {page}")
    report(found)


def test_commands_in_the_documentation_exist() -> None:
    found = []
    for path in FILES:
        if path.suffix == ".md":
            for script in re.findall(r"(?<![\w/])scripts/([\w.]+)", path.read_text()):
                if not (ROOT / "scripts" / script.rstrip(".")).exists():
                    found.append(f"{name_of(path)}: scripts/{script} is not there")
    report(found)


def test_tests_named_in_the_documentation_exist() -> None:
    """A promise that names its test is only as good as that name."""
    known = {name for path in FILES if path.suffix == ".py"
             for name in re.findall(r"^ *def (test_\w+)\(", path.read_text(), re.MULTILINE)}
    known |= {path.stem for path in FILES}
    report([f"{name_of(path)}: there is no {name}" for path in FILES if path.suffix == ".md"
            for name in sorted(set(re.findall(r"`(test_\w+)`", path.read_text()))) if name not in known])
