"""Power cuts of the real program: what was not synced is gone, and nothing that was acknowledged.

The workers run on a shim that remembers what they made durable; after a kill their folders are put back to
that, with some of the rest kept by chance, as real disks do.
"""
import threading
from pathlib import Path

import pytest

from harness.checkpoints import model
from harness.cluster import Cluster
from harness.power_cut import PowerCuts
from harness.promise import Promise
from harness.seeds import Story, every_seed

NAME = "run1/step_{}/model.safetensors"


def start(cluster: Cluster, cuts: PowerCuts) -> None:
    for rank in cluster.ranks:
        cluster.worker_prefixes[rank] = cuts.prefix(cluster.data(rank))
    cluster.start()


def cut_power(cluster: Cluster, cuts: PowerCuts, story: Story, ranks: list[int]) -> None:
    """All at one moment; they are not started again here."""
    for rank in ranks:
        cluster.workers[rank].kill()
    for rank in ranks:
        story.tell(cuts.cut(cluster.data(rank)))


def at_a_request(cluster: Cluster, story: Story, rank: int, most: int) -> threading.Event:
    """Set a moment after one of the first `most` requests to a worker, by chance which, has come to it."""
    number, later = story.randrange(most), story.uniform(0, 0.03)
    rule = cluster.proxies[rank].hold(r"^(?!GET /health)", skip=number)
    reached = threading.Event()

    def wait() -> None:
        if rule.reached.wait(20):
            story.tell(f"at request {number} of rank {rank}: {cluster.proxies[rank].requests[-1].line}")
            rule.release()
            threading.Event().wait(later)
        else:
            rule.end()
        reached.set()

    threading.Thread(target=wait, daemon=True).start()
    return reached


@every_seed(2)
@pytest.mark.parametrize("count", [1, 2])
def test_power_cut_in_a_store(make_cluster, make_power_cuts, seed: int, count: int) -> None:
    story = Story(seed)
    cluster, cuts = make_cluster(start=False, proxied=True), make_power_cuts(story)
    start(cluster, cuts)
    promise = Promise(cluster, story)
    promise.must_store(NAME.format(1), model(6, seed=1))
    ranks = story.sample(cluster.ranks, count)
    moment = at_a_request(cluster, story, ranks[0], 30)
    storing = threading.Thread(target=promise.store, args=(NAME.format(1), model(24, seed=seed + 100)))
    storing.start()
    moment.wait()
    cut_power(cluster, cuts, story, ranks)
    for rank in ranks:
        cluster.start_worker(rank)
    storing.join()
    promise.check()
    promise.must_store(NAME.format(2), model(6, seed=3))
    promise.wait_safe()
    promise.check()


@every_seed(3)
def test_the_power_of_the_whole_house_after_done(make_cluster, make_power_cuts, seed: int) -> None:
    story = Story(seed)
    cluster, cuts = make_cluster(start=False), make_power_cuts(story)
    start(cluster, cuts)
    promise = Promise(cluster, story)
    for step in range(3):
        promise.must_store(NAME.format(step), model(story.uniform(0.1, 12), seed=seed * 10 + step))
    cluster.coordinator.kill()
    cut_power(cluster, cuts, story, cluster.ranks)
    cluster.start()
    promise.check()
    promise.wait_safe()
    lost = story.choice(cluster.ranks)
    cluster.workers[lost].kill()
    story.tell(f"rank {lost} is lost for good")
    promise.check()


@every_seed(2)
def test_the_power_of_the_whole_house_in_a_store(make_cluster, make_power_cuts, seed: int) -> None:
    story = Story(seed)
    cluster, cuts = make_cluster(start=False, proxied=True), make_power_cuts(story)
    start(cluster, cuts)
    promise = Promise(cluster, story)
    promise.must_store(NAME.format(1), model(8, seed=1))
    moment = at_a_request(cluster, story, story.choice(cluster.ranks), 40)
    storing = threading.Thread(target=promise.store, args=(NAME.format(1), model(24, seed=seed + 100)))
    storing.start()
    moment.wait()
    cluster.coordinator.kill()
    cut_power(cluster, cuts, story, cluster.ranks)
    storing.join()
    cluster.start()
    promise.check()
    promise.must_store(NAME.format(1), model(24, seed=seed + 100))
    promise.wait_safe()
    promise.check()


@every_seed(2)
def test_power_cut_in_a_repair(make_cluster, make_power_cuts, seed: int) -> None:
    """Of the worker that gets its copies back, of one that gives them, or of both."""
    story = Story(seed)
    cluster, cuts = make_cluster(start=False, proxied=True), make_power_cuts(story)
    start(cluster, cuts)
    promise = Promise(cluster, story)
    promise.must_store(NAME.format(1), model(40, seed=seed))
    target = story.choice(cluster.ranks)
    cluster.workers[target].kill()
    cuts.destroy(cluster.data(target))
    moment = at_a_request(cluster, story, target, 12)
    cluster.start_worker(target)
    moment.wait()
    victims = story.choice([[target], [target % 4 + 1], [target, target % 4 + 1]])
    cut_power(cluster, cuts, story, victims)
    for rank in victims:
        cluster.start_worker(rank)
    promise.wait_safe()
    promise.check()


@every_seed(2)
def test_power_cut_in_a_collection(make_cluster, make_power_cuts, seed: int) -> None:
    """What a newer generation replaced goes; the newest stays whole wherever the cut falls."""
    story = Story(seed)
    cluster, cuts = make_cluster(start=False, proxied=True, collect_after="1s"), make_power_cuts(story)
    start(cluster, cuts)
    promise = Promise(cluster, story)
    for step in range(4):
        promise.must_store(NAME.format(1), model(8, seed=seed * 10 + step))
    rank = story.choice(cluster.ranks)
    moment = at_a_request(cluster, story, rank, 25)
    moment.wait(15)
    victims = story.sample(cluster.ranks, 2) if story.random() < 0.5 else [rank]
    cut_power(cluster, cuts, story, victims)
    for each in victims:
        cluster.start_worker(each)
    promise.check()
    promise.wait_safe()
    promise.check()


@every_seed(1)
def test_power_cut_in_a_gather(make_cluster, make_power_cuts, seed: int) -> None:
    """Of the coordinator: what said `Done: saved` is on its disk, and under a name is never half a file."""
    story = Story(seed)
    cluster, cuts = make_cluster(start=False, proxied=True), make_power_cuts(story, sync_us=20_000)
    cluster.prefix = cuts.prefix(cluster.ckpt_root)
    cluster.start()
    promise = Promise(cluster, story)
    path, content = promise.must_store(NAME.format(1), model(24, seed=seed)), model(24, seed=seed)
    merged = path.with_name("merged.safetensors")
    for _ in range(3):
        moment = at_a_request(cluster, story, story.choice(cluster.ranks), 12)
        gathering = threading.Thread(target=gather, args=(cluster, path, story))
        gathering.start()
        moment.wait()
        cluster.coordinator.kill()
        gathering.join()
        story.tell(cuts.cut(cluster.ckpt_root))
        assert not merged.exists() or merged.read_bytes() == content
        merged.unlink(missing_ok=True)
        cluster.start_coordinator()
    assert gather(cluster, path, story)
    cluster.coordinator.kill()
    story.tell(cuts.cut(cluster.ckpt_root))
    assert merged.read_bytes() == content
    cluster.start_coordinator()
    promise.check()


def gather(cluster: Cluster, path: Path, story: Story) -> bool:
    try:
        lines = cluster.gather(path)
    except Exception as error:  # the coordinator was killed
        lines = [repr(error)]
    story.tell(f"gather: {lines[-1]}")
    return lines[-1].startswith("Done:")


@pytest.mark.parametrize("lies", ["all", "files", "folders"])
def test_a_disk_that_lies_about_syncs_is_caught_by_these_tests(make_cluster, make_power_cuts, lies: str) -> None:
    """The tests above can fail: where syncs do nothing, a power cut does lose what was acknowledged."""
    story = Story(1)
    cluster, cuts = make_cluster(start=False), make_power_cuts(story, lies=lies)
    start(cluster, cuts)
    promise = Promise(cluster, story)
    promise.must_store(NAME.format(1), model(4, seed=1))
    cluster.coordinator.kill()
    for rank in cluster.ranks:
        cluster.workers[rank].kill()
        story.tell(cuts.cut(cluster.data(rank), luck=0))
    cluster.start()
    with pytest.raises(AssertionError, match="was acknowledged and does not come back"):
        promise.check()
