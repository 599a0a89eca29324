"""The files for Kubernetes: valid by its own schemas, locked down, and true to each other."""

from __future__ import annotations

import importlib
import re
import tomllib
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import kubernetes_validate
import pytest
import yaml

from tests.support.paths import ROOT

FOLDER = ROOT / "deploy/kubernetes"
VERSION = "1.34"
KUSTOMIZATION = (FOLDER / "kustomization.yaml").read_text(encoding="utf-8")
RULES: dict[str, Any] = yaml.safe_load(KUSTOMIZATION)
DOCUMENTS: list[dict[str, Any]] = [
    document
    for name in RULES["resources"]
    for document in yaml.safe_load_all((FOLDER / name).read_text(encoding="utf-8"))
]
WORKLOADS = {
    each["metadata"]["name"]: each for each in DOCUMENTS if "template" in each.get("spec", {})
}
RAY_JOB: dict[str, Any] = yaml.safe_load((FOLDER / "rayjob.yaml").read_text())
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
SECRETS = [
    line.removesuffix("=")
    for line in (FOLDER / "secrets.env.example").read_text().splitlines()
    if line
]


def named(document: dict[str, Any]) -> str:
    return f"{document['kind']} {document['metadata']['name']}"


def pod(name: str) -> dict[str, Any]:
    found: dict[str, Any] = WORKLOADS[name]["spec"]["template"]
    return found


def container(name: str) -> dict[str, Any]:
    (found,) = pod(name)["spec"]["containers"]
    assert isinstance(found, dict)
    return found


def ray_pods() -> Iterator[dict[str, Any]]:
    cluster = RAY_JOB["spec"]["rayClusterSpec"]
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        yield group["template"]
    yield RAY_JOB["spec"]["submitterPodTemplate"]


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_the_schema_of_kubernetes_accepts_it(document: dict[str, Any]) -> None:
    kubernetes_validate.validate(document, VERSION, strict=True)


def test_a_wrong_key_is_found() -> None:
    wrong = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "spec": {"port": 1}}
    with pytest.raises(kubernetes_validate.ValidationError, match="port"):
        kubernetes_validate.validate(wrong, VERSION, strict=True)


def test_the_pods_of_the_ray_job_are_pods() -> None:
    for template in ray_pods():
        body = {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "ray"}}
        kubernetes_validate.validate({**body, "template": template}, VERSION, strict=True)


def test_every_file_is_used() -> None:
    used = {*RULES["resources"], "kustomization.yaml", "rayjob.yaml", "secrets.env.example"}
    for generator in RULES["configMapGenerator"]:
        used |= set(generator["files"])
    assert used == {path.name for path in FOLDER.iterdir() if path.name != "secrets.env"}
    assert "/deploy/kubernetes/secrets.env" in (ROOT / ".gitignore").read_text().splitlines()


@pytest.mark.parametrize("name", WORKLOADS)
def test_a_pod_is_locked_down(name: str) -> None:
    spec, running = pod(name)["spec"], container(name)
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] > 0
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert running["securityContext"] == {
        "readOnlyRootFilesystem": True,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {"cpu", "memory"} <= set(running["resources"]["requests"])
    assert "memory" in running["resources"]["limits"]
    assert {"readinessProbe", "livenessProbe"} <= set(running)
    image = running["image"]
    pinned = {each["name"]: each["newTag"] for each in RULES["images"]}
    assert re.search(r"\d", pinned.get(image) or image.partition(":")[2]), image


def test_probes_pass_the_guards_of_the_servers() -> None:
    """A probe's own Host is the address of the pod, which our servers refuse."""
    for name in ("mlflow", "dashboard", "serve"):
        for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
            (header,) = container(name)[kind]["httpGet"]["httpHeaders"]
            assert header["name"] == "Host"
            assert header["value"].partition(":")[0] == "127.0.0.1"
    assert "127.0.0.1:5000" in " ".join(container("mlflow")["command"])
    assert container("serve")["readinessProbe"]["httpGet"]["path"] == "/ready"


def test_the_champion_rolls_without_a_gap() -> None:
    spec = WORKLOADS["serve"]["spec"]
    assert spec["replicas"] >= 2
    assert spec["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}


@pytest.mark.parametrize("name", ["dashboard", "serve"])
def test_the_options_of_our_commands_there_exist(name: str) -> None:
    program, module, *options = container(name)["command"]
    assert program == "hpo"
    importlib.import_module(f"hpo.{module}").parser().parse_args(options)
    assert "--allow-writes" not in options


def test_secrets_have_names_and_no_values() -> None:
    assert all(re.fullmatch(r"[A-Z_]+", name) for name in SECRETS)
    for name in WORKLOADS:
        for variable in container(name).get("env", []):
            source = variable.get("valueFrom", {}).get("secretKeyRef")
            if re.search("PASSWORD|SECRET|KEY", variable["name"]):
                assert source, f"{name}: {variable['name']} has a value"
            if source:
                assert source["name"] == "hpo" and source["key"] in SECRETS
    texts = "".join(path.read_text() for path in FOLDER.iterdir() if path.suffix != ".env")
    assert not re.search(r"://[^/\s]*:[^/\s]*@", texts), "a URL with a password"


def test_the_servers_that_people_reach_have_the_least_secrets() -> None:
    assert "envFrom" in container("mlflow")
    names = [each["name"] for each in container("serve")["env"]]
    assert names == ["MLFLOW_TRACKING_PASSWORD"]
    assert {"configMapRef": {"name": "hpo"}} in container("serve")["envFrom"]


def test_services_and_policies_find_their_pods() -> None:
    labels = {name: pod(name)["metadata"]["labels"] for name in WORKLOADS}
    for document in DOCUMENTS:
        if document["kind"] == "Service":
            (target,) = document["spec"]["ports"]
            name = document["spec"]["selector"]["app"]
            assert labels[name]["app"] == name
            assert [each["containerPort"] for each in container(name)["ports"]] == [target["port"]]
    users = {name for name, has in labels.items() if has.get("database") == "yes"}
    assert users == {"mlflow", "dashboard"}
    assert {name for name, has in labels.items() if has.get("tracking") == "yes"} == {
        "dashboard",
        "serve",
    }
    head, *others = ray_pods()
    assert head["metadata"]["labels"] == {"database": "yes", "tracking": "yes"}
    assert not any("env" in each["spec"]["containers"][0] for each in others)
    assert others[-1]["metadata"]["labels"] == {"ray-submitter": "yes"}


def test_who_reads_or_writes_studies_files_has_the_keys_of_the_store_and_its_driver() -> None:
    settings = next(each for each in DOCUMENTS if each["metadata"]["name"] == "hpo")
    store = urlsplit(settings["data"]["HPO_ARTIFACTS"])
    assert store.scheme == "s3" and store.path.strip("/"), "beside MLflow's, in a folder"
    (option,) = [
        each
        for each in container("mlflow")["command"]
        if each.startswith("--artifacts-destination")
    ]
    place = urlsplit(option.partition("=")[2])
    assert (place.scheme, place.netloc) == (store.scheme, store.netloc)
    assert place.path.strip("/"), "or studies' files were artifacts of MLflow, too"
    assert place.path.split("/")[1] != store.path.split("/")[1]
    head = next(ray_pods())["spec"]["containers"][0]
    keys = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
    for running in (head, container("dashboard")):
        assert {"configMapRef": {"name": "hpo"}} in running["envFrom"]
        from_secret = {
            each["name"] for each in running["env"] if "secretKeyRef" in each["valueFrom"]
        }
        assert keys <= from_secret & {*SECRETS}, running["name"]
        are_optional = {
            each["name"]
            for each in running["env"]
            if each["valueFrom"].get("secretKeyRef", {}).get("optional")
        }
        assert are_optional == keys, "a role of the cloud needs none"
    (line,) = re.findall(r"^# IMAGE is yours.*EXTRAS=\[(\w+)\]", KUSTOMIZATION, re.MULTILINE)
    assert any(each.startswith("s3fs>=") for each in EXTRAS[line])


def test_the_ray_job_names_the_version_of_ray_that_the_image_has() -> None:
    """By it KubeRay chooses probes; those for older or unnamed versions call wget."""
    version = RAY_JOB["spec"]["rayClusterSpec"]["rayVersion"]
    constraints = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert f"ray=={version}" in constraints
    recipe = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert re.search(r"^RUN apt-get update .*install .*\bwget\b", recipe, re.MULTILINE)


def test_the_pods_of_the_ray_job_may_run_in_the_namespace() -> None:
    """Which takes no pod that is not `restricted`."""
    for template in ray_pods():
        spec = template["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        (running,) = spec["containers"]
        assert running["securityContext"]["allowPrivilegeEscalation"] is False
        assert running["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert running["workingDir"] == "/tmp", "the image's own folder cannot be written"


def test_nothing_is_open_that_no_policy_opens() -> None:
    policies = {
        each["metadata"]["name"]: each["spec"]
        for each in DOCUMENTS
        if each["kind"] == "NetworkPolicy"
    }
    assert policies["nobody"] == {"podSelector": {}, "policyTypes": ["Ingress"]}
    for name, spec in policies.items():
        assert name == "nobody" or all("from" in rule for rule in spec["ingress"])


def test_both_deployments_have_the_same_databases_and_logins() -> None:
    compose = ROOT / "deploy/compose"
    assert (FOLDER / "databases.sql").read_text() == (compose / "databases.sql").read_text()
    ours = [line for line in (FOLDER / "auth.ini").read_text().splitlines() if "=" in line]
    theirs = (compose / "mlflow-auth.ini").read_text().replace("@postgres:", "@postgresql:")
    probes = container("postgresql")["readinessProbe"]["exec"]["command"]
    composed = yaml.safe_load((ROOT / "docker-compose.team.yml").read_text())["services"]
    assert composed["postgres"]["healthcheck"]["test"] == ["CMD", *probes]
    assert ours == [line for line in theirs.splitlines() if "=" in line]
