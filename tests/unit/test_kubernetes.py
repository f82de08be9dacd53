"""The manifests against the schemas of Kubernetes, and against one another."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from shared.settings import Settings
from tests.support.deploy_files import copy_with_mistake
from tests.support.manifests import (
    FOLDER,
    UNCHECKED,
    VERSIONS,
    loose_ends,
    read_manifests,
    schema_problems,
)


@pytest.mark.parametrize("version", VERSIONS)
def test_manifests_fit_their_schemas(version: str) -> None:
    """Strictly: no unknown field; of the oldest version that is held, and of the newest."""
    manifests = read_manifests()
    assert len(manifests) > 10
    assert [each for one in manifests for each in schema_problems(one, version)] == []


def test_kinds_that_nobody_checks_are_known() -> None:
    """Those of Kustomize, the Prometheus Operator and KEDA, and no others."""
    found = {(each["apiVersion"], each["kind"]) for each in read_manifests()}
    assert found >= UNCHECKED


@pytest.mark.parametrize(
    "file, right, wrong",
    [
        ("ingest.yaml", "terminationGracePeriodSeconds: 3600", "terminationGracePeriod: 3600"),
        ("consumer.yaml", "  replicas: 2", "  replicas: two"),
        ("consumer.yaml", "kind: Deployment", "kind: Deploiment"),
        ("disruption.yaml", "policy/v1", "policy/v1beta1"),
        ("ingest.yaml", "readOnlyRootFilesystem", "readonlyRootFilesystem"),
    ],
)
def test_a_mistake_in_a_manifest_is_found(
    tmp_path: Path, file: str, right: str, wrong: str
) -> None:
    """A field or kind that there is not, a text for a number, a version that is gone."""
    manifests = read_manifests(copy_with_mistake("kubernetes", tmp_path, file, right, wrong))
    assert [each for one in manifests for each in schema_problems(one, VERSIONS[-1])]


def test_what_manifests_name_is_there() -> None:
    """Files, workloads, secrets, settings and volumes; and no pod has rights that it needs not."""
    assert list(loose_ends(read_manifests())) == []


def test_the_settings_can_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the pods are given is a file that inturn takes, also with its example written out."""
    text = (FOLDER / "inturn.toml").read_text()
    example = text.replace("# [inst", "[inst").replace("# provider", "provider")
    for line in ("base_url", "token", "secret"):
        example = example.replace(f"# {line} =", f"{line} =")
    for line in (FOLDER / "accounts.env.example").read_text().splitlines():
        monkeypatch.setenv(*line.split("=", 1))
    assert Settings(**tomllib.loads(text)).instances == {}
    (secret,) = Settings(**tomllib.loads(example)).instance("shop").secret
    assert secret.get_secret_value() == "what-its-webhooks-must-bring"


@pytest.mark.parametrize(
    "file, right, wrong, problem",
    [
        ("kustomization.yaml", "  - network.yaml", "", "does not name network.yaml"),
        ("kustomization.yaml", "network.yaml", "networks.yaml", "there is no networks.yaml"),
        ("consumer.yaml", "key: redis_url_consumer", "key: redis_url", "no secret redis_url"),
        ("ingest.yaml", "INTURN_API_TOKEN", "INTURN_TOKEN", "no setting INTURN_TOKEN"),
        ("ingest.yaml", "name: inturn-settings}", "name: settings}", "nobody makes settings"),
        ("ingest.yaml", "{name: spool, mountPath", "{name: spol, mountPath", "no volume spol"),
        ("ingest.yaml", "  selector: *labels", "  selector: {a: b}", "selects no pod"),
        ("disruption.yaml", "component: ingest", "component: ingress", "selects no pod"),
        ("autoscaling.yaml", "StatefulSet, name", "Deployment, name", "scales nothing"),
        ("consumer.yaml", "runAsNonRoot: true", "runAsNonRoot: false", "may become root"),
        ("consumer.yaml", "drop: [ALL]", "drop: [KILL]", "rights that it does not need"),
        ("consumer.yaml", "PeriodSeconds: 45", "PeriodSeconds: 20", "before it has drained"),
        ("consumer.yaml", "args: [consumer]", "args: [ingest]", "consumer: runs ['ingest']"),
    ],
)
def test_a_mistake_in_what_they_name_is_found(
    tmp_path: Path, file: str, right: str, wrong: str, problem: str
) -> None:
    """Each kind of problem is seen where there is one."""
    copied = copy_with_mistake("kubernetes", tmp_path, file, right, wrong)
    found = list(loose_ends(read_manifests(copied), copied))
    assert any(problem in each for each in found), found
