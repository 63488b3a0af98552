"""Hand-written manifests: `check` refuses those that a real API server refuses, and accepts the others."""

from __future__ import annotations

from pathlib import Path

import orjson
import yaml

from tests.conftest import Repository, judge, needs
from tests.upstream import api_server

MANIFESTS = Path(__file__).parent / "hand_written.yaml"
CONFIG = "library: {profile: 'off'}\nkubernetes: '1.36'\n"


@needs("gatekeeper-upstream")
def test_check_refuses_what_the_api_server_refuses(repository: Repository, tmp_path: Path) -> None:
    definition, *values = yaml.safe_load_all(MANIFESTS.read_text())
    files: dict[str, str | bytes] = {"gatekeeper.yaml": CONFIG, "crd.yaml": yaml.safe_dump(definition)}
    files |= {f"{number}.yaml": orjson.dumps(value) for number, value in enumerate(values)}
    found: dict[str, list[str]] = {}
    for one in judge(repository(files)).findings:
        if one.severity == "error" and one.rule.startswith("schema/"):
            found.setdefault(one.location.file, []).append(one.message)
    with api_server.running(tmp_path, ()) as server:
        server.discover(definition["apiVersion"])
        server.create(definition)
        server.machine.wait("/apis/example.com/v1/boxes")
        for version in {value["apiVersion"] for value in values}:
            server.discover(version)
        answers = server.create_all(values)
    different = [
        f"{orjson.dumps(value).decode()[:300]}\n  server: {answer.message[:200]}\n  check: {found.get(f'{number}.yaml')}"
        for number, (value, answer) in enumerate(zip(values, answers, strict=True))
        if answer.is_accepted == (f"{number}.yaml" in found)
    ]
    assert not different, "\n".join(different)
    assert "crd.yaml" not in found and sum(not answer.is_accepted for answer in answers) > 200
