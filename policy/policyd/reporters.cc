// SPDX-License-Identifier: Apache-2.0
#include "policy/policyd/reporters.h"

#include <utility>

#include "policy/policyd/cluster.h"
#include "policy/policyd/report.h"

namespace vr::policyd {

using policy::etcd::Reporter;

Reporters::Reporters(
    boost::asio::any_io_executor executor,
    policy::etcd::Store& store,
    const EtcdConfig& config,
    const Cluster& cluster)
    : executor_(std::move(executor)), store_(store), config_(config), cluster_(cluster) {
    store_.set_on_live([this] {
        for (auto& [host, entry] : hosts_) {
            entry.reporter->on_live();
        }
    });
}

Reporters::~Reporters() {
    store_.set_on_live(nullptr);
}

void Reporters::tell(const std::string& host, const ReportReader& told) {
    Entry& entry = hosts_[host];
    const bool came = std::exchange(entry.told, &told) == nullptr;
    entry.changed = true;
    if (!entry.reporter) {
        entry.reporter = std::make_unique<Reporter>(
            executor_, store_, describe(host, told), [this, host](bool is_news) {
                return statuses(host, is_news);
            });
    } else if (came) {
        entry.reporter->resume(describe(host, told));
    }
}

void Reporters::gone(const std::string& host) {
    if (const auto found = hosts_.find(host); found != hosts_.end()) {
        found->second.told = nullptr;
        found->second.reporter->pause();
    }
}

Reporter::Host Reporters::describe(const std::string& host, const ReportReader& told) const {
    const policy::Key node{policy::Kind::Node, {}, host};
    // A certificate may name what is no name of a Node.
    const bool writes =
        config_.write_node && store_.keys().resource(store_.keys().of(node)) == node;
    return {
        host,
        config_.region,
        writes ? told.report().node : std::nullopt,
        std::chrono::steady_clock::now() -
            std::chrono::duration_cast<std::chrono::steady_clock::duration>(told.report().uptime),
        told.is_first()};
}

std::optional<Reporter::Statuses> Reporters::statuses(const std::string& host, bool is_news) {
    Entry& entry = hosts_.at(host);
    if (entry.told == nullptr || (!std::exchange(entry.changed, false) && !is_news)) {
        return std::nullopt;
    }
    Reporter::Statuses own;
    for (const auto& [endpoint, status] : entry.told->report().endpoints) {
        if (cluster_.is_on(endpoint, host)) {
            own.emplace(endpoint, status);
        }
    }
    return own;
}

}  // namespace vr::policyd
