// StagedKubernetesNetworkPolicy: a network policy as Kubernetes writes it, read as the Calico policy that
// it means: allow rules for every peer and port, in tier default with order 1000, for endpoints of
// orchestrator k8s.  Peers without namespaceSelector are of the policy's own namespace.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "policy/field.h"
#include "policy/model.h"
#include "vrouter/net/result.h"

namespace vr::policy {

[[nodiscard]] Result<void> parse_kubernetes_policy(
    const Field& object, const Field& spec, Resource& into);

}  // namespace vr::policy
