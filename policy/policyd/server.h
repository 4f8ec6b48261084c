// Server: streams to every host what it needs.  Asio shell around Cluster and Feed; one thread.
//
// A connection belongs to the host that its certificate names, and reads that host's stream alone.  A
// host is sent the next parcel when the last but one was applied: what happens meanwhile is gathered in
// its feed as state.  So hosts do not wait for each other, and a slow one is told less often.
// When a host goes its feed is kept for a minute, so that it need not be told everything again.
// What hosts tell of themselves goes to the Reporters, if there are any.
// Who has not said yet who it is may be anybody: such callers are few, have 10 s, and the oldest makes room
// for the next.  Certificates are read again when their files change; streams go on under the old ones.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "policy/policyd/tls.h"
#include "policy/slice.h"
#include "vrouter/net/ids.h"
#include "vrouter/net/result.h"

namespace boost::asio {
class io_context;  // NOLINT(readability-identifier-naming): Asio's name
}

namespace vr::policyd {

class Cluster;
class Reporters;

struct ServerSettings {
    std::vector<std::string> listen;  ///< "address:port"
    Credentials credentials;
    std::size_t most_connections = 4096;  ///< of hosts
    std::size_t most_callers = 512;       ///< that have not shown yet who they are
    std::size_t most_callers_from_one = 128;
    std::string recording;  ///< file; empty: none
};

/// A host that is connected, or was within the last minute.
struct HostStatus {
    std::string host;
    std::string address;  ///< empty: not connected
    std::uint64_t sequence = 0;
    std::uint64_t unacknowledged = 0;  ///< parcels
    std::uint64_t pending = 0;         ///< items that it has not been sent
    std::uint64_t needs = 0;           ///< items
    std::uint64_t up = 0;              ///< endpoints, as the host tells itself
    std::uint64_t down = 0;
    std::uint64_t error = 0;
};

struct ServerCounters {
    std::uint64_t connections = 0;
    std::uint64_t refused = 0;  ///< by certificate, name, protocol or number
    std::uint64_t snapshots = 0;
    std::uint64_t resumed = 0;
    std::uint64_t lost = 0;  ///< ended by the host or by silence
    std::uint64_t parcels = 0;
    std::uint64_t bytes = 0;
};

class Server {
  public:
    /// `cluster` and `reporters`, which may be null, must outlive the server.
    [[nodiscard]] static Result<std::unique_ptr<Server>> listen(
        boost::asio::io_context& io,
        const ServerSettings& settings,
        Cluster& cluster,
        Reporters* reporters = nullptr);
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;
    Server(Server&&) = delete;
    Server& operator=(Server&&) = delete;
    /// Closes every connection.
    ~Server();

    /// To be called when the cluster has taken a batch: tells the hosts, one after the other, as far as `slice`
    /// goes.  False: a further call is to go on.
    [[nodiscard]] bool tell(const policy::Slice& slice);

    /// The port that the first listening socket got.
    [[nodiscard]] L4Port port() const;
    [[nodiscard]] std::vector<HostStatus> hosts() const;
    [[nodiscard]] ServerCounters counters() const;
    /// Why the certificates in use are not those in the files; empty: they are.
    [[nodiscard]] std::string tls_error() const;

  private:
    struct State;
    explicit Server(std::shared_ptr<State> state);
    std::shared_ptr<State> state_;
};

}  // namespace vr::policyd
