// What a host tells others through etcd: that it lives, how its endpoints are, and its addresses.
// DATASTORE 3.1.  Pure; reporter.h writes it.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "vrouter/net/ids.h"
#include "vrouter/net/result.h"

namespace vr::policy::etcd {

/// The value of an agent's status.
[[nodiscard]] std::string agent_status(
    std::chrono::system_clock::time_point now, std::chrono::milliseconds uptime, bool first);

/// The value of an endpoint's status: "up", "down" or "error".
[[nodiscard]] std::string endpoint_status(std::string_view status);

/// Whether a FelixConfiguration, as stored, asks for the status of endpoints; nothing: it does not say.
[[nodiscard]] std::optional<bool> wants_reports(const std::string& felix_configuration);

/// What counts for `node`: what its own FelixConfiguration says, or else the default one.  Absent is off.
[[nodiscard]] bool reports_endpoints(
    const std::map<std::string, std::optional<bool>>& said, const std::string& node);

/// Makes the stored status keys of a host those that are wanted, one write after the other.
class EndpointStatuses {
  public:
    /// What etcd has.
    void set_stored(std::map<std::string, std::string> stored) { stored_ = std::move(stored); }

    /// By key; nothing: not known yet, what is stored stays.  Keys that are not named shall go.
    void set_wanted(std::map<std::string, std::optional<std::string>> wanted) {
        wanted_ = std::move(wanted);
    }

    struct Write {
        std::string key;
        std::optional<std::string> value;  ///< absent: delete

        friend bool operator==(const Write&, const Write&) = default;
    };

    /// What to write next.
    [[nodiscard]] std::optional<Write> next() const;
    void written(const Write& write);

  private:
    std::map<std::string, std::string> stored_;
    std::map<std::string, std::optional<std::string>> wanted_;
};

/// How a node speaks BGP; addresses with their length, "192.0.2.1/24".
struct NodeFacts {
    std::optional<Asn> as_number;
    std::string address4;  ///< empty: none
    std::string address6;

    friend bool operator==(const NodeFacts&, const NodeFacts&) = default;
};

/// The Node resource with these facts; `before` is what is stored, or null.  Nothing when it says so
/// already.  All that others wrote into it stays.
[[nodiscard]] Result<std::optional<std::string>> node_resource(
    const std::string* before, const std::string& node, const NodeFacts& facts);

}  // namespace vr::policy::etcd
