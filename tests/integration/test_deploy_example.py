"""The deployment example: what its files name exists, and its nginx really serves Starferry (row E15)."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import rich_click as click
import yaml

from api.cli import cli
from api.setting_list import SETTINGS
from tests.ports import free_port
from tests.postgres import fresh_database
from tests.records import fits_bytes, new_name, record
from tests.site import Site, eventually, running_site

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "docs" / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
OURS = {name: service for name, service in COMPOSE["services"].items() if service["image"] == "starferry"}


def test_e15_every_command_of_the_example_exists_with_its_options() -> None:
    commands = [service["command"] for service in OURS.values()]
    commands.append(yaml.safe_load(re.findall(r"^CMD (.*)$", (DEPLOY / "Dockerfile").read_text(), re.M)[0]))
    assert {words[0] for words in commands} == {"api", "projections", "worker", "up"}
    for words in commands:
        command = cli.commands[words[0]]
        context = click.Context(command)
        command.parse_args(context, words[1:])


def test_e15_every_setting_of_the_example_exists_and_can_be_what_it_is() -> None:
    for service in OURS.values():
        unknown = set(service["environment"]) - set(SETTINGS)
        assert not unknown
        for name, value in service["environment"].items():
            if name in SETTINGS and "${" not in value:
                SETTINGS[name].parse(value)


def test_e15_everything_that_must_be_set_is_in_the_example_of_it() -> None:
    asked = set(re.findall(r"\$\{(\w+)", (DEPLOY / "compose.yaml").read_text()))
    offered = re.findall(r"^(\w+)=", (DEPLOY / ".env.example").read_text(), re.M)
    assert asked == set(offered)


def test_e15_services_depend_on_services_that_there_are_and_volumes_are_declared() -> None:
    services = COMPOSE["services"]
    for service in services.values():
        assert set(service.get("depends_on", {})) <= set(services)
        for name, needed in service.get("depends_on", {}).items():
            assert needed["condition"] != "service_healthy" or "healthcheck" in services[name]
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            assert source in COMPOSE["volumes"] or (DEPLOY / source).exists()
    assert (DEPLOY / OURS["api"]["build"]["context"] / OURS["api"]["build"]["dockerfile"]).exists()


def test_e15_the_image_holds_the_whole_program() -> None:
    copied = re.findall(r"^COPY (.*) \S+$", (DEPLOY / "Dockerfile").read_text(), re.M)
    words = {word for line in copied for word in line.split()}
    assert {"domain", "application", "adapters", "projections", "api", "pyproject.toml", "constraints.txt"} <= words
    assert all((ROOT / word).exists() for word in words)
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert not words & set(ignored)


needs_nginx = pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx isn't installed")


def configured(folder: Path, *, api: str, port: int) -> Path:
    """A whole configuration around the example, for a machine without the example's names."""
    text = (DEPLOY / "nginx.conf").read_text()
    text = text.replace("api:8000", api).replace("minio:9000", api).replace("listen 80", f"listen 127.0.0.1:{port}")
    (folder / "default.conf").write_text(text)
    whole = folder / "nginx.conf"
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = "user root;" if os.geteuid() == 0 else ""
    whole.write_text(
        f"daemon off; master_process off; {user} pid {folder}/pid; error_log {folder}/error.log;\n"
        f"events {{}} http {{ access_log off; {temporary} include {folder}/default.conf; }}\n"
    )
    return whole


@needs_nginx
def test_e15_nginx_accepts_the_configuration(tmp_path: Path) -> None:
    whole = configured(tmp_path, api="127.0.0.1:8000", port=8080)
    done = subprocess.run(["nginx", "-t", "-p", tmp_path, "-c", whole], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "warn" not in done.stderr


@pytest.fixture
def site(cluster: str, template: str, tmp_path: Path) -> Iterator[Site]:
    with (
        fresh_database(cluster, template=template) as conninfo,
        running_site(tmp_path / "site", conninfo, prepared=True) as running,
    ):
        yield running


@pytest.fixture
def proxied(site: Site, tmp_path: Path) -> Iterator[httpx.Client]:
    """A superuser's client that goes through the example's nginx."""
    port = free_port()
    whole = configured(tmp_path, api=site.url.removeprefix("http://"), port=port)
    nginx = subprocess.Popen(["nginx", "-p", tmp_path, "-c", whole], stderr=subprocess.DEVNULL)
    try:
        client = site.client(site.admin_token, url=f"http://127.0.0.1:{port}")
        eventually(lambda: _answers(client) or nginx.poll() is not None, "nginx doesn't answer")
        yield client
    finally:
        nginx.send_signal(signal.SIGTERM)
        nginx.wait(timeout=10)


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/health/").status_code == 200
    except httpx.TransportError:
        return False


@needs_nginx
def test_e15_behind_nginx_frames_come_in_and_links_lead_through_it(site: Site, proxied: httpx.Client) -> None:
    created = proxied.post("/frames/", json=record())
    assert created.status_code == 201
    assert created.json()["url"].startswith(str(proxied.base_url).rstrip("/"))
    data = fits_bytes(shape=(3000, 3000))  # 18 MB
    answer = proxied.post("/api/v1/ingest", files={"file": (f"{new_name()}.fits", data)})
    assert answer.status_code == 201, answer.text
    assert proxied.get(answer.json()["frame"]["url"]).content == data


@needs_nginx
def test_e15_metrics_and_health_stay_inside_and_great_records_outside(site: Site, proxied: httpx.Client) -> None:
    for path in ("/metrics", "/readyz", "/healthz", "/metrics/"):
        assert proxied.get(path).status_code == 404
    assert proxied.post("/frames/", content=b" " * (33 << 20)).status_code == 413
