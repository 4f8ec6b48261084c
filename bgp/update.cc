// SPDX-License-Identifier: Apache-2.0
#include "bgp/update.h"

#include <fmt/core.h>

#include <algorithm>
#include <bitset>

#include "bgp/nlri.h"

namespace vr::bgp {
namespace {

using attribute_flag::kExtendedLength;
using attribute_flag::kOptional;
using attribute_flag::kPartial;
using attribute_flag::kTransitive;

/// One attribute as it lies in the message.
struct RawAttribute {
    std::uint8_t flags = 0;
    std::uint8_t code = 0;
    Bytes value;
    Bytes whole;  ///< header included: the data of a NOTIFICATION
};

/// Decodes one message; members are what is known so far.
class UpdateDecoder {
  public:
    explicit UpdateDecoder(const AttributeContext& context) : context_(context) {}

    Decoded<Update> decode(Bytes body) {
        Reader in{body};
        const Reader withdrawn = in.take(in.u16());
        Reader attributes = in.take(in.u16());
        if (!in.ok()) {
            return notification(ErrorCode::Update, update_error::kMalformedList);
        }
        const bool nothing_else = attributes.empty() && in.empty();
        Reach<V4>& v4 = update_.of<V4>();
        if (!decode_nlri<V4>(withdrawn, v4.withdrawn, ids<V4>(v4.withdrawn_ids))) {
            return notification(ErrorCode::Update, update_error::kInvalidNetwork);
        }
        if (auto reset = read_attributes(attributes)) {
            return *std::move(reset);
        }
        if (!decode_nlri<V4>(in, v4.announced, ids<V4>(v4.announced_ids))) {
            return notification(ErrorCode::Update, update_error::kInvalidNetwork);
        }
        v4.end_of_rib = nothing_else && v4.withdrawn.empty();
        if (is_reach_lost()) {
            return notification(ErrorCode::Update, update_error::kMalformedList);
        }
        finish_message();
        return std::move(update_);
    }

  private:
    /// Where the family's path identifiers go; null: it has none.
    template <Family F>
    [[nodiscard]] std::vector<std::uint32_t>* ids(std::vector<std::uint32_t>& into) const {
        return context_.path_ids<F>() ? &into : nullptr;
    }

    template <Family F>
    [[nodiscard]] bool announced(Reader& in) {
        Reach<F>& reach = update_.of<F>();
        return decode_nlri<F>(in, reach.announced, ids<F>(reach.announced_ids));
    }

    template <Family F>
    [[nodiscard]] bool withdrawn(Reader& in) {
        Reach<F>& reach = update_.of<F>();
        return decode_nlri<F>(in, reach.withdrawn, ids<F>(reach.withdrawn_ids));
    }

    /// Walks the attribute section.  RFC 7606 4: an attribute that does not fit ends the walk.
    std::optional<Notification> read_attributes(Reader& in) {
        while (!in.empty()) {
            const Bytes from = Reader{in}.rest();
            RawAttribute raw;
            raw.flags = in.u8();
            raw.code = in.u8();
            const std::size_t length =
                (raw.flags & kExtendedLength) != 0 ? std::size_t{in.u16()} : std::size_t{in.u8()};
            raw.value = in.bytes(length);
            if (!in.ok()) {
                cut_ = true;
                fault(OnError::Withdraw, fmt::format("attribute {} is cut short", raw.code));
                return std::nullopt;
            }
            raw.whole = from.first(from.size() - in.remaining());
            if (auto reset = read_attribute(raw)) {
                return reset;
            }
        }
        return std::nullopt;
    }

    std::optional<Notification> read_attribute(const RawAttribute& raw) {
        const bool multiprotocol =
            raw.code == attribute_code::kMpReach || raw.code == attribute_code::kMpUnreach;
        if (seen_.test(raw.code)) {
            // RFC 7606 3 g: a second one is dropped, but for the multiprotocol attributes.
            if (multiprotocol) {
                return notification(ErrorCode::Update, update_error::kMalformedList);
            }
            fault(OnError::Discard, fmt::format("attribute {} appears twice", raw.code));
            return std::nullopt;
        }
        seen_.set(raw.code);
        const AttributeRow* row = attribute_row(raw.code);
        if (row == nullptr) {
            return read_unknown(raw);
        }
        if (dropped_unseen(*row)) {
            return std::nullopt;
        }
        if ((raw.flags & (kOptional | kTransitive)) != row->flags) {
            // RFC 7606 3 c.
            fault(OnError::Withdraw, fmt::format("{} has flags {:#04x}", row->name, raw.flags));
            if (!multiprotocol) {
                return std::nullopt;
            }
        }
        Reader value{raw.value};
        const bool good = raw.code == attribute_code::kMpReach ? read_mp_reach(value)
                          : raw.code == attribute_code::kMpUnreach
                              ? read_mp_unreach(value)
                              : row->decode(value, context_, draft_);
        if (good) {
            if (row->flags == (kOptional | kTransitive) && (raw.flags & kPartial) != 0) {
                draft_.set.partial |= std::uint64_t{1} << row->code;
            }
            return std::nullopt;
        }
        if (row->on_error == OnError::Reset) {
            return notification(ErrorCode::Update, update_error::kOptionalAttribute, raw.whole);
        }
        fault(row->on_error, fmt::format("{} is malformed", row->name));
        return std::nullopt;
    }

    /// RFC 7606 7.5, 7.9, 7.10 and RFC 6793 6: not theirs to send, so not even looked at.
    [[nodiscard]] bool dropped_unseen(const AttributeRow& row) const {
        switch (row.sent_by) {
            case SentBy::Anyone:
                return false;
            case SentBy::InternalPeer:
                return context_.peer != PeerKind::Internal;
            case SentBy::TwoOctetSpeaker:
                return context_.as_width == AsWidth::Four;
        }
        return false;
    }

    /// RFC 4271 5 and 6.3: transitive ones travel on, others end here, a well-known one must be known.
    std::optional<Notification> read_unknown(const RawAttribute& raw) {
        if ((raw.flags & kOptional) == 0) {
            return notification(ErrorCode::Update, update_error::kUnrecognizedWellKnown, raw.whole);
        }
        if ((raw.flags & kTransitive) != 0) {
            draft_.set.unknown.push_back(UnknownAttribute{
                .flags =
                    static_cast<std::uint8_t>(raw.flags & (kOptional | kTransitive | kPartial)),
                .code = raw.code,
                .value = {raw.value.begin(), raw.value.end()}});
        }
        return std::nullopt;
    }

    /// RFC 4760 3, RFC 2545 3.  Families that we do not speak are skipped.
    bool read_mp_reach(Reader& in) {
        AfiSafi family;
        family.afi = in.u16();
        family.safi = in.u8();
        Reader next_hop = in.take(in.u8());
        in.skip(1);  // reserved
        if (!in.ok()) {
            return false;
        }
        if (family == kIpv4Unicast) {
            return read_next_hop4(next_hop) && announced<V4>(in);
        }
        if (family == kIpv6Unicast) {
            return read_next_hop6(next_hop) && announced<V6>(in);
        }
        other_reach_ = true;
        return true;
    }

    /// RFC 8950 3: an IPv6 next hop only where both sides know that.
    bool read_next_hop4(Reader& in) {
        if (in.remaining() == V4::kAddrBytes) {
            mp_next_hop4_ = Ip4{in.u32()};
            return true;
        }
        const bool good = context_.ipv4_over_ipv6 && read_next_hop6(in);
        mp_next_hop4_ = next_hop6_;
        return good;
    }

    bool read_next_hop6(Reader& in) {
        const Bytes first = in.bytes(V6::kAddrBytes);
        if (!in.ok()) {
            return false;
        }
        next_hop6_ = Ip6::load(first.data());
        if (!in.empty()) {
            const Bytes second = in.bytes(V6::kAddrBytes);
            if (!in.done()) {
                return false;
            }
            link_local_ = Ip6::load(second.data());
        }
        return true;
    }

    bool read_mp_unreach(Reader& in) {
        AfiSafi family;
        family.afi = in.u16();
        family.safi = in.u8();
        if (!in.ok()) {
            return false;
        }
        const bool marker = in.empty();
        if (family == kIpv4Unicast) {
            return withdrawn<V4>(in);
        }
        if (family == kIpv6Unicast) {
            update_.of<V6>().end_of_rib = marker;
            return withdrawn<V6>(in);
        }
        return true;
    }

    void fault(OnError cost, std::string text) {
        update_.treated_as_withdraw = update_.treated_as_withdraw || cost == OnError::Withdraw;
        update_.faults.push_back(std::move(text));
    }

    /// RFC 7606 5.2: attributes that announce nothing, one of them broken, may have hidden what is to be
    /// withdrawn now.
    [[nodiscard]] bool is_reach_lost() const {
        const bool announces = !update_.of<V4>().announced.empty() ||
                               !update_.of<V6>().announced.empty() || other_reach_;
        const bool only_withdraws =
            !cut_ && seen_.count() == 1 && seen_.test(attribute_code::kMpUnreach);
        return update_.treated_as_withdraw && !announces && !only_withdraws;
    }

    void finish_message() {
        Reach<V4>& v4 = update_.of<V4>();
        Reach<V6>& v6 = update_.of<V6>();
        if (v4.announced.empty() && v6.announced.empty()) {
            return;
        }
        check_mandatory(!v4.announced.empty());
        if (update_.treated_as_withdraw) {
            withdraw_announced(v4);
            withdraw_announced(v6);
            return;
        }
        Attributes set = finish(std::move(draft_));
        if (!v6.announced.empty()) {
            v6.attributes = set;
            v6.attributes.next_hop = next_hop6_;
            v6.attributes.next_hop_link_local = link_local_;
        }
        v4.attributes = std::move(set);
        if (mp_next_hop4_) {
            v4.attributes.next_hop = *mp_next_hop4_;
            v4.attributes.next_hop_link_local = link_local_;
        }
    }

    /// RFC 7606 3 d.
    void check_mandatory(bool with_v4) {
        const auto must = [this](std::uint8_t code, std::string_view name) {
            if (!seen_.test(code)) {
                fault(OnError::Withdraw, fmt::format("{} is missing", name));
            }
        };
        must(attribute_code::kOrigin, "origin");
        must(attribute_code::kAsPath, "as-path");
        if (with_v4 && !mp_next_hop4_) {
            must(attribute_code::kNextHop, "next-hop");
        }
    }

    template <Family F>
    static void withdraw_announced(Reach<F>& reach) {
        reach.withdrawn.insert(
            reach.withdrawn.end(), reach.announced.begin(), reach.announced.end());
        reach.withdrawn_ids.insert(
            reach.withdrawn_ids.end(), reach.announced_ids.begin(), reach.announced_ids.end());
        reach.announced.clear();
        reach.announced_ids.clear();
    }

    const AttributeContext& context_;
    Update update_;
    AttributeDraft draft_;
    std::bitset<256> seen_;
    bool cut_ = false;          ///< the attributes are longer than their section
    bool other_reach_ = false;  ///< prefixes of a family that we do not speak
    std::optional<IpAddr> mp_next_hop4_;
    Ip6 next_hop6_;
    std::optional<Ip6> link_local_;
};

constexpr std::size_t kRoom = kMaxMessage - kHeaderSize;
/// Flags, code and extended length of a multiprotocol attribute.
constexpr std::size_t kMpHeader = 4;

/// Prefixes to be written, with their path identifiers if they have any.
template <Family F>
struct Paths {
    std::span<const Prefix<F>> prefixes;
    std::span<const std::uint32_t> ids;

    [[nodiscard]] std::size_t size_of(std::size_t i) const {
        return nlri_size(prefixes[i]) + (ids.empty() ? 0 : sizeof(std::uint32_t));
    }

    /// How many from the first on fit `room` octets; at least none.
    [[nodiscard]] std::size_t fitting(std::size_t room) const {
        std::size_t count = 0;
        for (; count < prefixes.size() && size_of(count) <= room; ++count) {
            room -= size_of(count);
        }
        return count;
    }

    [[nodiscard]] Paths first(std::size_t count) const {
        return {prefixes.first(count), ids.empty() ? ids : ids.first(count)};
    }

    void drop_first(std::size_t count) {
        prefixes = prefixes.subspan(count);
        ids = ids.empty() ? ids : ids.subspan(count);
    }

    void encode(Writer& out) const {
        for (std::size_t i = 0; i < prefixes.size(); ++i) {
            if (!ids.empty()) {
                out.u32(ids[i]);
            }
            encode_nlri(prefixes[i], out);
        }
    }
};

/// A multiprotocol attribute whose value is `head` and the prefixes.
template <Family F>
void encode_mp(std::uint8_t code, Bytes head, const Paths<F>& paths, Writer& out) {
    out.u8(kOptional | kExtendedLength);
    out.u8(code);
    const std::size_t length_at = out.size();
    out.u16(0);
    out.bytes(head);
    paths.encode(out);
    out.patch(length_at, static_cast<std::uint16_t>(out.size() - length_at - 2));
}

/// AFI, SAFI, next hop and the reserved octet of an MP_REACH_NLRI.
template <Family F>
void encode_mp_reach_head(const Attributes& attributes, Writer& out) {
    out.u16(F::kAfi);
    out.u8(kSafiUnicast);
    std::array<std::uint8_t, V6::kAddrBytes> address{};
    std::get<Ip6>(attributes.next_hop).store(address.data());
    out.u8(attributes.next_hop_link_local ? 32 : 16);
    out.bytes(address);
    if (attributes.next_hop_link_local) {
        attributes.next_hop_link_local->store(address.data());
        out.bytes(address);
    }
    out.u8(0);
}

}  // namespace

Decoded<Update> decode_update(Bytes body, const AttributeContext& context) {
    return UpdateDecoder{context}.decode(body);
}

template <Family F>
unsigned pack_withdrawals(
    std::span<const Prefix<F>> prefixes,
    std::vector<std::uint8_t>& out,
    std::span<const std::uint32_t> ids) {
    Paths<F> paths{prefixes, ids};
    unsigned messages = 0;
    while (!paths.prefixes.empty()) {
        Writer body;
        std::size_t count = 0;
        if constexpr (std::is_same_v<F, V4>) {
            count = paths.fitting(kRoom - 4);
            body.u16(0);
            paths.first(count).encode(body);
            body.patch(0, static_cast<std::uint16_t>(body.size() - 2));
            body.u16(0);
        } else {
            count = paths.fitting(kRoom - 4 - kMpHeader - 3);
            Writer head;
            head.u16(F::kAfi);
            head.u8(kSafiUnicast);
            body.u32(0);  // no IPv4 withdrawn; length of attributes
            encode_mp(attribute_code::kMpUnreach, head.view(), paths.first(count), body);
            body.patch(2, static_cast<std::uint16_t>(body.size() - 4));
        }
        encode_message(MessageType::Update, body.view(), out);
        paths.drop_first(count);
        ++messages;
    }
    return messages;
}

template <Family F>
unsigned pack_announcements(
    const Attributes& attributes,
    const AttributeContext& context,
    std::span<const Prefix<F>> prefixes,
    std::vector<std::uint8_t>& out,
    std::span<const std::uint32_t> ids) {
    Paths<F> paths{prefixes, ids};
    Writer shared;  // what every message of this set repeats
    encode_attributes(attributes, context, shared);
    Writer head;
    std::size_t overhead = 4 + shared.size();
    // IPv4 routes stand in their old place, unless their next hop does not (RFC 8950).
    const bool multiprotocol = std::holds_alternative<Ip6>(attributes.next_hop);
    if (std::is_same_v<F, V6> && !multiprotocol) {
        return 0;
    }
    if (multiprotocol) {
        encode_mp_reach_head<F>(attributes, head);
        overhead += kMpHeader + head.size();
    }
    const std::size_t room = context.message_size - kHeaderSize;
    unsigned messages = 0;
    while (!paths.prefixes.empty()) {
        const std::size_t count = overhead < room ? paths.fitting(room - overhead) : 0;
        if (count == 0) {
            return messages;
        }
        Writer body;
        body.u32(0);  // nothing withdrawn; length of attributes
        if (multiprotocol) {
            // RFC 7606 5.1: MP_REACH_NLRI comes first.
            encode_mp(attribute_code::kMpReach, head.view(), paths.first(count), body);
        }
        body.bytes(shared.view());
        body.patch(2, static_cast<std::uint16_t>(body.size() - 4));
        if (!multiprotocol) {
            paths.first(count).encode(body);
        }
        encode_message(MessageType::Update, body.view(), out);
        paths.drop_first(count);
        ++messages;
    }
    return messages;
}

template <Family F>
void encode_end_of_rib(std::vector<std::uint8_t>& out) {
    Writer body;
    body.u32(0);
    if constexpr (std::is_same_v<F, V6>) {
        Writer value;
        value.u16(F::kAfi);
        value.u8(kSafiUnicast);
        encode_attribute(kOptional, attribute_code::kMpUnreach, value.view(), body);
        body.patch(2, static_cast<std::uint16_t>(body.size() - 4));
    }
    encode_message(MessageType::Update, body.view(), out);
}

template unsigned pack_withdrawals<V4>(
    std::span<const Prefix<V4>>, std::vector<std::uint8_t>&, std::span<const std::uint32_t>);
template unsigned pack_withdrawals<V6>(
    std::span<const Prefix<V6>>, std::vector<std::uint8_t>&, std::span<const std::uint32_t>);
template unsigned pack_announcements<V4>(
    const Attributes&,
    const AttributeContext&,
    std::span<const Prefix<V4>>,
    std::vector<std::uint8_t>&,
    std::span<const std::uint32_t>);
template unsigned pack_announcements<V6>(
    const Attributes&,
    const AttributeContext&,
    std::span<const Prefix<V6>>,
    std::vector<std::uint8_t>&,
    std::span<const std::uint32_t>);
template void encode_end_of_rib<V4>(std::vector<std::uint8_t>&);
template void encode_end_of_rib<V6>(std::vector<std::uint8_t>&);

}  // namespace vr::bgp
