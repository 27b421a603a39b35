"""grove and its rivals, each as the commands that store a file and get it back.

All run at once in one lab and wait; those of a rival are started on the hosts that keep its copies. `store` and
`gather` return commands for the coordinator's host that are run side by side.
"""
import shutil
import subprocess
from pathlib import Path

from harness.binary import GROVE
from harness.lab_cluster import LabCluster
from harness.process import Process
from harness.waiting import wait_until
from lab.cables import Lab

Commands = list[list[str | Path]]


class Contender:
    """`name` stands in the tables, `note` says what the row does not show."""

    name = ""
    note = ""
    needs = ""  # the program it cannot be without
    programs: tuple[str, ...] = ()  # whose memory counts, as the kernel names them (15 letters)

    def __init__(self, lab: Lab, folder: Path, disks: Path):
        self.lab, self.folder, self.disks = lab, folder / self.name.split()[0], disks / self.name.split()[0]
        self.daemons: list[Process] = []
        self.folder.mkdir(parents=True)
        self.disks.mkdir(parents=True)

    @classmethod
    def is_here(cls) -> bool:
        return shutil.which(cls.needs) is not None

    def daemon(self, host: str, command: list[str | Path], ready: str) -> None:
        log = self.folder / f"{host}.log"
        self.daemons.append(self.lab.host(host).start(f"{self.name} on {host}", [*map(str, command)], log))
        self.daemons[-1].wait_for_log(ready) if ready else None

    def store(self, path: Path) -> Commands:
        raise NotImplementedError

    def gather(self, path: Path, output: Path) -> Commands:
        raise NotImplementedError

    def forget(self) -> None:
        """Drops what the coordinator's host has in memory of the files."""

    def close(self) -> None:
        for daemon in reversed(self.daemons):
            daemon.kill()
        shutil.rmtree(self.disks, ignore_errors=True)


class Grove(Contender):
    name = "grove"
    note = "two copies of every shard, durable"
    programs = ("grove",)

    def __init__(self, lab: Lab, folder: Path, disks: Path, **config: object):
        super().__init__(lab, folder, disks)
        self.cluster = LabCluster(lab, self.folder, len(lab.workers), self.disks,
                                  ckpt_root=str(folder / "checkpoints"), **config)
        self.cluster.start()
        self.daemons = self.cluster.processes

    def command(self, verb: str, path: Path, *options: str | Path) -> list[str | Path]:
        return [GROVE, verb, "--config", self.cluster.config_path, "--ckpt-path", path, *options]

    def store(self, path: Path) -> Commands:
        return [self.command("store", path)]

    def gather(self, path: Path, output: Path) -> Commands:
        return [self.command("gather", path, "--output", output)]


def stored_as(path: Path) -> str:
    return f"{path.parent.name}-{path.name}"


class OnTwoHosts(Contender):
    """A server on each of two hosts; a file goes to both at once and comes back from one."""

    hosts = ("w1", "w2")
    ready = ""  # what a server's log says when it is

    def __init__(self, lab: Lab, folder: Path, disks: Path):
        super().__init__(lab, folder, disks)
        for host in self.hosts:
            (self.disks / host).mkdir()
            self.daemon(host, self.server(host), self.ready)

    def server(self, host: str) -> list[str | Path]:
        raise NotImplementedError

    def place(self, host: str, path: Path) -> str:
        raise NotImplementedError

    def copy(self, host: str, *places: str | Path) -> list[str | Path]:
        raise NotImplementedError

    def store(self, path: Path) -> Commands:
        return [self.copy(host, path, self.place(host, path)) for host in self.hosts]

    def gather(self, path: Path, output: Path) -> Commands:
        return [self.copy(self.hosts[0], self.place(self.hosts[0], path), output)]


class Rsync(OnTwoHosts):
    name = "rsync"
    note = "to the daemons of two hosts at once, `--fsync`; back from one"
    needs = "rsync"
    programs = ("rsync",)
    ready = "starting"

    def server(self, host: str) -> list[str | Path]:
        config = self.folder / f"{host}.conf"
        config.write_text("uid = 0\ngid = 0\nuse chroot = no\nreverse lookup = no\nlog file = /dev/stderr\n"
                          f"[data]\npath = {self.disks / host}\nread only = no\n")
        return ["rsync", "--daemon", "--no-detach", f"--config={config}"]

    def place(self, host: str, path: Path) -> str:
        return f"rsync://{self.lab.host(host).address}/data/{stored_as(path)}"

    def copy(self, host: str, *places: str | Path) -> list[str | Path]:
        return ["rsync", "--fsync", *places]


class Rclone(OnTwoHosts):
    name = "rclone"
    note = "`rclone serve webdav` on two hosts at once, not synced to disk; back from one"
    needs = "rclone"
    programs = ("rclone",)
    ready = "Serving|serving|started"

    def server(self, host: str) -> list[str | Path]:
        return ["rclone", "serve", "webdav", self.disks / host, "--config", "/dev/null",
                "--addr", f"{self.lab.host(host).address}:8080", "--verbose"]

    def place(self, host: str, path: Path) -> str:
        return f":webdav:{stored_as(path)}"

    def copy(self, host: str, *places: str | Path) -> list[str | Path]:
        return ["rclone", "copyto", "--config", "/dev/null", "--webdav-url",
                f"http://{self.lab.host(host).address}:8080", *places]


class Restic(Contender):
    name = "restic"
    note = "ONE copy, encrypted, over sftp without ssh's cipher"
    needs = "restic"
    programs = ("restic", "sftp-server")

    def __init__(self, lab: Lab, folder: Path, disks: Path):
        super().__init__(lab, folder, disks)
        self.password = self.folder / "password"
        self.password.write_text("lab")
        self.daemon("w1", ["socat", "-d", "-d", "TCP-LISTEN:2222,fork,reuseaddr",
                           "EXEC:/usr/lib/openssh/sftp-server"], "listening")
        self.lab.host("coord").run(self.command("init"))

    def command(self, *words: str | Path) -> list[str | Path]:
        return ["restic", "--no-cache", "--password-file", self.password, "--repo", f"sftp:w1:{self.disks}/repo",
                "--option", f"sftp.command=socat - TCP:{self.lab.host('w1').address}:2222", *words]

    def store(self, path: Path) -> Commands:
        return [self.command("backup", "--tag", path.parent.name, path)]

    def gather(self, path: Path, output: Path) -> Commands:
        # It makes the file's whole path beneath the target; output is a link to where it will be.
        target = output.with_name("restored")
        output.symlink_to(target / path.relative_to("/"))
        return [self.command("restore", "latest", "--tag", path.parent.name, "--target", target)]


class Gluster(Contender):
    """Has a state of its own beneath /var/lib and /run on every host: bound over in the host's namespace."""

    name = "GlusterFS"
    note = "`replica 2`, `cp` and `sync` on its mount"
    needs = "glusterd"
    programs = ("glusterfsd", "glusterfs")

    def __init__(self, lab: Lab, folder: Path, disks: Path):
        super().__init__(lab, folder, disks)
        bricks = []
        for host in ("w1", "w2"):
            place = self.disks / host
            for name in ("lib", "log", "brick"):
                (place / name).mkdir(parents=True)
            lab.host(host).run(["sh", "-ec", f"mount --bind {place}/lib /var/lib/glusterd; "
                                f"mount --bind {place}/log /var/log/glusterfs; mkdir -p /run/gluster"])
            self.daemon(host, ["glusterd", "--no-daemon", "--log-file=-"], "")
            bricks.append(f"{lab.host(host).address}:{place}/brick")
            wait_until(lambda host=host: lab.host(host).run(["gluster", "peer", "status"],
                                                            check=False).returncode == 0,
                       f"glusterd answers on {host}", 30)
        first = lab.host("w1")
        first.run(["gluster", "peer", "probe", lab.host("w2").address])
        wait_until(lambda: "Peer in Cluster" in first.run(["gluster", "peer", "status"]).stdout,
                   "the two glusterds know each other", 30)
        first.run(["gluster", "--mode=script", "volume", "create", "lab", "replica", "2", *bricks, "force"])
        first.run(["gluster", "--mode=script", "volume", "start", "lab"])
        self.mount = self.folder / "mount"
        self.mount.mkdir()
        self.volume = f"{first.address}:/lab"
        self._mount()

    def _mount(self) -> None:
        self.lab.host("coord").run(["mount", "-t", "glusterfs", "-o", f"log-file={self.folder}/mount.log",
                                    self.volume, str(self.mount)])

    def store(self, path: Path) -> Commands:
        target = self.mount / stored_as(path)
        return [["sh", "-c", f"cp {path} {target} && sync {target}"]]

    def gather(self, path: Path, output: Path) -> Commands:
        return [["sh", "-c", f"cp {self.mount / stored_as(path)} {output} && sync {output}"]]

    def forget(self) -> None:
        self.lab.host("coord").run(["umount", str(self.mount)])
        self._mount()

    def close(self) -> None:
        self.lab.host("coord").run(["umount", str(self.mount)], check=False)
        super().close()


RIVALS: tuple[type[Contender], ...] = (Rsync, Rclone, Restic, Gluster)


def same(path: Path, output: Path) -> bool:
    return subprocess.run(["cmp", path, output], check=False).returncode == 0
