// SPDX-License-Identifier: Apache-2.0
#include "policy/policyd/report.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <string_view>
#include <utility>

#include <policyd.pb.h>

#include "policy/policyd/wire.h"
#include "vrouter/net/addr.h"

namespace vr::policyd {

namespace {

using policy::Key;
using policy::Kind;
using policy::etcd::NodeFacts;
using std::chrono::milliseconds;

constexpr milliseconds kMostUptime = std::chrono::years(10);

/// Updates in as few frames as hold them.
class Frames {
  public:
    pb::FromDataplane& add() { return *message_.mutable_report()->add_updates(); }

    /// What add() gave is complete.  False when no frame may hold it.
    bool end() {
        if (message_.ByteSizeLong() <= kMostFromHost) {
            return true;
        }
        auto& updates = *message_.mutable_report()->mutable_updates();
        const pb::FromDataplane last = updates.Get(updates.size() - 1);
        updates.RemoveLast();
        flush();
        add() = last;
        if (message_.ByteSizeLong() <= kMostFromHost) {
            return true;
        }
        message_.Clear();
        return false;
    }

    std::vector<std::string> all() {
        flush();
        return std::move(frames_);
    }

  private:
    void flush() {
        if (message_.report().updates_size() > 0) {
            frames_.push_back(frame(message_));
            message_.Clear();
        }
    }

    pb::FromHost message_;
    std::vector<std::string> frames_;
};

void fill(pb::FromDataplane& update, const Key& key, const std::optional<std::string>& status) {
    auto& told = key.kind == Kind::HostEndpoint ? *update.mutable_host_endpoint_status_update()
                                                : *update.mutable_workload_endpoint_status_update();
    set_id(*told.mutable_id(), key);
    told.set_status(status.value_or(std::string()));
}

void fill_removal(pb::FromDataplane& update, const Key& key) {
    auto& gone = key.kind == Kind::HostEndpoint ? *update.mutable_host_endpoint_status_remove()
                                                : *update.mutable_workload_endpoint_status_remove();
    set_id(*gone.mutable_id(), key);
}

void fill(pb::NodeAddresses& message, const NodeFacts& facts) {
    message.set_as_number(facts.as_number ? facts.as_number->value() : 0);
    message.set_address4(facts.address4);
    message.set_address6(facts.address6);
}

/// "192.0.2.1/24" of the family, or nothing.
template <Family F>
bool is_address(std::string_view text) {
    const std::size_t slash = std::min(text.find('/'), text.size());
    const auto address = parse_ip(text.substr(0, slash));
    if (!address || !std::holds_alternative<typename F::Addr>(*address)) {
        return text.empty();
    }
    const std::string_view digits = text.substr(std::min(slash + 1, text.size()));
    unsigned length = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), length);
    return error == std::errc{} && end == digits.data() + digits.size() && length <= F::kBits;
}

std::optional<NodeFacts> read(const pb::NodeAddresses& message) {
    if (!is_address<V4>(message.address4()) || !is_address<V6>(message.address6())) {
        return std::nullopt;
    }
    NodeFacts facts{
        .as_number = {}, .address4 = message.address4(), .address6 = message.address6()};
    if (message.as_number() != 0) {
        facts.as_number = Asn{message.as_number()};
    }
    return facts;
}

/// An endpoint of this kind; nothing when that is none.
template <typename Message>
std::optional<Key> read_endpoint(const Message& message, Kind kind) {
    auto key = read_key(message.id());
    if (!key || key->kind != kind || key->ns.size() + key->name.size() > ReportReader::kMostName) {
        return std::nullopt;
    }
    return *std::move(key);
}

}  // namespace

std::vector<std::string> ReportWriter::tell(const HostReport& now) {
    Frames frames;
    if (fresh_) {
        told_ = {};
        auto& process = *frames.add().mutable_process_status_update();
        process.set_milliseconds(static_cast<std::uint64_t>(
            std::chrono::duration_cast<milliseconds>(now.uptime).count()));
        process.set_first(first_);
    }
    if (now.node && now.node != told_.node) {
        fill(*frames.add().mutable_node_addresses(), *now.node);
        (void)frames.end();
    }
    for (const auto& [key, status] : now.endpoints) {
        const auto told = told_.endpoints.find(key);
        if (told == told_.endpoints.end() || told->second != status) {
            fill(frames.add(), key, status);
            (void)frames.end();
        }
    }
    for (const auto& [key, status] : told_.endpoints) {
        if (!now.endpoints.contains(key)) {
            fill_removal(frames.add(), key);
            (void)frames.end();
        }
    }
    if (fresh_) {
        (void)frames.add().mutable_dataplane_in_sync();
        (void)frames.end();
    }
    told_ = now;
    fresh_ = false;
    first_ = false;
    return frames.all();
}

void ReportReader::take(const pb::Report& report) {
    for (const pb::FromDataplane& update : report.updates()) {
        take(update);
    }
}

void ReportReader::take(const pb::FromDataplane& update) {
    const auto set = [this](const pb::EndpointStatusUpdate& message, Kind kind) {
        const auto key = read_endpoint(message, kind);
        const std::string& status = message.status();
        const bool known =
            status.empty() || status == "up" || status == "down" || status == "error";
        if (key && known &&
            (report_.endpoints.size() < kMostEndpoints || report_.endpoints.contains(*key))) {
            report_.endpoints[*key] = status.empty() ? std::nullopt : std::optional(status);
        }
    };
    const auto remove = [this](const pb::EndpointStatusRemove& message, Kind kind) {
        if (const auto key = read_endpoint(message, kind)) {
            report_.endpoints.erase(*key);
        }
    };
    switch (update.payload_case()) {
        case pb::FromDataplane::kProcessStatusUpdate:
            report_.uptime = milliseconds(std::min<std::uint64_t>(
                update.process_status_update().milliseconds(),
                static_cast<std::uint64_t>(kMostUptime.count())));
            first_ = update.process_status_update().first();
            return;
        case pb::FromDataplane::kHostEndpointStatusUpdate:
            return set(update.host_endpoint_status_update(), Kind::HostEndpoint);
        case pb::FromDataplane::kHostEndpointStatusRemove:
            return remove(update.host_endpoint_status_remove(), Kind::HostEndpoint);
        case pb::FromDataplane::kWorkloadEndpointStatusUpdate:
            return set(update.workload_endpoint_status_update(), Kind::WorkloadEndpoint);
        case pb::FromDataplane::kWorkloadEndpointStatusRemove:
            return remove(update.workload_endpoint_status_remove(), Kind::WorkloadEndpoint);
        case pb::FromDataplane::kDataplaneInSync:
            whole_ = true;
            return;
        case pb::FromDataplane::kNodeAddresses:
            report_.node = read(update.node_addresses());
            return;
        case pb::FromDataplane::PAYLOAD_NOT_SET:
            return;  // of a newer host
    }
}

}  // namespace vr::policyd
