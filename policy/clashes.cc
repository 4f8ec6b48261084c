// SPDX-License-Identifier: Apache-2.0
#include "policy/clashes.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "policy/migrations.h"

namespace vr::policy {

namespace {

constexpr auto kInvalid = Finding::Kind::Invalid;
constexpr auto kShadowed = Finding::Kind::Shadowed;
constexpr auto kMatchesNothing = Finding::Kind::MatchesNothing;
constexpr auto kWarning = Finding::Kind::Warning;

class Clashes {
  public:
    explicit Clashes(const std::map<Key, ResourcePtr>& objects) : objects_(&objects) {
        for (const auto& [key, object] : objects) {
            if (key.kind == Kind::Node) {
                nodes_.push_back(object.get());
            } else if (key.kind == Kind::LiveMigration) {
                (void)migrations_.set(*object);
            } else if (key.kind == Kind::WorkloadEndpoint) {
                migrations_.place(*object);
            }
        }
    }

    std::vector<Clash> find() {
        for (const auto& [key, object] : *objects_) {
            if (const auto* peer = std::get_if<BgpPeer>(&object->spec)) {
                check_peer(key, *peer);
            } else if (const auto* pool = std::get_if<IpPool>(&object->spec)) {
                check_selector(key, "nodeSelector", pool->node_selector);
                pools_.emplace(pool->cidr, key);
            } else if (const auto* host = std::get_if<HostEndpoint>(&object->spec)) {
                check_host_endpoint(key, *host);
            } else if (const auto* workload = std::get_if<WorkloadEndpoint>(&object->spec)) {
                check_addresses(key, *workload);
            } else if (key.kind == Kind::FelixConfiguration || key.kind == Kind::BGPConfiguration) {
                check_name(key);
            } else if (key.kind == Kind::ClusterInformation) {
                tell(kWarning, key, "has no effect in a directory: it is for etcd");
            }
        }
        check_pools();
        return std::move(found_);
    }

  private:
    void tell(Finding::Kind kind, const Key& key, std::string text) {
        found_.push_back({kind, key, std::move(text)});
    }

    [[nodiscard]] bool is_known_node(std::string_view name) const {
        return nodes_.empty() || std::ranges::any_of(nodes_, [&](const Resource* node) {
                   return node->key.name == name;
               });
    }

    void check_selector(const Key& key, std::string_view field, const Selector& selector) {
        const auto is_meant = [&](const Resource* node) { return selector.matches(node->labels); };
        if (!nodes_.empty() && std::ranges::none_of(nodes_, is_meant)) {
            tell(kMatchesNothing, key, fmt::format("{}: no Node is {}", field, selector.text()));
        }
    }

    void check_peer(const Key& key, const BgpPeer& peer) {
        for (const std::string& name : peer.filters) {
            if (!objects_->contains({Kind::BGPFilter, {}, name})) {
                tell(
                    kInvalid,
                    key,
                    fmt::format(
                        "names BGPFilter {}, which does not exist: no route is exchanged", name));
            }
        }
        if (!peer.node.empty() && !is_known_node(peer.node)) {
            tell(kMatchesNothing, key, fmt::format("node: no Node is called {}", peer.node));
        }
        if (peer.node_selector) {
            check_selector(key, "nodeSelector", *peer.node_selector);
        }
        if (peer.peer_selector) {
            check_selector(key, "peerSelector", *peer.peer_selector);
        }
    }

    /// Of these only what hosts look for counts.
    void check_name(const Key& key) {
        constexpr std::string_view kNode = "node.";
        if (key.name == "default") {
            return;
        }
        if (!key.name.starts_with(kNode)) {
            tell(kMatchesNothing, key, "has no effect: only default and node.NAME have");
        } else if (const std::string node = key.name.substr(kNode.size()); !is_known_node(node)) {
            tell(kMatchesNothing, key, fmt::format("has no effect: no Node is called {}", node));
        }
    }

    /// The first by name guards an interface that several name.
    void check_host_endpoint(const Key& key, const HostEndpoint& host) {
        std::vector<std::string> claims;
        if (!host.interface_name.empty()) {
            claims.push_back("interface " + host.interface_name);
        } else {
            for (const IpPrefix& expected : host.expected_ips) {
                claims.push_back("the interface with " + vr::to_string(expected));
            }
        }
        for (const std::string& claim : claims) {
            const auto [first, fresh] = guards_.try_emplace({host.node, claim}, key);
            if (!fresh && first->second != key) {
                tell(
                    kShadowed,
                    key,
                    fmt::format("{} guards {} of {}", to_string(first->second), claim, host.node));
                return;
            }
        }
    }

    /// The two ends of a migration share their addresses for a while.
    void check_addresses(const Key& key, const WorkloadEndpoint& workload) {
        for (const IpPrefix& network : workload.networks) {
            const auto [first, fresh] = addresses_.try_emplace(network, key);
            const bool moves = migrations_.role(key) != MigrationRole::None &&
                               migrations_.role(first->second) != MigrationRole::None;
            if (!fresh && first->second != key && !moves) {
                tell(
                    kInvalid,
                    key,
                    fmt::format(
                        "{} is an address of {}, too",
                        vr::to_string(network),
                        to_string(first->second)));
            }
        }
    }

    /// In order, a pool follows those that it is in, and what lies between them is in the first of these.
    void check_pools() {
        const std::pair<const IpPrefix, Key>* wide = nullptr;
        for (const auto& pool : pools_) {
            if (wide != nullptr && contains(wide->first, pool.first)) {
                tell(
                    kInvalid,
                    pool.second,
                    fmt::format(
                        "{} overlaps {} of {}",
                        vr::to_string(pool.first),
                        vr::to_string(wide->first),
                        to_string(wide->second)));
            } else {
                wide = &pool;
            }
        }
    }

    const std::map<Key, ResourcePtr>* objects_;
    std::vector<const Resource*> nodes_;
    Migrations migrations_;
    std::multimap<IpPrefix, Key> pools_;
    std::map<std::pair<std::string, std::string>, Key> guards_;  ///< by node and interface
    std::map<IpPrefix, Key> addresses_;
    std::vector<Clash> found_;
};

}  // namespace

std::vector<Clash> clashes(const std::map<Key, ResourcePtr>& objects) {
    return Clashes(objects).find();
}

}  // namespace vr::policy
