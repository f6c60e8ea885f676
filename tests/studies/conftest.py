"""Databases of studies, and workers that can be killed."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
from archcast.studies import StudyStorage, open_study
from toy_studies import METRIC, SPACE


def postgresql_programs():
    found = shutil.which("initdb") or next(
        (str(path) for path in sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True)), None
    )
    return None if found is None else Path(os.path.realpath(found)).parent


class Cluster:
    """A private PostgreSQL server of an unprivileged user, on a free port, in a folder of its own."""

    def __init__(self, programs):
        self.programs = programs
        self.folder = Path(tempfile.mkdtemp(prefix="archcast-postgresql-"))
        self.user = {}
        if os.getuid() == 0:  # the server refuses to run as root
            account = pwd.getpwnam("nobody")
            os.chown(self.folder, account.pw_uid, account.pw_gid)
            self.user = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.process = None
        self.run("initdb", "-D", self.folder / "data", "-U", "archcast", "-A", "trust", "--no-sync", "-E", "UTF8")

    @property
    def url(self):
        return f"postgresql://archcast@127.0.0.1:{self.port}/postgres"

    def run(self, program, *arguments):
        environment = {"PATH": os.environ["PATH"], "LC_ALL": "C"}
        command = [str(self.programs / program), *map(str, arguments)]
        subprocess.run(command, check=True, capture_output=True, env=environment, cwd=self.folder, **self.user)

    def start(self):
        settings = {"fsync": "off", "listen_addresses": "127.0.0.1", "unix_socket_directories": self.folder}
        options = [text for name, value in settings.items() for text in ("-c", f"{name}={value}")]
        command = [self.programs / "postgres", "-D", self.folder / "data", "-p", str(self.port), *options]
        self.process = subprocess.Popen(
            list(map(str, command)), stderr=subprocess.DEVNULL, env={"LC_ALL": "C"}, cwd=self.folder, **self.user
        )
        end = time.monotonic() + 30
        while time.monotonic() < end:
            try:
                self.run("psql", "-h", "127.0.0.1", "-p", self.port, "-U", "archcast", "postgres", "-c", "SELECT 1")
                return
            except subprocess.CalledProcessError:
                time.sleep(0.05)
        raise TimeoutError("the PostgreSQL server does not start")

    def stop(self):
        if self.process is not None:
            self.process.send_signal(2)  # SIGINT: a fast shutdown
            self.process.wait(30)
            self.process = None

    def remove(self):
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


@pytest.fixture(scope="session")
def memory():
    """A folder in memory where there is one: SQLite waits for the disk after every step."""
    shared = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="archcast-", dir=shared) as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def empty_storage(memory):
    StudyStorage(memory / "empty.db")
    return memory / "empty.db"


@pytest.fixture
def new_path(memory):
    """The path of a SQLite file that is not there."""
    return Path(tempfile.mkdtemp(dir=memory)) / "studies.db"


@pytest.fixture
def path(new_path, empty_storage):
    """The path of a storage without a study."""
    shutil.copy(empty_storage, new_path)
    return new_path


@pytest.fixture(scope="session")
def cluster():
    programs = postgresql_programs()
    if programs is None or not (programs / "postgres").exists():
        pytest.skip("the programs of PostgreSQL are not installed")
    pytest.importorskip("psycopg")
    server = Cluster(programs)
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, new_path):
    """The address of a database without the study of the test."""
    if request.param == "sqlite":
        return str(new_path)
    return request.getfixturevalue("cluster").url


@pytest.fixture
def make(path):
    def make(name="study", **settings):
        return open_study(name, path, **{"space": SPACE, "metric": METRIC, "searcher": "random", **settings})

    return make
