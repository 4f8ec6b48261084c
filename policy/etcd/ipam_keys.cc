// SPDX-License-Identifier: Apache-2.0
#include "policy/etcd/ipam_keys.h"

#include <optional>

#include "policy/etcd/messages.h"
#include "policy/ipam/block.h"
#include "policy/ipam/cidr.h"

namespace vr::policy::etcd {

namespace {

constexpr std::string_view kBlocks = "assignment/";
constexpr std::string_view kHosts = "host/";
constexpr std::string_view kHandles = "handle/";
constexpr std::string_view kConfig = "config";

/// "ipv4/block/10.0.0.0-26"
std::string tail_of(const IpPrefix& cidr) {
    std::string text = to_string(cidr);
    text[text.rfind('/')] = '-';
    return (cidr.index() == 0 ? "ipv4/block/" : "ipv6/block/") + text;
}

std::optional<IpPrefix> cidr_in(std::string_view tail) {
    const std::size_t dash = tail.rfind('-');
    const std::size_t slash = tail.rfind('/');
    if (dash == std::string_view::npos || slash == std::string_view::npos || dash < slash) {
        return std::nullopt;
    }
    std::string text(tail.substr(slash + 1));
    text[dash - slash - 1] = '/';
    const auto cidr = parse_prefix(text);
    // A claim to half of the world is none.
    const bool small = cidr && width_of(*cidr) - length_of(*cidr) <= ipam::Block::kMaxBits;
    return small && tail_of(*cidr) == tail ? cidr : std::nullopt;
}

ipam::RecordId claim_in(std::string_view path, std::string_view key) {
    const std::size_t end = path.find('/');
    const std::string_view host = path.substr(0, end);
    const auto cidr = end == std::string_view::npos ? std::nullopt : cidr_in(path.substr(end + 1));
    if (!cidr || !ipam::is_id(host)) {
        return ipam::StrangeId{std::string(key)};
    }
    return ipam::AffinityId{std::string(host), *cidr};
}

}  // namespace

IpamKeys::IpamKeys(const std::string& root)
    : keys_(root),
      ipam_(root + "/ipam/v2/"),
      reservations_(keys_.resources() + "ipreservations/") {}

std::string IpamKeys::claims() const {
    return ipam_ + std::string(kHosts);
}

std::string IpamKeys::of(const ipam::RecordId& id) const {
    struct Path {
        const IpamKeys& keys;

        std::string operator()(const ipam::BlockId& block) const {
            return keys.ipam_ + std::string(kBlocks) + tail_of(block.cidr);
        }

        std::string operator()(const ipam::AffinityId& claim) const {
            return keys.claims() + claim.host + "/" + tail_of(claim.cidr);
        }

        std::string operator()(const ipam::HandleId& handle) const {
            return keys.ipam_ + std::string(kHandles) + handle.id;
        }

        std::string operator()(const ipam::ConfigId& /*config*/) const {
            return keys.ipam_ + std::string(kConfig);
        }

        std::string operator()(const ipam::ReservationId& reservation) const {
            return keys.reservations_ + reservation.name;
        }

        std::string operator()(const Key& key) const { return keys.keys_.of(key); }

        std::string operator()(const ipam::StrangeId& strange) const { return strange.key; }
    };

    return std::visit(Path{*this}, id);
}

ipam::RecordId IpamKeys::record(std::string_view key) const {
    if (key.starts_with(reservations_) && ipam::is_id(key.substr(reservations_.size()))) {
        return ipam::ReservationId{std::string(key.substr(reservations_.size()))};
    }
    if (auto resource = keys_.resource(key)) {
        return *std::move(resource);
    }
    if (!key.starts_with(ipam_)) {
        return ipam::StrangeId{std::string(key)};
    }
    const std::string_view path = key.substr(ipam_.size());
    if (path.starts_with(kHosts)) {
        return claim_in(path.substr(kHosts.size()), key);
    }
    if (path.starts_with(kBlocks)) {
        if (const auto cidr = cidr_in(path.substr(kBlocks.size()))) {
            return ipam::BlockId{*cidr};
        }
    } else if (path.starts_with(kHandles) && ipam::is_id(path.substr(kHandles.size()))) {
        return ipam::HandleId{std::string(path.substr(kHandles.size()))};
    } else if (path == kConfig) {
        return ipam::ConfigId{};
    }
    return ipam::StrangeId{std::string(key)};
}

std::pair<std::string, std::string> IpamKeys::range(const ipam::Range& range) const {
    struct Prefix {
        const IpamKeys& keys;

        std::string operator()(const ipam::BlocksOf& blocks) const {
            return keys.ipam_ + std::string(kBlocks) + (blocks.version == 4 ? "ipv4/" : "ipv6/");
        }

        std::string operator()(const ipam::AffinitiesOf& claims) const {
            return keys.claims() + (claims.host.empty() ? "" : claims.host + "/");
        }

        std::string operator()(const ipam::AllHandles& /*all*/) const {
            return keys.ipam_ + std::string(kHandles);
        }

        std::string operator()(const ipam::AllReservations& /*all*/) const {
            return keys.reservations_;
        }

        std::string operator()(const ipam::AllOf& all) const {
            return keys.keys_.resources() + std::string(row_of(all.kind).plural) + "/";
        }
    };

    std::string prefix = std::visit(Prefix{*this}, range);
    std::string end = prefix_end(prefix);
    return {std::move(prefix), std::move(end)};
}

}  // namespace vr::policy::etcd
