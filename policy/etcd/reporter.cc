// SPDX-License-Identifier: Apache-2.0
#include "policy/etcd/reporter.h"

#include <utility>

#include "vrouter/net/log.h"

namespace vr::policy::etcd {

namespace {

constexpr std::chrono::seconds kBeat{30};
constexpr std::int64_t kLeaseSeconds = 90;

/// The part of it by which many reporters of one process do not beat at once.
constexpr double kEarliest = 0.8;

/// Between two looks at the endpoints, at most one write each; a part of it by chance.
constexpr std::chrono::milliseconds kTick{500};
constexpr std::int64_t kKeysAtOnce = 1000;

}  // namespace

Reporter::Reporter(
    boost::asio::any_io_executor executor, Store& store, Host host, Endpoints endpoints)
    : store_(store),
      host_(std::move(host)),
      endpoints_(std::move(endpoints)),
      beat_timer_(executor),
      tick_timer_(executor),
      random_(std::random_device{}()) {
    tick_later();
    if (store_.is_live()) {
        on_live();
    }
}

void Reporter::call(
    const std::string& what,
    std::string_view path,
    std::string body,
    std::function<void(const std::string& body)> next) {
    store_.call(
        path,
        std::move(body),
        [this, what, next = std::move(next), alive = std::weak_ptr(alive_)](const Body& answer) {
            if (alive.expired()) {
                return;
            }
            if (answer) {
                complaint_.clear();
                next(*answer);
                return;
            }
            writing_ = false;
            const std::string complaint = what + ": " + answer.error().refusal.text;
            if (!answer.error().lost && complaint != complaint_) {
                log::warning("etcd: {}", complaint);
            }
            complaint_ = complaint;
        });
}

void Reporter::on_live() {
    writing_ = false;
    node_checked_.reset();
    beat();
}

void Reporter::resume(Host host) {
    host.first = host.first || host_.first;
    if (host.facts != host_.facts) {
        node_checked_.reset();
    }
    host_ = std::move(host);
    active_ = true;
    if (late_) {
        beat();
    } else if (store_.is_live()) {
        read_statuses();
    }
}

// --- the agent ------------------------------------------------------------------------------

void Reporter::beat_later() {
    const double chance = std::uniform_real_distribution<>(kEarliest, 1)(random_);
    beat_timer_.expires_after(
        std::chrono::duration_cast<std::chrono::milliseconds>(kBeat * chance));
    beat_timer_.async_wait([this, alive = std::weak_ptr(alive_)](boost::system::error_code error) {
        if (!error && !alive.expired()) {
            beat();
        }
    });
}

void Reporter::beat() {
    beat_later();
    late_ = !active_;
    if (!active_ || !store_.is_live()) {
        return;
    }
    read_statuses();
    check_node();
    renew_lease();
}

void Reporter::renew_lease() {
    if (lease_ == 0) {
        call("lease", kGrantPath, encode_grant(kLeaseSeconds), [this](const std::string& body) {
            if (const auto lease = decode_grant(body)) {
                lease_ = *lease;
                put_agent_status();
            }
        });
        return;
    }
    call("lease", kKeepAlivePath, encode_keep_alive(lease_), [this](const std::string& body) {
        if (decode_keep_alive(body).value_or(0) > 0) {
            put_agent_status();
        } else {
            lease_ = 0;
            renew_lease();
        }
    });
}

void Reporter::put_agent_status() {
    if (!active_) {
        return;
    }
    const std::string value = agent_status(
        std::chrono::system_clock::now(),
        std::chrono::duration_cast<std::chrono::milliseconds>(
            std::chrono::steady_clock::now() - host_.started),
        host_.first);
    const Keys& keys = store_.keys();
    call(
        "agent status",
        kPutPath,
        encode_put(keys.status(host_.region, host_.node), value, lease_),
        [this](const std::string& /*body*/) { host_.first = false; });
    call(
        "agent status",
        kPutPath,
        encode_put(keys.last_status(host_.region, host_.node), value, 0),
        [](const std::string& /*body*/) {});
}

/// Whether it says what is wanted; no revision is read twice.
void Reporter::check_node() {
    const Key key{Kind::Node, {}, host_.node};
    const std::string path = store_.keys().of(key);
    const std::int64_t revision = store_.revision_of(path);
    if (!host_.facts || node_checked_ == revision) {
        return;
    }
    auto wanted = node_resource(store_.value(key).get(), host_.node, *host_.facts);
    if (wanted && *wanted) {
        write_node(path, **std::move(wanted), revision);
        return;
    }
    node_checked_ = revision;
    complain_of_node(wanted ? std::string() : wanted.error().text);
}

/// The next beat looks at what became of it.
void Reporter::write_node(const std::string& path, std::string value, std::int64_t revision) {
    store_.write(
        {path, std::move(value), revision},
        [this, alive = std::weak_ptr(alive_)](const Result<void>& written) {
            if (!alive.expired()) {
                complain_of_node(
                    written ? std::string() : "Node resource: " + written.error().text);
            }
        });
}

/// Empty: there is nothing to complain of any more.
void Reporter::complain_of_node(std::string complaint) {
    if (!complaint.empty() && complaint != node_complaint_) {
        log::warning("etcd: {}", complaint);
    }
    node_complaint_ = std::move(complaint);
}

// --- endpoints ------------------------------------------------------------------------------

void Reporter::read_statuses() {
    statuses_read_ = false;
    read_statuses(
        ++reads_,
        {store_.keys().endpoint_statuses(host_.region, host_.node),
         store_.keys().host_endpoint_statuses(host_.node)},
        {},
        {});
}

/// Reads the status keys below each of `prefixes`, the last first, in the order of keys, there from `from`
/// on; `read` are those before.
void Reporter::read_statuses(
    std::uint64_t number,
    std::vector<std::string> prefixes,
    std::string from,
    std::map<std::string, std::string> read) {
    const std::string end = prefix_end(prefixes.back());
    if (from.empty()) {
        from = prefixes.back();
    }
    call(
        "endpoint status",
        kRangePath,
        encode(RangeRequest{std::move(from), end, 0, kKeysAtOnce}),
        [this, number, prefixes = std::move(prefixes), read = std::move(read)](
            const std::string& body) mutable {
            if (number != reads_) {
                return;
            }
            auto reply = decode_range(body);
            if (!reply) {
                log::warning("etcd: endpoint status: {}", reply.error().text);
                return;
            }
            for (KeyValue& item : reply->items) {
                read[std::move(item.key)] = std::move(item.value);
            }
            if (reply->more && !read.empty()) {
                std::string next = read.rbegin()->first + '\0';
                read_statuses(number, std::move(prefixes), std::move(next), std::move(read));
                return;
            }
            prefixes.pop_back();
            if (!prefixes.empty()) {
                read_statuses(number, std::move(prefixes), {}, std::move(read));
                return;
            }
            statuses_.set_stored(std::move(read));
            statuses_read_ = true;
        });
}

void Reporter::tick_later() {
    const double chance = std::uniform_real_distribution<>(0.5, 1)(random_);
    tick_timer_.expires_after(
        std::chrono::duration_cast<std::chrono::milliseconds>(kTick * chance));
    tick_timer_.async_wait([this, alive = std::weak_ptr(alive_)](boost::system::error_code error) {
        if (!error && !alive.expired()) {
            tick();
            tick_later();
        }
    });
}

void Reporter::tick() {
    const bool may = active_ && statuses_read_ && !writing_ && store_.is_live();
    if (!may || !reports_endpoints(store_.wants_reports(), host_.node)) {
        return;
    }
    if (const auto told = endpoints_(statuses_.next().has_value())) {
        std::map<std::string, std::optional<std::string>> wanted;
        for (const auto& [key, status] : *told) {
            const auto path = store_.keys().endpoint_status(host_.region, host_.node, key);
            if (path) {
                wanted[*path] = status ? std::optional(endpoint_status(*status)) : std::nullopt;
            }
        }
        statuses_.set_wanted(std::move(wanted));
    }
    const auto write = statuses_.next();
    if (!write) {
        return;
    }
    writing_ = true;
    call(
        "endpoint status",
        write->value ? kPutPath : kDeletePath,
        write->value ? encode_put(write->key, *write->value, 0) : encode_delete(write->key),
        [this, write = *write](const std::string& /*body*/) {
            writing_ = false;
            statuses_.written(write);
        });
}

}  // namespace vr::policy::etcd
