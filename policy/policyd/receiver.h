// Receiver: the host's end of the stream.  Pure: it is given messages and returns batches for the graph.
//
// A batch that has come whole is applied in slices, and finished whatever becomes of the connection.
//
// Objects go through the same Catalog as files do, so what a host cannot read (a newer policyd, a
// mistake) is replaced by what denies.  Only the server keeps last valid versions and tells them: what a
// host kept beside it would name sets that it is not told, and lack what goes with the stand-in.
// A snapshot changes nothing before it is complete; then only what differs from what is known is handed
// on, so that going over to another server is not felt.
//
// What is known can be written down as such a snapshot and read again by a later life of the host, for
// which it counts until a server says what is true now (README.md).
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "policy/catalog.h"
#include "policy/datastore.h"
#include "policy/policyd/wire.h"
#include "policy/set_update.h"
#include "policy/slice.h"
#include "vrouter/net/result.h"

namespace vr::policyd {

namespace pb {
class Batch;
class Hello;
class Welcome;
}  // namespace pb

class Receiver {
  public:
    /// Of memory for all parcels of one batch together, about: on the wire it may be a tenth.
    static constexpr std::size_t kMostBytes = std::size_t{256} << 20U;

    explicit Receiver(std::string host, std::size_t most_bytes = kMostBytes)
        : host_(std::move(host)), most_bytes_(most_bytes) {}

    /// The first message of a new connection; not while a batch is applied.  What came of one that was not
    /// whole is forgotten.
    [[nodiscard]] pb::Hello hello();

    /// Takes the next message of the server; not while a batch is applied.  An error means that the stream
    /// cannot be followed: the connection must be closed, what is known stays.
    [[nodiscard]] Result<void> on(const pb::FromServer& message);

    /// True when a batch has come whole, until go_on() has handed it out.
    [[nodiscard]] bool is_applying() const { return applying_; }

    /// Applies more of the batch; its last slice hands it out.
    [[nodiscard]] std::optional<policy::Batch> go_on(const policy::Slice& slice);

    /// Takes hold of all that is known, at little cost.  What comes back makes a file of it (sealed_file.h),
    /// which is empty before in-sync; it may run on another thread, also when the receiver is gone, and once.
    /// Null while a batch is applied: half of one is no state to go back to.
    [[nodiscard]] std::function<std::string()> last_good();

    /// Takes what last_good() of an earlier life gave, in place of a server and between connections: a batch
    /// to apply.  The next server is asked for everything all the same.  An error changes nothing.
    [[nodiscard]] Result<void> restore(std::string_view file);

    /// Of the last batch that was handed out.
    [[nodiscard]] std::uint64_t applied() const { return applied_; }

    /// True once this connection's server has said Welcome.
    [[nodiscard]] bool is_welcome() const { return welcome_; }

    [[nodiscard]] bool is_in_sync() const { return in_sync_; }

    /// What this host could not make use of in the last batch, though the server could.
    [[nodiscard]] const std::vector<std::string>& complaints() const { return complaints_; }

    [[nodiscard]] const policy::Catalog& catalog() const { return catalog_; }

    /// As Datastore: also what the server tells of the present versions of objects.  While a batch is applied,
    /// some of it.
    [[nodiscard]] std::vector<policy::ObjectStatus> list(
        const policy::Key& from, std::size_t count) const;
    [[nodiscard]] std::map<policy::Kind, policy::KindCount> counts() const;

  private:
    [[nodiscard]] Result<void> on_welcome(const pb::Welcome& welcome);
    [[nodiscard]] Result<void> on_batch(const pb::Batch& batch);
    void begin();
    void apply(Update update);
    [[nodiscard]] policy::Batch finish();
    using Members = std::set<policy::PortMember>;

    struct Set {
        std::shared_ptr<Members> members = std::make_shared<Members>();
        /// True once the file is made that they are in; null: they are in none.
        std::shared_ptr<const std::atomic<bool>> written = nullptr;

        [[nodiscard]] Members& to_change();
    };

    void change(policy::SetUpdate& update);
    void tell(policy::SetUpdate& update);
    void free_later(Set& set);
    void own(std::set<IpPrefix> blocks);
    void put(const ObjectCame& came);
    void take_out(const policy::Key& key);

    std::string host_;
    std::size_t most_bytes_;
    policy::Catalog catalog_;  ///< a file for each object, named by its key
    std::set<policy::Key> objects_;
    std::map<policy::Key, std::string> kept_;  ///< why the server keeps last valid versions
    std::map<policy::SetName, Set> sets_;
    std::set<IpPrefix> blocks_;  ///< of addresses, that this host owns
    std::vector<std::string> complaints_;
    std::string epoch_;  ///< of what was applied
    std::uint64_t applied_ = 0;
    std::uint64_t revision_ = 0;
    bool in_sync_ = false;

    // Of this connection.
    bool welcome_ = false;
    bool snapshot_ = false;  ///< what comes is everything there is
    std::string server_epoch_;
    std::uint64_t received_ = 0;
    std::deque<Update> pending_;  ///< until the batch is whole; then, what is yet to be applied
    std::size_t pending_bytes_ = 0;
    bool told_all_ = false;

    // Of the batch that is applied.
    bool applying_ = false;
    policy::Batch batch_;
    std::set<IpPrefix> blocks_before_;
    /// What was known before a snapshot and has not come again: it goes at its end.
    std::set<policy::Key> lacking_objects_;
    std::map<policy::SetName, Set> lacking_sets_;
    std::vector<Members> freed_;  ///< members of sets that went
};

}  // namespace vr::policyd
