"""The Kubernetes file and its image, as far as that shows without a cluster."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import jsonschema
import pytest
import yaml

from respire.runtime.choices import Gpu

IMAGE = "YOUR-REGISTRY/respire:0.1.0"
TEXT = {"type": "string"}
COUNT = {"type": "integer", "minimum": 0}
POD = {"type": "object", "required": ["spec"]}
PARAMETERS = {"type": "object", "additionalProperties": TEXT}
"""Of ray start; KubeRay refuses numbers and booleans."""


def fields(required: list[str], **properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


# Of KubeRay's fields (ray.io/v1, 1.5.1 and newer) those that a job such as this one may want: its
# own schema is on no package index. Pod templates are Kubernetes', and validated as such below.
WORKER_GROUP = fields(
    ["groupName", "minReplicas", "maxReplicas", "template"],
    groupName=TEXT,
    replicas=COUNT,
    minReplicas=COUNT,
    maxReplicas=COUNT,
    numOfHosts=COUNT,
    idleTimeoutSeconds=COUNT,
    rayStartParams=PARAMETERS,
    template=POD,
)
RAY_CLUSTER = fields(
    ["headGroupSpec"],
    rayVersion=TEXT,
    enableInTreeAutoscaling={"type": "boolean"},
    authOptions=fields(["mode"], mode={"enum": ["token", "disabled"]}, secretName=TEXT),
    autoscalerOptions=fields(
        [],
        idleTimeoutSeconds=COUNT,
        upscalingMode={"enum": ["Default", "Aggressive", "Conservative"]},
        version={"enum": ["v1", "v2"]},
    ),
    headGroupSpec=fields(["template"], serviceType=TEXT, rayStartParams=PARAMETERS, template=POD),
    workerGroupSpecs={"type": "array", "items": WORKER_GROUP},
)
RAY_JOB = fields(
    ["entrypoint", "rayClusterSpec"],
    entrypoint=TEXT,
    shutdownAfterJobFinishes={"type": "boolean"},
    ttlSecondsAfterFinished=COUNT,
    activeDeadlineSeconds=COUNT,
    backoffLimit=COUNT,
    submissionMode={"enum": ["K8sJobMode", "HTTPMode", "InteractiveMode", "SidecarMode"]},
    runtimeEnvYAML=TEXT,
    suspend={"type": "boolean"},
    rayClusterSpec=RAY_CLUSTER,
)


@pytest.fixture(scope="module")
def documents(root: Path) -> dict[str, dict[str, Any]]:
    parsed = list(yaml.safe_load_all((root / "cluster/kuberay.yaml").read_text()))
    return {document["kind"]: document for document in parsed}


@pytest.fixture(scope="module")
def cluster(documents: dict[str, Any]) -> dict[str, Any]:
    return documents["RayJob"]["spec"]["rayClusterSpec"]


@pytest.fixture(scope="module")
def head(cluster: dict[str, Any]) -> dict[str, Any]:
    return cluster["headGroupSpec"]["template"]


@pytest.fixture(scope="module")
def worker(cluster: dict[str, Any]) -> dict[str, Any]:
    (group,) = cluster["workerGroupSpecs"]
    return group["template"]


@pytest.fixture(scope="module")
def server(documents: dict[str, Any]) -> dict[str, Any]:
    (container,) = documents["Deployment"]["spec"]["template"]["spec"]["containers"]
    return container


def containers(*templates: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for template in templates:
        yield from template["spec"].get("initContainers", [])
        yield from template["spec"]["containers"]


def validate(document: dict[str, Any]) -> None:
    """By Kubernetes' own schemas, strictly: no unknown field, whatever the version."""
    import kubernetes_validate

    kubernetes_validate.validate(document, "1.34", strict=True)


def environment(container: dict[str, Any]) -> dict[str, str]:
    return {variable["name"]: variable["value"] for variable in container["env"]}


def test_kubernetes_accepts_what_is_its_own(documents: dict[str, Any]) -> None:
    assert set(documents) == {
        "RayJob",
        "PersistentVolumeClaim",
        "Deployment",
        "Service",
        "NetworkPolicy",
    }
    for kind, document in documents.items():
        if kind != "RayJob":
            validate(document)


def test_kubernetes_accepts_the_pods(head: dict[str, Any], worker: dict[str, Any]) -> None:
    for template in (head, worker):
        validate(
            {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "x"}}
            | {"template": template}
        )


def test_an_unknown_field_of_a_pod_would_be_refused(worker: dict[str, Any]) -> None:
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}}
    with pytest.raises(Exception, match="toleration"):
        validate(pod | {"spec": worker["spec"] | {"toleration": []}})


def test_kuberay_knows_all_fields_of_the_job(documents: dict[str, Any]) -> None:
    job = documents["RayJob"]
    assert job["apiVersion"] == "ray.io/v1"
    assert job.keys() == {"apiVersion", "kind", "metadata", "spec"}
    jsonschema.validate(job["spec"], RAY_JOB)


def test_the_job_ends_and_its_cluster_with_it(documents: dict[str, Any]) -> None:
    spec = documents["RayJob"]["spec"]
    assert spec["shutdownAfterJobFinishes"]
    assert spec["ttlSecondsAfterFinished"] <= 600
    assert spec["activeDeadlineSeconds"] > 0


def test_workers_come_and_go(cluster: dict[str, Any]) -> None:
    assert cluster["enableInTreeAutoscaling"]
    assert cluster["autoscalerOptions"]["idleTimeoutSeconds"] == 600
    (group,) = cluster["workerGroupSpecs"]
    assert (group["minReplicas"], group["replicas"], group["maxReplicas"]) == (0, 0, 8)


def test_gpus_are_on_workers_alone(head: dict[str, Any], worker: dict[str, Any]) -> None:
    assert "nvidia.com/gpu" not in str(head["spec"])
    (container,) = containers(worker)
    for kind in ("requests", "limits"):
        assert container["resources"][kind]["nvidia.com/gpu"] == "1"
    (toleration,) = worker["spec"]["tolerations"]
    assert toleration["key"] == "nvidia.com/gpu"


def test_one_image_runs_everywhere(
    head: dict[str, Any], worker: dict[str, Any], server: dict[str, Any]
) -> None:
    assert {c["image"] for c in (*containers(head, worker), server)} == {IMAGE}


def test_every_container_says_what_it_needs_at_most(
    head: dict[str, Any], worker: dict[str, Any], server: dict[str, Any]
) -> None:
    for container in (*containers(head, worker), server):
        for kind in ("requests", "limits"):
            assert {"cpu", "memory"} <= container["resources"][kind].keys()
    for container in (*head["spec"]["containers"], *worker["spec"]["containers"]):
        assert container["resources"]["requests"] == container["resources"]["limits"]


def test_nothing_runs_as_root_or_gains_rights(
    documents: dict[str, Any],
    head: dict[str, Any],
    worker: dict[str, Any],
) -> None:
    for template in (head, worker, documents["Deployment"]["spec"]["template"]):
        security = template["spec"]["securityContext"]
        assert security["runAsNonRoot"]
        assert security["runAsUser"] == 1000
        for container in containers(template):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
            }


def test_all_of_the_run_knows_what_the_command_line_needs(
    head: dict[str, Any], worker: dict[str, Any], documents: dict[str, Any]
) -> None:
    for container in containers(head, worker):
        known = environment(container)
        assert known["RESPIRE_STORAGE"] == "s3://YOUR-BUCKET/runs"
        assert known["RESPIRE_DATA"] == "s3://YOUR-BUCKET/icbhi"
        assert known["RESPIRE_GPU"] == "required"
        assert known["RESPIRE_GPU"] in get_args(Gpu)
        service = documents["Service"]
        (port,) = service["spec"]["ports"]
        name = service["metadata"]["name"]
        assert known["MLFLOW_TRACKING_URI"] == f"http://{name}:{port['port']}"


def test_credentials_come_from_a_secret_that_is_not_here(
    head: dict[str, Any], worker: dict[str, Any], server: dict[str, Any]
) -> None:
    for container in (*containers(head, worker), server):
        assert container["envFrom"] == [{"secretRef": {"name": "YOUR-SECRET"}}]
        assert not re.search("KEY|SECRET|TOKEN|PASSWORD", str(container.get("env", [])))


def test_no_service_is_open_to_the_outside(
    documents: dict[str, Any], cluster: dict[str, Any]
) -> None:
    assert documents["Service"]["spec"]["type"] == "ClusterIP"
    assert cluster["headGroupSpec"]["serviceType"] == "ClusterIP"
    assert cluster["authOptions"] == {"mode": "token"}


def test_only_the_runs_pods_reach_mlflow(
    documents: dict[str, Any], head: dict[str, Any], worker: dict[str, Any]
) -> None:
    policy = documents["NetworkPolicy"]["spec"]
    served = documents["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert policy["podSelector"]["matchLabels"] == served
    assert policy["policyTypes"] == ["Ingress"]
    ((source,),) = (rule["from"] for rule in policy["ingress"])
    for template in (head, worker):
        assert template["metadata"]["labels"] == source["podSelector"]["matchLabels"]
    assert served != source["podSelector"]["matchLabels"]


def test_the_service_finds_the_server(documents: dict[str, Any], server: dict[str, Any]) -> None:
    deployment, service = documents["Deployment"]["spec"], documents["Service"]["spec"]
    labels = deployment["template"]["metadata"]["labels"]
    assert deployment["selector"]["matchLabels"] == service["selector"] == labels
    (port,) = server["ports"]
    assert service["ports"][0]["targetPort"] == port["name"]
    assert documents["NetworkPolicy"]["spec"]["ingress"][0]["ports"][0]["port"] == port["name"]
    assert server["readinessProbe"]["httpGet"] == {"path": "/health", "port": port["name"]}
    assert f"--port={port['containerPort']}" in server["command"]


def test_mlflows_database_outlives_its_pod_and_has_one_writer(
    documents: dict[str, Any], server: dict[str, Any]
) -> None:
    spec = documents["Deployment"]["spec"]
    assert spec["replicas"] == 1
    assert spec["strategy"] == {"type": "Recreate"}
    (volume,) = spec["template"]["spec"]["volumes"]
    claim = documents["PersistentVolumeClaim"]["metadata"]["name"]
    assert volume["persistentVolumeClaim"]["claimName"] == claim
    (mount,) = server["volumeMounts"]
    assert mount["name"] == volume["name"]
    assert f"--backend-store-uri=sqlite:///{mount['mountPath']}/mlflow.db" in server["command"]


@pytest.mark.parametrize(
    ("host", "answered"),
    [("respire-mlflow:5000", True), ("127.0.0.1:5000", True), ("evil.example:5000", False)],
)
def test_mlflow_answers_to_its_services_name(
    server: dict[str, Any], host: str, answered: bool
) -> None:
    from mlflow.server.security_utils import is_allowed_host_header

    (allowed,) = [word for word in server["command"] if word.startswith("--allowed-hosts=")]
    hosts = allowed.partition("=")[2].split(",")
    assert is_allowed_host_header(hosts, host) == answered


def test_no_variable_of_kubernetes_looks_like_an_option_of_mlflow(
    documents: dict[str, Any], head: dict[str, Any], worker: dict[str, Any]
) -> None:
    # A service named mlflow would put MLFLOW_PORT=tcp://… into every pod, which its server reads.
    for template in (head, worker, documents["Deployment"]["spec"]["template"]):
        assert template["spec"]["enableServiceLinks"] is False


def test_what_runs_is_in_the_image(
    root: Path, documents: dict[str, Any], head: dict[str, Any]
) -> None:
    dockerfile = (root / "cluster/Dockerfile").read_text()
    copied = re.findall(r"^COPY --chown=1000:100 (.+) \S+$", dockerfile, re.MULTILINE)
    sources = {source for line in copied for source in line.split()}
    assert all((root / source).exists() for source in sources)
    (data,) = head["spec"]["initContainers"]
    for command in (documents["RayJob"]["spec"]["entrypoint"], " ".join(data["command"])):
        (script,) = re.findall(r"/home/ray/respire/(\S+\.py)", command)
        assert (root / script).exists()
        assert {script, script.partition("/")[0]} & sources
    ignored = (root / "cluster/Dockerfile.dockerignore").read_text().splitlines()
    assert {line[1:] for line in ignored if line.startswith("!")} == sources


def test_the_image_is_rays_without_root(root: Path, cluster: dict[str, Any]) -> None:
    lines = (root / "cluster/Dockerfile").read_text().splitlines()
    (base,) = [line for line in lines if line.startswith("FROM ")]
    assert base.startswith(f"FROM rayproject/ray:{cluster['rayVersion']}-py3")
    users = [line for line in lines if line.startswith("USER ")]
    assert users == ["USER 1000"]
    (install,) = [line for line in lines if "pip install" in line]
    assert "-c cluster/constraints.txt" in install
