// The fields that a classifier looks at, each a map from a packet's value to a row of rule bits.
//
// Every map is left out (absent) when no rule of the program asks for its field.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "vrouter/dataplane/acl.h"
#include "vrouter/dataplane/family_rules.h"
#include "vrouter/dataplane/group_map.h"
#include "vrouter/dataplane/rule_rows.h"

namespace vr::acl {

/// Protocol, and ICMP's type and code, which are told apart only where rules do.
template <Family F>
class ProtocolField {
  public:
    void build(const RuleList& rules, RowStore& store) {
        const auto row_for = [&](std::uint8_t protocol, const std::uint16_t* type_code) {
            Row row = store.empty_row();
            for (std::uint32_t i = 0; i < rules.size(); ++i) {
                row.set(i, matches(rules[i]->match, protocol, type_code));
            }
            return store.add(row);
        };
        std::array<bool, 256> named{};
        for (const Rule* rule : rules) {
            for (const auto& protocol : {rule->match.protocol, rule->match.not_protocol}) {
                if (protocol) {
                    named[*protocol] = true;
                }
            }
            uses_icmp_ = uses_icmp_ || rule->match.icmp || rule->match.not_icmp;
        }
        const auto unnamed = std::find(named.begin(), named.end(), false) - named.begin();
        // With all 256 named there is no other class; any index does then.
        const RowId other = row_for(static_cast<std::uint8_t>(unnamed % 256), nullptr);
        for (unsigned protocol = 0; protocol < 256; ++protocol) {
            rows_[protocol] =
                named[protocol] ? row_for(static_cast<std::uint8_t>(protocol), nullptr) : other;
        }
        if (uses_icmp_) {
            build_icmp(rules, row_for);
        }
    }

    [[nodiscard]] RowId row(const Packet<F>& packet) const noexcept {
        if (packet.protocol == kIcmp<F> && uses_icmp_) {
            const auto type_code =
                static_cast<std::uint16_t>(packet.icmp_type << 8U | packet.icmp_code);
            const auto at = std::lower_bound(codes_.begin(), codes_.end(), type_code);
            return at != codes_.end() && *at == type_code
                       ? code_rows_[static_cast<std::size_t>(at - codes_.begin())]
                       : type_rows_[packet.icmp_type];
        }
        return rows_[packet.protocol];
    }

  private:
    static constexpr std::uint16_t kOtherCode = 0xffff;

    /// `type_code` is null for what is not ICMP of the family.
    [[nodiscard]] static bool matches(
        const Match& match, std::uint8_t protocol, const std::uint16_t* type_code) {
        if ((match.protocol && *match.protocol != protocol) ||
            (match.not_protocol && *match.not_protocol == protocol)) {
            return false;
        }
        const auto holds = [&](const IcmpMatch& icmp) {
            return type_code != nullptr && icmp.type == *type_code >> 8U &&
                   (!icmp.code || *icmp.code == (*type_code & 0xffU));
        };
        return (!match.icmp || holds(*match.icmp)) && (!match.not_icmp || !holds(*match.not_icmp));
    }

    template <typename RowFor>
    void build_icmp(const RuleList& rules, const RowFor& row_for) {
        std::array<std::array<bool, 256>, 256> named{};
        for (const Rule* rule : rules) {
            for (const auto& icmp : {rule->match.icmp, rule->match.not_icmp}) {
                if (icmp && icmp->code) {
                    named[icmp->type][*icmp->code] = true;
                }
            }
        }
        for (unsigned type = 0; type < 256; ++type) {
            const auto unnamed = std::find(named[type].begin(), named[type].end(), false);
            const auto code = static_cast<unsigned>(unnamed - named[type].begin()) % 256;
            const auto other = static_cast<std::uint16_t>(type << 8U | code);
            type_rows_[type] = row_for(kIcmp<F>, &other);
            for (unsigned c = 0; c < 256; ++c) {
                if (named[type][c]) {
                    const auto type_code = static_cast<std::uint16_t>(type << 8U | c);
                    codes_.push_back(type_code);
                    code_rows_.push_back(row_for(kIcmp<F>, &type_code));
                }
            }
        }
    }

    bool uses_icmp_ = false;
    std::array<RowId, 256> rows_{};
    std::array<RowId, 256> type_rows_{};
    std::vector<std::uint16_t> codes_;  ///< sorted type and code pairs that rules name
    std::vector<RowId> code_rows_;
};

/// One side's port: two levels of 256, alike second levels stored once.
class PortField {
  public:
    using Side = SideMatch Match::*;

    void build(const RuleList& rules, Side side, RowStore& store) {
        RangeRows<L4Port> ranges(static_cast<std::uint32_t>(rules.size()));
        Row without = store.empty_row();
        for (std::uint32_t i = 0; i < rules.size(); ++i) {
            const SideMatch& match = rules[i]->match.*side;
            for (const PortRange& range : match.ports) {
                ranges.want(i, range.first, range.last);
            }
            for (const PortRange& range : match.not_ports) {
                ranges.exclude(i, range.first, range.last);
            }
            without.set(i, match.ports.empty());
        }
        present_ = ranges.any();
        if (!present_) {
            return;
        }
        without_ = store.add(without);
        std::vector<std::pair<std::uint32_t, RowId>> stretches;  // first port, row
        ranges.build(
            store, [&](L4Port first, RowId row) { stretches.emplace_back(first.value(), row); });
        lay_out(stretches);
    }

    [[nodiscard]] bool present() const noexcept { return present_; }

    [[nodiscard]] RowId row(bool has_ports, L4Port port) const noexcept {
        return has_ports ? rows_[pages_[port.value() >> 8U] + (port.value() & 0xffU)] : without_;
    }

  private:
    void lay_out(const std::vector<std::pair<std::uint32_t, RowId>>& stretches) {
        std::map<RowId, std::uint32_t> uniform;  // pages with one row throughout
        auto at = stretches.begin();
        for (std::uint32_t page = 0; page < 256; ++page) {
            std::array<RowId, 256> rows;
            for (std::uint32_t port = 0; port < 256; ++port) {
                while (at + 1 != stretches.end() && (at + 1)->first <= page * 256 + port) {
                    ++at;
                }
                rows[port] = at->second;
            }
            const auto begin = static_cast<std::uint32_t>(rows_.size());
            const bool alike = std::ranges::count(rows, rows[0]) == 256;
            pages_[page] = alike ? uniform.try_emplace(rows[0], begin).first->second : begin;
            if (pages_[page] == begin) {
                rows_.insert(rows_.end(), rows.begin(), rows.end());
            }
        }
    }

    bool present_ = false;
    RowId without_ = 0;  ///< for packets that have no ports
    std::array<std::uint32_t, 256> pages_{};
    std::vector<RowId> rows_;
};

/// One side's address as far as rules name nets: stretches of addresses, found by bisection.
template <Family F>
class NetField {
  public:
    using Addr = typename F::Addr;
    using Side = SideMatch Match::*;

    void build(const RuleList& rules, Side side, RowStore& store) {
        RangeRows<Addr> ranges(static_cast<std::uint32_t>(rules.size()));
        for (std::uint32_t i = 0; i < rules.size(); ++i) {
            const SideMatch& match = rules[i]->match.*side;
            for (const Prefix<F>& net : nets(match)) {
                ranges.want(i, net.address(), last_of(net));
            }
            for (const Prefix<F>& net : not_nets(match)) {
                ranges.exclude(i, net.address(), last_of(net));
            }
        }
        if (ranges.any()) {
            ranges.build(store, [&](Addr first, RowId row) {
                if (rows_.empty() || rows_.back() != row) {
                    firsts_.push_back(key_of(first));
                    rows_.push_back(row);
                }
            });
        }
    }

    [[nodiscard]] bool present() const noexcept { return !rows_.empty(); }

    [[nodiscard]] RowId row(Addr address) const noexcept {
        // The stretch that begins last at or before `address`, without branches to mispredict.
        const Key key = key_of(address);
        const Key* at = firsts_.data();
        for (std::size_t left = firsts_.size(); left > 1;) {
            const std::size_t half = left / 2;
            at += at[half] <= key ? half : 0;
            left -= half;
        }
        return rows_[static_cast<std::size_t>(at - firsts_.data())];
    }

    /// The same for one address of each packet: searches go step by step together, so that none waits for
    /// the memory of another.
    void rows(const Packet<F>* packets, Addr Packet<F>::* address, RowId* rows, unsigned count)
        const noexcept {
        unsigned i = 0;
        for (; i + kTogether <= count; i += kTogether) {
            search_together(packets + i, address, rows + i);
        }
        for (; i < count; ++i) {
            rows[i] = row(packets[i].*address);
        }
    }

  private:
    // Addresses as integers: compared without a branch between their halves.
    __extension__ using Wide = unsigned __int128;
    using Key = std::conditional_t<std::same_as<F, V4>, std::uint32_t, Wide>;

    [[nodiscard]] static Key key_of(Addr address) noexcept {
        if constexpr (std::same_as<F, V4>) {
            return address.value();
        } else {
            return static_cast<Wide>(address.high()) << 64U | address.low();
        }
    }

    static constexpr unsigned kTogether = 8;

    void search_together(
        const Packet<F>* packets, Addr Packet<F>::* address, RowId* rows) const noexcept {
        std::array<Key, kTogether> keys;
        std::array<const Key*, kTogether> at;
        for (unsigned k = 0; k < kTogether; ++k) {
            keys[k] = key_of(packets[k].*address);
            at[k] = firsts_.data();
        }
        for (std::size_t left = firsts_.size(); left > 1;) {
            const std::size_t half = left / 2;
            for (unsigned k = 0; k < kTogether; ++k) {
                at[k] += at[k][half] <= keys[k] ? half : 0;
            }
            left -= half;
        }
        for (unsigned k = 0; k < kTogether; ++k) {
            rows[k] = rows_[static_cast<std::size_t>(at[k] - firsts_.data())];
        }
    }

    [[nodiscard]] static std::span<const Prefix<F>> nets(const SideMatch& match) {
        if constexpr (std::same_as<F, V4>) {
            return match.nets4;
        } else {
            return match.nets6;
        }
    }

    [[nodiscard]] static std::span<const Prefix<F>> not_nets(const SideMatch& match) {
        if constexpr (std::same_as<F, V4>) {
            return match.not_nets4;
        } else {
            return match.not_nets6;
        }
    }

    [[nodiscard]] static Addr last_of(const Prefix<F>& net) {
        const auto low = [](unsigned bits) {
            return bits >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << bits) - 1;
        };
        const unsigned host = F::kBits - net.length();
        if constexpr (std::same_as<F, V4>) {
            return Ip4{net.address().value() | static_cast<std::uint32_t>(low(host))};
        } else {
            return Ip6{
                net.address().high() | low(host > 64 ? host - 64 : 0),
                net.address().low() | low(host)};
        }
    }

    std::vector<Key> firsts_;
    std::vector<RowId> rows_;
};

/// One side's groups: which rules a group satisfies, and which it forbids.
class GroupField {
  public:
    using Side = SideMatch Match::*;
    static constexpr RowId kNoRow = ~RowId{0};

    struct Effect {
        RowId wanted = kNoRow;    ///< rules that ask for the group
        RowId unwanted = kNoRow;  ///< rules that ask for its absence
    };

    void build(const RuleList& rules, Side side, RowStore& store) {
        std::map<GroupId, std::array<std::vector<std::uint32_t>, 2>> named;
        Row base = store.empty_row();
        for (std::uint32_t i = 0; i < rules.size(); ++i) {
            const SideMatch& match = rules[i]->match.*side;
            base.set(i, !match.group);
            if (match.group) {
                named[*match.group][0].push_back(i);
            }
            if (match.not_group) {
                named[*match.not_group][1].push_back(i);
            }
        }
        base_ = store.add(base);
        const auto row_of = [&](const std::vector<std::uint32_t>& list) {
            Row row = store.empty_row();
            for (const std::uint32_t rule : list) {
                row.set(rule, true);
            }
            return list.empty() ? kNoRow : store.add(row);
        };
        std::map<GroupId, Effect> effects;
        for (const auto& [group, lists] : named) {
            effects[group] = {row_of(lists[0]), row_of(lists[1])};
        }
        effects_ = GroupMap<Effect>(effects);
    }

    [[nodiscard]] bool present() const noexcept { return !effects_.empty(); }

    /// Rules that ask for no group.
    [[nodiscard]] RowId base() const noexcept { return base_; }

    /// What membership in `group` does; null when no rule names it.
    [[nodiscard]] const Effect* find(GroupId group) const noexcept { return effects_.find(group); }

  private:
    RowId base_ = 0;
    GroupMap<Effect> effects_;
};

}  // namespace vr::acl
