"""Links that are cut, half-open, slow or lossy, on machines with a network each."""
import shutil
import threading

import pytest

from harness.checkpoints import model
from harness.lab_cluster import LabCluster
from harness.promise import Promise
from harness.seeds import Story, every_seed
from harness.waiting import wait_until

NAME = "run1/step_{}/model.safetensors"
FAULTS = ["cut", "half_open_to_the_coordinator", "half_open_from_the_coordinator", "half_open_between_workers", "slow"]


def start(make_lab_cluster, story: Story, **config: object) -> tuple[LabCluster, Promise]:
    cluster: LabCluster = make_lab_cluster(4)
    cluster.config |= {"n_chunks": 4, "repair_after": "5s", **config}
    cluster.start()
    return cluster, Promise(cluster, story)


def break_link(cluster: LabCluster, story: Story, rank: int, fault: str) -> None:
    lab, name, neighbour = cluster.lab, f"w{rank}", f"w{rank % 4 + 1}"
    story.tell(f"{fault}: {name}")
    if fault == "cut":
        lab.cut(name)
    elif fault == "slow":
        lab.slow(name, 8)
    elif fault == "half_open_to_the_coordinator":
        lab.cut_towards(name, "coord")
    elif fault == "half_open_from_the_coordinator":
        lab.cut_towards("coord", name)
    else:
        lab.cut_towards(name, neighbour)


def heal_link(cluster: LabCluster, rank: int, fault: str) -> None:
    lab, name, neighbour = cluster.lab, f"w{rank}", f"w{rank % 4 + 1}"
    if fault == "cut":
        lab.heal(name)
    elif fault == "slow":
        lab.slow(name, 1000)
    elif fault == "half_open_to_the_coordinator":
        lab.heal_towards(name, "coord")
    elif fault == "half_open_from_the_coordinator":
        lab.heal_towards("coord", name)
    else:
        lab.heal_towards(name, neighbour)


@every_seed(1)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_bad_link_in_a_store_and_a_gather(make_lab_cluster, fault: str, seed: int) -> None:
    story = Story(seed)
    cluster, promise = start(make_lab_cluster, story)
    promise.must_store(NAME.format(1), model(6, seed=1))
    rank = story.choice(cluster.ranks)
    moment = threading.Timer(story.uniform(0, 0.3), break_link, (cluster, story, rank, fault))
    moment.start()
    promise.must_store(NAME.format(1), model(16, seed=seed + 10))
    moment.join()
    promise.check()
    heal_link(cluster, rank, fault)
    promise.wait_safe()
    promise.check()


@every_seed(1)
def test_a_bad_link_in_a_repair(make_lab_cluster, seed: int) -> None:
    """Of the worker that gets its copies back, or of one that gives them."""
    story = Story(seed)
    cluster, promise = start(make_lab_cluster, story)
    promise.must_store(NAME.format(1), model(40, seed=seed))
    target = story.choice(cluster.ranks)
    worker = next(process for process in cluster.processes if process.name == f"worker_{target}")
    worker.kill()
    shutil.rmtree(cluster.data(target))
    rank, fault = story.choice([target, target % 4 + 1]), story.choice(FAULTS)
    cluster.start_worker(target)
    wait_until(lambda: list(cluster.data(target).glob("chunks/*/*")), "the repair has begun", 60)
    break_link(cluster, story, rank, fault)
    promise.check(may_be_lost=True)
    heal_link(cluster, rank, fault)
    promise.wait_safe(150)
    promise.check()


@every_seed(1)
def test_every_link_loses_packets(make_lab_cluster, seed: int) -> None:
    story = Story(seed)
    cluster, promise = start(make_lab_cluster, story)
    promise.must_store(NAME.format(1), model(4, seed=seed))
    loss, delay = story.uniform(0.01, 0.05), story.uniform(0.001, 0.01)
    cluster.lab.make_lossy(loss, delay)
    story.tell(f"{loss:.1%} of the packets are lost, the others {delay * 1000:.0f} ms late")
    promise.must_store(NAME.format(2), model(8, seed=seed + 10))
    promise.check()
    promise.wait_safe()
