"""The lab's network: tests' netlab with cables of a rate, and packets that are late or lost.

Both directions of a cable are shaped by tbf, each at its sending end: the host's eth0 and the switch's
port. 24 bytes a frame are added for preamble, checksum and gap, so that a full frame costs the 1538 bytes
of real Ethernet and one TCP stream carries 1448/1538 = 94.1 % of the rate. Segmentation offload is off and
TCP makes no super-frames: the shaper must see frames as they are on a wire, or it counts too little. The kernel
then does by the frame what a network card does in hardware, and at 1 Gb/s that takes all of two cores for two
streams. Cable.super_frames measures without it: up to 64 KiB are charged the head of one frame, so more than
94.1 % is carried; what is measured beside, one TCP stream's goodput, is of the same cable.
Where packets are delayed or lost, a relay (far_cable.py) sits between each cable and the switch.
"""
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from harness.netlab import Netlab

WIRE_OVERHEAD = 24           # bytes a frame: 8 preamble, 4 checksum, 12 gap
HOST_QUEUE_MS = 100          # about a txqueuelen of 1000 frames at 100 Mb/s
PORT_QUEUE_BYTES = 256 * 1024  # what a small switch has for one port
PORT_QUEUE_SECONDS = 0.005   # ... and never less than this at the port's rate
BURST_SECONDS = 0.004        # a timer's tick
CONGESTION_CONTROL = "cubic"  # Debian's default, whatever this machine has
RELAY = Path(__file__).with_name("far_cable.py")


@dataclass(frozen=True)
class Cable:
    mbit: float = 100         # 0: not shaped
    loss_percent: float = 0   # of the packets, in each direction
    delay_ms: float = 0       # there and back
    super_frames: bool = False  # TCP hands over up to 64 KiB at once, as to a network card that cuts them

    @property
    def bytes_per_second(self) -> float:
        return self.mbit * 1e6 / 8

    def __str__(self) -> str:
        rate = f"{self.mbit:g} Mb/s" if self.mbit else "unshaped"
        if self.loss_percent or self.delay_ms:
            rate += f", {self.loss_percent:g} % loss, {self.delay_ms:g} ms"
        if self.super_frames:
            rate += ", super-frames"
        return rate


class Lab(Netlab):
    """`coord` and `w1`, `w2`, …, each with a cable of this kind."""

    def __init__(self, workers: int, cable: Cable):
        if os.geteuid() != 0:
            sys.exit("the lab makes network namespaces, which only root may")
        self.workers = [f"w{number}" for number in range(1, workers + 1)]
        self.cable = cable
        super().__init__("coord", *self.workers)
        try:
            for name, host in self.hosts.items():
                host.ip(f"route replace 10.77.0.0/24 dev eth0 src {host.address} congctl {CONGESTION_CONTROL}")
                self.lay(name, cable)
            if cable.loss_percent or cable.delay_ms:
                self._make_far(cable)
        except BaseException:
            self.close()
            raise

    def lay(self, name: str, cable: Cable) -> None:
        """Gives the host this cable instead of the one it has."""
        cuts = bool(cable.mbit) and not cable.super_frames
        limit = int(max(PORT_QUEUE_BYTES, cable.bytes_per_second * PORT_QUEUE_SECONDS))
        for where, device, queue in [
                (self.host(name), "eth0", ["latency", f"{HOST_QUEUE_MS}ms"]),
                (self.switch, name, ["limit", str(limit)])]:
            where.run(["tc", "qdisc", "del", "dev", device, "root"], check=False)
            offload = "off" if cuts else "on"
            where.run(["ethtool", "-K", device, "tso", offload, "gso", offload, "gro", offload])
            where.ip(f"link set {device} gso_max_segs {1 if cuts else 65535}")
            if cable.mbit:
                burst = int(max(6000, cable.bytes_per_second * BURST_SECONDS))
                where.run(["tc", "qdisc", "add", "dev", device, "root", "stab", "overhead", str(WIRE_OVERHEAD),
                           "linklayer", "ethernet", "tbf", "rate", f"{cable.mbit}mbit", "burst", str(burst), *queue])

    def _make_far(self, cable: Cable) -> None:
        """Half of the delay on the way there, half on the way back; it ends with the switch."""
        for name in self.hosts:  # the relay sees whole frames, with their checksums
            self.host(name).run(["ethtool", "-K", "eth0", "tx", "off"])
        relay = subprocess.Popen(
            [*self.switch.prefix, "/usr/bin/python3", str(RELAY), str(cable.delay_ms / 2000),
             str(cable.loss_percent / 100), *self.hosts], stdout=subprocess.PIPE, text=True)
        assert relay.stdout.readline() == "ready\n", "the relay does not start"
        for name in self.hosts:
            self.switch.ip(f"link set {name} nomaster", f"link set {name}-far master br0 up")

    def start_receiver(self, name: str) -> subprocess.Popen:
        """iperf3 on that host, for one client; it ends with it."""
        server = self.host(name).popen(["iperf3", "--server", "--one-off", "--forceflush"], stdout=subprocess.PIPE, text=True)
        while "Server listening" not in server.stdout.readline():
            assert server.poll() is None, "iperf3 does not start"
        return server

    def goodput(self, sender: str, receiver: str, seconds: int) -> float:
        """Bytes a second that one TCP stream carries, measured by iperf3 after its first second."""
        server = self.start_receiver(receiver)
        answer = self.host(sender).run(
            ["iperf3", "--client", self.host(receiver).address, "--time", str(seconds), "--omit", "1",
             "--json"], seconds=seconds + 30)
        server.communicate()
        return json.loads(answer.stdout)["end"]["sum_received"]["bits_per_second"] / 8

    def carried(self) -> dict[str, tuple[int, int]]:
        """Of each host's cable, the bytes it has sent and received so far, frames' heads included."""
        lines = Path(f"/proc/{self.switch.pid}/net/dev").read_text().splitlines()[2:]
        fields = {name.strip(): row.split() for name, row in (line.split(":") for line in lines)}
        return {name: (int(fields[name][0]), int(fields[name][8])) for name in self.hosts}
