"""SVG plots for docs/img/: the same data gives the same bytes."""
from pathlib import Path

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt  # noqa: E402: the backend comes first

from lab.race import Result  # noqa: E402

matplotlib.rcParams.update({"svg.hashsalt": "lab", "svg.fonttype": "none", "font.size": 9,
                            "axes.spines.top": False, "axes.spines.right": False})
COLOURS = {"grove": "#2a6f4e", "rsync": "#8a8a8a", "rclone": "#b0a070", "restic": "#7080a8", "GlusterFS": "#a87070"}


def save(figure: plt.Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None, "Creator": None})
    plt.close(figure)
    path.write_text("\n".join(line.rstrip() for line in path.read_text().splitlines()) + "\n")


def plot_race(results: list[Result], title: str, path: Path) -> None:
    """A bar for each row, stores beside gathers; the line is the wire time of the file."""
    figure, axes = plt.subplots(1, 2, figsize=(8, 2.8), sharex=True)
    for axis, verb in zip(axes, ("store", "gather")):
        rows = [result for result in results if result.verb == verb][::-1]
        bars = axis.barh([f"{row.kind}, {row.who}" for row in rows], [row.ratio for row in rows],
                         color=[COLOURS[row.who] for row in rows])
        axis.bar_label(bars, fmt="%.2f", padding=2)
        axis.axvline(1, color="black", linewidth=0.8, linestyle=":")
        axis.set_title(f"{verb}: {title}")
        axis.set_xlabel("times the wire time of the file")
    save(figure, path)


def plot_lines(points: dict[str, list[float]], labels: tuple[str, str], path: Path) -> None:
    """`x` against every other list, named by its key."""
    figure, axis = plt.subplots(figsize=(4.5, 2.6))
    for name, values in points.items():
        if name != "x":
            axis.plot(points["x"], values, marker="o", label=name)
    if len(points) > 2:
        axis.legend()
    axis.set_ylim(bottom=0)
    axis.set_xlabel(labels[0])
    axis.set_ylabel(labels[1])
    save(figure, path)
