// What a host tells of itself, for who looks for it in the datastore: that it lives, how its endpoints
// are, and its addresses.  DATASTORE 3.1.  Pure; both ends.
//
// The host tells the present state: what happens while the connection is busy is told once, or never if it
// was undone.  The server takes what the host says for hearsay: sizes and numbers are bounded here, and
// which endpoints are the host's at all only the datastore knows (reporters.h).
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "policy/etcd/status.h"
#include "policy/model.h"

namespace vr::policyd {

namespace pb {
class FromDataplane;
class Report;
}  // namespace pb

struct HostReport {
    std::chrono::nanoseconds uptime{};
    /// "up", "down", "error", or nothing while that is not known.
    std::map<policy::Key, std::optional<std::string>> endpoints = {};
    std::optional<policy::etcd::NodeFacts> node = std::nullopt;
};

/// The host's end.
class ReportWriter {
  public:
    /// To be called for each connection: everything is news.
    void restart() { fresh_ = true; }

    /// Frames that tell `now`; none when that is known.
    [[nodiscard]] std::vector<std::string> tell(const HostReport& now);

  private:
    HostReport told_;
    bool fresh_ = true;  ///< nothing was told on this connection
    bool first_ = true;  ///< ... nor on any
};

/// The server's end, of one connection.
class ReportReader {
  public:
    static constexpr std::size_t kMostEndpoints = 16384;
    static constexpr std::size_t kMostName = 512;

    void take(const pb::Report& report);

    /// True when all was told: before, what is missing may be there.
    [[nodiscard]] bool is_whole() const { return whole_; }

    /// True when the host has never told anything before in its life.
    [[nodiscard]] bool is_first() const { return first_; }

    /// With the uptime as it was when it was told.
    [[nodiscard]] const HostReport& report() const { return report_; }

  private:
    void take(const pb::FromDataplane& update);

    HostReport report_;
    bool first_ = false;
    bool whole_ = false;
};

}  // namespace vr::policyd
