// Cluster: from all objects of the datastore to what each host needs of them.  Pure.
//
//   source --on(batch)--> objects
//                           |-> Inheritance -> labels of endpoints and network sets
//                           |-> LabelIndex: which policies select which endpoints
//                           '-> IpSets: members of the sets that policies and profiles in use name;
//                                 network sets and slices of services are known here only
//                                            |
//                   Item (encoded once) <----+      Host: the items that it needs, counted
//                                                     |
//                                                   Feed: what of these it has been told (feed.h)
//
// A host needs its endpoints; the policies that select them and the profiles that they name; the staged
// policies that select them or would replace a policy that does, for its preview (they never act); the
// sets which these use; the blocks of addresses that it owns; and every object of the other kinds (tiers,
// nodes, pools, BGP).  Each exists once for the whole cluster: a change is worked out and encoded once,
// however many hosts it concerns.  Which sets a rule names is asked of the compiler itself, so that a
// host never lacks one.  The order of policies, programs and address groups are left to the hosts, each
// for its own few endpoints.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "policy/datastore.h"
#include "policy/inheritance.h"
#include "policy/label_index.h"
#include "policy/policyd/item.h"
#include "policy/policyd/set_items.h"
#include "policy/slice.h"

namespace vr::policyd {

class Feed;

/// A host that endpoints or feeds name.
struct Host {
    std::string name;
    Feed* feed = nullptr;                    ///< null: nobody listens
    std::map<std::uint64_t, ItemPtr> items;  ///< what it needs, by Item::id
};

class Cluster {
  public:
    Cluster() = default;
    Cluster(const Cluster&) = delete;
    Cluster& operator=(const Cluster&) = delete;
    Cluster(Cluster&&) = delete;
    Cluster& operator=(Cluster&&) = delete;
    ~Cluster() = default;

    /// Takes a batch, whose upserts come with their text, behind those that wait.
    void add(policy::Batch batch) { waiting_.push_back(std::move(batch)); }

    /// Works out what follows from the first that waits, as far as `slice` goes.  True: feeds know what of
    /// it concerns them.  False: a further call is to go on, and feeds have no news until then.
    [[nodiscard]] bool go_on(const policy::Slice& slice);

    /// go_on() has something to do.
    [[nodiscard]] bool has_waiting() const { return !waiting_.empty() || sets_.has_work(); }

    /// In the middle of a batch.
    [[nodiscard]] bool is_busy() const { return busy_; }

    /// All of a batch at once.
    void on(policy::Batch batch) {
        add(std::move(batch));
        (void)go_on(policy::Slice());
    }

    [[nodiscard]] bool is_in_sync() const { return in_sync_; }

    [[nodiscard]] std::size_t hosts() const { return hosts_.size(); }

    [[nodiscard]] std::size_t objects() const { return resources_.size(); }

    [[nodiscard]] std::size_t sets() const { return sets_.size(); }

    [[nodiscard]] std::size_t endpoints() const { return placed_.size(); }

    /// Whether the datastore has `endpoint`, and on `host`.
    [[nodiscard]] bool is_on(const policy::Key& endpoint, const std::string& host) const;

  private:
    friend class Feed;

    /// An endpoint and what it makes its host need.
    struct Placed {
        Host* host = nullptr;
        policy::ItemId id;
        std::vector<ItemPtr> needs;
    };

    /// By what a policy selects endpoints.
    struct Selection {
        policy::SelectorId id;
        std::string scope;
        bool only_hosts = false;  ///< POLICY 2.6: doNotTrack and preDNAT are for host endpoints
    };

    /// Endpoints that a selection selects are to be found, or let go.
    struct Selecting {
        policy::SelectorId id;
        ItemPtr policy;
        bool only_hosts = false;
        policy::LabelIndex::Scan scan;  ///< to be found
    };

    // For Feed.
    [[nodiscard]] Host& attach(const std::string& name, Feed& feed);
    static void detach(Host& host);

    /// A number that no feed has had yet.
    [[nodiscard]] std::uint64_t new_beginning() { return ++last_beginning_; }

    /// The next of what tells a host of `item` that has `known` of it; null: it is all there is.
    [[nodiscard]] Chunk next(Item& item, Known& known) const;

    void take(const policy::Event& event);
    void upsert(const policy::Upsert& event);
    void remove(const policy::Key& key);
    void place(const policy::ResourcePtr& object);
    void place_endpoint(const policy::ResourcePtr& object, const policy::Labels& labels);
    [[nodiscard]] std::vector<ItemPtr> needs_of(
        const policy::Resource& endpoint, policy::ItemId id);
    void unplace(const policy::Key& key);
    void leave_host(const policy::Key& key);
    void bestow(const std::string& name, const policy::Profile* profile);
    void select(const policy::Resource& policy);
    void deselect(const policy::Key& policy);
    [[nodiscard]] Placed* selected(policy::ItemId endpoint, bool only_hosts);
    void find_some(Selecting& selecting);
    void let_some_go(Selecting& selecting);
    void set_stage(const policy::Key& policy, bool replaces);
    void keep(const policy::Key& key, const std::string& reason);
    void own(const std::string& host, const std::set<IpPrefix>& blocks);

    [[nodiscard]] ItemPtr item_of(const policy::Key& key);
    [[nodiscard]] Host& host_of(const std::string& name);
    void set_content(const ItemPtr& item, Chunk content);
    void set_names(const ItemPtr& item, std::map<policy::SetName, policy::Selector> names);
    void use(Host& host, const ItemPtr& item);
    void drop(Host& host, const ItemPtr& item);

    [[nodiscard]] bool take_all(policy::Batch& batch, const policy::Slice& slice);
    [[nodiscard]] bool settle(const policy::Slice& slice);
    void place_next_follower();
    void forget(const ItemPtr& unused);

    std::map<policy::Key, policy::ResourcePtr> resources_;
    std::map<policy::Key, std::string> kept_;  ///< why last valid versions count
    std::map<policy::Key, ItemPtr> items_;
    std::map<std::string, Host> hosts_;
    std::map<policy::Key, ItemPtr> for_all_;  ///< what every host needs
    std::map<std::string, ItemPtr> owned_;  ///< the blocks of addresses of each host that owns any
    /// Profiles whose labels are others, with the first of those who have it that has yet to get them.
    std::map<std::string, policy::Key> bestowing_;
    std::deque<Selecting> selecting_;  ///< first those, ...
    std::deque<Selecting> leaving_;    ///< ... then these: what stays is never dropped
    std::deque<policy::Batch> waiting_;
    std::size_t next_ = 0;  ///< event of the first
    bool busy_ = false;
    std::set<ItemPtr> unused_;  ///< lost their last user since the last flush

    policy::Inheritance inheritance_;
    policy::LabelIndex policy_index_;
    std::map<policy::Key, Placed> placed_;
    std::map<policy::ItemId, policy::Key> endpoint_keys_;
    std::map<policy::Key, Selection> selections_;
    std::map<policy::SelectorId, policy::Key> policy_keys_;

    std::uint64_t last_version_ = 0;
    std::uint64_t last_item_ = 0;
    SetItems sets_{last_item_};
    std::uint64_t last_beginning_ = 0;
    std::uint32_t last_endpoint_ = 0;
    std::uint32_t last_policy_ = 0;
    bool in_sync_ = false;
};

}  // namespace vr::policyd
