// Blocks from and to the JSON that Calico keeps.
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include <boost/json.hpp>

#include "policy/ipam/block.h"
#include "policy/ipam/cidr.h"

namespace vr::policy::ipam {

namespace json = boost::json;

namespace {

/// What is left of `object` without `known`, as text; empty: nothing.
std::string rest_of(json::object object, std::span<const std::string_view> known) {
    for (const std::string_view key : known) {
        object.stable_erase(key);
    }
    return object.empty() ? std::string() : json::serialize(object);
}

void add_rest(const std::string& others, json::object& object) {
    boost::system::error_code error;
    const json::value parsed = others.empty() ? json::value{} : json::parse(others, error);
    if (const auto* fields = parsed.if_object()) {
        for (const auto& field : *fields) {
            object[field.key()] = field.value();
        }
    }
}

/// A whole number from 0 to `max`.
std::optional<std::uint64_t> number(const json::value* value, std::uint64_t max) {
    std::uint64_t read = 0;
    if (value == nullptr) {
        return std::nullopt;
    }
    if (const auto* big = value->if_uint64()) {
        read = *big;
    } else if (const auto* small = value->if_int64(); small != nullptr && *small >= 0) {
        read = static_cast<std::uint64_t>(*small);
    } else {
        return std::nullopt;
    }
    return read <= max ? std::optional(read) : std::nullopt;
}

bool is_absent(const json::value* value) {
    return value == nullptr || value->is_null();
}

}  // namespace

/// Reads the fields of a stored block into one; the first thing that is wrong ends it.
class Block::Reader {
  public:
    explicit Reader(const json::object& object) : object_(object) {}

    Result<Block> read() {
        for (const auto step :
             {&Reader::read_cidr,
              &Reader::read_affinity,
              &Reader::read_owners,
              &Reader::read_taken,
              &Reader::read_free,
              &Reader::read_sequences}) {
            if (auto done = (this->*step)(); !done) {
                return std::unexpected(std::move(done).error());
            }
        }
        static constexpr std::string_view kKnown[] = {
            "cidr",
            "affinity",
            "hostAffinity",
            "allocations",
            "unallocated",
            "attributes",
            "sequenceNumber",
            "sequenceNumberForAllocation",
            "deleted"};
        block_.others_ = rest_of(object_, kKnown);
        return std::move(block_);
    }

  private:
    [[nodiscard]] const json::value* field(std::string_view name) const {
        return object_.if_contains(name);
    }

    Result<void> read_cidr() {
        const auto* text = field("cidr") != nullptr ? field("cidr")->if_string() : nullptr;
        const auto cidr = text != nullptr ? parse_prefix(*text) : std::nullopt;
        if (!cidr || to_string(*cidr) != std::string_view(*text)) {
            return fail("cidr: expected the block's prefix");
        }
        const unsigned bits = width_of(*cidr) - length_of(*cidr);
        if (bits > kMaxBits) {
            return fail(fmt::format("cidr: {} is too large for a block", to_string(*cidr)));
        }
        block_.cidr_ = *cidr;
        block_.taken_.resize(std::size_t{1} << bits);
        return {};
    }

    Result<void> read_affinity() {
        if (const auto* affinity = field("affinity"); !is_absent(affinity)) {
            if (!affinity->is_string()) {
                return fail("affinity: expected a text");
            }
            block_.affinity_ = std::string_view(affinity->get_string());
        } else if (const auto* host = field("hostAffinity"); !is_absent(host)) {
            if (!host->is_string()) {
                return fail("hostAffinity: expected a text");
            }
            block_.affinity_ = std::string(kHostAffinity) + std::string(host->get_string());
        }
        if (const auto* deleted = field("deleted"); !is_absent(deleted)) {
            if (!deleted->is_bool()) {
                return fail("deleted: expected true or false");
            }
            block_.deleted_ = deleted->get_bool();
        }
        return {};
    }

    Result<void> read_owners() {
        const auto* list = field("attributes");
        if (is_absent(list)) {
            return {};
        }
        if (!list->is_array()) {
            return fail("attributes: expected a list");
        }
        for (const json::value& item : list->get_array()) {
            const auto* object = item.if_object();
            if (object == nullptr || !read_owner(*object)) {
                return fail("attributes: expected handle_id and secondary, of texts");
            }
        }
        return {};
    }

    bool read_owner(const json::object& object) {
        Owner owner;
        if (const auto* handle = object.if_contains("handle_id"); !is_absent(handle)) {
            if (!handle->is_string()) {
                return false;
            }
            owner.handle = std::string_view(handle->get_string());
        }
        if (const auto* secondary = object.if_contains("secondary"); !is_absent(secondary)) {
            if (!secondary->is_object()) {
                return false;
            }
            for (const auto& attribute : secondary->get_object()) {
                if (!attribute.value().is_string()) {
                    return false;
                }
                owner.attributes[std::string(attribute.key())] =
                    std::string_view(attribute.value().get_string());
            }
        }
        static constexpr std::string_view kKnown[] = {"handle_id", "secondary"};
        owner.others = rest_of(object, kKnown);
        block_.owners_.push_back(std::move(owner));
        return true;
    }

    Result<void> read_taken() {
        const auto* list =
            field("allocations") != nullptr ? field("allocations")->if_array() : nullptr;
        if (list == nullptr || list->size() != block_.size()) {
            return fail(fmt::format("allocations: expected a list of {}", block_.size()));
        }
        for (std::size_t i = 0; i < list->size(); ++i) {
            const json::value& item = (*list)[i];
            if (item.is_null()) {
                continue;
            }
            const auto owner = number(&item, block_.owners_.size());
            if (!owner || *owner == block_.owners_.size()) {
                return fail(fmt::format("allocations[{}]: expected the index of an attribute", i));
            }
            block_.taken_[i] = owner;
        }
        return {};
    }

    Result<void> read_free() {
        const auto* list =
            field("unallocated") != nullptr ? field("unallocated")->if_array() : nullptr;
        if (list == nullptr && !is_absent(field("unallocated"))) {
            return fail("unallocated: expected a list");
        }
        std::vector<bool> seen(block_.size());
        for (std::size_t i = 0; list != nullptr && i < list->size(); ++i) {
            const auto ordinal = number(&(*list)[i], block_.size() - 1);
            if (!ordinal || block_.taken_[*ordinal] || seen[*ordinal]) {
                return fail(fmt::format("unallocated[{}]: expected a free address, once", i));
            }
            seen[*ordinal] = true;
            block_.free_.push_back(*ordinal);
        }
        const auto free = std::ranges::count(
            block_.taken_, false, [](const auto& owner) { return owner.has_value(); });
        if (std::cmp_not_equal(free, block_.free_.size())) {
            return fail("unallocated: some free addresses are missing");
        }
        return {};
    }

    Result<void> read_sequences() {
        constexpr std::uint64_t kAny = ~std::uint64_t{0};
        if (const auto* value = field("sequenceNumber"); !is_absent(value)) {
            const auto sequence = number(value, kAny);
            if (!sequence) {
                return fail("sequenceNumber: expected a number");
            }
            block_.sequence_ = *sequence;
        }
        const auto* all = field("sequenceNumberForAllocation");
        if (is_absent(all)) {
            return {};
        }
        if (!all->is_object()) {
            return fail("sequenceNumberForAllocation: expected numbers by address");
        }
        for (const auto& item : all->get_object()) {
            const std::string_view key = item.key();
            std::size_t ordinal = 0;
            const auto [stop, error] =
                std::from_chars(key.data(), key.data() + key.size(), ordinal);
            const auto sequence = number(&item.value(), kAny);
            if (error != std::errc{} || stop != key.data() + key.size() ||
                ordinal >= block_.size() || !sequence) {
                return fail("sequenceNumberForAllocation: expected numbers by address");
            }
            block_.sequence_of_[ordinal] = *sequence;
        }
        return {};
    }

    const json::object& object_;
    Block block_;
};

Result<Block> Block::decode(std::string_view text) {
    boost::system::error_code error;
    const json::value value = json::parse(text, error);
    const auto* object = error ? nullptr : value.if_object();
    if (object == nullptr) {
        return fail("is no JSON object");
    }
    return Reader(*object).read();
}

std::string Block::encode() const {
    json::object object;
    object["cidr"] = to_string(cidr_);
    object["affinity"] = affinity_.empty() ? json::value(nullptr) : json::value(affinity_);
    json::array taken;
    for (const auto& owner : taken_) {
        taken.push_back(owner ? json::value(*owner) : json::value(nullptr));
    }
    object["allocations"] = std::move(taken);
    object["unallocated"] = json::array(free_.begin(), free_.end());
    json::array owners;
    for (const Owner& owner : owners_) {
        json::object attributes;
        for (const auto& [key, value] : owner.attributes) {
            attributes[key] = value;
        }
        json::object item;
        item["handle_id"] = owner.handle.empty() ? json::value(nullptr) : json::value(owner.handle);
        item["secondary"] = std::move(attributes);
        add_rest(owner.others, item);
        owners.push_back(std::move(item));
    }
    object["attributes"] = std::move(owners);
    object["sequenceNumber"] = sequence_;
    json::object sequences;
    for (const auto& [ordinal, sequence] : sequence_of_) {
        sequences[std::to_string(ordinal)] = sequence;
    }
    object["sequenceNumberForAllocation"] = std::move(sequences);
    object["deleted"] = deleted_;
    add_rest(others_, object);
    return json::serialize(object);
}

}  // namespace vr::policy::ipam
