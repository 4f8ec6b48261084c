// Reads BGPFilter: a criterion that is not understood would match too much or too little, so that
// every key inside a rule must be known.
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <array>
#include <charconv>

#include "policy/bgp_spec.h"

namespace vr::policy {

namespace {

/// What a rule's block is made of, until it is known whether there is one.
struct Draft {
    BgpFilterRule rule;
    std::optional<IpPrefix> cidr;
    std::optional<BgpFilterRule::Operator> match;
    std::optional<unsigned> least;
    std::optional<unsigned> most;
    unsigned width = 0;  ///< of the family's addresses
};

constexpr std::int64_t kMostPriority = 2147483646;
constexpr std::size_t kMostOperations = 10;

Result<void> one_of(
    const Field& field, std::span<const std::string_view> words, std::size_t& index) {
    const std::string& text = field.node().text;
    for (index = 0; index < words.size(); ++index) {
        if (text == words[index]) {
            return {};
        }
    }
    std::string expected;
    for (const std::string_view word : words) {
        expected += (expected.empty() ? "" : ", ") + std::string(word);
    }
    return field.error(fmt::format("'{}' is none of {}", text, expected));
}

Result<void> read_action(const Field& field, Draft& into) {
    static constexpr std::array<std::string_view, 2> kWords{"Accept", "Reject"};
    std::size_t index = 0;
    auto read = one_of(field, kWords, index);
    into.rule.action = index == 0 ? BgpFilterRule::Action::Accept : BgpFilterRule::Action::Reject;
    return read;
}

Result<void> read_operator(const Field& field, Draft& into) {
    static constexpr std::array<std::string_view, 4> kWords{"In", "NotIn", "Equal", "NotEqual"};
    std::size_t index = 0;
    auto read = one_of(field, kWords, index);
    if (read) {
        into.match = static_cast<BgpFilterRule::Operator>(index);
    }
    return read;
}

Result<void> read_cidr(const Field& field, Draft& into) {
    const auto cidr = parse_prefix(field.node().text);
    const unsigned width = cidr && cidr->index() == 0 ? V4::kBits : V6::kBits;
    if (!cidr || width != into.width) {
        return field.error(fmt::format(
            "'{}' is not an {} block",
            field.node().text,
            into.width == V4::kBits ? "IPv4" : "IPv6"));
    }
    into.cidr = cidr;
    return {};
}

template <auto Member>
Result<void> read_length(const Field& field, Draft& into) {
    auto length = field.integer(0, into.width);
    if (!length) {
        return std::unexpected(std::move(length).error());
    }
    into.*Member = static_cast<unsigned>(*length);
    return {};
}

Result<void> read_source(const Field& field, Draft& into) {
    static constexpr std::array<std::string_view, 1> kWords{"RemotePeers"};
    std::size_t index = 0;
    into.rule.remote_peers = true;
    return one_of(field, kWords, index);
}

Result<void> read_peer_type(const Field& field, Draft& into) {
    static constexpr std::array<std::string_view, 2> kWords{"eBGP", "iBGP"};
    std::size_t index = 0;
    auto read = one_of(field, kWords, index);
    into.rule.external_peer = index == 0;
    return read;
}

Result<void> read_communities(const Field& field, Draft& into) {
    static constexpr std::array<FieldRow<Draft>, 1> kRows{{
        {"values",
         [](const Field& values, Draft& draft) {
             return values.each([&](const Field& item) {
                 return parse_community_value(item, draft.rule.communities.emplace_back());
             });
         }},
    }};
    if (auto read = parse_fields<Draft>(field, kRows, into, Unknown::Refuse); !read) {
        return read;
    }
    return into.rule.communities.empty() ? field.error("expected values with a community")
                                         : Result<void>{};
}

Result<void> read_numbers(const Field& field, std::vector<Asn>& into) {
    return field.each([&](const Field& item) -> Result<void> {
        std::optional<Asn> number;
        auto read = parse_asn(item, number);
        if (read) {
            into.push_back(*number);
        }
        return read;
    });
}

Result<void> read_priority(const Field& field, std::uint32_t& into) {
    return store(field.integer(1, kMostPriority), into);
}

/// {addCommunity: {value}}, {prependASPath: {prefix}} or {setPriority: {value}}.
Result<void> read_operation(const Field& field, BgpFilterRule& into) {
    if (auto map = field.expect_map(); !map) {
        return map;
    }
    if (field.node().fields.size() != 1) {
        return field.error("expected exactly one of addCommunity, prependASPath, setPriority");
    }
    if (const auto add = field.child("addCommunity")) {
        const auto value = add->child("value");
        BgpFilterRule::AddCommunity operation;
        if (!value) {
            return add->error("expected value");
        }
        auto read = parse_community_value(*value, operation.value);
        into.operations.emplace_back(std::move(operation));
        return read;
    }
    if (const auto prepend = field.child("prependASPath")) {
        const auto prefix = prepend->child("prefix");
        BgpFilterRule::PrependAsPath operation;
        if (!prefix) {
            return prepend->error("expected prefix");
        }
        auto read = read_numbers(*prefix, operation.numbers);
        into.operations.emplace_back(std::move(operation));
        return read;
    }
    if (const auto set = field.child("setPriority")) {
        const auto value = set->child("value");
        BgpFilterRule::SetPriority operation;
        if (!value) {
            return set->error("expected value");
        }
        auto read = read_priority(*value, operation.value);
        into.operations.emplace_back(operation);
        return read;
    }
    return field.error("expected addCommunity, prependASPath or setPriority");
}

constexpr std::array<FieldRow<Draft>, 11> kBgpRuleRows{{
    {"action", read_action},
    {"matchOperator", read_operator},
    {"cidr", read_cidr},
    {"prefixLength",
     [](const Field& field, Draft& into) {
         static constexpr std::array<FieldRow<Draft>, 2> kRows{{
             {"min", read_length<&Draft::least>},
             {"max", read_length<&Draft::most>},
         }};
         return parse_fields<Draft>(field, kRows, into, Unknown::Refuse);
     }},
    {"source", read_source},
    {"interface",
     [](const Field& field, Draft& into) { return store(field.text(), into.rule.interface); }},
    {"peerType", read_peer_type},
    {"communities", read_communities},
    {"asPathPrefix",
     [](const Field& field, Draft& into) -> Result<void> {
         auto read = read_numbers(field, into.rule.as_path_prefix);
         return read && into.rule.as_path_prefix.empty() ? field.error("expected an AS number")
                                                         : read;
     }},
    {"priority",
     [](const Field& field, Draft& into) {
         return read_priority(field, into.rule.priority.emplace());
     }},
    {"operations",
     [](const Field& field, Draft& into) {
         return field.each(
             [&](const Field& item) { return read_operation(item, into.rule); }, kMostOperations);
     }},
}};

Result<void> finish_block(const Field& field, Draft& draft) {
    if (draft.cidr.has_value() != draft.match.has_value()) {
        return field.error("cidr and matchOperator belong together");
    }
    if (!draft.cidr && (draft.least || draft.most)) {
        return field.error("prefixLength needs a cidr");
    }
    if (draft.least > draft.most.value_or(draft.width)) {
        return field.error("prefixLength has min above max");
    }
    if (draft.cidr && draft.most) {
        const unsigned length = std::visit([](const auto& c) { return c.length(); }, *draft.cidr);
        if (*draft.most < length) {
            return field.error("prefixLength has max below the length of cidr");
        }
    }
    if (draft.cidr) {
        draft.rule.block = BgpFilterRule::Block{*draft.cidr, *draft.match, draft.least, draft.most};
    }
    return {};
}

Result<void> read_rules(const Field& field, unsigned width, std::vector<BgpFilterRule>& into) {
    return field.each([&](const Field& item) -> Result<void> {
        Draft draft;
        draft.width = width;
        if (auto read = parse_fields<Draft>(item, kBgpRuleRows, draft, Unknown::Refuse); !read) {
            return read;
        }
        if (!item.child("action")) {
            return item.error("a rule needs an action");
        }
        if (auto block = finish_block(item, draft); !block) {
            return block;
        }
        if (draft.rule.action == BgpFilterRule::Action::Reject && !draft.rule.operations.empty()) {
            return item.error("operations need the action Accept");
        }
        into.push_back(std::move(draft.rule));
        return {};
    });
}

}  // namespace

Result<void> parse_community_value(const Field& field, CommunityValue& into) {
    const std::string& text = field.node().text;
    into.parts.clear();
    const char* at = text.data();
    const char* const end = at + text.size();
    while (at != end) {
        std::uint32_t number = 0;
        const auto [stop, error] = std::from_chars(at, end, number);
        if (error != std::errc{} || (stop != end && (*stop != ':' || stop + 1 == end))) {
            into.parts.clear();
            break;
        }
        into.parts.push_back(number);
        at = stop == end ? end : stop + 1;
    }
    const std::size_t count = into.parts.size();
    const bool wide = count == 2 && (into.parts[0] > 0xffff || into.parts[1] > 0xffff);
    if ((count != 2 && count != 3) || wide) {
        return field.error(
            fmt::format("'{}' is not a community such as 64512:100 or 64512:1:2", text));
    }
    return {};
}

Result<void> parse_bgp_filter(const Field& /*object*/, const Field& spec, Resource& into) {
    static constexpr std::array<FieldRow<BgpFilter>, 4> kRows{{
        {"importV4",
         [](const Field& f, BgpFilter& b) { return read_rules(f, V4::kBits, b.import4); }},
        {"exportV4",
         [](const Field& f, BgpFilter& b) { return read_rules(f, V4::kBits, b.export4); }},
        {"importV6",
         [](const Field& f, BgpFilter& b) { return read_rules(f, V6::kBits, b.import6); }},
        {"exportV6",
         [](const Field& f, BgpFilter& b) { return read_rules(f, V6::kBits, b.export6); }},
    }};
    BgpFilter filter;
    auto parsed = parse_fields<BgpFilter>(spec, kRows, filter, Unknown::Refuse);
    into.spec = std::move(filter);
    return parsed;
}

}  // namespace vr::policy
