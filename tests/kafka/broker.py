"""A real Apache Kafka for tests: one broker in KRaft mode, on free ports, gone when it is stopped.

The jars come from Maven Central, once, into `.cache/` of the repository (see pom.xml beside this
file). By hand: `python -m tests.kafka.broker` starts one and prints its address until Ctrl-C.
"""

from __future__ import annotations

import base64
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

VERSION = "4.3.1"
ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache" / f"kafka-{VERSION}"
POM = Path(__file__).with_name("pom.xml")

SETTINGS = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,LOGIN:SASL_PLAINTEXT",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    # A killed broker is let in again only when its session has ended.
    "broker.heartbeat.interval.ms": "250",
    "broker.session.timeout.ms": "1500",
    "group.initial.rebalance.delay.ms": "0",
    "auto.create.topics.enable": "false",
    # Tests write records of long ago, which the retention would delete half a minute after the start.
    "log.retention.ms": "-1",
    "log.cleaner.dedupe.buffer.size": "4194304",
    "sasl.enabled.mechanisms": "PLAIN",
    "listener.name.login.plain.sasl.jaas.config":
        'org.apache.kafka.common.security.plain.PlainLoginModule required user_alice="secret";',
}
"""A second listener, LOGIN, asks for a name and a password: alice, secret."""


class BrokerError(Exception):
    """The broker cannot be fetched or started; the message says what to do."""


def _program(name: str, package: str) -> str:
    found = shutil.which(name)
    if not found:
        raise BrokerError(f"the test broker needs {name}: apt-get install -y {package}")
    return found


def jars() -> Path:
    """The folder of the broker's jars, fetched on first use and whole or not there at all."""
    libs = CACHE / "libs"
    if libs.is_dir():
        return libs
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        fetched = Path(folder) / "libs"
        command = [_program("mvn", "maven"), "-q", "-B", "-f", str(POM), "dependency:copy-dependencies",
                   f"-DoutputDirectory={fetched}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            said = (done.stdout + done.stderr)[-4000:]
            raise BrokerError(f"Maven cannot fetch Apache Kafka {VERSION}:\n{said}")
        with contextlib.suppress(OSError):  # another process may have been faster
            fetched.rename(libs)
    return libs


def free_ports(count: int) -> list[int]:
    """Ports of the loopback that nobody listens on."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]


class Broker:
    """One broker process with its own folder. Use as a context manager, or `start` and `stop`."""

    def __init__(self, settings: Mapping[str, str] | None = None, heap: str = "512m") -> None:
        self._heap = heap
        self._given = dict(settings or {})
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self.bootstrap = ""
        self.login_bootstrap = ""

    def start(self) -> Broker:
        """Format a new folder, start, and return when clients are accepted."""
        java, libs = _program("java", "openjdk-17-jre-headless"), jars()
        self._folder = tempfile.TemporaryDirectory(prefix="streamsql-kafka-")
        properties = self._write_properties(Path(self._folder.name))
        self._java = [java, f"-Xmx{self._heap}", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
                      "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", f"{libs}/*"]
        cluster = base64.urlsafe_b64encode(os.urandom(16)).rstrip(b"=").decode()
        # "--cluster-id=" in one word: the random text may begin with a dash.
        formatted = subprocess.run(
            [*self._java, "kafka.tools.StorageTool", "format", f"--cluster-id={cluster}", "-c",
             str(properties)],
            capture_output=True, text=True, check=False)
        if formatted.returncode:
            raise BrokerError(f"cannot format the broker's folder:\n{formatted.stdout}{formatted.stderr}")
        return self.restart()

    def _write_properties(self, folder: Path) -> Path:
        clients, controller, login = free_ports(3)
        self.bootstrap, self.login_bootstrap = f"127.0.0.1:{clients}", f"127.0.0.1:{login}"
        listeners = f"PLAINTEXT://{self.bootstrap},LOGIN://{self.login_bootstrap}"
        settings = {
            **SETTINGS,
            "controller.quorum.voters": f"1@127.0.0.1:{controller}",
            "listeners": f"{listeners},CONTROLLER://127.0.0.1:{controller}",
            "advertised.listeners": listeners,
            "log.dirs": str(folder / "data"),
            **self._given,
        }
        path = folder / "server.properties"
        path.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
        return path

    def restart(self) -> Broker:
        """Start the process on the folder as it is, after `kill` too."""
        assert self._folder is not None
        folder = Path(self._folder.name)
        with (folder / "log").open("ab") as log:
            self._process = subprocess.Popen([*self._java, "kafka.Kafka", str(folder / "server.properties")],
                                             stdout=log, stderr=log, start_new_session=True)
        self._wait()
        return self

    def _wait(self) -> None:
        """Ask for metadata until it is answered: each question waits for up to half a second."""
        assert self._process is not None
        admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0,
                             "reconnect.backoff.max.ms": 200})
        for _ in range(120):
            if self._process.poll() is not None:
                break
            with contextlib.suppress(KafkaException):
                admin.list_topics(timeout=0.5)
                return
        log = self.log()
        self.stop()
        raise BrokerError(f"Apache Kafka {VERSION} did not start; the end of its log:\n{log[-4000:]}")

    def log(self) -> str:
        assert self._folder is not None
        return (Path(self._folder.name) / "log").read_text(errors="replace")

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """End the process at once, as a crash does; the folder stays for `restart`."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """End the process and remove its folder. Its data is thrown away, so it need not shut down well."""
        self.kill()
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def __enter__(self) -> Broker:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.stop()


def main() -> int:
    """Run one until Ctrl-C or SIGTERM."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with Broker() as broker:
            print(broker.bootstrap, flush=True)
            os.waitpid(broker.pid, 0)
    except KeyboardInterrupt:
        return 130
    except BrokerError as error:
        print(error, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
