// What hosts are told: that a streamed host ends up with what a host that knows every object has, and
// that it is told nothing else; over random clusters, changes and losses of the connection.
// SPDX-License-Identifier: Apache-2.0
#include "policy/policyd/cluster.h"

#include <gtest/gtest.h>

#include <array>
#include <chrono>

#include "policy/scope.h"
#include "test/policy/cluster_writer.h"
#include "test/policyd/stream.h"
#include "test/rounds.h"

namespace vr::policyd::cluster_test {
namespace {

using policy::Key;
using policy::Kind;

const std::vector<std::string> kHosts{"h1", "h2"};

/// Writes the documents of a cluster, again and again otherwise.  A file holds one object.
class Author {
  public:
    explicit Author(unsigned seed) : writer_(seed) {}

    using File = std::pair<std::string, std::string>;

    /// Some cluster, in no order.
    std::vector<File> cluster() {
        std::vector<File> files;
        for (const auto& text : split(writer_.cluster() + others())) {
            files.emplace_back(name_of(text), text);
        }
        shuffle(files);
        return files;
    }

    /// A file and what it holds from now on; nothing: it goes.
    std::pair<std::string, std::optional<std::string>> edit() {
        if (drawn_.empty()) {
            drawn_ = cluster();
        }
        auto [name, text] = std::move(drawn_.back());
        drawn_.pop_back();
        if (below(6) == 0) {
            text = spoilt(std::move(text));
        }
        return {std::move(name), below(4) > 0 ? std::optional(std::move(text)) : std::nullopt};
    }

    void shuffle(std::vector<File>& files) {
        for (std::size_t i = files.size(); i > 1; --i) {
            std::swap(files[i - 1], files[static_cast<std::size_t>(below(static_cast<int>(i)))]);
        }
    }

    int below(int limit) { return writer_.below(limit); }

  private:
    /// What ClusterWriter does not write: kinds that every host is told of, what is ignored, and what
    /// cannot be understood.
    std::string others() {
        const auto name = fmt::format("name: e{}, namespace: ns0", below(20));
        return "---\n" +
               document(
                   "Node",
                   "name: r1",
                   fmt::format("bgp: {{ipv4Address: 192.0.2.{}/24}}", below(9))) +
               "---\n" +
               document("IPPool", "name: pool", fmt::format("cidr: 10.{}.0.0/16", below(9))) +
               document(
                   "WorkloadEndpoint",
                   "name: moving, namespace: ns0",
                   fmt::format(
                       "node: h{}, interfaceName: tapm, orchestrator: openstack, workload: vm, "
                       "endpoint: p, ipNetworks: [10.3.0.1]",
                       below(3))) +
               "---\n" +
               document(
                   "LiveMigration",
                   "name: moving, namespace: ns0",
                   fmt::format("source: {}, target: {}", end_of_migration(), end_of_migration())) +
               "---\n" + document("IPReservation", "name: kept", "reservedCIDRs: [10.1.0.1/32]") +
               "---\n" +
               document("WorkloadEndpoint", name, "node: h1, interfaceName: tap0, ipNetworks: []") +
               "---\n" + document("NetworkPolicy", "name: bad, namespace: ns0", "selector: '('");
    }

    std::string end_of_migration() {
        return fmt::format(
            "{{workloadEndpoint: {{hostname: h{}, orchestratorID: openstack, workloadID: ns0/vm, "
            "endpointID: p}}}}",
            below(3));
    }

    /// The same object, not understood: its last valid version counts, if it has one.
    std::string spoilt(std::string text) {
        const std::size_t version = text.find("/v3");
        const std::size_t labels = text.find("labels: {");
        if (labels != std::string::npos && below(2) == 0) {
            return text.insert(text.find('{', labels) + 1, "'?': [], ");
        }
        return version == std::string::npos ? text : text.replace(version, 3, "/v4");
    }

    static std::vector<std::string> split(const std::string& yaml) {
        static constexpr std::string_view kMark = "---\n";
        std::vector<std::string> documents;
        for (std::size_t at = yaml.find(kMark); at != std::string::npos;) {
            const std::size_t next = yaml.find(kMark, at + 1);
            documents.push_back(yaml.substr(at + kMark.size(), next - at - kMark.size()));
            at = next;
        }
        return documents;
    }

    /// "Kind name": what an object of another namespace replaces.
    static std::string name_of(const std::string& text) {
        const auto after = [&](std::string_view key) {
            const std::size_t at = text.find(key) + key.size();
            return text.substr(at, text.find_first_of(",\n", at) - at);
        };
        return after("kind: ") + " " + after("name: ");
    }

    policy::ClusterWriter writer_;
    std::vector<File> drawn_;  ///< of another cluster, to be written one by one
};

/// What an endpoint needs, worked out the long way.
void add_needed(const policy::Graph& all, const policy::Resource& endpoint, std::set<Key>& keys) {
    keys.insert(endpoint.key);
    policy::Labels labels = own_labels(endpoint);
    for (const auto& name : inherited_profiles(endpoint)) {
        if (const auto profile = all.resource({Kind::Profile, {}, name})) {
            keys.insert(profile->key);
            const auto& more = profile->as<policy::Profile>().labels_to_apply;
            labels.insert(more.begin(), more.end());
        }
    }
    for (const auto& [key, resource] : all.all_resources()) {
        const auto* policy = std::get_if<policy::Policy>(&resource->spec);
        if (policy != nullptr &&
            (endpoint.key.kind == Kind::HostEndpoint || policy->hook == policy::Hook::Normal) &&
            policy_scope(*policy, key.ns).matches(labels)) {
            keys.insert(key);
        }
    }
}

/// The names of what `host` needs.
std::set<std::string> needed(const policy::Graph& all, const std::string& host) {
    std::set<Key> keys;
    for (const auto& [key, resource] : all.all_resources()) {
        if (const auto* workload = std::get_if<policy::WorkloadEndpoint>(&resource->spec)) {
            if (workload->node == host && !workload->networks.empty()) {
                add_needed(all, *resource, keys);
            }
        } else if (const auto* own = std::get_if<policy::HostEndpoint>(&resource->spec)) {
            if (own->node == host) {
                add_needed(all, *resource, keys);
            }
        } else if (
            key.kind == Kind::Tier || key.kind == Kind::Node || key.kind == Kind::IPPool ||
            key.kind == Kind::FelixConfiguration || key.kind == Kind::LiveMigration) {
            keys.insert(key);
        }
    }
    for (const auto& [key, resource] : all.all_resources()) {
        const auto* policy = std::get_if<policy::Policy>(&resource->spec);
        if (policy != nullptr && keys.contains(enforced_key(key)) &&
            (policy->staged == policy::Staged::Set || policy->staged == policy::Staged::Delete)) {
            keys.insert(key);
        }
    }
    std::set<std::string> names;
    for (const auto& key : keys) {
        names.insert(to_string(key));
    }
    return names;
}

/// A host that knows every object.
struct KnowingHost {
    explicit KnowingHost(const std::string& name) : graph(name, sink) {}

    policy::RememberingSink sink;
    policy::Graph graph;
    std::set<IpPrefix> blocks;
};

/// Is over as soon as it has begun.
const policy::Slice kOneStep{std::chrono::microseconds{0}};

/// A vrouter-policyd, what it remembers of the hosts that have been there, and of each host the other
/// kind, which knows what this replica knows.
struct Replica {
    Documents documents;
    std::unique_ptr<Cluster> cluster;
    std::string life;
    std::map<std::string, std::unique_ptr<Feed>> feeds;
    std::map<std::string, std::unique_ptr<KnowingHost>> knowing;

    Feed& feed(const std::string& host) {
        auto& feed = feeds[host];
        if (!feed) {
            feed = std::make_unique<Feed>(*cluster, host);
        }
        return *feed;
    }

    void begin(std::string name) {
        feeds.clear();
        life = std::move(name);
        documents = {};
        cluster = std::make_unique<Cluster>();
        for (const auto& host : kHosts) {
            knowing[host] = std::make_unique<KnowingHost>(host);
        }
    }

    /// Takes `batch`, and works on it in `steps` steps; all of it, if that is none.
    void on(const policy::Batch& batch, int steps) const {
        cluster->add(batch);
        if (steps == 0) {
            finish();
        }
        for (; steps > 0; --steps) {
            (void)cluster->go_on(kOneStep);
        }
        for (const auto& [name, host] : knowing) {
            host->graph.on(batch);
            if (const auto own = batch.blocks.find(name); own != batch.blocks.end()) {
                host->blocks = own->second;
            }
        }
    }

    void finish() const {
        while (cluster->has_waiting()) {
            (void)cluster->go_on(policy::Slice());
        }
    }
};

/// Two replicas and the hosts that they tell.
class Site {
  public:
    /// `most_steps` that replicas do before something else happens; 0: all that there are.
    explicit Site(unsigned seed, int most_steps = 0) : author(seed), most_steps_(most_steps) {
        for (auto& replica : replicas_) {
            restart(replica);
        }
        for (const auto& name : kHosts) {
            ends.push_back(std::make_unique<End>(name));
            reconnect(*ends.back());
        }
        for (const auto& [file, text] : author.cluster()) {
            set(file, text);
        }
    }

    struct End {
        explicit End(const std::string& name) : streamed(name) {}

        StreamedHost streamed;
        std::size_t at = 0;  ///< the replica that it follows
    };

    [[nodiscard]] Feed& feed(const End& end) { return replicas_[end.at].feed(end.streamed.name); }

    void edit() {
        if (author.below(8) == 0) {
            claim();
            return;
        }
        const auto [file, text] = author.edit();
        set(file, text);
    }

    /// The connection of `end` is lost and made again, there or elsewhere.
    void reconnect(End& end) {
        end.at = static_cast<std::size_t>(author.below(2));
        end.streamed.connect(feed(end), replicas_[end.at].life);
    }

    /// Some parcels are sent and some of them arrive; then the connection is lost.
    void lose(End& end) {
        const std::size_t most = std::size_t{1} << static_cast<unsigned>(author.below(12));
        bool arrives = true;
        while (feed(end).has_news() && author.below(4) > 0) {
            const auto bytes = bytes_of(feed(end).take(most));
            arrives = arrives && author.below(3) > 0;
            if (arrives) {
                end.streamed.deliver(read_frame(bytes));
            }
        }
        reconnect(end);
    }

    /// A replica forgets the hosts, and perhaps everything.
    void lose_replica() {
        const auto which = static_cast<std::size_t>(author.below(2));
        if (author.below(2) == 0) {
            restart(replicas_[which]);
        } else {
            replicas_[which].feeds.clear();
        }
        for (const auto& end : ends) {
            if (end->at == which) {
                reconnect(*end);
            }
        }
    }

    void compare(End& end) {
        replicas_[end.at].finish();
        end.streamed.drain(feed(end), std::size_t{1} << static_cast<unsigned>(author.below(12)));
        const std::string& name = end.streamed.name;
        const KnowingHost& knowing = *replicas_[end.at].knowing.at(name);
        EXPECT_TRUE(Comparable(end.streamed.sink) == Comparable(knowing.sink)) << name;
        EXPECT_EQ(end.streamed.receiver.catalog().files(), needed(knowing.graph, name));
        EXPECT_EQ(end.streamed.blocks, knowing.blocks);
    }

    Author author;
    std::vector<std::unique_ptr<End>> ends;

  private:
    /// A host gains or loses a block of addresses; one of them has no endpoints and no feed.
    void claim() {
        static const std::vector<std::string> kOwners{"h1", "h2", "h3"};
        const std::string& host = kOwners[static_cast<std::size_t>(author.below(3))];
        const auto block = parse_prefix(fmt::format("10.65.0.{}/26", 64 * author.below(4))).value();
        std::set<IpPrefix>& owned = blocks_[host];
        if (!owned.insert(block).second) {
            owned.erase(block);
        }
        for (auto& replica : replicas_) {
            replica.on({0, {}, {}, {{host, owned}}}, steps());
        }
    }

    void set(const std::string& file, const std::optional<std::string>& text) {
        if (text) {
            files_[file] = *text;
        } else {
            files_.erase(file);
        }
        for (auto& replica : replicas_) {
            replica.on(replica.documents.set(file, text), steps());
        }
    }

    /// Reads what is written, in no order, and knows nothing of what was valid before.
    void restart(Replica& replica) {
        replica.begin(fmt::format("life {}", ++lives_));
        std::vector<Author::File> files(files_.begin(), files_.end());
        author.shuffle(files);
        for (const auto& [file, text] : files) {
            replica.on(replica.documents.set(file, text), steps());
        }
        replica.on({0, {policy::InSync{}}, {}, blocks_}, steps());
    }

    int steps() { return most_steps_ == 0 ? 0 : 1 + author.below(most_steps_); }

    int most_steps_;
    std::map<std::string, std::string> files_;
    std::map<std::string, std::set<IpPrefix>> blocks_;
    std::array<Replica, 2> replicas_;
    int lives_ = 0;
};

class RandomSite : public testing::TestWithParam<unsigned> {};

TEST_P(RandomSite, StreamedHostsHaveWhatKnowingHostsHave) {
    Site site(GetParam());
    for (int step = 0; step < 60 && !HasFailure(); ++step) {
        for (const auto& end : site.ends) {
            site.compare(*end);
        }
        site.edit();
    }
}

void miss_frames(Site& site) {
    for (int step = 0; step < 120 && !testing::Test::HasFailure(); ++step) {
        site.edit();
        if (site.author.below(12) == 0) {
            site.lose_replica();
        }
        for (const auto& end : site.ends) {
            switch (site.author.below(4)) {
                case 0:
                    break;  // slow: takes nothing this time
                case 1:
                    site.compare(*end);
                    break;
                default:
                    site.lose(*end);
            }
        }
    }
    for (const auto& end : site.ends) {
        site.compare(*end);
    }
}

TEST_P(RandomSite, HostsThatMissFramesCatchUp) {
    Site site(GetParam() + 1000);
    miss_frames(site);
}

/// Hosts come, go and ask for news in the middle of batches.
TEST_P(RandomSite, WhatIsWorkedOutInSlicesIsTheSame) {
    Site site(GetParam() + 2000, 20);
    miss_frames(site);
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomSite, testing::Range(1U, 1U + test::rounds(20)));

/// In slices of one step: who stays needs it throughout.
TEST(Cluster, APolicyMayBecomeOneForHostEndpointsAloneAndBack) {
    Cluster cluster;
    Documents documents;
    cluster.on({0, {policy::InSync{}}});
    cluster.on(documents.set(
        "w",
        document(
            "WorkloadEndpoint",
            "name: e, namespace: n",
            "node: h1, interfaceName: tap0, ipNetworks: [10.0.0.1]")));
    cluster.on(
        documents.set("h", document("HostEndpoint", "name: e", "node: h2, interfaceName: eth0")));
    StreamedHost workload("h1");
    StreamedHost host("h2");
    Feed to_workload(cluster, "h1");
    Feed to_host(cluster, "h2");
    workload.connect(to_workload, "life");
    host.connect(to_host, "life");
    const auto becomes = [&](const std::optional<std::string>& spec) {
        cluster.add(documents.set(
            "p", spec ? std::optional(document("GlobalNetworkPolicy", "name: p", *spec)) : spec));
        while (!cluster.go_on(kOneStep)) {
        }
        workload.drain(to_workload);
        host.drain(to_host);
        const std::string name = "GlobalNetworkPolicy p";
        return std::pair(
            workload.receiver.catalog().files().contains(name),
            host.receiver.catalog().files().contains(name));
    };
    const std::string before = "types: [Ingress], preDNAT: true, applyOnForward: true";
    EXPECT_EQ(becomes("types: [Ingress]"), std::pair(true, true));
    EXPECT_EQ(becomes(before), std::pair(false, true));
    EXPECT_EQ(becomes("order: 1, types: [Ingress]"), std::pair(true, true));
    EXPECT_EQ(becomes("order: 1, types: [Ingress], selector: has(x)"), std::pair(false, false));
    EXPECT_EQ(becomes(before), std::pair(false, true));
    EXPECT_EQ(becomes(std::nullopt), std::pair(false, false));
}

TEST(Cluster, ALastValidVersionMayBeOfAKindThatHostsAreNotTold) {
    const std::vector<std::pair<policy::Kind, std::string>> kinds = {
        {policy::Kind::IPReservation, document("IPReservation", "name: k", "reservedCIDRs: []")},
        {policy::Kind::ClusterInformation,
         document("ClusterInformation", "name: k", "datastoreReady: true")},
        {policy::Kind::GlobalNetworkSet, document("GlobalNetworkSet", "name: k", "nets: []")},
        {policy::Kind::Tier, document("Tier", "name: k", "order: 1")}};
    for (const auto& [kind, text] : kinds) {
        Cluster cluster;
        Documents documents;
        cluster.on(documents.set("k", text));
        policy::Batch spoilt{0, {policy::InSync{}}, {}};
        spoilt.kept[{kind, {}, "k"}] = "no more";
        cluster.on(spoilt);
        StreamedHost host("h0");
        Feed feed(cluster, "h0");
        host.connect(feed, "life");
        host.drain(feed);
        EXPECT_EQ(host.receiver.catalog().files().contains("Tier k"), kind == policy::Kind::Tier);
    }
}

TEST(Cluster, ForgetsSetsThatNoHostNeeds) {
    Cluster cluster;
    Documents documents;
    cluster.on({0, {policy::InSync{}}});
    cluster.on(documents.set(
        "p",
        document(
            "GlobalNetworkPolicy",
            "name: p",
            "ingress: [{action: Allow, source: {selector: a == 'x'}}]")));
    EXPECT_EQ(cluster.sets(), 0U);
    const auto endpoint = document(
        "WorkloadEndpoint",
        "name: e, namespace: n",
        "node: h0, interfaceName: tap0, ipNetworks: [10.0.0.1]");
    cluster.on(documents.set("e", endpoint));
    EXPECT_EQ(cluster.sets(), 1U);
    cluster.on(documents.set("e", std::nullopt));
    EXPECT_EQ(cluster.sets(), 0U);
}

}  // namespace
}  // namespace vr::policyd::cluster_test
