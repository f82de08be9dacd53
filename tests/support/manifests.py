"""The manifests for Kubernetes: read, checked against its schemas, and against one another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import kubernetes_validate
import yaml

from shared.settings import Settings
from tests.support.deploy_files import DEPLOY

FOLDER = DEPLOY / "kubernetes"

VERSIONS = ("1.30", "1.37")
"""The oldest and the newest that are held."""

UNCHECKED = {
    ("kustomize.config.k8s.io/v1beta1", "Kustomization"),
    ("monitoring.coreos.com/v1", "PodMonitor"),
    ("keda.sh/v1alpha1", "ScaledObject"),
}
"""Kinds that Kubernetes itself does not know, so that nobody here checks their form."""

ROLES = ("ingest", "consumer")

Manifest = dict[str, Any]


def read_manifests(folder: Path = FOLDER) -> list[Manifest]:
    """Every document of a folder and those below it."""
    files = sorted(folder.rglob("*.yaml"))
    return [each for file in files for each in yaml.safe_load_all(file.read_text())]


def schema_problems(manifest: Manifest, version: str) -> Iterator[str]:
    """What its schema says, strictly; of a kind without one, that there is none."""
    try:
        kubernetes_validate.validate(manifest, version, strict=True)
    except kubernetes_validate.ValidationError as error:
        yield f"{manifest['kind']}: {error.message}"
    except kubernetes_validate.SchemaNotFoundError:
        if (manifest["apiVersion"], manifest["kind"]) not in UNCHECKED:
            yield f"there is no kind {manifest['kind']} of {manifest['apiVersion']}"


def loose_ends(manifests: Sequence[Manifest], folder: Path = FOLDER) -> Iterator[str]:
    """What schemas cannot see: names that lead nowhere, and rights that nobody needs."""
    (kustomization,) = (each for each in manifests if each["kind"] == "Kustomization")
    yield from _loose_files(kustomization, folder)
    workloads = {
        each["metadata"]["name"]: each
        for each in manifests
        if each["kind"] in ("StatefulSet", "Deployment")
    }
    for role in ROLES:
        yield from _loose_ends_of(role, workloads[f"inturn-{role}"]["spec"], kustomization)
    for manifest in manifests:
        yield from _leads_nowhere(manifest, workloads)


def _loose_files(kustomization: Manifest, folder: Path) -> Iterator[str]:
    named = {*kustomization["resources"], "kustomization.yaml"}
    there = {file.name for file in folder.glob("*.yaml")}
    yield from (f"kustomization.yaml does not name {name}" for name in sorted(there - named))
    yield from (f"there is no {name}" for name in sorted(named - there))


def _leads_nowhere(manifest: Manifest, workloads: dict[str, Manifest]) -> Iterator[str]:
    kind, spec = manifest["kind"], manifest.get("spec", {})
    if kind in ("Service", "PodDisruptionBudget"):
        wanted = spec["selector"].get("matchLabels", spec["selector"])
        pods = (each["spec"]["template"]["metadata"]["labels"] for each in workloads.values())
        if not any(wanted.items() <= labels.items() for labels in pods):
            yield f"{kind} {manifest['metadata']['name']} selects no pod"
    if kind == "HorizontalPodAutoscaler":
        target = spec["scaleTargetRef"]
        if workloads.get(target["name"], {}).get("kind") != target["kind"]:
            yield f"{kind} {manifest['metadata']['name']} scales nothing"


def _loose_ends_of(role: str, spec: Manifest, kustomization: Manifest) -> Iterator[str]:
    pod = spec["template"]["spec"]
    (container,) = pod["containers"]
    known = {f"INTURN_{field.upper()}" for field in Settings.model_fields} | {"INTURN_CONFIG"}
    secrets = (FOLDER / "secrets.env.example").read_text().splitlines()
    keys = {line.partition("=")[0] for line in secrets}
    for variable in container["env"]:
        if variable["name"] not in known:
            yield f"{role}: there is no setting {variable['name']}"
        source = variable.get("valueFrom", {}).get("secretKeyRef", {})
        if source and source["key"] not in keys:
            yield f"{role}: no secret {source['key']}"
    generated = {each["name"] for each in kustomization["secretGenerator"]}
    generated |= {each["name"] for each in kustomization["configMapGenerator"]}
    named = [volume.get("configMap", {}).get("name") for volume in pod["volumes"]]
    named += [each["secretRef"]["name"] for each in container["envFrom"]]
    yield from (f"{role}: nobody makes {name}" for name in named if name and name not in generated)
    volumes = {volume["name"] for volume in pod["volumes"]}
    volumes |= {each["metadata"]["name"] for each in spec.get("volumeClaimTemplates", [])}
    mounts = (mount["name"] for mount in container["volumeMounts"])
    yield from (f"{role}: there is no volume {name}" for name in mounts if name not in volumes)
    yield from _rights_of(role, pod, container)


def _rights_of(role: str, pod: Manifest, container: Manifest) -> Iterator[str]:
    own = container["securityContext"]
    if not pod["securityContext"]["runAsNonRoot"] or own["allowPrivilegeEscalation"]:
        yield f"{role}: may become root"
    if not own["readOnlyRootFilesystem"] or own["capabilities"] != {"drop": ["ALL"]}:
        yield f"{role}: has rights that it does not need"
    if pod["terminationGracePeriodSeconds"] * 1000 <= Settings.model_fields["drain_ms"].default:
        yield f"{role}: is killed before it has drained"
    if container["args"] != [role]:
        yield f"{role}: runs {container['args']}"
