// SPDX-License-Identifier: Apache-2.0
#include "bgp/attribute_pool.h"

#include <cassert>

namespace vr::bgp {

AttributePool::~AttributePool() {
    assert(sets_.empty() && "a reference outlived its pool");
}

AttributesRef AttributePool::intern(Attributes attributes) {
    const std::size_t hash = hash_value(attributes);
    if (const auto found = sets_.find(Key{attributes, hash}); found != sets_.end()) {
        return AttributesRef{*found};
    }
    auto* node = new detail::PooledAttributes{
        .value = std::move(attributes),
        .hash = hash,
        .pool = this,
        .serial = next_serial_++,
        .references = 0};
    sets_.insert(node);
    return AttributesRef{node};
}

void AttributePool::drop(detail::PooledAttributes* node) noexcept {
    sets_.erase(node);
    delete node;
}

}  // namespace vr::bgp
