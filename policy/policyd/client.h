// Client: the stream of vrouter-policyd as a Datastore.  Asio shell around Receiver; one thread.
//
// Follows one of the servers, the first that can be followed; when it fails or falls silent, the next.
// Nothing that was told is taken back by that: the listener gets only what the next server tells
// otherwise.  The catalog shows what this host was told.
//
// A batch is applied in turns of the loop, of which none is long; meanwhile nothing more is read.
//
// What the host has to tell of itself is asked for several times a second, once a server has told it all
// that concerns it, and told when it changed and what was told before has left.
//
// What was told counts as applied when it is in force: servers hold back what follows until then, and the
// host tells nothing of itself before the first of it is.
//
// What was told is kept on disk, too: a host that starts while no server answers takes it for true once it has
// asked each of them in vain, until one answers.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "policy/datastore.h"
#include "policy/policyd/report.h"
#include "policy/policyd/tls.h"
#include "policy/when_room.h"
#include "vrouter/net/host_port.h"

namespace boost::asio {
class io_context;  // NOLINT(readability-identifier-naming): Asio's name
}

namespace vr::policyd {

struct ClientSettings {
    std::string host;  ///< this host's name, as in its certificate
    std::vector<HostPort> servers;
    Credentials credentials;
    std::string state_file;  ///< for the last good state; empty: none
    std::function<HostReport()> report =
        nullptr;  ///< what to tell servers of this host; null: nothing
    /// Calls `then` when what the listener was told is in force, on this thread; null: it is at once.
    std::function<void(std::function<void()> then)> when_in_force = nullptr;
    /// Is asked behind each batch before more is read, and before a server is called.
    policy::WhenRoom when_room = policy::at_once;
    /// How long a turn of the loop applies of a batch.
    std::chrono::microseconds slice{500};
};

class Client final : public policy::Datastore {
  public:
    Client(boost::asio::io_context& io, ClientSettings settings, policy::Listener listener);
    Client(const Client&) = delete;
    Client& operator=(const Client&) = delete;
    Client(Client&&) = delete;
    Client& operator=(Client&&) = delete;
    ~Client() override;

    /// Reads the credentials and begins to look for a server, which is tried for ever.
    [[nodiscard]] Result<void> start();
    /// Follows no longer.  Of a batch that is being applied the listener is told before this returns.
    void stop();

    /// The server that is followed; empty: none.
    [[nodiscard]] std::string server() const;

    [[nodiscard]] std::vector<policy::ObjectStatus> list(
        const policy::Key& from, std::size_t count) const override;
    [[nodiscard]] std::vector<std::string> problems() const override;
    [[nodiscard]] policy::SourceStatus status() const override;
    [[nodiscard]] std::map<policy::Kind, policy::KindCount> counts() const override;
    /// Refused: objects are written to the datastore that vrouter-policyd watches.
    void put(std::string_view file, std::string_view yaml, PutDone done) override;
    void remove(const policy::Key& key, RemoveDone done) override;

  private:
    struct State;
    std::shared_ptr<State> state_;
};

}  // namespace vr::policyd
