// UpdateBatch: rows of an UpdateGroup on their way to members that have been told the same so far.
//
// Each message is made once.  What a member is not to hear, being its source or its next hop, is encoded
// apart and left out for it: handing a batch out costs as much as there are members and such parts.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "bgp/attribute_pool.h"
#include "bgp/output.h"
#include "bgp/path_source.h"
#include "vrouter/net/prefix.h"

namespace vr::bgp {

/// A peer, as its group sees it.
class UpdateMember {
  public:
    UpdateMember() = default;
    UpdateMember(const UpdateMember&) = delete;
    UpdateMember& operator=(const UpdateMember&) = delete;
    UpdateMember(UpdateMember&&) = delete;
    UpdateMember& operator=(UpdateMember&&) = delete;
    virtual ~UpdateMember() = default;

    [[nodiscard]] virtual SourceId source_id() const = 0;

    /// False while what was taken before still waits for the peer.
    [[nodiscard]] virtual bool has_room() const = 0;

    /// `updates`: a part of `of`.
    virtual void take(const Output::Shared& of, Bytes updates, unsigned messages) = 0;

    /// All that there was since it joined or asked for a refresh has been taken.
    virtual void caught_up() = 0;
};

template <Family F>
class UpdateBatch {
  public:
    /// What a row becomes in a message.
    struct Item {
        const AttributesRef* told;  ///< nothing in it: withdraw
        Prefix<F> prefix;
        std::uint32_t path_id;  ///< with ADD-PATH
        SourceId owner;         ///< the member who does not hear of it, being its source; 0: nobody
        SourceId hop;  ///< the member who does not hear of it, being its next hop; 0: nobody
        bool retold;   ///< the owner heard of it when it was somebody else's
    };

    void clear() { items_.clear(); }

    void add(const Item& item) { items_.push_back(item); }

    [[nodiscard]] std::size_t size() const noexcept { return items_.size(); }

    /// Makes the messages, by attribute set, those without one (withdrawals) first.
    void encode(const AttributeContext& context);

    void hand_out(UpdateMember& member);

  private:
    /// Octets, up to those of the next piece, that all members take but those named.
    struct Piece {
        std::size_t begin;
        unsigned messages_before;
        SourceId owner;
        SourceId hop;
    };

    /// A piece that `member` does not take, or an item that it is to forget.
    struct Apart {
        SourceId member;
        std::uint32_t index;

        friend auto operator<=>(const Apart&, const Apart&) = default;
    };

    void sort();
    void begin_octets();
    void add_piece(const Item& first);
    void set_apart();
    [[nodiscard]] static std::span<const Apart> of_member(
        const std::vector<Apart>& apart, SourceId member);
    unsigned encode_bucket(std::span<const Item> bucket, const AttributeContext& context);
    void hand_out(UpdateMember& member, std::size_t from_piece, std::size_t to_piece) const;
    void make_forget(UpdateMember& member, std::span<const Apart> items);
    void list(const Item& item);

    std::vector<Item> items_;
    std::vector<Piece> pieces_;  ///< the last one is empty
    std::shared_ptr<Output::Octets> octets_ = std::make_shared<Output::Octets>();
    std::vector<Apart> not_taken_;  ///< pieces, by member
    std::vector<Apart> forgotten_;  ///< items, by member
    unsigned messages_ = 0;         ///< made so far
    bool with_path_ids_ = false;

    // Of one message; kept for their room.
    std::vector<Prefix<F>> prefixes_;
    std::vector<std::uint32_t> path_ids_;
};

}  // namespace vr::bgp
