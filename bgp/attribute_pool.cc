// SPDX-License-Identifier: Apache-2.0
#include "bgp/attribute_pool.h"

#include <cassert>

namespace vr::bgp {

AttributePool::~AttributePool() {
    assert(size_ == 0 && "a reference outlived its pool");
}

AttributesRef AttributePool::intern(Attributes&& attributes) {
    return intern(std::move(attributes), AttributesRef{});
}

AttributesRef AttributePool::intern(Attributes&& attributes, const AttributesRef& received) {
    const std::size_t hash = hash_value(attributes);
    Set& set = shard(hash);
    if (const auto found = set.find(Key{attributes, received, hash}); found != set.end()) {
        return AttributesRef{*found};
    }
    auto* node = new detail::PooledAttributes{
        .value = std::move(attributes),
        .received = received,
        .hash = hash,
        .pool = this,
        .serial = next_serial_++,
        .references = 0,
        .reachability = {}};
    set.insert(node);
    ++size_;
    return AttributesRef{node};
}

void AttributePool::drop(detail::PooledAttributes* node) noexcept {
    shard(node->hash).erase(node);
    --size_;
    delete node;
}

}  // namespace vr::bgp
