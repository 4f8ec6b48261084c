// SPDX-License-Identifier: Apache-2.0
#include "bgp/update_batch.h"

#include <algorithm>
#include <utility>

#include "bgp/update.h"

namespace vr::bgp {

template <Family F>
void UpdateBatch<F>::sort() {
    const auto before = [](const Item& a, const Item& b) {
        return std::pair{a.told->serial(), a.owner} < std::pair{b.told->serial(), b.owner};
    };
    // Rows that changed together mostly stand in order already.
    if (!std::ranges::is_sorted(items_, before)) {
        std::ranges::stable_sort(items_, before);
    }
}

template <Family F>
void UpdateBatch<F>::encode(const AttributeContext& context) {
    with_path_ids_ = context.path_ids<F>();
    sort();
    octets_.clear();
    pieces_.clear();
    messages_ = 0;
    for (std::size_t from = 0; from < items_.size();) {
        std::size_t to = from + 1;
        while (to < items_.size() && *items_[to].told == *items_[from].told &&
               items_[to].owner == items_[from].owner) {
            ++to;
        }
        const std::size_t begin = octets_.size();
        const unsigned messages =
            encode_bucket(std::span<const Item>{items_}.subspan(from, to - from), context);
        const auto& [told, prefix, path_id, owner, hop, retold] = items_[from];
        if (!pieces_.empty() && pieces_.back().owner == owner && pieces_.back().hop == hop) {
            pieces_.back().end = octets_.size();
            pieces_.back().messages += messages;
        } else {
            pieces_.push_back(Piece{
                .begin = begin,
                .end = octets_.size(),
                .messages = messages,
                .owner = owner,
                .hop = hop});
        }
        messages_ += messages;
        from = to;
    }
}

/// Among those that the next message is about.
template <Family F>
void UpdateBatch<F>::list(const Item& item) {
    prefixes_.push_back(item.prefix);
    if (with_path_ids_) {
        path_ids_.push_back(item.path_id);
    }
}

/// What fits no message is withdrawn instead.
template <Family F>
unsigned UpdateBatch<F>::encode_bucket(
    std::span<const Item> bucket, const AttributeContext& context) {
    prefixes_.clear();
    path_ids_.clear();
    for (const Item& item : bucket) {
        list(item);
    }
    const AttributesRef& told = *bucket.front().told;
    unsigned messages = 0;
    if (told) {
        messages = pack_announcements<F>(*told, context, prefixes_, octets_, path_ids_);
    }
    return messages != 0 ? messages : pack_withdrawals<F>(prefixes_, octets_, path_ids_);
}

template <Family F>
void UpdateBatch<F>::hand_out(UpdateMember& member) {
    const SourceId self = member.source_id();
    if (std::ranges::all_of(pieces_, [&](const Piece& each) { return each.is_for(self); })) {
        member.take(octets_, messages_);
    } else {
        hand_out_without_own(member);
    }
}

template <Family F>
void UpdateBatch<F>::hand_out_without_own(UpdateMember& member) {
    const SourceId self = member.source_id();
    for (const Piece& piece : pieces_) {
        if (piece.is_for(self)) {
            member.take(
                Bytes{octets_}.subspan(piece.begin, piece.end - piece.begin), piece.messages);
        }
    }
    // What it heard of when it was somebody else's, or led elsewhere, it must forget now that it is its
    // own, or leads to itself.  With ADD-PATH a row is one source's for ever.
    prefixes_.clear();
    path_ids_.clear();
    for (const Item& item : items_) {
        if (*item.told && (item.owner == self ? item.retold : item.hop == self)) {
            list(item);
        }
    }
    std::vector<std::uint8_t> words;
    const unsigned messages = pack_withdrawals<F>(prefixes_, words, path_ids_);
    if (messages != 0) {
        member.take(words, messages);
    }
}

template class UpdateBatch<V4>;
template class UpdateBatch<V6>;

}  // namespace vr::bgp
