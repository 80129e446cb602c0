# pyright: basic
"""Kinds of third parties: which fields our manifests may use, as closed schemas of our own.

Names only, from each project's reference. Kueue's and Karpenter's kinds are put before their real definitions too, in
tests/cluster/test_manifests.py; those of ACK, Config Connector, GKE and the Prometheus operator cannot be had here, so
for them this is all there is.
"""

from typing import Any

import jsonschema

from tests.manifests.render import Object

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
NUMBER: Schema = {"type": "integer"}
SWITCH: Schema = {"type": "boolean"}
QUANTITY: Schema = {"anyOf": [TEXT, NUMBER]}
DURATION: Schema = {"type": "string", "pattern": "^([0-9]+(ms|s|m|h|d|w|y))+$"}
WORDS: Schema = {"type": "object", "additionalProperties": TEXT}


def fields(*required: str, **known: Schema) -> Schema:
    """An object with these fields and no others."""
    return {"type": "object", "properties": known, "required": list(required), "additionalProperties": False}


def many(item: Schema) -> Schema:
    """A list with something in it."""
    return {"type": "array", "items": item, "minItems": 1}


def one_of(*words: str) -> Schema:
    """One of some words."""
    return {"enum": list(words)}


def a_map(value: Schema) -> Schema:
    """Keys of any name."""
    return {"type": "object", "additionalProperties": value}


TAINT = fields("key", "effect", key=TEXT, value=TEXT, effect=one_of("NoSchedule", "PreferNoSchedule", "NoExecute"))
TOLERATION = fields("key", key=TEXT, operator=one_of("Exists", "Equal"), value=TEXT, effect=one_of("NoSchedule"))
SELECTOR = fields(matchLabels=WORDS)

NODE_POOL = fields(
    "template",
    template=fields(
        "spec",
        metadata=fields(labels=WORDS),
        spec=fields(
            "nodeClassRef",
            "requirements",
            nodeClassRef=fields("group", "kind", "name", group=TEXT, kind=TEXT, name=TEXT),
            expireAfter=TEXT,
            taints=many(TAINT),
            requirements=many(
                fields("key", "operator", key=TEXT, operator=one_of("In", "NotIn", "Gt", "Lt"), values=many(TEXT))
            ),
        ),
    ),
    disruption=fields(
        "consolidateAfter",
        consolidationPolicy=one_of("WhenEmpty", "WhenEmptyOrUnderutilized"),
        consolidateAfter=TEXT,
        budgets=many(fields("nodes", nodes=TEXT, reasons=many(one_of("Drifted", "Underutilized", "Empty")))),
    ),
    limits=a_map(QUANTITY),
)
EC2_NODE_CLASS = fields(
    "role",
    "amiSelectorTerms",
    "subnetSelectorTerms",
    "securityGroupSelectorTerms",
    role=TEXT,
    amiSelectorTerms=many(fields("alias", alias=TEXT)),
    subnetSelectorTerms=many(fields("tags", tags=WORDS)),
    securityGroupSelectorTerms=many(fields("tags", tags=WORDS)),
    instanceStorePolicy=one_of("RAID0"),
    metadataOptions=fields(httpTokens=one_of("required", "optional"), httpPutResponseHopLimit=NUMBER),
    blockDeviceMappings=many(
        fields(
            "deviceName",
            deviceName=TEXT,
            rootVolume=SWITCH,
            ebs=fields(volumeSize=TEXT, volumeType=TEXT, encrypted=SWITCH, deleteOnTermination=SWITCH),
        )
    ),
)
COMPUTE_CLASS = fields(
    "priorities",
    nodePoolAutoCreation=fields(enabled=SWITCH),
    whenUnsatisfiable=one_of("DoNotScaleUp", "ScaleUpAnyway"),
    activeMigration=fields(optimizeRulePriority=SWITCH),
    autoscalingPolicy=fields(consolidationDelayMinutes=NUMBER),
    nodePoolConfig=fields(nodeLabels=WORDS),
    priorities=many(
        fields(
            machineFamily=TEXT,
            machineType=TEXT,
            minCores=NUMBER,
            spot=SWITCH,
            gpu=fields("type", "count", type=TEXT, count=NUMBER, driverVersion=one_of("default", "latest")),
        )
    ),
)
BUCKET = fields(
    "name",
    name=TEXT,
    encryption=fields(
        rules=many(
            fields(
                applyServerSideEncryptionByDefault=fields("sseAlgorithm", sseAlgorithm=one_of("AES256", "aws:kms")),
                bucketKeyEnabled=SWITCH,
            )
        )
    ),
    ownershipControls=fields(rules=many(fields(objectOwnership=one_of("BucketOwnerEnforced")))),
    publicAccessBlock=fields(
        "blockPublicACLs",
        "blockPublicPolicy",
        "ignorePublicACLs",
        "restrictPublicBuckets",
        blockPublicACLs=SWITCH,
        blockPublicPolicy=SWITCH,
        ignorePublicACLs=SWITCH,
        restrictPublicBuckets=SWITCH,
    ),
    lifecycle=fields(
        rules=many(
            fields(
                "id",
                "status",
                id=TEXT,
                status=one_of("Enabled"),
                filter=fields(prefix=TEXT),
                abortIncompleteMultipartUpload=fields(daysAfterInitiation=NUMBER),
            )
        )
    ),
)
POD_IDENTITY = fields(
    "clusterName",
    "namespace",
    "serviceAccount",
    "roleARN",
    clusterName=TEXT,
    namespace=TEXT,
    serviceAccount=TEXT,
    roleARN=TEXT,
)
STORAGE_BUCKET = fields(
    "location",
    resourceID=TEXT,
    location=TEXT,
    uniformBucketLevelAccess=SWITCH,
    publicAccessPrevention=one_of("enforced", "inherited"),
    lifecycleRule=many(
        fields(
            "action",
            "condition",
            action=fields("type", type=one_of("Delete", "SetStorageClass", "AbortIncompleteMultipartUpload")),
            condition=fields(age=NUMBER),
        )
    ),
)
IAM_MEMBER = fields(
    "role",
    "resourceRef",
    member=TEXT,
    memberFrom=fields(serviceAccountRef=fields("name", name=TEXT)),
    role={"type": "string", "pattern": r"^roles/[\w.]+$"},
    resourceRef=fields("kind", "name", kind=TEXT, name=TEXT),
) | {"oneOf": [{"required": ["member"]}, {"required": ["memberFrom"]}]}
SERVICE_MONITOR = fields(
    "selector",
    "endpoints",
    selector=SELECTOR,
    endpoints=many(fields("port", port=TEXT, interval=DURATION)),
)
PROMETHEUS_RULE = fields(
    "groups",
    groups=many(
        fields(
            "name",
            "rules",
            name=TEXT,
            rules=many(
                fields("alert", "expr", alert=TEXT, expr=TEXT, labels=WORDS, annotations=WORDS)
                | {"patternProperties": {"^for$": DURATION}}
            ),
        )
    ),
)
CLUSTER_QUEUE = fields(
    "resourceGroups",
    namespaceSelector=SELECTOR,
    queueingStrategy=one_of("BestEffortFIFO", "StrictFIFO"),
    preemption=fields(withinClusterQueue=one_of("Never", "LowerPriority", "LowerOrNewerEqualPriority")),
    resourceGroups=many(
        fields(
            "coveredResources",
            "flavors",
            coveredResources=many(TEXT),
            flavors=many(
                fields(
                    "name",
                    "resources",
                    name=TEXT,
                    resources=many(fields("name", "nominalQuota", name=TEXT, nominalQuota=QUANTITY)),
                )
            ),
        )
    ),
)

SPECS: dict[tuple[str, str], Schema] = {
    ("karpenter.sh/v1", "NodePool"): NODE_POOL,
    ("karpenter.k8s.aws/v1", "EC2NodeClass"): EC2_NODE_CLASS,
    ("cloud.google.com/v1", "ComputeClass"): COMPUTE_CLASS,
    ("s3.services.k8s.aws/v1alpha1", "Bucket"): BUCKET,
    ("eks.services.k8s.aws/v1alpha1", "PodIdentityAssociation"): POD_IDENTITY,
    ("storage.cnrm.cloud.google.com/v1beta1", "StorageBucket"): STORAGE_BUCKET,
    ("iam.cnrm.cloud.google.com/v1beta1", "IAMPolicyMember"): IAM_MEMBER,
    ("iam.cnrm.cloud.google.com/v1beta1", "IAMServiceAccount"): fields(displayName=TEXT),
    ("monitoring.coreos.com/v1", "ServiceMonitor"): SERVICE_MONITOR,
    ("monitoring.coreos.com/v1", "PrometheusRule"): PROMETHEUS_RULE,
    ("kueue.x-k8s.io/v1beta2", "ResourceFlavor"): fields(nodeLabels=WORDS, tolerations=many(TOLERATION)),
    ("kueue.x-k8s.io/v1beta2", "ClusterQueue"): CLUSTER_QUEUE,
    ("kueue.x-k8s.io/v1beta2", "LocalQueue"): fields("clusterQueue", clusterQueue=TEXT),
}
METADATA = fields("name", name=TEXT, namespace=TEXT, labels=WORDS, annotations=WORDS)
ENVELOPE = {"apiVersion": TEXT, "kind": TEXT, "metadata": METADATA}
KINDS = {key: fields("spec", **ENVELOPE, spec=spec) for key, spec in SPECS.items()} | {
    ("kueue.x-k8s.io/v1beta2", "WorkloadPriorityClass"): fields("value", **ENVELOPE, value=NUMBER, description=TEXT)
}


def problem(made: Object) -> str | None:
    """What is wrong with an object of a third party's kind; None for a sound one. KeyError for a kind not known."""
    error = next(iter(jsonschema.Draft202012Validator(KINDS[made["apiVersion"], made["kind"]]).iter_errors(made)), None)
    return error and f"{'.'.join(map(str, error.path))}: {error.message}"
