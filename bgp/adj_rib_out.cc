// SPDX-License-Identifier: Apache-2.0
#include "bgp/adj_rib_out.h"

#include <algorithm>

#include "bgp/update.h"

namespace vr::bgp {

template <Family F>
void AdjRibOut<F>::want(const Prefix<F>& prefix, const AttributesRef& attributes, bool again) {
    if (!again && find(prefix) == attributes) {
        pending_.erase(prefix);
    } else {
        pending_.insert_or_assign(prefix, attributes);
    }
}

template <Family F>
void AdjRibOut<F>::want_nothing(const Prefix<F>& prefix) {
    if (advertised_.contains(prefix)) {
        pending_.insert_or_assign(prefix, AttributesRef{});
    } else {
        pending_.erase(prefix);
    }
}

template <Family F>
AttributesRef AdjRibOut<F>::find(const Prefix<F>& prefix) const {
    const auto at = advertised_.find(prefix);
    return at == advertised_.end() ? AttributesRef{} : at->second;
}

template <Family F>
auto AdjRibOut<F>::take(std::size_t most) -> std::vector<Item> {
    std::vector<Item> items;
    items.reserve(std::min(most, pending_.size()));
    for (auto at = pending_.begin(); at != pending_.end() && items.size() < most;) {
        items.push_back(Item{at->first, at->second});
        pending_.erase(at++);
    }
    // By attribute set, withdrawals (serial 0) first; by prefix inside, so that output is the same
    // whatever the table's order.
    std::ranges::sort(items, [](const Item& a, const Item& b) {
        return std::pair{a.attributes.serial(), a.prefix} <
               std::pair{b.attributes.serial(), b.prefix};
    });
    return items;
}

template <Family F>
unsigned AdjRibOut<F>::pack(
    std::size_t most, const AttributeContext& context, std::vector<std::uint8_t>& out) {
    const std::vector<Item> items = take(most);
    unsigned messages = 0;
    std::vector<Prefix<F>> bucket;
    for (auto from = items.begin(); from != items.end();) {
        const auto to = std::find_if(from, items.end(), [&](const Item& item) {
            return item.attributes != from->attributes;
        });
        bucket.clear();
        for (auto item = from; item != to; ++item) {
            bucket.push_back(item->prefix);
        }
        unsigned sent = 0;
        if (from->attributes) {
            sent = pack_announcements<F>(*from->attributes, context, bucket, out);
        }
        if (sent != 0) {
            for (const Prefix<F>& prefix : bucket) {
                advertised_.insert_or_assign(prefix, from->attributes);
            }
        } else {
            sent = pack_withdrawals<F>(bucket, out);
            for (const Prefix<F>& prefix : bucket) {
                advertised_.erase(prefix);
            }
        }
        messages += sent;
        from = to;
    }
    return messages;
}

template <Family F>
void AdjRibOut<F>::clear() {
    advertised_.clear();
    pending_.clear();
}

template class AdjRibOut<V4>;
template class AdjRibOut<V6>;

}  // namespace vr::bgp
