"""Prometheus, as Debian packages it, on the shipped configuration and a real cluster.

Only ports and periods are replaced. Grafana is in no Debian package: its dashboards' queries are
put to that Prometheus instead.
"""
import json
import math
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.checkpoints import model, write
from harness.cluster import Cluster
from harness.http import http
from harness.lines import is_done
from harness.ports import free_port
from harness.process import Process
from harness.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
MONITORING = ROOT / "monitoring"
CONFIG = MONITORING / "prometheus"
OPERATIONS = (ROOT / "docs/operations.md").read_text()
DASHBOARDS = sorted((MONITORING / "grafana/dashboards").glob("*.json"))


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
    described = OPERATIONS
    assert alerts == set(re.findall(r"^\| `([A-Z]\w+)` \| ", described, re.MULTILINE))


@pytest.mark.smoke
def test_the_files_agree_with_each_other() -> None:
    described = re.findall(r"host: (\S+)\s+ip: (\S+)\s+rank: ([1-9])\s+port: (\d+)",
                           (ROOT / "configs/config.yaml").read_text())
    scraped = re.findall(r'"(.+):(\d+)"\]\s+labels: {rank: "(\d+)", host: (\S+)}',
                         (CONFIG / "workers.yml").read_text())
    assert len(described) == 4
    assert [(host, ip, rank, port) for ip, port, rank, host in scraped] == described
    source = (MONITORING / "grafana/provisioning/datasources/prometheus.yml").read_text()
    [uid] = re.findall(r"uid: (\w+)", source)
    for path in DASHBOARDS:
        panels = json.loads(path.read_text())["panels"]
        assert [panel["id"] for panel in panels] == list(range(1, len(panels) + 1))
        for panel in panels:
            for part in [panel, *panel["targets"]] if panel["type"] != "row" else []:
                assert part["datasource"] == {"type": "prometheus", "uid": uid}


def expressions(dashboard: Path) -> list[str]:
    return [target["expr"] for panel in json.loads(dashboard.read_text())["panels"]
            for target in panel.get("targets", [])]


def selectors_of_alerts() -> set[str]:
    """Every time series that an alert looks at, without what is done with it."""
    text = (CONFIG / "alerts.yml").read_text()
    found = {match[0] for match in re.finditer(r"\b(?:smoltorrent_\w+|up)(?:\{[^}]*\})?", text)
             if match[0] not in {"up", "smoltorrent_"}}
    assert len(found) > 8
    return found


class Prometheus:
    def __init__(self, cluster: Cluster, folder: Path):
        shutil.copytree(CONFIG, folder)
        main = (folder / "prometheus.yml").read_text()
        main = main.replace("localhost:8000", f"localhost:{cluster.api_port}")
        main = re.sub(r"(scrape_interval|scrape_timeout|evaluation_interval): \d+s", r"\1: 1s", main)
        (folder / "prometheus.yml").write_text(main)
        workers = (folder / "workers.yml").read_text()
        for rank in cluster.ranks:
            workers, count = re.subn(rf'"[\d.]+:500{rank}"', f'"127.0.0.1:{cluster.ports[rank]}"',
                                     workers)
            assert count == 1
        (folder / "workers.yml").write_text(workers)
        self.targets_count = 1 + len(cluster.ranks)
        port = free_port()
        self.url = f"http://127.0.0.1:{port}/api/v1"
        self.process = Process("prometheus", [
            "prometheus", f"--config.file={folder}/prometheus.yml",
            f"--storage.tsdb.path={folder}/data", f"--web.listen-address=127.0.0.1:{port}",
        ], folder / "prometheus.log")
        self.process.wait_for_log("Server is ready to receive web requests")

    def get(self, path: str, **parameters: str) -> dict:
        answer = http.get(f"{self.url}/{path}", params=parameters, timeout=10)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    def query(self, expression: str) -> list[float]:
        """The numbers it gives now; not those that are no number."""
        result = self.get("query", query=expression)["result"]
        values = [float(sample["value"][1]) for sample in result]
        return [value for value in values if not math.isnan(value)]

    def targets(self) -> dict[str, str]:
        return {target["scrapeUrl"]: target["health"] + " " + target["lastError"]
                for target in self.get("targets")["activeTargets"]}

    def scrapes(self) -> float:
        """How often each target has been scraped, at least."""
        counts = self.query("count_over_time(up[5m])")
        return min(counts) if len(counts) == self.targets_count else 0


def all_queries() -> list[str]:
    queries = {expression for dashboard in DASHBOARDS for expression in expressions(dashboard)}
    assert len(queries) > 30
    return sorted(queries | selectors_of_alerts())


def assert_data(prometheus: Prometheus, queries: list[str]) -> None:
    # What stands in for nothing would always be there.
    silent = [query for query in queries if not prometheus.query(query.removesuffix(" or on () vector(0)"))]
    assert not silent, "no data:\n" + "\n".join(silent)


@pytest.fixture
def cluster(make_cluster) -> Cluster:
    """Damage stays until the test ends."""
    return make_cluster(repairs=False)


@pytest.fixture
def prometheus(cluster: Cluster, tmp_path: Path) -> Iterator[Prometheus]:
    """Scrapes the cluster, which holds a safe checkpoint and one with a damaged copy."""
    assert is_done(cluster.store(write(cluster.ckpt_root / "run1/step_1/model.safetensors", model(1))))
    before = set(cluster.chunk_files(1))
    assert is_done(cluster.store(write(cluster.ckpt_root / "run1/step_2/model.safetensors", model(2))))
    damaged = next(file for name, file in cluster.chunk_files(1).items() if name not in before)
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"?")
    for rank in cluster.ranks:
        http.post(cluster.worker_url(rank) + "/scrub", timeout=30).raise_for_status()
    server = Prometheus(cluster, tmp_path / "prometheus")
    yield server
    server.process.kill()


def test_prometheus_sees_a_real_cluster(cluster: Cluster, prometheus: Prometheus) -> None:
    wait_until(lambda: prometheus.scrapes() >= 1, "every target has been scraped")
    third = write(cluster.ckpt_root / "run1/step_3/model.safetensors", model(3))
    assert is_done(cluster.store(third))
    assert is_done(cluster.gather(third, output=str(cluster.folder / "back.safetensors")))
    drill = http.post(f"{cluster.url}/drill", params={"ckpt_path": str(third)}, timeout=60)
    assert is_done(drill.text.splitlines())
    seen = prometheus.scrapes()
    wait_until(lambda: prometheus.scrapes() >= seen + 2, "what happened has been scraped")

    targets = prometheus.targets()
    assert len(targets) == prometheus.targets_count
    assert set(targets.values()) == {"up "}, targets
    assert all(url.endswith("/metrics/") for url in targets)
    assert_data(prometheus, [query for query in all_queries() if "_watcher_" not in query])

    alerts = {alert["labels"]["alertname"]: alert for alert in prometheus.get("alerts")["alerts"]}
    assert alerts["DamageFound"]["state"] == "firing"
    assert alerts["DamageFound"]["labels"]["rank"] == "1"
    assert alerts["CheckpointNotSafe"]["labels"]["identity"] == "run1/step_2/model.safetensors"
    assert not {"WorkerDown", "CoordinatorDown", "StoresFail", "SurveyStale"} & alerts.keys()

    for url in (cluster.url, cluster.worker_url(1)):
        answers = [http.get(url + path) for path in ("/metrics", "/metrics/")]
        for answer in answers:
            assert answer.status_code == 200
            assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        promtool("check", "metrics", text=answers[0].text)


def test_prometheus_sees_a_watcher(make_cluster, tmp_path: Path) -> None:
    """In the coordinator's process, and what became of the files it found."""
    cluster = make_cluster(start=False).start(watch=True)
    for step in (1, 2):
        write(cluster.ckpt_root / f"run1/step_{step}/model.safetensors", model(0.2, seed=step))
    write(cluster.ckpt_root / "run1/step_1/merged.safetensors", model(0.2))  # is left alone
    cluster.coordinator.wait_for_log("crosscheck: 2 checkpoints, each with all its copies")
    prometheus = Prometheus(cluster, tmp_path / "prometheus")
    try:
        wait_until(lambda: prometheus.scrapes() >= 2, "every target has been scraped")
        queries = [query for query in all_queries() if "_watcher_" in query]
        assert len(queries) >= 4
        assert_data(prometheus, queries)
        assert prometheus.query('smoltorrent_watcher_stores_total{result="done"}') == [2]
        assert prometheus.query("smoltorrent_watcher_files") == [2]
        assert prometheus.query("smoltorrent_watcher_waiting_files") == [0]
        page = http.get(cluster.url + "/metrics/").text
        watched = set(re.findall(r"^\| `(smoltorrent_\w+)` \| .*? \| watcher \|", OPERATIONS, re.M))
        assert len(watched) > 3
        assert watched <= set(re.findall(r"^# TYPE (\w+) ", page, re.M)), "what the docs list"
    finally:
        prometheus.process.kill()
