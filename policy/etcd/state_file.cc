// SPDX-License-Identifier: Apache-2.0
#include "policy/etcd/state_file.h"

#include <cstdint>
#include <utility>

#include "policy/sealed_file.h"

namespace vr::policy::etcd {

namespace {

constexpr std::string_view kMagic = "vrouter etcd state 1\n";

}  // namespace

std::string encode_state(const Position& position, const std::map<std::string, Good>& items) {
    std::string bytes(kMagic);
    put_number(bytes, position.cluster);
    put_number(bytes, static_cast<std::uint64_t>(position.revision));
    put_number(bytes, static_cast<std::uint8_t>(position.was_ready));
    put_number(bytes, static_cast<std::uint32_t>(items.size()));
    for (const auto& [key, item] : items) {
        put_text(bytes, key);
        put_text(bytes, *item.value);
        put_number(bytes, static_cast<std::uint64_t>(item.revision));
    }
    seal(bytes);
    return bytes;
}

Result<Stored> decode_state(std::string_view bytes) {
    const auto content = unseal(kMagic, bytes);
    if (!content) {
        return std::unexpected(content.error());
    }
    Reader reader(*content);
    Stored stored;
    stored.position.cluster = reader.get<std::uint64_t>();
    stored.position.revision = static_cast<std::int64_t>(reader.get<std::uint64_t>());
    stored.position.was_ready = reader.u8() != 0;
    const auto count = reader.u32();
    for (std::uint32_t i = 0; i < count && reader.ok(); ++i) {
        KeyValue item;
        item.key = get_text(reader);
        item.value = get_text(reader);
        item.mod_revision = static_cast<std::int64_t>(reader.get<std::uint64_t>());
        stored.items.push_back(std::move(item));
    }
    if (!reader.done()) {
        return fail("is damaged");
    }
    return stored;
}

Result<Stored> read_state(const std::string& path) {
    const auto bytes = read_whole(path);
    if (!bytes) {
        return std::unexpected(bytes.error());
    }
    if (!*bytes) {
        return Stored{};
    }
    auto stored = decode_state(**bytes);
    return stored ? std::move(stored) : fail(std::move(stored).error(), path);
}

}  // namespace vr::policy::etcd
