"""A private PostgreSQL server for tests: on loopback, in a temporary folder, gone with the process."""

from __future__ import annotations

import atexit
import itertools
import os
import shutil
import socket
import subprocess
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path

PASSWORD = "correct horse"  # needs escaping in a URL
_numbers = itertools.count()


@cache
def programs() -> Path | None:
    """The folder of the newest PostgreSQL server that is installed here."""
    on_path = shutil.which("initdb")
    found = [Path(on_path).parent] if on_path else []
    for root in ("/usr/lib/postgresql", "/opt/homebrew/opt", "/usr/local/opt"):
        found += sorted(Path(root).glob("*/bin"), key=lambda path: path.parent.name)
    return next((path for path in reversed(found) if (path / "initdb").exists()), None)


def databases() -> list[str]:
    """The kinds of databases that tests can have here.

    With ATO_REQUIRE_POSTGRESQL set, a machine without a server fails instead of testing less.
    """
    if programs() is not None:
        return ["sqlite", "postgresql"]
    if os.environ.get("ATO_REQUIRE_POSTGRESQL"):
        raise RuntimeError("no PostgreSQL server is installed: apt-get install postgresql")
    return ["sqlite"]


class Server:
    """A server that runs; it is made of nothing and leaves nothing."""

    _has_template = False

    def __init__(self) -> None:
        _remove_orphans()
        self.folder = Path(tempfile.mkdtemp(prefix="ato-postgresql-"))
        if os.geteuid() == 0:  # a server refuses to run as root
            shutil.chown(self.folder, "postgres")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        password = self.folder / "password"
        password.write_text(PASSWORD)
        options = ("-A", "scram-sha-256", "-U", "ato", f"--pwfile={password}")
        self._program("initdb", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync", *options)
        (self.folder / "owner").write_text(str(os.getpid()))
        atexit.register(self.remove)
        self.start()

    def start(self) -> None:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": self.folder,
            # Nothing here has to outlive the machine.
            "fsync": "off",
            "full_page_writes": "off",
            "shared_buffers": "32MB",
            "max_connections": 200,
        }
        given = " ".join(f"-c {name}={value}" for name, value in settings.items())
        self._program("pg_ctl", "start", "-w", "-s", "-l", f"{self.folder}/log", "-o", given)

    def stop(self) -> None:
        """End the server as a crash would: whoever is connected loses the connection."""
        self._program("pg_ctl", "stop", "-w", "-s", "-m", "immediate")

    def remove(self) -> None:
        if (self.folder / "data" / "postmaster.pid").exists():
            self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, database: str, user: str = "ato", password: str = PASSWORD) -> str:
        escaped = password.replace(" ", "%20")
        return f"postgresql://{user}:{escaped}@127.0.0.1:{self.port}/{database}"

    def new_database(self) -> str:
        """The URL of an empty database."""
        name = f"runs{next(_numbers)}"
        self.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    def new_store(self) -> str:
        """The URL of a database that is a store without runs: a copy, which takes 0.05 s."""
        if not self._has_template:
            from ato.db_routers.sql.engine import open_store

            self.execute("CREATE DATABASE template")
            open_store(self.url("template"), must_exist=False).dispose()
            self._has_template = True
        name = f"store{next(_numbers)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE template")
        return self.url(name)

    def execute(self, statement: str) -> None:
        import psycopg

        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(statement)

    def _program(self, name: str, *arguments: str) -> None:
        _run(self.folder, name, *arguments)


def _run(folder: Path, name: str, *arguments: str) -> None:
    place = programs()
    assert place is not None, "install a PostgreSQL server: apt-get install postgresql"
    command = [str(place / name), "-D", str(folder / "data"), *arguments]
    if os.geteuid() == 0:
        command = ["runuser", "-u", "postgres", "--", *command]
    # Not into pipes: the server would inherit them and keep them open.
    subprocess.run(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        check=True,
        env={**os.environ, "LC_ALL": "C"},
    )


def _remove_orphans() -> None:
    """End the servers of test sessions that were killed before they could."""
    for owner in Path(tempfile.gettempdir()).glob("ato-postgresql-*/owner"):
        try:
            os.kill(int(owner.read_text()), 0)
        except ProcessLookupError:
            with suppress(subprocess.CalledProcessError):
                _run(owner.parent, "pg_ctl", "stop", "-w", "-s", "-m", "immediate")
            shutil.rmtree(owner.parent, ignore_errors=True)
        except (OSError, ValueError):  # another user's, or it is being removed right now
            continue


@cache
def server() -> Server:
    """The server of this test session, started when it is first asked for."""
    return Server()
