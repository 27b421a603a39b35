"""kill -9 of any process at any step of anything: rounds of a random action with a random kill, and after each
round everything that was acknowledged is there.

A kill falls when the n-th request of the round comes to some worker: the requests are the steps. FAULT_SEEDS=100
(harness/seeds.py) makes more of it than the few rounds that the tests take time for.
"""
import os
import threading
import time
from collections.abc import Callable
from urllib.parse import quote

import httpx

from harness.checkpoints import model
from harness.cluster import Cluster
from harness.http import http
from harness.lines import is_done
from harness.promise import Promise
from harness.proxy import Rule
from harness.seeds import Story, every_seed

NAME = "run{}/step_{}/model.safetensors"
ROUNDS = int(os.environ.get("FAULT_ROUNDS", 6))
STEPS_MAX = {"store": 60, "gather": 20, "repair": 25, "collect": 6, "hand-back": 25, "forget": 8}  # requests to one worker, about


class Rounds:
    def __init__(self, cluster: Cluster, story: Story):
        self.cluster, self.story = cluster, story
        self.promise = Promise(cluster, story)
        self.starting = threading.Lock()  # the killer starts and ends processes, too
        self.away: int | None = None  # a rank that is to be off for a while
        self.actions: dict[str, Callable[[], None]] = {
            "store": self.store, "gather": self.gather, "repair": self.repair, "collect": self.collect,
            "hand-back": self.hand_back, "forget": self.forget}

    # --- actions ---

    def store(self) -> None:
        """New, changed, or the same content again."""
        name = NAME.format(self.story.randrange(2), self.story.randrange(3))
        seed = self.story.randrange(4)
        self.promise.store(name, model([1, 4, 8, 16][seed], seed=seed))

    def gather(self) -> None:
        for path in list(self.promise.owed):
            try:
                lines = self.cluster.gather(path, output=self.cluster.folder / "out")
            except httpx.HTTPError:
                return  # the coordinator was killed
            output = self.cluster.folder / "out"
            assert is_done(lines) or not output.exists()
            output.unlink(missing_ok=True)

    def repair(self) -> None:
        """Of a worker whose disk was lost; with what is left everything is made again."""
        rank = self.story.choice(self.cluster.ranks)
        self.story.tell(f"rank {rank} loses its disk")
        with self.starting:
            self.cluster.lose_disk(rank)
            self.cluster.start_worker(rank)
        self._ask_for_a_repair()

    def hand_back(self) -> None:
        rank = self.story.choice(self.cluster.ranks)
        with self.starting:
            self.away = rank
            self.cluster.workers[rank].kill()
        self.store()
        with self.starting:
            self.away = None
            self.cluster.start_worker(rank)
        self._ask_for_a_repair()

    def collect(self) -> None:
        for rank in self.cluster.ranks:
            try:
                http.post(f"http://127.0.0.1:{self.cluster.proxies[rank].port}/gc", timeout=60)
            except httpx.HTTPError:
                pass  # it was killed

    def forget(self) -> None:
        """One that is there; cut off in the middle it is there or not, and only whole."""
        path = self.story.choice(self.promise.acknowledged() or [None])
        if path is None:
            return
        self.promise.may_be_gone(path)
        try:
            answer = http.delete(f"{self.cluster.url}/checkpoints/{quote(self.cluster.identity(path), safe='')}",
                                 params={"force": "true"}, timeout=60)
        except httpx.HTTPError:
            return
        self.story.tell(f"forget: {answer.status_code}")
        if answer.status_code == 200:
            self.promise.must_stay_gone(path)

    def _ask_for_a_repair(self) -> None:
        """Not to wait for the coordinator's own: it looks every 10 s."""
        try:
            http.post(f"{self.cluster.url}/repair", timeout=120)
        except httpx.HTTPError:
            pass

    # --- a round ---

    def run(self, number: int) -> None:
        action = self.story.choice(list(self.actions))
        watched = self.story.choice(self.cluster.ranks)
        victim = self.story.choice([*self.cluster.ranks, "coordinator", watched, watched])
        step, later = self.story.randrange(STEPS_MAX[action]), self.story.choice([0, 0, 0.01, 0.05])
        self.story.tell(f"round {number}: {action}; to kill {victim} at request {step} of rank {watched}, {later} s later")
        rule = self.cluster.proxies[watched].hold(r"^(?!GET /health)", skip=step)
        is_over = threading.Event()
        killer = threading.Thread(target=self._kill, args=(rule, victim, later, is_over))
        killer.start()
        self.actions[action]()
        is_over.set()
        killer.join()
        self._start_what_was_killed()
        self.promise.check()

    def _kill(self, rule: Rule, victim: int | str, later: float, is_over: threading.Event) -> None:
        while not rule.reached.wait(0.02):
            if is_over.is_set():
                self.story.tell("it ended before that")
                rule.drop()
                return
        time.sleep(later)
        with self.starting:
            process = self.cluster.coordinator if victim == "coordinator" else self.cluster.workers[victim]
            process.kill()
        self.story.tell(f"killed {victim}")
        rule.drop()
        if self.story.random() < 0.5:
            self._start_what_was_killed()

    def _start_what_was_killed(self) -> None:
        with self.starting:
            for rank, worker in list(self.cluster.workers.items()):
                if not worker.is_running() and rank != self.away:
                    self.cluster.start_worker(rank)
            if not self.cluster.coordinator.is_running():
                self.cluster.start_coordinator()


@every_seed(4)
def test_kill_at_any_step_of_anything(make_cluster, seed: int) -> None:
    story = Story(seed)
    cluster = make_cluster(proxied=True, repair_after="5s", collect_after="3s", generations=2)
    rounds = Rounds(cluster, story)
    for first in range(2):
        rounds.promise.must_store(NAME.format(first, 0), model(6, seed=first))
    for number in range(ROUNDS):
        rounds.run(number)
        # A second disk may only go when the first one's copies are there again.
        rounds.promise.wait_safe(150)
    assert not cluster.run("verify").returncode
    rounds.promise.check()
