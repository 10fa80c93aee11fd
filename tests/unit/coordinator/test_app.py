"""The composition root: bad clusters in one sentence, and an agent that calls early."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
import yaml

from coordinator import app
from coordinator.api.engine import Engine
from coordinator.api.validation import parse
from coordinator.errors import StartupError
from coordinator.kube.resources import ObjectKey
from coordinator.metrics import Metrics
from coordinator.settings import Address, Settings
from tests.unit.coordinator.fakeapi import Answer, status

KNOWN = Answer({"kind": "APIResourceList", "resources": [{"name": "lmcacheengines"}]})
UNKNOWN = Answer({"kind": "APIResourceList", "resources": [{"name": "others"}]})


@pytest.fixture
def started(api, tmp_path):
    """Run the coordinator against the fake API server until it ends."""

    async def run() -> Any:
        async with api.serving() as url:
            path = tmp_path / "kubeconfig"
            path.write_text(
                yaml.safe_dump(
                    {
                        "apiVersion": "v1",
                        "kind": "Config",
                        "current-context": "c",
                        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
                        "clusters": [{"name": "k", "cluster": {"server": url}}],
                        "users": [{"name": "u", "user": {"token": "t"}}],
                    }
                )
            )
            settings = Settings(
                kubeconfig=str(path), http=Address("127.0.0.1", 0), agents=Address("127.0.0.1", 0)
            )
            await asyncio.wait_for(app.run(settings, stop=asyncio.Event()), timeout=5)

    return run


CLUSTERS = {
    "no CRD": (status(404, "NotFound", "no such group"), "install the CRD"),
    "CRD without our kind": (UNKNOWN, "install the CRD"),
    "no right": (status(403, "Forbidden", "who are you"), "refuses the operator: who are you"),
    "wrong credential": (status(401, "Unauthorized", "Unauthorized"), "check the credentials"),
    "overloaded": (status(503, "", "starting"), "cannot be reached: starting"),
}


@pytest.mark.parametrize(("answer", "words"), CLUSTERS.values(), ids=CLUSTERS)
async def test_a_cluster_that_cannot_be_used_is_told_in_one_sentence(api, started, answer, words):
    api.answers = [answer]
    with pytest.raises(StartupError, match=words) as raised:
        await started()
    assert "\n" not in str(raised.value)
    assert str(raised.value).endswith(".")


async def test_something_that_is_no_api_server_is_told_in_one_sentence(api, started):
    api.answers = [Answer(b"<html>log in first</html>")]
    with pytest.raises(StartupError):
        await started()


async def test_a_role_without_a_rule_for_engines_is_told_in_one_sentence(api, started):
    api.answers = [KNOWN] + [status(403, "Forbidden", "may not list") for _ in range(50)]
    with pytest.raises(StartupError):
        await started()


# --- an agent that calls before the first pass -----------------------------------------------

POD = {
    "metadata": {
        "namespace": "ns",
        "name": "p",
        "uid": "pod-uid",
        "resourceVersion": "1",
        "labels": {"app.kubernetes.io/instance": "e"},
    },
    "spec": {"nodeName": "n1"},
    "status": {},
}


async def test_an_agent_that_called_before_the_first_pass_is_told_of_its_engine_after_it(api):
    async with api.client() as client:
        parts = app._Coordinator(Settings(), client=client, metrics=Metrics(), stop=asyncio.Event())
        parts._view.pods.note(POD)
        assert parts._assignments.get("n1").engines == ()
        # The first pass after a restart: everything is right already, so nothing else changes.
        engine = Engine("ns", "e", "uid", 1, parse({"l1": {"sizeGB": 2}}))
        parts._reconciler._render(
            ObjectKey("ns", "e"), engine, replace(parts._facts, resp_auth_revision="")
        )
        assert [one.name for one in parts._assignments.get("n1").engines] == ["e"]
