"""The shipped configuration of Prometheus and its alerts, as Debian's promtool sees them."""
import re
import subprocess
from pathlib import Path

import pytest

MONITORING = Path(__file__).resolve().parents[2] / "monitoring"
CONFIG = MONITORING / "prometheus"


def promtool(*arguments: str, text: str | None = None) -> None:
    result = subprocess.run(["promtool", *arguments], cwd=CONFIG, input=text, text=True,
                            capture_output=True, timeout=60, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.smoke
def test_config_and_rules_are_what_promtool_expects() -> None:
    promtool("check", "config", "--lint-fatal", "prometheus.yml")
    promtool("check", "rules", "--lint-fatal", "alerts.yml")


@pytest.mark.smoke
def test_every_alert_fires_and_stays_silent_as_written() -> None:
    promtool("test", "rules", "alerts_test.yml")
    alerts = set(re.findall(r"alert: (\w+)", (CONFIG / "alerts.yml").read_text()))
    tested = (CONFIG / "alerts_test.yml").read_text()
    assert alerts and alerts == set(re.findall(r"alertname: (\w+)", tested))
