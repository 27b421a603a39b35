"""Workers that lie: other bytes than were asked for, what they do not have, acknowledged and dropped, another rank."""
import json

import pytest

from harness.checkpoints import model
from harness.cluster import Cluster
from harness.http import http
from harness.lines import is_done, matches
from harness.promise import Promise
from harness.proxy import Rule
from harness.seeds import Story, every_seed

NAME = "run1/step_{}/model.safetensors"
ALWAYS = 1 << 30


def start(make_cluster, seed: int, megabytes: float = 12) -> tuple[Story, Cluster, Promise, int]:
    story = Story(seed)
    cluster = make_cluster(proxied=True)
    promise = Promise(cluster, story)
    promise.must_store(NAME.format(1), model(megabytes, seed=seed))
    liar = story.choice(cluster.ranks)
    story.tell(f"rank {liar} lies from now on")
    return story, cluster, promise, liar


def stop_lying(rules: list[Rule]) -> None:
    for rule in rules:
        rule.end()


@every_seed(1)
@pytest.mark.parametrize("lie", ["a_flipped_bit", "another_sound_chunk", "nothing"])
def test_wrong_bytes_are_never_taken(make_cluster, lie: str, seed: int) -> None:
    story, cluster, promise, liar = start(make_cluster, seed)
    proxy = cluster.proxies[liar]
    if lie == "a_flipped_bit":
        rule = proxy.flip_answer(r"^GET /chunks/", story.randrange(1 << 22), times=ALWAYS)
    else:
        # Sound by its own checksum, of the same length as the others of its tensors, and not what was asked for.
        other = max(cluster.chunk_files(liar).values(), key=lambda file: file.stat().st_size).read_bytes()
        rule = proxy.answer(r"^GET /chunks/", 200, other if lie != "nothing" else b"", "application/octet-stream",
                            times=ALWAYS)
    promise.check()
    # A replica that pulls from the liar, and a repair that does, take nothing wrong either.
    promise.must_store(NAME.format(2), model(8, seed=seed + 50))
    victim = liar % 4 + 1
    cluster.lose_disk(victim)
    cluster.start_worker(victim)
    promise.check(may_be_lost=True)  # one disk is lost, and the other copy is the liar's
    stop_lying([rule])
    promise.wait_safe()
    cluster.workers[liar].kill()
    promise.check()


@every_seed(1)
def test_a_worker_that_says_it_has_everything(make_cluster, seed: int) -> None:
    """It is found out when its ref is written: the chunks it claimed are sent after all."""
    story, cluster, promise, liar = start(make_cluster, seed)
    rule = cluster.proxies[liar].answer(r"^POST /chunks/missing", 200, json.dumps({"missing": []}).encode(), times=ALWAYS)
    promise.must_store(NAME.format(2), model(12, seed=seed + 50))
    story.tell(f"it has lied {rule.seen} times")
    promise.check()
    for rank in cluster.ranks:
        if rank != liar:
            cluster.workers[rank].kill()
            promise.check()
            cluster.start_worker(rank)
    stop_lying([rule])
    promise.wait_safe()


@every_seed(1)
@pytest.mark.parametrize("what", [r"^PUT /chunks/", r"^(PUT /chunks/|POST /sync)", r"^(PUT|POST /sync)"],
                         ids=["chunks", "and_syncs", "and_refs"])
def test_a_worker_that_acknowledges_and_drops(make_cluster, what: str, seed: int) -> None:
    """Dropped chunks are found out when the ref is written. A worker that drops the ref too cannot be found out by
    the store; but the next look at what it holds does, and the other copy is there."""
    story, cluster, promise, liar = start(make_cluster, seed)
    rule = cluster.proxies[liar].answer(what, 204, times=ALWAYS)
    done = promise.store(NAME.format(2), model(12, seed=seed + 50))
    lines = promise.owed[cluster.ckpt_root / NAME.format(2)].lines
    if "refs" not in what and done:
        # Said only because others have all that it dropped.
        newest = max(generation for _, generation, _ in cluster.refs(cluster.ckpt_root / NAME.format(2)))
        kept = {(name, rank) for rank, _, name in cluster.refs(cluster.ckpt_root / NAME.format(2), newest)}
        assert all(sum(each == str(shard) for each, _ in kept) >= 2 for shard in range(4)), "\n".join(lines)
    promise.check()
    stop_lying([rule])
    promise.wait_safe()
    for rank in cluster.ranks:
        cluster.workers[rank].kill()
        promise.check()
        cluster.start_worker(rank)


@every_seed(1)
def test_a_worker_that_claims_refs_it_has_not(make_cluster, seed: int) -> None:
    """Its disk is new, and it tells the inventory of the old one: a gather does without it, and when it tells the
    truth again it gets its copies back."""
    story, cluster, promise, liar = start(make_cluster, seed)
    inventory = http.get(f"{cluster.worker_url(liar)}/refs", timeout=10).content
    cluster.lose_disk(liar)
    cluster.start_worker(liar)
    rule = cluster.proxies[liar].answer(r"^GET /refs", 200, inventory, times=ALWAYS)
    promise.check()
    promise.must_store(NAME.format(2), model(4, seed=seed + 50))
    promise.check()
    stop_lying([rule])
    cluster.run("verify")
    promise.wait_safe()
    cluster.workers[liar % 4 + 1].kill()
    promise.check()


@every_seed(1)
def test_addresses_swapped_in_a_repair(make_cluster, seed: int) -> None:
    """As DHCP may: two workers change places while copies are made. Nothing lands on the wrong machine."""
    story = Story(seed)
    cluster = make_cluster(proxied=True)
    promise = Promise(cluster, story)
    path = promise.must_store(NAME.format(1), model(48, seed=seed))
    target = story.choice(cluster.ranks)
    other = story.choice([rank for rank in cluster.ranks if rank != target])
    cluster.lose_disk(target)
    rule = cluster.proxies[target].hold(r"^POST /pull", skip=story.randrange(3))
    cluster.start_worker(target)
    rule.wait_reached(60)
    swap(cluster, target, other)
    story.tell(f"rank {target} and rank {other} have changed places")
    rule.drop()
    promise.check(may_be_lost=True)  # two workers are not where they are looked for
    for rank in (target, other):
        strangers = {name for holder, _, name in cluster.refs(path) if holder == rank and name != "manifest"
                     and rank not in (int(name) % 4 + 1, (int(name) + 1) % 4 + 1)}
        assert not strangers, f"rank {rank} was given the shards {strangers} of another"
    swap(cluster, target, other)
    promise.wait_safe()
    promise.check()
    lines = cluster.gather(path, output=cluster.folder / "back")
    assert is_done(lines) and not matches(lines, "replica"), "\n".join(lines)


def swap(cluster: Cluster, first: int, second: int) -> None:
    proxies = cluster.proxies[first], cluster.proxies[second]
    proxies[0].target_port, proxies[1].target_port = proxies[1].target_port, proxies[0].target_port
    for proxy in proxies:
        proxy.cut_all()
