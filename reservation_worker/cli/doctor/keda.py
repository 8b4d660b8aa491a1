"""Compares a ScaledObject with the worker's settings."""

from collections.abc import Iterator, Mapping
from typing import Any

from reservation_worker.cli.doctor.objects import at, items, mapping, name_of
from reservation_worker.cli.doctor.result import CheckResult, Known, failure, ok, unknown, warning
from reservation_worker.sqs.identity import QueueIdentity, same_queue

TRIGGER = "aws-sqs-queue"
_AUTHENTICATION = "use a TriggerAuthentication with podIdentity: provider: aws"
PLACEHOLDER_ACCOUNT = "000000000000"
"""Of the queue in k8s/deploy/base, which every overlay replaces."""
RENDERED = (
    "compare the rendered manifests: kubectl kustomize k8s/deploy/production |"
    " reservation-worker doctor --manifest -"
)
_FEWEST, _MOST = 0, 100  # KEDA's own defaults


def check_scaled_object(
    scaled: Mapping[str, Any], environ: Mapping[str, str], known: Known
) -> Iterator[CheckResult]:
    """One ScaledObject; `environ` holds its Deployment's variables, as far as they are known."""
    name = f"KEDA {name_of(scaled)}"
    yield from _counts(name, scaled)
    found = [one for one in items(at(scaled, "spec", "triggers")) if one.get("type") == TRIGGER]
    if not found:
        yield failure(name, f"it has no {TRIGGER} trigger", "add one with our queue and region")
    for trigger in found:
        metadata = mapping(trigger.get("metadata"))
        yield _queue(name, metadata, environ, known)
        yield _region(name, metadata, known)
        yield from _rest(name, trigger, metadata)


def queue_region(known: Known) -> str:
    """The region in SQS_QUEUE_URL, or SQS_REGION where the URL names none."""
    region: str = QueueIdentity.of_url(known["sqs_queue_url"]).region or known["sqs_region"]
    return region


def _queue(
    name: str, metadata: Mapping[str, Any], environ: Mapping[str, str], known: Known
) -> CheckResult:
    ours = known["sqs_queue_url"]
    url, variable = str(metadata.get("queueURL") or ""), metadata.get("queueURLFromEnv")
    if not url and variable:
        url = environ.get(str(variable), "")
        if not url:
            detail = f"its queue comes from {variable}, which the files do not set"
            return unknown(name, detail, "pass the Deployment and its ConfigMap, too")
    if not url:
        return failure(name, "it names no queue", f"set queueURL to {ours}")
    if any(sign in url for sign in ("${", "$(", "{{")):
        return unknown(name, f"its queueURL is a template: {url}", RENDERED)
    if same_queue(url, ours):
        return ok(name, f"it watches our queue, {QueueIdentity.of_url(ours).name}")
    theirs, account = QueueIdentity.of_url(url).account, QueueIdentity.of_url(ours).account
    if theirs == PLACEHOLDER_ACCOUNT and account != PLACEHOLDER_ACCOUNT:
        return unknown(name, f"its queueURL is the placeholder of a base: {url}", RENDERED)
    detail = f"it watches another queue, so it does not scale: queueURL is {url}"
    return failure(name, f"{detail}, SQS_QUEUE_URL is {ours}", "set both to the same queue")


def _region(name: str, metadata: Mapping[str, Any], known: Known) -> CheckResult:
    region, ours = metadata.get("awsRegion"), queue_region(known)
    if region == ours:
        return ok(name, f"awsRegion is ours, {ours}")
    detail = f"awsRegion is {region}, the worker's queue is in {ours}: it does not scale"
    return failure(name, detail, f"set awsRegion to {ours}, or correct SQS_QUEUE_URL")


def _counts(name: str, scaled: Mapping[str, Any]) -> Iterator[CheckResult]:
    annotations = mapping(at(scaled, "metadata", "annotations"))
    paused = annotations.get("autoscaling.keda.sh/paused")
    # paused-replicas pauses it whatever the value of `paused` is.
    if "autoscaling.keda.sh/paused-replicas" in annotations or str(paused).lower() == "true":
        yield failure(name, "it is paused by an annotation", "remove autoscaling.keda.sh/paused*")
    fewest = at(scaled, "spec", "minReplicaCount")
    most = at(scaled, "spec", "maxReplicaCount")
    fewest, most = _FEWEST if fewest is None else fewest, _MOST if most is None else most
    if type(fewest) is not int or type(most) is not int or most < 1 or fewest < 0:
        detail = (
            f"minReplicaCount {fewest} and maxReplicaCount {most} are not valid numbers of pods"
        )
        yield failure(name, detail, "correct them")
    elif fewest > most:
        detail = f"minReplicaCount {fewest} is above maxReplicaCount {most}"
        yield failure(name, f"{detail}: KEDA refuses it", "correct the one that is wrong")
    elif fewest == most:
        yield warning(
            name, f"it never scales: both replica limits are {most}", "raise maxReplicaCount"
        )


def _rest(
    name: str, trigger: Mapping[str, Any], metadata: Mapping[str, Any]
) -> Iterator[CheckResult]:
    if "identityOwner" in metadata:
        yield warning(name, "the trigger's identityOwner is deprecated", _AUTHENTICATION)
    elif not at(trigger, "authenticationRef", "name"):
        yield warning(name, "the trigger has no authenticationRef", _AUTHENTICATION)
    length = str(metadata.get("queueLength", 5))
    if not length.isascii() or not length.isdigit() or int(length) < 1:
        yield failure(
            name, f"queueLength is {length}", "set it to the number of messages for each pod"
        )
    if str(metadata.get("scaleOnInFlight", "true")).lower() == "false":
        detail = "scaleOnInFlight is false: pods are removed while they work"
        yield warning(name, detail, "leave it out")
