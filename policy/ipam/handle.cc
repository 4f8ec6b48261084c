// SPDX-License-Identifier: Apache-2.0
#include "policy/ipam/handle.h"

#include <algorithm>

namespace vr::policy::ipam {

RecordWrite handle_write(const std::string& id, const HandleBlocks& blocks, std::int64_t revision) {
    RecordWrite write{HandleId{id}, std::nullopt, revision};
    if (!blocks.empty()) {
        write.value = encode_handle(blocks);
    }
    return write;
}

Result<RecordWrite> handle_write(
    Records& records, const std::string& id, const IpPrefix& block, std::int64_t more) {
    const auto record = records.get(HandleId{id});
    if (!record) {
        return std::unexpected(record.error());
    }
    HandleBlocks blocks;
    if (*record) {
        auto decoded = decode_handle((*record)->value);
        if (!decoded) {
            return fail(std::move(decoded).error(), to_string((*record)->id));
        }
        blocks = *std::move(decoded);
    }
    const auto before = static_cast<std::int64_t>(blocks[block]);
    const std::int64_t after = std::max<std::int64_t>(before + more, 0);
    if (after == 0) {
        blocks.erase(block);
    } else {
        blocks[block] = static_cast<std::uint64_t>(after);
    }
    return handle_write(id, blocks, *record ? (*record)->revision : 0);
}

}  // namespace vr::policy::ipam
