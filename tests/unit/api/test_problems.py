"""Every way in which a spec can be wrong, by field and sentence."""

from typing import Any

import pytest

from coordinator.api.problem import Problem
from coordinator.api.rules import MANAGED_FLAGS, RESP_ENV
from coordinator.api.validation import SpecInvalid, parse, problems

L1 = {"l1": {"sizeGB": 60}}
RESP = {"host": "redis", "port": 6379}
AES = {"aesgcm": {"masterKeySecretRef": {"name": "key"}}}
EMPTY_DIR = {"name": "v", "emptyDir": {"medium": "Memory"}}


def found(
    spec: dict[str, Any], name: str = "my-cache", namespace: str = "llm"
) -> tuple[Problem, ...]:
    return problems(name, namespace, {**L1, **spec})


def raw(type_: str, **config: Any) -> dict[str, Any]:
    return {"l2Backend": {"raw": {"type": type_, "config": config}}}


def at_shm(volume: dict[str, Any], path: str = "/dev/shm", **fields: Any) -> dict[str, Any]:
    return {"volumes": [volume], "volumeMounts": [{"name": "v", "mountPath": path}], **fields}


SHAPE: list[tuple[dict[str, Any], str, str]] = [
    ({"l1": None}, "spec.l1", "must be a mapping"),
    ({"l1": {}}, "spec.l1.sizeGB", "is required"),
    ({"l1": {"sizeGB": 0}}, "spec.l1.sizeGB", "must be greater than 0, not 0"),
    ({"l1": {"sizeGB": -1}}, "spec.l1.sizeGB", "must be greater than 0, not -1"),
    ({"l1": {"sizeGB": "60"}}, "spec.l1.sizeGB", "must be a number"),
    ({"l1": {"sizeGB": float("nan")}}, "spec.l1.sizeGB", "must be a finite number"),
    ({"l1": {"sizeGB": 65537}}, "spec.l1.sizeGB", "must be at most 65536, not 65537"),
    ({"server": {"port": 80}}, "spec.server.port", "must be at least 1024, not 80"),
    ({"server": {"port": "5555"}}, "spec.server.port", "must be a whole number"),
    ({"hostIPC": "yes"}, "spec.hostIPC", "must be true or false"),
    ({"env": {}}, "spec.env", "must be a list"),
    ({"env": ["A=b"]}, "spec.env[0]", "must be a mapping"),
    ({"nodeSelector": {"a": 1}}, "spec.nodeSelector.a", "must be a string"),
    ({"nodeSelector": []}, "spec.nodeSelector", "must be a mapping"),
    (
        {"sever": {}},
        "spec.sever",
        "is not a field of this API; check its spelling and place, or remove it",
    ),
    (
        {"eviction": {"policy": "FIFO"}},
        "spec.eviction.policy",
        "must be 'LRU', 'ARC', 'IsolatedLRU' or 'noop', not 'FIFO'",
    ),
    (
        {"eviction": {"triggerWatermark": 1.5}},
        "spec.eviction.triggerWatermark",
        "must be at most 1, not 1.5",
    ),
    (
        {"eviction": {"evictionRatio": 0}},
        "spec.eviction.evictionRatio",
        "must be greater than 0, not 0",
    ),
    (
        {"l2Backend": {"resp": {**RESP, "host": ""}}},
        "spec.l2Backend.resp.host",
        "must not be empty",
    ),
    (
        {"l2Backend": {"resp": {**RESP, "authSecretRef": {"name": "A_b"}}}},
        "spec.l2Backend.resp.authSecretRef.name",
        "must hold only lower-case letters, digits, '-' and '.'",
    ),
    (
        {"l2Backend": {"resp": {**RESP, "authSecretRef": {"name": "a", "namespace": "a.b"}}}},
        "spec.l2Backend.resp.authSecretRef.namespace",
        "must hold only lower-case letters, digits and '-'",
    ),
    (
        {"coordinator": {"url": "fleet:9300"}},
        "spec.coordinator.url",
        r"must match ^https?://[^\s]+$",
    ),
    ({"coordinator": {"url": "h"}}, "spec.coordinator.url", "must have at least 8 characters"),
    ({"podLabels": {"a": "x" * 64}}, "spec.podLabels.a", "must have at most 63 characters"),
    ({"extraArgs": ["--a"] * 129}, "spec.extraArgs", "must have at most 128 entries"),
    (
        {"updateStrategy": {"rollingUpdate": {"maxUnavailable": 1.5}}},
        "spec.updateStrategy.rollingUpdate.maxUnavailable",
        "must be a whole number or a string",
    ),
]

WHOLE: list[tuple[dict[str, Any], str, str]] = [
    (
        {"server": {"port": 8080}},
        "spec.server.httpPort",
        "8080 is also spec.server.port, and both are opened in the same pod; choose another port "
        "for one of them",
    ),
    (
        {"prometheus": {"port": 5555}},
        "spec.prometheus.port",
        "5555 is also spec.server.port, and both are opened in the same pod; choose another port "
        "for one of them",
    ),
    (
        {"prometheus": {"port": 8080}},
        "spec.prometheus.port",
        "8080 is also spec.server.httpPort, and both are opened in the same pod; choose another "
        "port for one of them",
    ),
    (
        {"l2Backend": {}},
        "spec.l2Backend",
        "needs exactly one of resp and raw, but neither is set; keep the one that you use, or "
        "remove l2Backend to run without a second tier",
    ),
    (
        {"l2Backend": {"resp": RESP, "raw": {"type": "mooncake_store"}}},
        "spec.l2Backend",
        "needs exactly one of resp and raw, but both are set; keep the one that you use, or "
        "remove l2Backend to run without a second tier",
    ),
    (
        raw("raw_block", device_path="/dev/nvme0n1"),
        "spec.l2Backend.raw.config.slot_bytes",
        "adapter raw_block needs slot_bytes; add it",
    ),
    (
        raw("dax", slot_bytes=1, max_dax_size_gb=1),
        "spec.l2Backend.raw.config.device_path",
        "adapter dax needs device_path or devices; add it",
    ),
    (
        raw("mock", max_size_gb=1, mock_bandwidth_gb=None),
        "spec.l2Backend.raw.config.mock_bandwidth_gb",
        "adapter mock needs mock_bandwidth_gb; add it",
    ),
    (
        raw("fs", base_path="/data", type="fs"),
        "spec.l2Backend.raw.config.type",
        "the adapter's type belongs into spec.l2Backend.raw.type; remove it",
    ),
    (
        {
            "l2Backend": {
                "raw": {"type": "fs", "config": {"base_path": "/d", "serde": {"type": "fp8"}}},
                "serde": AES,
            }
        },
        "spec.l2Backend.raw.config.serde",
        "spec.l2Backend.serde is set as well; remove one of the two",
    ),
    (
        {"coordinator": {"ref": {"name": "fleet"}}},
        "spec.coordinator.ref",
        "this operator does not run LMCacheCoordinators; give the address of yours as "
        "spec.coordinator.url, for example http://fleet.llm.svc:9300",
    ),
    (
        {"coordinator": {}},
        "spec.coordinator.url",
        "is required with spec.coordinator; set it, or remove spec.coordinator to run without a "
        "fleet coordinator",
    ),
    (
        {"injection": {}},
        "spec.injection",
        "this operator injects nothing into vLLM pods; remove it, and mount the ConfigMap "
        "my-cache-connection into them instead",
    ),
    (
        {"extraArgs": ["--foo", "--port=1"]},
        "spec.extraArgs[1]",
        "--port would set --port, on which Service, probes and metrics rely: use "
        "spec.server.port; remove it from extraArgs",
    ),
    (
        {"env": [{"name": "A"}, {"name": "A"}]},
        "spec.env[1].name",
        "A appears more than once in spec.env; keep one of them",
    ),
    ({"env": [{"value": "b"}]}, "spec.env[0].name", "is required"),
    (
        {"volumes": [EMPTY_DIR, EMPTY_DIR]},
        "spec.volumes[1].name",
        "v appears more than once in spec.volumes; keep one of them",
    ),
    (
        {
            "volumes": [EMPTY_DIR],
            "volumeMounts": [{"name": "v", "mountPath": "/a"}, {"name": "v", "mountPath": "/a"}],
        },
        "spec.volumeMounts[1].mountPath",
        "/a appears more than once in spec.volumeMounts; keep one of them",
    ),
    (
        {"initContainers": [{"name": "a"}, {"name": "a"}]},
        "spec.initContainers[1].name",
        "a appears more than once in spec.initContainers; keep one of them",
    ),
    (
        {"imagePullSecrets": [{"name": "a"}, {"name": "a"}]},
        "spec.imagePullSecrets[1].name",
        "a appears more than once in spec.imagePullSecrets; keep one of them",
    ),
    (
        {"volumeMounts": [{"name": "gone", "mountPath": "/a"}]},
        "spec.volumeMounts[0].name",
        "spec.volumes has no volume gone; add it, or remove the mount",
    ),
    (
        {"initContainers": [{"name": "a", "volumeMounts": [{"name": "gone", "mountPath": "/a"}]}]},
        "spec.initContainers[0].volumeMounts[0].name",
        "spec.volumes has no volume gone; add it, or remove the mount",
    ),
    (
        {
            "volumes": [{"name": "l2-master-key", "emptyDir": {}}],
            "l2Backend": {"resp": RESP, "serde": AES},
        },
        "spec.volumes[0].name",
        "l2-master-key is the name of a volume of the operator; choose another one",
    ),
    (
        {"volumes": [{"name": "lmcache-dev-shm", "emptyDir": {}}], "hostIPC": False},
        "spec.volumes[0].name",
        "lmcache-dev-shm is the name of a volume of the operator; choose another one",
    ),
    (
        {
            "volumes": [EMPTY_DIR],
            "volumeMounts": [{"name": "v", "mountPath": "/etc/lmcache/keys"}],
            "l2Backend": {"resp": RESP, "serde": AES},
        },
        "spec.volumeMounts[0].mountPath",
        "/etc/lmcache/keys holds the master key of serde.aesgcm; mount elsewhere",
    ),
    (
        {"initContainers": [{"name": "lmcache"}]},
        "spec.initContainers[0].name",
        "lmcache is the name of a container of the operator; choose another",
    ),
    (
        {"l1": {"sizeGB": 60, "useHugepages": True}},
        "spec.l1.useHugepages",
        "a pod gets huge pages only if it asks for them; set spec.resourceOverrides.limits with "
        "hugepages-2Mi or hugepages-1Gi of at least 60Gi (and memory and cpu beside it), or "
        "remove useHugepages",
    ),
    (
        {"updateStrategy": {"type": "OnDelete", "rollingUpdate": {"maxUnavailable": 1}}},
        "spec.updateStrategy.rollingUpdate",
        "has no effect with type OnDelete; remove one of them",
    ),
    *(
        (
            {"updateStrategy": {"rollingUpdate": {"maxUnavailable": value}}},
            "spec.updateStrategy.rollingUpdate.maxUnavailable",
            "must be a number of nodes of at least 1, or a percentage from 1% to 100%",
        )
        for value in (0, -1, "0%", "101%", "3")
    ),
    (
        {"podLabels": {"a b": "c"}},
        "spec.podLabels",
        "'a b' is not a valid key; use [prefix/]name",
    ),
    (
        {"podAnnotations": {"Prefix/a": "any text!"}},
        "spec.podAnnotations",
        "'Prefix/a' is not a valid key; use [prefix/]name",
    ),
    (
        {"nodeSelector": {"a": "-b"}},
        "spec.nodeSelector[a]",
        "'-b' is not a valid label value; it may hold letters, digits, '-', '_' and '.', and "
        "begins and ends with a letter or digit",
    ),
]


@pytest.mark.parametrize(("spec", "field", "message"), SHAPE, ids=lambda value: str(value)[:60])
def test_a_wrong_shape_is_named_in_plain_words(spec, field, message):
    assert found(spec) == (Problem(field, message),)


@pytest.mark.parametrize(("spec", "field", "message"), WHOLE, ids=lambda value: str(value)[:60])
def test_fields_that_contradict_each_other_are_named_with_the_remedy(spec, field, message):
    assert found(spec) == (Problem(field, message),)


@pytest.mark.parametrize("flag", MANAGED_FLAGS)
@pytest.mark.parametrize("form", ["{}", "{}=x"])
def test_flags_that_service_probes_and_gateway_rely_on_are_refused(flag, form):
    (problem,) = found({"extraArgs": [form.format(flag)]})

    assert problem.field == "spec.extraArgs[0]"
    assert MANAGED_FLAGS[flag] in problem.message


@pytest.mark.parametrize("flag", ["--po", "--http-p=1", "--ho", "--http-h"])
def test_an_abbreviated_flag_is_the_flag(flag):
    assert [problem.field for problem in found({"extraArgs": [flag]})] == ["spec.extraArgs[0]"]


@pytest.mark.parametrize(
    "argument", ["--prometheus-port=1", "--hash-algorithm=blake3", "--http-porter", "host", "--"]
)
def test_other_arguments_are_the_users_business(argument):
    assert found({"extraArgs": [argument]}) == ()


@pytest.mark.parametrize("variable", RESP_ENV)
def test_a_credential_comes_from_one_place_only(variable):
    env = {"env": [{"name": variable, "value": "x"}]}
    with_secret = {"l2Backend": {"resp": {**RESP, "authSecretRef": {"name": "s"}}}}

    assert found({**env, "l2Backend": {"resp": RESP}}) == ()
    assert found({**env, **with_secret}) == (
        Problem(
            "spec.env[0]",
            f"{variable} comes from spec.l2Backend.resp.authSecretRef; remove one of the two",
        ),
    )


@pytest.mark.parametrize("path", ["/dev/shm", "/dev/shm/", "/dev//shm", "/dev/./shm"])
@pytest.mark.parametrize(
    "volume",
    [
        EMPTY_DIR,
        {"name": "v", "hostPath": {"path": "/mnt"}},
        {"name": "v", "persistentVolumeClaim": {"claimName": "c"}},
    ],
    ids=["emptyDir", "hostPath", "claim"],
)
@pytest.mark.parametrize("mode", [{}, {"hostIPC": False}, {"hostIPC": True}], ids=str)
def test_nothing_may_hide_the_hosts_shared_memory(mode, volume, path):
    assert found(at_shm(volume, path, **mode)) == (
        Problem(
            "spec.volumeMounts[0].mountPath",
            "a volume of the pod's own (such as an emptyDir) at /dev/shm hides the host's /dev/shm "
            "and breaks CUDA IPC; remove the mount, or set spec.isolatedIPC: true",
        ),
    )


@pytest.mark.parametrize(
    "spec",
    [
        at_shm({"name": "v", "hostPath": {"path": "/dev/shm"}}),
        at_shm({"name": "v", "hostPath": {"path": "/dev/shm/"}}, hostIPC=False),
        at_shm(EMPTY_DIR, isolatedIPC=True),
        at_shm(EMPTY_DIR, "/dev/shm2"),
    ],
    ids=["hostIPC", "hostPath", "isolated", "elsewhere"],
)
def test_the_hosts_own_shared_memory_may_be_mounted_and_anything_when_isolated(spec):
    assert found(spec) == ()


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"server": {"port": 8081}, "prometheus": {"port": 8082}},
        {"prometheus": {"enabled": False, "port": 5555}},
        {"l2Backend": {"resp": RESP}},
        raw("nixl_store", backend="POSIX", backend_params={"use_direct_io": "false"}),
        raw("something_new"),
        raw("dax", slot_bytes=1, max_dax_size_gb=1, devices=["/dev/dax0.0"]),
        {"coordinator": {"url": "http://fleet.llm.svc:9300"}},
        {
            "l1": {"sizeGB": 60, "useHugepages": True},
            "resourceOverrides": {"limits": {"hugepages-1Gi": "60Gi"}},
        },
        {"updateStrategy": {"rollingUpdate": {"maxUnavailable": "100%"}}},
        {"podLabels": {"example.com/a_b.c": "", "d": "E-1"}},
        {"podAnnotations": {"nvidia.cdi.k8s.io/container.lmcache": "management.nvidia.com/gpu=a"}},
        {"initContainers": [{"name": "a", "volumeMounts": [{"name": "v", "mountPath": "/a"}]}]}
        | {"volumes": [EMPTY_DIR]},
        {"volumes": [{"name": "lmcache-dev-shm", "emptyDir": {}}]},
    ],
    ids=lambda spec: str(spec)[:60],
)
def test_a_good_spec_has_no_problems(spec):
    assert found(spec) == ()


@pytest.mark.parametrize(
    ("name", "beginning"),
    [
        ("a" * 56, "has 56 characters, but at most 55 leave room for the Service <name>-metrics"),
        ("1cache", "must begin with a lower-case letter"),
        ("my.cache", "must begin with a lower-case letter"),
        ("cache-", "must begin with a lower-case letter"),
        ("Cache", "must begin with a lower-case letter"),
    ],
)
def test_a_name_that_cannot_be_a_services_name_is_refused(name, beginning):
    (problem,) = found({}, name=name)

    assert problem.field == "metadata.name"
    assert problem.message.startswith(beginning)
    assert problem.message.endswith("create the engine under a shorter name") or (
        problem.message.endswith("create the engine under another name")
    )


@pytest.mark.parametrize("name", ["a", "my-cache", "a" * 55, "a1"])
def test_a_name_that_leaves_room_is_taken(name):
    assert found({}, name=name) == ()


def test_all_problems_are_told_at_once():
    spec = {"injection": {}, "coordinator": {}, "server": {"port": 8080}, "l2Backend": {}}

    fields = [problem.field for problem in found(spec, name="1")]

    assert fields == [
        "metadata.name",
        "spec.server.httpPort",
        "spec.l2Backend",
        "spec.coordinator.url",
        "spec.injection",
    ]


def test_a_missing_spec_says_what_is_required():
    assert problems("a", "b", {}) == (Problem("spec.l1", "is required"),)


def test_parse_raises_all_problems_as_sentences():
    with pytest.raises(SpecInvalid) as raised:
        parse({"l1": {"sizeGB": 0}, "sever": {}})

    assert str(raised.value) == (
        "spec.l1.sizeGB: must be greater than 0, not 0. spec.sever: is not a field of this API; "
        "check its spelling and place, or remove it."
    )
    assert [problem.field for problem in raised.value.problems] == ["spec.l1.sizeGB", "spec.sever"]


def test_parse_judges_the_shape_only():
    assert parse({**L1, "injection": {}}).injection is not None


def test_sentences_have_no_traces_of_the_library():
    told = " ".join(str(problem) for spec, *_ in SHAPE for problem in found(spec))

    assert "pydantic" not in told
    assert "Input" not in told
    assert "Field required" not in told
