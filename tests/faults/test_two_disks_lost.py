"""Two disks destroyed at once, which is more than two copies take: what is lost says which shards, all else comes back,
and what is stored again is safe again."""
import shutil

from harness.checkpoints import model
from harness.cluster import Cluster
from harness.promise import Promise
from harness.seeds import Story, every_seed

NAME = "run{}/step_1/model.safetensors"


@every_seed(3)
def test_two_disks_lost_at_once(make_cluster, seed: int) -> None:
    story = Story(seed)
    workers = story.choice([3, 4, 5])
    cluster: Cluster = make_cluster(workers=workers, n_chunks=story.choice([2, 3, workers]))
    promise = Promise(cluster, story)
    contents = {NAME.format(run): model(story.uniform(0.5, 6), seed=seed + run) for run in (1, 2, 3)}
    for name, content in contents.items():
        promise.must_store(name, content)
    lost = story.sample(cluster.ranks, 2)
    story.tell(f"of {workers} workers the disks of {lost} are lost")
    for rank in lost:
        cluster.workers[rank].kill()
        shutil.rmtree(cluster.data(rank))
    for rank in lost:
        cluster.start_worker(rank, "--new")
    promise.check(may_be_lost=True)
    for name, content in contents.items():
        promise.must_store(name, content)
    promise.wait_safe()
    promise.check()
