// Graph: the calculation from objects to what the machine must know.  Wires the nodes; each of them
// does one thing and knows none of the others.
//
//   Datastore --batches--> Backlog
//                              | take(), settle(), flush() a slice at a time
//                          resources
//                              |
//        +------------+--------+------------+----------------+
//        | endpoints, | profiles            | policies,      | others: kinds_changed
//        | sets       v                     | tiers          v
//        |      Inheritance                 |            main.cc (BGPPeer, IPPool, Node, ...)
//        |            | labels              |
//        v            v                     v
//      IpSets <----- labels ---------->  Resolver
//        ^  |                               | PolicyList of each local endpoint
//        |  | renumbered ports              v
//        |  +--------------------------> Programs (compiler)
//        +----- sets in use ----------------+
//        | members                          | program of each list
//        v                                  v
//      Publisher --flush()--> WorkloadSink: members, endpoints, removals
//
// Nothing reaches the sink before in-sync: until then nothing is known to be missing.  What is
// published depends on the present objects only, never on the order in which they came.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "policy/cluster_nets.h"
#include "policy/datastore.h"
#include "policy/felix.h"
#include "policy/inheritance.h"
#include "policy/ip_set.h"
#include "policy/migrations.h"
#include "policy/programs.h"
#include "policy/publisher.h"
#include "policy/resolver.h"
#include "policy/slice.h"
#include "vrouter/workload.h"

namespace vr::policy {

class Graph {
  public:
    /// Endpoints whose spec.node is `node` are local.  `sink` must outlive the graph.
    Graph(std::string node, WorkloadSink& sink, MembersFrom members_from = MembersFrom::Objects);

    /// Takes a batch and publishes what follows from it.
    void on(const Batch& batch);

    /// Takes one event without publishing.
    void take(const Event& event);
    /// Takes what a stream says of a set, likewise.
    void take(SetUpdate update);

    /// Does what the last one set off, as far as `slice` goes; false: there is more.  flush() does it, too, but
    /// much may wait by then.
    [[nodiscard]] bool settle(const Slice& slice);

    /// Publishes; does nothing before in-sync, nor while a program names a set that the stream has not
    /// told of (MembersFrom::Stream): what is in force stays.
    void flush() { (void)flush(Slice()); }

    /// The same as far as `slice` goes; false: a further call is to go on, and nothing is taken before that
    /// is done.  All is calculated before the first word of it is handed over.
    [[nodiscard]] bool flush(const Slice& slice);

    [[nodiscard]] bool lacks_sets() const { return sets_.has_gaps(); }

    /// Called at the end of a flush with the kinds of which an object changed, came or went.
    void set_kinds_changed(std::function<void(const std::set<Kind>&)> callback) {
        kinds_changed_ = std::move(callback);
    }

    /// The objects in force.
    [[nodiscard]] std::vector<ResourcePtr> resources(Kind kind) const;
    [[nodiscard]] ResourcePtr resource(const Key& key) const;

    [[nodiscard]] const std::map<Key, ResourcePtr>& all_resources() const { return resources_; }

    /// What the source had told when it said so has been published.
    [[nodiscard]] bool is_in_sync() const { return in_force_; }

    /// The policies that guard a local endpoint, in order; nothing for others.
    [[nodiscard]] std::optional<PolicyList> policies_of(
        const Key& endpoint, Direction direction) const;

    /// The same for one hook of a local host endpoint.
    [[nodiscard]] std::optional<PolicyList> policies_of(
        const Key& host_endpoint, HostHook hook) const;

    /// Local endpoints as published, by "namespace/name".
    [[nodiscard]] const std::map<std::string, Workload>& published() const {
        return publisher_.published();
    }

    /// Why a local endpoint that is valid is not published; empty: it is, or there is none.
    [[nodiscard]] std::string refusal(const Key& key) const;

    /// Local host endpoints as published, by name.
    [[nodiscard]] const std::map<std::string, HostGuard>& published_hosts() const {
        return publisher_.published_hosts();
    }

    [[nodiscard]] const IpSets& sets() const { return sets_; }

    [[nodiscard]] std::size_t programs() const { return programs_.size(); }

  private:
    /// Of a workload endpoint: ingress, egress; of a host endpoint: by HostHook.  Behind them the same with
    /// the staged policies.
    using Lists = std::vector<const Programs::InUse*>;

    void upsert(const ResourcePtr& resource);
    void remove(const Key& key);
    /// An endpoint or network set came or changed, or is another by what it inherits.
    void place_item(const ResourcePtr& resource);
    void remove_item(const Key& key);
    void bestow(const std::string& name, const Profile* profile);
    void place_again(std::vector<Key> items);
    [[nodiscard]] bool place_followers(const Slice& slice);
    [[nodiscard]] bool is_local(const Resource& resource) const;
    [[nodiscard]] bool is_refused(const Resource& resource) const;
    void resolve(const Key& endpoint);
    [[nodiscard]] std::vector<PolicyList> lists_of(const Key& endpoint) const;
    [[nodiscard]] std::vector<PolicyList> host_lists(const Key& endpoint) const;
    [[nodiscard]] PolicyList host_list(
        const Key& endpoint, const HostEndpoint& host, HostHook hook, View view) const;
    void publish(const Key& endpoint);
    void configure();
    [[nodiscard]] bool calculate(const Slice& slice);
    void withdraw(const Key& endpoint);
    void replace_programs();
    void drop_lists(const Key& endpoint);
    [[nodiscard]] Workload workload(const Key& endpoint) const;
    [[nodiscard]] HostGuard host_guard(const Key& endpoint) const;
    /// What holds for all workloads.
    [[nodiscard]] WorkloadRules workload_rules() const;

    std::string node_;
    std::map<Key, ResourcePtr> resources_;
    Inheritance inheritance_;
    IpSets sets_;
    ClusterNets nets_;
    Migrations migrations_;
    Resolver resolver_;
    Programs programs_;
    Publisher publisher_;
    FelixSettings felix_ = felix_settings(nullptr, nullptr);
    std::map<Key, Lists> local_;  ///< as of the last flush
    std::map<std::string, Key>
        bestowing_;                ///< profiles, with the first item that has yet to get labels
    std::set<Key> misplaced_;      ///< items that migrations or FelixConfiguration make others
    std::set<Key> own_;            ///< endpoints of this node, refused ones as well
    std::set<Key> changed_local_;  ///< to be published anew
    std::set<Key> removed_local_;
    std::set<Key> marking_;  ///< local endpoints with a DSCP
    std::set<Kind> changed_kinds_;
    std::function<void(const std::set<Kind>&)> kinds_changed_;
    std::set<Key> resolved_local_;  ///< of them, those that have their lists
    Programs::Changed changed_programs_;
    bool in_sync_ = false;
    bool in_force_ = false;
};

}  // namespace vr::policy
