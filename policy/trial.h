// Trial: a policy unit test as its author wrote it: a YAML file of objects, and of packets with the
// verdict that each must get.
//
//   resources:                          # Calico objects, or paths of files and directories of them
//   - policies/web.yaml
//   - {apiVersion: projectcalico.org/v3, kind: Tier, metadata: {name: security}, spec: {order: 100}}
//   cases:
//   - {name: web from lb, endpoint: prod/web-1, direction: ingress, expect: allow,
//      packet: {protocol: TCP, source: 10.0.0.9, sourcePort: 31245, destination: 10.0.0.2,
//               destinationPort: 80}}
//
// What passes a host endpoint is judged as the host's own or as forwarded: `path` says which, or else the
// address on the host's side, as far as the objects tell whose it is.
//
// Unlike a router, which keeps going, a trial is strict: an object that is invalid or defined twice is
// an error.  Objects count as `apply` would store them (client_form.h).  Reading only; trial_run.h judges.  Pure
// but for `read`.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "policy/match.h"
#include "policy/model.h"
#include "policy/reference.h"
#include "vrouter/net/result.h"

namespace vr::policy {

/// A file of objects, by the name that errors call it.
struct SourceFile {
    std::string name;
    std::string text;
};

/// Reads a file, or every file of objects in a directory.
using ReadSources = std::function<Result<std::vector<SourceFile>>(const std::string& path)>;

/// Whose a packet is that passes a host endpoint.
enum class HostPath {
    Host,       ///< from or to the host itself
    Forwarded,  ///< the host only passes it on: to a workload, or through
};

struct TrialCase {
    int line = 0;
    std::string name;
    std::string endpoint;  ///< as written: "prod/web-1", or the name of a HostEndpoint
    Key key;               ///< of the endpoint; one of the trial's objects
    Direction direction = Direction::Ingress;
    Ruling expected = Ruling::Deny;
    FlowState flow = FlowState::New;
    std::optional<HostPath> path;  ///< in each case of a HostEndpoint, and no other
    Sample packet;
};

struct Trial {
    std::string file;
    std::vector<ResourcePtr> objects;
    std::vector<TrialCase> cases;
    std::vector<std::string> errors;    ///< "FILE:LINE: path: reason"; if any, nothing is judged
    std::vector<std::string> warnings;  ///< in the same form
};

/// `text` is the content of `file`, whose folder is where paths in it start.
[[nodiscard]] Trial read_trial(
    const std::string& file, std::string_view text, const ReadSources& read);

}  // namespace vr::policy
