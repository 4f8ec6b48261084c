// SPDX-License-Identifier: Apache-2.0
#include "ctl/rule_text.h"

#include <fmt/core.h>

#include <cassert>

#include "ctl/protocols.h"

namespace vr::ctl {

namespace {

std::string item_text(const acl::PortRange& range) {
    return range.first == range.last
               ? to_string(range.first)
               : fmt::format("{}-{}", to_string(range.first), to_string(range.last));
}

template <Family F>
std::string item_text(const Prefix<F>& prefix) {
    return to_string(prefix);
}

template <typename Items>
void append(std::string& text, const Items& items) {
    for (const auto& item : items) {
        text += text.empty() ? "" : ", ";
        text += item_text(item);
    }
}

/// Adds " WORD CONTENT", or nothing for nothing.
void add(std::string& text, std::string_view word, const std::string& content) {
    if (!content.empty()) {
        text += fmt::format("{}{} {}", text.empty() ? "" : " ", word, content);
    }
}

std::string nets_text(const std::vector<Prefix<V4>>& v4, const std::vector<Prefix<V6>>& v6) {
    std::string text;
    append(text, v4);
    append(text, v6);
    return text;
}

std::string ports_text(const std::vector<acl::PortRange>& ports) {
    std::string text;
    append(text, ports);
    return text;
}

/// "from 10.0.0.0/8 in has(web) not ports 22"; `word` is "from" or "to".
std::string side_text(
    std::string_view word, const acl::SideMatch& side, const GroupText& group_text) {
    std::string text;
    add(text, "in", nets_text(side.nets4, side.nets6));
    add(text, "not in", nets_text(side.not_nets4, side.not_nets6));
    add(text, "of", side.group ? group_text(*side.group) : "");
    add(text, "not of", side.not_group ? group_text(*side.not_group) : "");
    add(text, "ports", ports_text(side.ports));
    add(text, "not ports", ports_text(side.not_ports));
    return text.empty() ? text : fmt::format("{} {}", word, text);
}

std::string icmp_text(const acl::IcmpMatch& icmp) {
    return icmp.code ? fmt::format("{} code {}", icmp.type, *icmp.code) : std::to_string(icmp.type);
}

}  // namespace

std::string match_text(const acl::Match& match, const GroupText& group_text) {
    std::string text;
    if (match.ip4 != match.ip6) {
        text = match.ip4 ? V4::kName : V6::kName;
    }
    if (match.protocol) {
        text += (text.empty() ? "" : " ") + protocol_text(*match.protocol);
    }
    add(text, "not", match.not_protocol ? protocol_text(*match.not_protocol) : "");
    add(text, "type", match.icmp ? icmp_text(*match.icmp) : "");
    add(text, "not type", match.not_icmp ? icmp_text(*match.not_icmp) : "");
    for (const auto& side :
         {side_text("from", match.source, group_text),
          side_text("to", match.destination, group_text)}) {
        text += text.empty() || side.empty() ? "" : " ";
        text += side;
    }
    return text.empty() ? "any" : text;
}

std::string action_text(const acl::Rule& rule) {
    switch (rule.action) {
        case acl::Action::Allow:
            return "allow";
        case acl::Action::Deny:
            return "deny";
        case acl::Action::Reject:
            return "reject";
        case acl::Action::Log:
            return "log";
        case acl::Action::Jump:
            return fmt::format("go to {}", rule.target);
    }
    assert(false && "every action has a row");
    return {};
}

}  // namespace vr::ctl
