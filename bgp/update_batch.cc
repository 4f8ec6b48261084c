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
    begin_octets();
    for (std::size_t from = 0; from < items_.size();) {
        std::size_t to = from + 1;
        while (to < items_.size() && *items_[to].told == *items_[from].told &&
               items_[to].owner == items_[from].owner) {
            ++to;
        }
        add_piece(items_[from]);
        messages_ += encode_bucket(std::span<const Item>{items_}.subspan(from, to - from), context);
        from = to;
    }
    pieces_.push_back(
        Piece{.begin = octets_->size(), .messages_before = messages_, .owner = 0, .hop = 0});
    set_apart();
}

/// Those of the last batch may be on their way to members.
template <Family F>
void UpdateBatch<F>::begin_octets() {
    if (octets_.use_count() == 1) {
        octets_->clear();
    } else {
        octets_ = std::make_shared<Output::Octets>();
    }
    pieces_.clear();
    messages_ = 0;
}

/// What comes next is for those who take `first`.
template <Family F>
void UpdateBatch<F>::add_piece(const Item& first) {
    if (pieces_.empty() || pieces_.back().owner != first.owner || pieces_.back().hop != first.hop) {
        pieces_.push_back(Piece{
            .begin = octets_->size(),
            .messages_before = messages_,
            .owner = first.owner,
            .hop = first.hop});
    }
}

/// Finds who does not take what.  What a member heard of when it was somebody else's, or led elsewhere, it must
/// forget now that it is its own, or leads to itself.  With ADD-PATH a row is one source's for ever.
template <Family F>
void UpdateBatch<F>::set_apart() {
    const auto set = [](std::vector<Apart>& apart, SourceId member, std::size_t index) {
        if (member != 0) {
            apart.push_back(Apart{.member = member, .index = static_cast<std::uint32_t>(index)});
        }
    };
    not_taken_.clear();
    for (std::size_t i = 0; i < pieces_.size(); ++i) {
        set(not_taken_, pieces_[i].owner, i);
        set(not_taken_, pieces_[i].hop != pieces_[i].owner ? pieces_[i].hop : SourceId{0}, i);
    }
    std::ranges::sort(not_taken_);
    forgotten_.clear();
    for (std::size_t i = 0; i < items_.size(); ++i) {
        const Item& item = items_[i];
        if (*item.told) {
            set(forgotten_, item.retold ? item.owner : SourceId{0}, i);
            set(forgotten_, item.hop != item.owner ? item.hop : SourceId{0}, i);
        }
    }
    std::ranges::sort(forgotten_);
}

template <Family F>
auto UpdateBatch<F>::of_member(const std::vector<Apart>& apart, SourceId member)
    -> std::span<const Apart> {
    const auto found = std::ranges::equal_range(apart, member, {}, &Apart::member);
    return {found.begin(), found.end()};
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
        messages = pack_announcements<F>(*told, context, prefixes_, *octets_, path_ids_);
    }
    return messages != 0 ? messages : pack_withdrawals<F>(prefixes_, *octets_, path_ids_);
}

template <Family F>
void UpdateBatch<F>::hand_out(UpdateMember& member) {
    const SourceId self = member.source_id();
    std::size_t from = 0;
    for (const Apart& left_out : of_member(not_taken_, self)) {
        hand_out(member, from, left_out.index);
        from = left_out.index + 1U;
    }
    hand_out(member, from, pieces_.size() - 1);
    make_forget(member, of_member(forgotten_, self));
}

template <Family F>
void UpdateBatch<F>::hand_out(
    UpdateMember& member, std::size_t from_piece, std::size_t to_piece) const {
    const Piece& first = pieces_[from_piece];
    const Piece& end = pieces_[to_piece];
    if (first.begin != end.begin) {
        member.take(
            octets_,
            Bytes{*octets_}.subspan(first.begin, end.begin - first.begin),
            end.messages_before - first.messages_before);
    }
}

template <Family F>
void UpdateBatch<F>::make_forget(UpdateMember& member, std::span<const Apart> items) {
    if (items.empty()) {
        return;
    }
    prefixes_.clear();
    path_ids_.clear();
    for (const Apart& each : items) {
        list(items_[each.index]);
    }
    const auto words = std::make_shared<Output::Octets>();
    const unsigned messages = pack_withdrawals<F>(prefixes_, *words, path_ids_);
    member.take(words, *words, messages);
}

template class UpdateBatch<V4>;
template class UpdateBatch<V6>;

}  // namespace vr::bgp
