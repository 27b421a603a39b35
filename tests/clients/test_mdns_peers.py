"""Independent peers of our mDNS: avahi-browse, avahi-publish and a running avahi-daemon."""
import json
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Iterator

import pytest

from harness.binary import GROVE
from harness.lab_cluster import LabCluster
from harness.netlab import Host, Netlab
from harness.waiting import wait_until

MDNS_GROUP, MDNS_PORT = "224.0.0.251", 5353


def start_avahi(host: Host, log_folder) -> None:
    """The system's bus and avahi-daemon, in the host's own /run."""
    host.run(["mkdir", "-p", "/run/dbus", "/run/avahi-daemon"])
    host.run(["chown", "avahi:avahi", "/run/avahi-daemon"])
    host.run(["dbus-daemon", "--system", "--fork", "--nopidfile"])
    daemon = host.start("avahi-daemon", ["avahi-daemon", "--no-drop-root", "--no-chroot",
                                         "--no-rlimits"], log_folder / f"avahi_{host.name}.log")
    daemon.wait_for_log("Server startup complete")


@pytest.fixture
def lab_cluster(make_netlab, tmp_path) -> Iterator[LabCluster]:
    """Two workers; an avahi-daemon on the first one's host and on a host of its own, `peer`."""
    lab: Netlab = make_netlab("coord", "w1", "w2", "peer")
    for name in ("w1", "peer"):
        start_avahi(lab.host(name), tmp_path)
    yield LabCluster(lab, tmp_path, 2)


def browse(host: Host, service: str = "_smoltorrent._tcp") -> list[list[str]]:
    """avahi-browse's resolved rows: interface, family, name, type, domain, host, address, port, txt."""
    # It waits for ever where a service goes while it is resolved; told to end, it has said the rest.
    done = host.run(["timeout", "5", "avahi-browse", "--resolve", "--terminate", "--parsable",
                     service], check=False)
    return [line.split(";")[1:] for line in done.stdout.splitlines() if line.startswith("=")]


def test_avahi_browse_sees_our_workers_until_they_stop(lab_cluster: LabCluster):
    lab_cluster.write_config()
    workers = {rank: lab_cluster.start_worker(rank) for rank in (1, 2)}
    peer = lab_cluster.lab.host("peer")

    def found() -> dict[str, list[str]]:
        return {row[5]: row for row in browse(peer) if row[1] == "IPv4"}
    wait_until(lambda: len(found()) == 2, "avahi-browse sees both")
    for rank in (1, 2):
        row = found()[f"grove-w{rank}-{5000 + rank}.local"]
        assert row[6:8] == [lab_cluster.lab.host(f"w{rank}").address, str(5000 + rank)]
        assert f'"rank={rank}"' in row[8] and f'"host=w{rank}"' in row[8]
        identity = json.loads((lab_cluster.data(rank) / "identity.json").read_text())
        assert f'"id={identity["id"]}"' in row[8]

    # The daemon on the worker's own host has kept its name and its address.
    own = lab_cluster.lab.host("w1").run(["avahi-resolve", "-n", "-4", "w1.local"]).stdout
    assert own.split() == ["w1.local", lab_cluster.lab.host("w1").address]
    log = (lab_cluster.folder / "avahi_w1.log").read_text()
    assert "conflict" not in log.lower()

    workers[1].send(signal.SIGTERM)
    wait_until(lambda: set(found()) == {"grove-w2-5002.local"}, "its goodbye has been heard")


def test_a_service_of_avahi_publish_is_found_only_if_it_answers(lab_cluster: LabCluster):
    cluster = lab_cluster
    cluster.write_config()
    cluster.start_worker(1)
    quiet = cluster.start_on("w2", "quiet", "worker", "--rank", "2", "--new", "--no-announce",
                             "--config", str(cluster.config_path), "--data", str(cluster.data(2)))
    quiet.wait_for_log("listening on")
    cluster.start_coordinator()
    assert cluster.rows(timeout=2) == [cluster.row(1)]

    # The peer speaks for the quiet worker, and for one that does not exist.
    peer = cluster.lab.host("peer")
    peer.start("publish host", ["avahi-publish", "-a", "quiet.local",
                                cluster.lab.host("w2").address], cluster.folder / "publish_a.log"
               ).wait_for_log("Established")
    for name, port in (("quiet", "5002"), ("dead", "5999")):
        peer.start(f"publish {name}", ["avahi-publish", "-s", "-H", "quiet.local", name,
                                       "_smoltorrent._tcp", port, "rank=2", "host=w2"],
                   cluster.folder / f"publish_{name}.log").wait_for_log("Established")
    wait_until(lambda: cluster.rows(timeout=3) == [cluster.row(1), cluster.row(2)],
               "the quiet worker is found through avahi-publish")


def test_the_dns_sd_variant_keeps_the_contract_beside_avahi_daemon(make_netlab, tmp_path):
    """The suite of our own responder, on the implementation that macOS would use."""
    program = GROVE.parent / "mdns_dnssd_test"
    if not program.exists():
        pytest.skip(f"{program} is not there: the build found no libavahi-compat-libdnssd-dev")
    host = make_netlab("mac").host("mac")
    start_avahi(host, tmp_path)
    assert "[  PASSED  ] 10 tests" in host.run([program, "--gtest_brief=1"]).stdout


def dns_name(dotted: str) -> bytes:
    labels = dotted.encode().split(b".")
    return b"".join(bytes([len(label)]) + label for label in labels if label) + b"\0"


def record(name: bytes, kind: int, data: bytes) -> bytes:
    return name + struct.pack(">HHIH", kind, 1, 120, len(data)) + data


def fake_service(number: int, address: str) -> bytes:
    """A response that announces a worker of the config where nobody is."""
    service, target = dns_name("_smoltorrent._tcp.local"), dns_name(f"fake-{number}.local")
    instance = bytes([9]) + f"fake {number:04}".encode() + service
    records = [record(service, 12, instance),
               record(instance, 33, struct.pack(">HHH", 0, 0, 1000 + number) + target),
               record(instance, 16, b"\x06rank=1\x07host=w1"),
               record(target, 1, socket.inet_aton(address))]
    return struct.pack(">6H", 0, 0x8400, 0, len(records), 0, 0) + b"".join(records)


SEND_ALL = """
import socket, sys
packets = [bytes.fromhex(line) for line in sys.stdin.read().split()]
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sender.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
sender.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 255)
sender.bind(("", 5353))
for packet in packets:
    sender.sendto(packet, ("224.0.0.251", 5353))
"""


def test_a_thousand_fake_services_and_malformed_packets_do_no_harm(make_netlab, tmp_path):
    cluster = LabCluster(make_netlab("coord", "w1", "w2", "evil"), tmp_path, 2).start()
    malformed = [b"", b"\0", b"\xff" * 600, fake_service(1, "10.77.0.4")[:60],
                 struct.pack(">6H", 0, 0x8400, 0, 0xFFFF, 0, 0) + b"\xc0\x0c" * 20,
                 struct.pack(">6H", 0, 0x8400, 0, 1, 0, 0)
                 + record(dns_name("_smoltorrent._tcp.local"), 16, b"\xffx" * 4000),
                 struct.pack(">6H", 0, 0x8400, 0, 1, 0, 0)
                 + record(dns_name("grove-w1-5001.local"), 5, dns_name("grove-w1-5001.local"))]
    packets = [*malformed, *(fake_service(number, f"10.77.0.{number % 200 + 50}")
                             for number in range(1000)), *malformed]
    scan = cluster.coordinator.popen(["curl", "-s", "http://127.0.0.1:8000/discover?timeout=10"],
                                     stdout=subprocess.PIPE, text=True)
    cluster.lab.host("evil").run(["/usr/bin/python3", "-c", SEND_ALL],
                                 input="\n".join(packet.hex() for packet in packets))
    began = time.monotonic()
    rows = json.loads(scan.communicate(timeout=30)[0])["workers"]
    assert time.monotonic() - began < 7, "the fakes hold up nobody for long"
    assert [row["rank"] for row in rows] == [1, 2]
    assert cluster.rows() == [cluster.row(1), cluster.row(2)]
    for process in cluster.processes:
        assert process.is_running(), process.text()
        resident = next(line for line in open(f"/proc/{process.pid}/status")
                        if line.startswith("VmRSS"))
        assert int(resident.split()[1]) < 100_000, f"{process.name}: {resident}"
