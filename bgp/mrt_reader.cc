// SPDX-License-Identifier: Apache-2.0
#include "bgp/mrt_reader.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "bgp/message.h"
#include "bgp/nlri.h"

namespace vr::bgp {

namespace {

constexpr std::uint16_t kBgp4mp = 16;
constexpr std::uint16_t kBgp4mpEt = 17;

constexpr std::uint8_t kUpdate = 2;
constexpr std::size_t kMarker = 16;
constexpr std::size_t kMostAttributes = 0xffff;

/// Everything is read, whoever may send it in truth.
constexpr AttributeContext kAnything{
    .as_width = AsWidth::Four, .peer = PeerKind::Internal, .ipv4_over_ipv6 = true};

template <Family F>
typename F::Addr read_address(Reader& in) {
    const Bytes octets = in.bytes(F::kAddrBytes);
    return in.ok() ? F::Addr::load(octets.data()) : typename F::Addr{};
}

IpAddr read_address(Reader& in, bool v6) {
    return v6 ? IpAddr{read_address<V6>(in)} : IpAddr{read_address<V4>(in)};
}

Asn read_asn(Reader& in, bool four_octets) {
    return Asn{four_octets ? in.u32() : std::uint32_t{in.u16()}};
}

/// RFC 6396 4.3.4: tables have the next hop of MP_REACH_NLRI alone; some writers have all of it.
template <Family F>
bool write_reach(Bytes value, const Prefix<F>& prefix, Writer& out) {
    Reader in{value};
    if (!value.empty() && value.front() == 0) {
        in.skip(3);  // AFI and SAFI: no next hop has the length 0
    }
    const Bytes next_hop = in.bytes(in.u8());
    if (!in.ok()) {
        return false;
    }
    Writer reach;
    reach.u16(F::kAfi);
    reach.u8(kSafiUnicast);
    reach.u8(static_cast<std::uint8_t>(next_hop.size()));
    reach.bytes(next_hop);
    reach.u8(0);
    encode_nlri(prefix, reach);
    encode_attribute(attribute_flag::kOptional, attribute_code::kMpReach, reach.view(), out);
    return true;
}

/// The body of an UPDATE that would bring this path; nothing when the attributes do not fit together.
template <Family F>
std::optional<std::vector<std::uint8_t>> as_update(const Prefix<F>& prefix, Bytes attributes) {
    Writer body;
    body.u32(0);  // nothing withdrawn; length of attributes
    bool reached = false;
    for (Reader in{attributes}; !in.empty();) {
        const std::uint8_t flags = in.u8();
        const std::uint8_t code = in.u8();
        const std::size_t length =
            (flags & attribute_flag::kExtendedLength) != 0 ? in.u16() : in.u8();
        const Bytes value = in.bytes(length);
        if (!in.ok()) {
            return std::nullopt;
        }
        if (code != attribute_code::kMpReach) {
            encode_attribute(flags, code, value, body);
        } else if (std::exchange(reached, true) || !write_reach(value, prefix, body)) {
            return std::nullopt;
        }
    }
    const std::size_t length = body.size() - 4;
    if (length > kMostAttributes) {
        return std::nullopt;
    }
    body.patch(2, static_cast<std::uint16_t>(length));
    if (!reached && std::is_same_v<F, V4>) {
        encode_nlri(prefix, body);
    }
    return body.release();
}

}  // namespace

void MrtReader::feed(Bytes piece) {
    const std::size_t skipped = std::min(skip_, piece.size());
    skip_ -= skipped;
    octets_.erase(octets_.begin(), octets_.begin() + static_cast<std::ptrdiff_t>(done_));
    done_ = 0;
    octets_.insert(
        octets_.end(), piece.begin() + static_cast<std::ptrdiff_t>(skipped), piece.end());
}

void MrtReader::finish(const Fault& fault) {
    const bool begun = done_ < octets_.size();
    if (begun || skip_ != 0) {
        number_ += begun ? 1U : 0U;
        tell(fault, "the file ends within it");
    }
    octets_.clear();
    done_ = skip_ = 0;
}

bool MrtReader::read(const Visit& visit, const Fault& fault) {
    Reader in{Bytes{octets_}.subspan(done_)};
    Record record{.body = Reader{{}}};
    record.seconds = in.u32();
    record.type = in.u16();
    record.subtype = in.u16();
    const std::size_t length = in.u32();
    const std::size_t here = std::min(length, in.remaining());
    if (!in.ok() || (here < length && length <= kMostRecord)) {
        return false;
    }
    ++number_;
    done_ = octets_.size() - in.remaining() + here;
    if (length > kMostRecord) {
        skip_ = length - here;
        tell(fault, "too long");
        return true;
    }
    record.body = in.take(here);
    Problem problem;
    switch (record.type) {
        case kMrtTableDumpV2:
            problem = read_table(record, visit, fault);
            break;
        case kBgp4mpEt:
            record.body.skip(4);  // microseconds
            [[fallthrough]];
        case kBgp4mp:
            problem = read_message(record, visit, fault);
            break;
        default:
            tell(fault, fmt::format("type {} is not read", record.type));
    }
    if (!problem.empty()) {
        tell(fault, problem);
    }
    return true;
}

void MrtReader::tell(const Fault& fault, std::string_view problem) const {
    fault(fmt::format("record {}: {}", number_, problem));
}

// --- tables ------------------------------------------------------------------------------------------

auto MrtReader::read_table(Record& record, const Visit& visit, const Fault& fault) -> Problem {
    switch (record.subtype) {
        case kMrtPeerIndexTable:
            return read_peers(record.body);
        case kMrtRibIpv4Unicast:
            return read_paths<V4>(record, false, visit, fault);
        case kMrtRibIpv6Unicast:
            return read_paths<V6>(record, false, visit, fault);
        case kMrtRibIpv4UnicastAddPath:
            return read_paths<V4>(record, true, visit, fault);
        case kMrtRibIpv6UnicastAddPath:
            return read_paths<V6>(record, true, visit, fault);
        default:
            tell(fault, fmt::format("subtype {} of TABLE_DUMP_V2 is not read", record.subtype));
            return {};
    }
}

/// RFC 6396 4.3.1.
auto MrtReader::read_peers(Reader body) -> Problem {
    peers_.clear();
    body.skip(4);           // the collector's identifier
    body.skip(body.u16());  // the view's name
    const std::uint16_t count = body.u16();
    for (std::uint16_t i = 0; i < count && body.ok(); ++i) {
        const std::uint8_t type = body.u8();
        MrtPeer peer;
        peer.identifier = Ip4{body.u32()};
        peer.address = read_address(body, (type & kMrtIpv6Address) != 0);
        peer.asn = read_asn(body, (type & kMrtFourOctetAs) != 0);
        peers_.push_back(peer);
    }
    if (!body.done()) {
        peers_.clear();
        return "malformed list of peers";
    }
    return {};
}

/// RFC 6396 4.3.2 and 4.3.4.
template <Family F>
auto MrtReader::read_paths(Record& record, bool path_ids, const Visit& visit, const Fault& fault)
    -> Problem {
    Reader& body = record.body;
    body.skip(4);  // sequence number
    const std::uint8_t bits = body.u8();
    std::vector<Prefix<F>> prefix;
    Writer nlri;
    nlri.u8(bits);
    nlri.bytes(body.bytes((bits + 7U) / 8U));
    if (!body.ok() || !decode_nlri<F>(Reader{nlri.view()}, prefix)) {
        return "malformed prefix";
    }
    const std::uint16_t count = body.u16();
    for (std::uint16_t i = 0; i < count; ++i) {
        const std::uint16_t peer = body.u16();
        MrtPath path{.seconds = body.u32(), .prefix = prefix.front()};
        if (path_ids) {
            path.path_id = body.u32();
        }
        const Bytes attributes = body.bytes(body.u16());
        if (!body.ok()) {
            return "paths are cut short";
        }
        if (peer >= peers_.size()) {
            tell(fault, fmt::format("peer {} is not in the list of peers", peer));
            continue;
        }
        path.peer = peers_[peer];
        const auto message = as_update(prefix.front(), attributes);
        auto decoded =
            message ? decode_update(*message, kAnything) : Decoded<Update>{Notification{}};
        auto* update = std::get_if<Update>(&decoded);
        if (update == nullptr || update->template of<F>().announced.empty()) {
            const bool named = update != nullptr && !update->faults.empty();
            tell(fault, named ? update->faults.front() : "malformed attributes");
            continue;
        }
        path.attributes = std::move(update->template of<F>().attributes);
        visit(path);
    }
    return body.done() ? Problem{} : "octets are left over";
}

// --- messages ----------------------------------------------------------------------------------------

/// RFC 6396 4.4 and RFC 8050 3.
auto MrtReader::read_message(Record& record, const Visit& visit, const Fault& fault) -> Problem {
    constexpr std::uint16_t kMostSubtype = 11;
    const std::uint16_t subtype = record.subtype;
    const bool changed_state = subtype == 0 || subtype == 5;
    if (changed_state) {
        return {};
    }
    if (subtype == 2 || subtype == 3 || subtype > kMostSubtype) {
        tell(fault, fmt::format("subtype {} of BGP4MP is not read", subtype));
        return {};
    }
    Reader& body = record.body;
    const bool as4 = subtype == 4 || subtype == 7 || subtype == 9 || subtype == 11;
    MrtPath path{.seconds = record.seconds, .prefix = {}};
    path.peer.asn = read_asn(body, as4);
    static_cast<void>(read_asn(body, as4));
    body.skip(2);  // interface
    const std::uint16_t afi = body.u16();
    if (afi != V4::kAfi && afi != V6::kAfi) {
        return "malformed addresses";
    }
    path.peer.address = read_address(body, afi == V6::kAfi);
    static_cast<void>(read_address(body, afi == V6::kAfi));
    body.skip(kMarker);
    const std::uint16_t length = body.u16();
    const std::uint8_t type = body.u8();
    if (!body.ok() || length != kHeaderSize + body.remaining()) {
        return "malformed message";
    }
    if (type != kUpdate) {
        return {};
    }
    AttributeContext context = kAnything;
    context.as_width = as4 ? AsWidth::Four : AsWidth::Two;
    context.path_ids4 = context.path_ids6 = subtype >= 8;
    const auto decoded = decode_update(body.rest(), context);
    const auto* update = std::get_if<Update>(&decoded);
    if (update == nullptr) {
        return "malformed UPDATE";
    }
    for (const std::string& each : update->faults) {
        tell(fault, each);
    }
    visit_reach(update->of<V4>(), path, visit);
    visit_reach(update->of<V6>(), path, visit);
    return {};
}

template <Family F>
void MrtReader::visit_reach(const Reach<F>& reach, MrtPath path, const Visit& visit) const {
    const auto visit_all = [&](const auto& prefixes, const auto& ids) {
        for (std::size_t i = 0; i < prefixes.size(); ++i) {
            path.prefix = prefixes[i];
            path.path_id = i < ids.size() ? std::optional{ids[i]} : std::nullopt;
            visit(path);
        }
    };
    path.kind = MrtPath::Kind::Withdrawn;
    visit_all(reach.withdrawn, reach.withdrawn_ids);
    path.kind = MrtPath::Kind::Announced;
    path.attributes = reach.attributes;
    visit_all(reach.announced, reach.announced_ids);
}

}  // namespace vr::bgp
