"""compose.yaml and Containerfile, checked without a container engine; and their processes, really run (slow)."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import stat
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import compose
import containers
import databases
import pytest
import redis_server
from compose import COMPOSE, OURS, SERVICES
from small_farm import ROOT

from farm import cli

SECCOMP = ROOT / "seccomp-worker.json"
CONTAINERFILE = (ROOT / "Containerfile").read_text("utf-8")


def farm_commands(service: dict[str, Any]) -> Iterator[list[str]]:
    """Every call of farm in a service's command and health check; in shell text up to the next separator."""
    for words in (service["command"], service.get("healthcheck", {}).get("test", ["", ""])[1:]):
        if words[0] == "farm":
            yield words[1:]
        elif words[:2] == ["sh", "-c"]:
            yield from (shlex.split(text) for text in re.findall(r"\bfarm ([^;&|]+)", words[2]))


@pytest.mark.parametrize("name", OURS)
def test_every_command_is_one_that_the_farm_knows(name: str) -> None:
    found = list(farm_commands(SERVICES[name]))
    assert found
    for words in found:
        assert words[0] in cli.VERBS
        cli._parser(only=words[0]).parse_args(words)


def known_variables() -> set[str]:
    """The FARM_* variables that the farm's code names as a string of its own."""
    texts = (file.read_text("utf-8") for file in (ROOT / "farm").rglob("*.py"))
    return {name for text in texts for name in re.findall(r'"(FARM_[A-Z_]+)"', text)}


def test_every_variable_is_one_that_the_farm_reads() -> None:
    used = {variable for name in OURS for variable in SERVICES[name]["environment"]}
    assert used <= known_variables(), used - known_variables()
    assert {"FARM_LEDGER", "FARM_STORE", "FARM_BROKER"} <= used


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_a_service_has_no_more_powers_than_it_needs(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"][0] == "no-new-privileges:true"
    assert len(service["security_opt"]) == 1 or name == "worker"  # which makes sandboxes of its own
    assert not service["user"].startswith("0")
    assert "healthcheck" in service or service["profiles"]
    assert not any(port.count(":") < 2 or not port.startswith("127.") for port in service.get("ports", []))


def test_no_secret_stands_in_the_file_or_in_a_variable() -> None:
    for service in SERVICES.values():
        for value in service.get("environment", {}).values():
            assert urlsplit(value).password is None
            for places in parse_qs(urlsplit(value).query).values():
                assert all(place.startswith("/run/secrets/") or "/" not in place for place in places)
    assert all(set(secret) == {"file"} for secret in COMPOSE["secrets"].values())


def test_connections_are_encrypted_and_both_sides_are_known() -> None:
    ledger = urlsplit(SERVICES["worker"]["environment"]["FARM_LEDGER"])
    assert parse_qs(ledger.query)["sslmode"] == ["verify-full"]
    assert urlsplit(SERVICES["worker"]["environment"]["FARM_BROKER"]).scheme == "rediss"
    words = SERVICES["redis"]["command"]
    assert words[words.index("--port") + 1] == "0"
    assert words[words.index("--tls-auth-clients") + 1] == "yes"
    rules = COMPOSE["configs"]["pg_hba"]["content"].splitlines()
    assert all(rule.startswith(("local ", "hostssl ")) for rule in rules)


def test_what_is_used_is_defined() -> None:
    for service in SERVICES.values():
        assert set(service.get("secrets", [])) <= set(COMPOSE["secrets"])
        assert {mount.split(":")[0] for mount in service.get("volumes", [])} <= set(COMPOSE["volumes"])
        assert set(service.get("depends_on", {})) <= set(SERVICES)
        assert set(service["networks"]) <= set(COMPOSE["networks"])
        text = " ".join([*service["command"], *map(str, service.get("environment", {}).values())])
        named = set(re.findall(r"/run/secrets/(\w+)", text))
        assert named <= set(service.get("secrets", []))


def test_workers_read_the_channels_that_tests_install_from_and_do_not_write_them() -> None:
    """Without them a worker takes a cascade's test and says that a good wheel fails."""
    place = f"{SERVICES['worker']['environment']['FARM_HOME']}/index"
    mounts = {
        name: [m.split(":") for m in SERVICES[name].get("volumes", []) if m.split(":")[1] == place] for name in OURS
    }
    assert all(len(found) == 1 for found in mounts.values()), mounts
    assert len({found[0][0] for found in mounts.values()}) == 1
    assert {name for name, found in mounts.items() if found[0][2:] != ["ro"]} == {"beat", "farm"}


def test_secrets_are_made_once_and_are_their_owners_alone(tmp_path: Path) -> None:
    command: list[str | Path] = [sys.executable, ROOT / "scripts/fleet_secrets.py", tmp_path / "secrets"]
    subprocess.run(command, check=True, timeout=60)
    first = {file.name: file.read_bytes() for file in (tmp_path / "secrets").iterdir()}
    assert set(first) == {*COMPOSE["secrets"], "ca_key"}
    private = [file for file in (tmp_path / "secrets").iterdir() if file.name.endswith("_key")]
    assert {stat.S_IMODE(file.stat().st_mode) for file in private} == {0o600}
    subprocess.run(command, check=True, timeout=60)
    assert {file.name: file.read_bytes() for file in (tmp_path / "secrets").iterdir()} == first


def test_the_image_is_made_of_what_is_here() -> None:
    extras = re.findall(r"/src\[([\w,]+)\]", CONTAINERFILE)[0].split(",")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert {"fleet", "postgresql"} <= set(extras) <= set(project["optional-dependencies"])
    copied = [line.split()[1:-1] for line in CONTAINERFILE.splitlines() if re.match(r"COPY (?!--)", line)]
    files = [file for line in copied for file in line]
    assert files
    kept = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    for file in files:
        assert (ROOT / file).exists()
        assert any(line == f"!{file}" or file.startswith(line[1:] + "/") for line in kept if line.startswith("!")), file
    assert re.findall(r"^USER (\S+)", CONTAINERFILE, re.MULTILINE)[-1] == SERVICES["worker"]["user"]
    places = {mount.split(":")[1] for name in OURS for mount in SERVICES[name].get("volumes", [])}
    assert all(place in CONTAINERFILE for place in places)


def in_a_container(engine: containers.Engine, security: list[str]) -> str:
    """What the farm says of its sandbox in a container that has the worker's powers and these options, or what the
    program says that it cannot run."""
    service = SERVICES["worker"]
    podmans = {"systempaths=unconfined": "unmask=ALL", "seccomp=seccomp-worker.json": f"seccomp={SECCOMP}"}
    words = [f"--security-opt={podmans.get(option, option)}" for option in security]
    words += [f"--cap-drop={name}" for name in service["cap_drop"]]
    words += ["--user", service["user"], *(["--read-only"] if service["read_only"] else [])]
    words += [f"--tmpfs={_writable_by_all(place)}" for place in service["tmpfs"]]
    bwrap = shutil.which("bwrap") or ""
    found = subprocess.check_output(["ldd", bwrap], text=True)
    libraries = [line.split()[2] for line in found.splitlines() if "=> /" in line and "libc.so" not in line]
    words += [f"--volume={place}:{place}:ro" for place in (bwrap, *libraries)]
    words += [f"--volume={ROOT / 'farm'}:/src/farm:ro", "--env=PYTHONPATH=/src", "--env=PYTHONDONTWRITEBYTECODE=1"]
    script = "printf '#!/bin/sh\\necho runs\\n' >/farm/home/x; chmod +x /farm/home/x; /farm/home/x; exec \"$@\""
    code = "from farm.build import sandbox; print(sandbox.works() or 'makes a sandbox')"
    python = f"/opt/python/{containers.TAG}-{containers.TAG}/bin/python"
    done = engine.run("run", "--rm", *words, containers.IMAGE, "sh", "-c", script, "sh", python, "-c", code)
    return done.stdout + done.stderr


def _writable_by_all(tmpfs: str) -> str:
    """podman does not know whose a tmpfs is to be."""
    place, _, options = tmpfs.partition(":")
    kept = [option for option in options.split(",") if option and not option.startswith(("uid=", "gid="))]
    return f"{place}:{','.join([*kept, 'mode=1777'])}"


@pytest.mark.slow
def test_a_worker_makes_sandboxes_in_its_container(engine: containers.Engine) -> None:
    options = SERVICES["worker"]["security_opt"]
    assert in_a_container(engine, options) == "runs\nmakes a sandbox\n"
    # Each of them is needed, but for AppArmor's where there is none.
    for left_out in ("seccomp=seccomp-worker.json", "systempaths=unconfined"):
        said = in_a_container(engine, [option for option in options if option != left_out])
        assert "makes a sandbox" not in said
        assert "bwrap: " in said


def test_what_the_kernel_is_asked_for_is_filtered() -> None:
    """Containers of workers do without the engine's own filter: ours stands in its place."""
    profile = json.loads(SECCOMP.read_text("utf-8"))
    refused = {name for rule in profile["syscalls"] for name in rule["names"] if rule["action"] == "SCMP_ACT_ERRNO"}
    assert {"bpf", "init_module", "kexec_load", "keyctl", "perf_event_open", "io_uring_setup"} <= refused
    assert not {"clone", "clone3", "unshare", "mount", "umount2", "pivot_root", "sethostname"} & refused
    assert {row["architecture"] for row in profile["archMap"]} == {"SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"}


@pytest.fixture
def short_path() -> Iterator[Path]:
    """Sockets have short names, and other users must reach it."""
    with tempfile.TemporaryDirectory(prefix="farm-compose-") as name:
        yield Path(name).resolve()


@pytest.mark.slow
def test_the_processes_build_a_library_that_pip_installs(short_path: Path) -> None:
    import fleet_demo

    fleet_demo.show(short_path)


@pytest.mark.skipif(bool(databases.why_no_postgresql()), reason=databases.why_no_postgresql() or "-")
@pytest.mark.skipif(bool(redis_server.why_no_redis()), reason=redis_server.why_no_redis() or "-")
def test_who_has_no_certificate_gets_no_answer(short_path: Path) -> None:
    import psycopg
    import redis

    with compose.bare(short_path, short_path / "cache", short_path / "catalog") as fleet:
        ca = short_path / "secrets/ca"
        with pytest.raises(redis.exceptions.ConnectionError):
            redis.Redis(port=fleet.ports["6380"], ssl=True, ssl_ca_certs=str(ca)).ping()
        with pytest.raises(psycopg.OperationalError, match="certificate"):
            psycopg.connect(f"host=localhost port={fleet.ports['5432']} user=farm dbname=farm sslrootcert={ca}")
        with pytest.raises(psycopg.OperationalError, match="no encryption"):
            psycopg.connect(f"host=localhost port={fleet.ports['5432']} user=farm dbname=farm sslmode=disable")
        done = fleet.run("farm", "fleet", "queues", "--json")
        assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr
