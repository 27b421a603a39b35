"""A worker that hangs (SIGSTOP) at any step of a repair or a hand-back: others go on, and nothing is lost."""

from harness.checkpoints import model
from harness.cluster import Cluster
from harness.promise import Promise
from harness.seeds import Story, every_seed

NAME = "run1/step_{}/model.safetensors"
TARGET_STEPS = [r"^GET /refs", r"^POST /chunks/missing", r"^POST /pull", r"^POST /sync", r"^PUT /shardlists/",
                r"^PUT /refs/[^?]*/\d", r"^PUT /manifests/", r"^PUT /refs/[^?]*/manifest"]
SOURCE_STEPS = [r"^GET /refs", r"^GET /chunks/"]
HOLDER_STEPS = [r"^GET /refs", r"^DELETE /refs/"]


def hang_at(cluster: Cluster, story: Story, rank: int, step: str) -> None:
    """Returns when the worker hangs there."""
    rule = cluster.proxies[rank].hold(step, times=1)
    rule.wait_reached(90)
    cluster.workers[rank].pause()
    story.tell(f"rank {rank} hangs at {step}")
    rule.release()


def goes_on_without(cluster: Cluster, promise: Promise, rank: int, may_be_lost: bool = False) -> None:
    promise.check(may_be_lost)
    promise.must_store(NAME.format(9), model(2, seed=9))
    cluster.workers[rank].resume()
    promise.story.tell(f"rank {rank} wakes up")
    promise.wait_safe(120)
    promise.check()


@every_seed(2)
def test_hung_in_a_repair(make_cluster, seed: int) -> None:
    story = Story(seed)
    cluster = make_cluster(proxied=True, repair_after="3s")
    promise = Promise(cluster, story)
    promise.must_store(NAME.format(1), model(40, seed=seed))
    target = story.choice(cluster.ranks)
    hung, step = story.choice([(target, each) for each in TARGET_STEPS]
                              + [(target % 4 + 1, each) for each in SOURCE_STEPS])
    cluster.lose_disk(target)
    cluster.start_worker(target)
    hang_at(cluster, story, hung, step)
    # A source that hangs, and a disk that was lost: that may be both copies of a shard.
    goes_on_without(cluster, promise, hung, may_be_lost=hung != target)
    for other in (target % 4 + 1, (target + 2) % 4 + 1):
        cluster.workers[other].kill()
        promise.check()
        cluster.start_worker(other)


@every_seed(2)
def test_hung_when_copies_go_home(make_cluster, seed: int) -> None:
    """The worker that gets its copies back, or a stand-in that is to drop them."""
    story = Story(seed)
    cluster = make_cluster(proxied=True, repair_after="3s")
    promise = Promise(cluster, story)
    away = story.choice(cluster.ranks)
    cluster.workers[away].kill()
    path = promise.must_store(NAME.format(1), model(20, seed=seed))
    ring = {(str(shard), (shard + round) % 4 + 1) for shard in range(4) for round in range(2)}
    stand_ins = sorted({rank for rank, _, name in cluster.refs(path) if name != "manifest" and (name, rank) not in ring})
    hung, step = story.choice([(away, each) for each in TARGET_STEPS]
                              + [(rank, each) for rank in stand_ins for each in HOLDER_STEPS])
    cluster.start_worker(away)
    hang_at(cluster, story, hung, step)
    goes_on_without(cluster, promise, hung)
    cluster.workers[story.choice(cluster.ranks)].kill()
    promise.check()
