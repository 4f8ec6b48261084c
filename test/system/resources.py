"""Calico v3 resources of the tests, as the documents that a person would write.

SPDX-License-Identifier: Apache-2.0
"""

import yaml

ALLOW_ALL_PROFILE = "projectcalico-default-allow"


def resource(kind, name, spec, namespace=None, labels=None, annotations=None):
    metadata = {"name": name}
    for key, value in (("namespace", namespace), ("labels", labels), ("annotations", annotations)):
        if value:
            metadata[key] = value
    return {"apiVersion": "projectcalico.org/v3", "kind": kind, "metadata": metadata, "spec": spec}


def workload_endpoint(node, workload, mac, addresses, labels=None, namespace="prod", **options):
    """A workload's endpoint; its interface, and so its vhost-user socket, is called tap-WORKLOAD.

    options: profiles, annotations (such as vrouter.io/port), interface, floating (external address by internal).
    """
    doubled = [part.replace("-", "--") for part in (node, "openstack", workload, "eth0")]
    spec = {
        "node": node,
        "orchestrator": "openstack",
        "workload": workload,
        "endpoint": "eth0",
        "interfaceName": options.pop("interface", f"tap-{workload}"),
        "mac": mac,
        "ipNetworks": [str(address) for address in addresses],
        "profiles": options.pop("profiles", [ALLOW_ALL_PROFILE]),
    }
    floating = options.pop("floating", {})
    if floating:
        spec["ipNATs"] = [{"internalIP": inside, "externalIP": outside} for inside, outside in floating.items()]
    annotations = options.pop("annotations", None)
    assert not options, f"unknown options: {', '.join(options)}"
    return resource("WorkloadEndpoint", "-".join(doubled), spec, namespace, labels, annotations)


def network_policy(name, selector, ingress=None, egress=None, namespace="prod", order=100, tier="default"):
    """A NetworkPolicy; it concerns the directions for which rules, even an empty list, are given."""
    spec = {"tier": tier, "order": order, "selector": selector, "types": []}
    for direction, rules in (("ingress", ingress), ("egress", egress)):
        if rules is not None:
            spec["types"].append(direction.capitalize())
            spec[direction] = rules
    return resource("NetworkPolicy", f"{tier}.{name}", spec, namespace)


def rule(action="Allow", protocol=None, ports=None, **match):
    """A rule; `ports` are the destination's, `source` and `destination` are given as they are written."""
    written = {"action": action, **match}
    if protocol:
        written["protocol"] = protocol
    if ports:
        written.setdefault("destination", {})["ports"] = list(ports)
    return written


class _Plain(yaml.SafeDumper):
    """Writes what occurs twice twice: resource files know no aliases."""

    def ignore_aliases(self, data):
        return True


def as_yaml(document):
    return yaml.dump(document, Dumper=_Plain, sort_keys=False)


def tier(name, order=None, default_action="Deny"):
    return resource("Tier", name, {"defaultAction": default_action, **({"order": order} if order is not None else {})})


def profile(name, ingress=(), egress=(), labels=None):
    spec = {"ingress": list(ingress), "egress": list(egress)}
    return resource("Profile", name, {**spec, **({"labelsToApply": labels} if labels else {})})
