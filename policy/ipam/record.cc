// SPDX-License-Identifier: Apache-2.0
#include "policy/ipam/record.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "policy/ipam/block.h"
#include "policy/json_document.h"

namespace vr::policy::ipam {

namespace {

constexpr std::array<std::string_view, 3> kStates{"confirmed", "pending", "pendingDeletion"};

/// A name that becomes part of a key is not longer.
constexpr std::size_t kMaxId = 512;

/// Of the addresses of one block that one handle has.
constexpr std::uint64_t kMaxCount = std::uint64_t{1} << Block::kMaxBits;

Result<Node> parse_map(std::string_view json) {
    auto root = parse_json("value", json);
    if (!root) {
        return root;
    }
    return root->type == Node::Type::Map ? std::move(root) : fail("value: is no JSON object");
}

std::optional<std::uint64_t> number(const Node& node) {
    std::uint64_t value = 0;
    const char* const end = node.text.data() + node.text.size();
    const auto [stop, error] = std::from_chars(node.text.data(), end, value);
    const bool good =
        node.type == Node::Type::Scalar && !node.quoted && error == std::errc{} && stop == end;
    return good ? std::optional(value) : std::nullopt;
}

Result<void> read_flag(const Node& root, std::string_view key, bool& into) {
    const Node* node = root.find(key);
    if (node == nullptr) {
        return {};
    }
    if (node->quoted || (node->text != "true" && node->text != "false")) {
        return fail(fmt::format("{}: expected true or false", key));
    }
    into = node->text == "true";
    return {};
}

}  // namespace

std::string to_string(const RecordId& id) {
    struct Text {
        std::string operator()(const BlockId& block) const {
            return "block " + vr::to_string(block.cidr);
        }

        std::string operator()(const AffinityId& affinity) const {
            return "affinity of " + affinity.host + " to " + vr::to_string(affinity.cidr);
        }

        std::string operator()(const HandleId& handle) const { return "handle " + handle.id; }

        std::string operator()(const ConfigId& /*config*/) const { return "IPAM configuration"; }

        std::string operator()(const ReservationId& reservation) const {
            return "IPReservation " + reservation.name;
        }

        std::string operator()(const Key& key) const { return policy::to_string(key); }

        std::string operator()(const StrangeId& strange) const { return strange.key; }
    };

    return std::visit(Text{}, id);
}

std::string_view to_string(AffinityState state) {
    return kStates[static_cast<std::size_t>(state)];
}

Result<AffinityState> decode_affinity(std::string_view json) {
    const auto root = parse_map(json);
    if (!root) {
        return std::unexpected(root.error());
    }
    bool deleted = false;
    if (auto read = read_flag(*root, "deleted", deleted); !read) {
        return std::unexpected(std::move(read).error());
    }
    AffinityState state = AffinityState::Confirmed;  // Calico before there were states
    const Node* const written = root->find("state");
    if (written != nullptr && (written->type != Node::Type::Scalar || !written->text.empty())) {
        const auto found = std::ranges::find(kStates, written->text);
        if (found == kStates.end()) {
            return fail("state: expected confirmed, pending or pendingDeletion");
        }
        state = static_cast<AffinityState>(found - kStates.begin());
    }
    return deleted ? AffinityState::PendingDeletion : state;
}

std::string encode_affinity(AffinityState state) {
    return fmt::format(R"({{"state":"{}","deleted":false}})", to_string(state));
}

Result<HandleBlocks> decode_handle(std::string_view json) {
    const auto root = parse_map(json);
    if (!root) {
        return std::unexpected(root.error());
    }
    HandleBlocks blocks;
    const Node* block = root->find("block");
    if (block == nullptr) {
        return blocks;
    }
    if (block->type != Node::Type::Map) {
        return fail("block: expected numbers by block");
    }
    for (const auto& [key, value] : block->fields) {
        const auto cidr = parse_prefix(key);
        const auto count = number(value);
        if (!cidr || !count || *count > kMaxCount) {
            return fail("block: expected numbers by block");
        }
        blocks[*cidr] = *count;
    }
    return blocks;
}

std::string encode_handle(const HandleBlocks& blocks) {
    std::string text;
    for (const auto& [cidr, count] : blocks) {
        text += fmt::format(R"({}"{}":{})", text.empty() ? "" : ",", vr::to_string(cidr), count);
    }
    return R"({"block":{)" + text + R"(},"deleted":false})";
}

bool is_id(std::string_view text) {
    return !text.empty() && text.size() <= kMaxId &&
           std::ranges::all_of(text, [](char c) { return c > ' ' && c <= '~' && c != '/'; });
}

Result<Config> decode_config(std::string_view json) {
    const auto root = parse_map(json);
    if (!root) {
        return std::unexpected(root.error());
    }
    // Calico leaves fields out that are false.
    Config config{.strict_affinity = false, .auto_allocate_blocks = false};
    if (auto read = read_flag(*root, "strict_affinity", config.strict_affinity); !read) {
        return std::unexpected(std::move(read).error());
    }
    if (auto read = read_flag(*root, "auto_allocate_blocks", config.auto_allocate_blocks); !read) {
        return std::unexpected(std::move(read).error());
    }
    if (const Node* most = root->find("maxBlocksPerHost")) {
        const auto count = number(*most);
        if (!count) {
            return fail("maxBlocksPerHost: expected a number");
        }
        config.max_blocks_per_host = *count;
    }
    return config;
}

Result<std::vector<IpPrefix>> decode_reservation(std::string_view json) {
    const auto root = parse_map(json);
    if (!root) {
        return std::unexpected(root.error());
    }
    const Node* spec = root->find("spec");
    const Node* list = spec != nullptr ? spec->find("reservedCIDRs") : nullptr;
    std::vector<IpPrefix> nets;
    if (list == nullptr) {
        return nets;
    }
    if (list->type != Node::Type::List) {
        return fail("spec.reservedCIDRs: expected a list");
    }
    for (const Node& item : list->items) {
        const auto net = parse_prefix(item.text);
        if (!net) {
            return fail("spec.reservedCIDRs: '" + item.text + "' is no address or prefix");
        }
        nets.push_back(*net);
    }
    return nets;
}

}  // namespace vr::policy::ipam
