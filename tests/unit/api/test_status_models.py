"""The status's types: what the operator writes, under the names that users read."""

import pytest
from pydantic import ValidationError

from coordinator.api.conditions import Condition
from coordinator.api.v1alpha1 import EndpointStatus, EngineStatus, NodeStatus, NodeSummary


def test_a_status_is_written_under_the_names_of_the_api():
    status = EngineStatus(
        conditions=(Condition("Ready", "True", "AllReady", observed_generation=2),),
        phase="Running",
        observed_generation=2,
        desired_instances=1,
        ready_instances=1,
        endpoints=(
            EndpointStatus(
                node_name="n",
                host_ip="10.0.0.1",
                pod_name="p",
                port=5555,
                metrics_port=9090,
                ready=True,
            ),
        ),
        omitted_endpoints=0,
        node_summary=NodeSummary(desired=1, reporting=1, healthy=1),
        nodes=(NodeStatus(name="n", state="Healthy", gpus="8/8"),),
        omitted_nodes=0,
    )

    written = status.model_dump(mode="json", by_alias=True, exclude_none=True)

    assert list(written) == [
        "conditions",
        "phase",
        "observedGeneration",
        "desiredInstances",
        "readyInstances",
        "endpoints",
        "omittedEndpoints",
        "nodeSummary",
        "nodes",
        "omittedNodes",
    ]
    assert written["endpoints"] == [
        {
            "nodeName": "n",
            "hostIP": "10.0.0.1",
            "podName": "p",
            "port": 5555,
            "metricsPort": 9090,
            "ready": True,
        }
    ]
    assert written["nodes"] == [{"name": "n", "state": "Healthy", "gpus": "8/8"}]


@pytest.mark.parametrize(
    "status",
    [
        {"phase": "Broken"},
        {"readyInstances": -1},
        {"nodes": [{"name": "n", "state": "Sick"}]},
        {"nodes": [{"name": "n", "state": "Failing", "message": "x" * 513}]},
        {"nodes": [{"name": "n", "state": "Healthy"}] * 101},
        {"endpoints": [{"nodeName": "n"}] * 101},
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_the_api_server_would_refuse_is_refused(status):
    with pytest.raises(ValidationError):
        EngineStatus.model_validate(status)
