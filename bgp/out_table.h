// OutTable: what the members of an update group must know, and how far each of them has got.
//
// Every announcement is a row.  Rows stand in two lists, those announced and those withdrawn, each in
// the order of their last change; a changed row goes to the end.  A cursor stands between rows of both
// lists: what is before it its peers have been told.  So a list is a change log that never grows beyond
// the table: a slow peer finds the present state of a row once, however often that changed, and a new
// peer, whose cursor starts in front, finds the whole table.  A withdrawn row leaves when every cursor
// has passed it.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "bgp/attribute_pool.h"
#include "bgp/path_source.h"

namespace vr::bgp {

class OutTable {
  public:
    using Row = std::uint32_t;
    using Cursor = std::uint32_t;

    static constexpr Row kNone = ~Row{0};

    OutTable();

    // --- rows ------------------------------------------------------------------------------------
    enum class State : std::uint8_t { Absent, Announced, Withdrawn };

    [[nodiscard]] State state(Row row) const noexcept;

    /// What the row says; nothing unless it is announced.
    [[nodiscard]] const AttributesRef& told(Row row) const noexcept;

    /// Whose path the row is (of a withdrawn one: was).
    [[nodiscard]] SourceId source(Row row) const noexcept;

    /// True when the row was another source's since it was announced first: that source may have been
    /// told of it.
    [[nodiscard]] bool had_other_source(Row row) const noexcept;

    /// The row is announced with these attributes from now on; true when it was absent.
    bool announce(Row row, const AttributesRef& attributes, SourceId source);

    /// An announced row is withdrawn from now on.
    void withdraw(Row row);

    /// Calls freed(row) for withdrawn rows that every cursor has passed, at most `most`; they are
    /// absent then.  True when more are left.
    template <typename Freed>
    bool reclaim(std::size_t most, Freed freed) {
        for (; most != 0; --most) {
            const Row row = reclaimable();
            if (row == kNone) {
                return false;
            }
            forget(row);
            freed(row);
        }
        return reclaimable() != kNone;
    }

    /// Rows announced.
    [[nodiscard]] std::size_t announced() const noexcept { return announced_; }

    /// Of them, those of `source`.
    [[nodiscard]] std::size_t announced_by(SourceId source) const noexcept {
        return source < by_source_.size() ? by_source_[source] : 0;
    }

    /// Rows have numbers below this.
    [[nodiscard]] Row end() const noexcept { return static_cast<Row>(chunks_.size() * kChunk); }

    /// True when no row below end() near `row` was ever used: row is the first of an empty chunk.
    [[nodiscard]] bool chunk_absent(Row row) const noexcept { return !chunks_[row / kChunk]; }

    static constexpr std::size_t kChunk = 1024;

    /// Makes every row of the chunk that begins at `row` absent, whatever the cursors; calls
    /// freed(row) for each that was not.  For tables that nobody reads any more.
    template <typename Freed>
    void drop_chunk(Row row, Freed freed) {
        for (Row each = row; each < row + kChunk; ++each) {
            if (state(each) != State::Absent) {
                forget(each);
                freed(each);
            }
        }
        chunks_[row / kChunk].reset();
    }

    /// Frees the last chunk, whatever is in it; true when more are left.  Afterwards there is only more of
    /// this, and the destructor.
    bool dismantle();

    // --- cursors ---------------------------------------------------------------------------------
    /// A cursor for which every announced row is new and no withdrawn one.
    [[nodiscard]] Cursor add_cursor();

    /// Another one at the same place.
    [[nodiscard]] Cursor clone(Cursor cursor);

    void remove_cursor(Cursor cursor);

    /// Every announced row is new again.
    void rewind(Cursor cursor);

    /// Steps over the next withdrawn (announced) row and answers it; kNone at the end.
    [[nodiscard]] Row next_withdrawn(Cursor cursor);
    [[nodiscard]] Row next_announced(Cursor cursor);

    /// True when nothing is left to tell behind this cursor.
    [[nodiscard]] bool at_end(Cursor cursor) const;

    /// True when the same rows lie before both.
    [[nodiscard]] bool same_place(Cursor a, Cursor b) const;

  private:
    /// Rows and marks (ends of lists, cursors) are nodes of the same lists; marks have high numbers.
    using Node = std::uint32_t;

    static constexpr Node kMarks = 0x80000000U;
    static constexpr Node kAnnouncedEnd = kMarks;
    static constexpr Node kWithdrawnEnd = kMarks + 1;
    static constexpr SourceId kOtherSource = 0x8000;

    struct Links {
        Node next = kNone;  ///< kNone: in no list
        Node previous = kNone;
    };

    struct Chunk {
        std::array<Links, kChunk> links;
        std::array<AttributesRef, kChunk> told;
        std::array<SourceId, kChunk> source{};
    };

    [[nodiscard]] static bool is_row(Node node) noexcept { return node < kMarks; }

    [[nodiscard]] static Node announced_mark(Cursor cursor) { return kMarks + 2 + 2 * cursor; }

    [[nodiscard]] static Node withdrawn_mark(Cursor cursor) { return kMarks + 3 + 2 * cursor; }

    [[nodiscard]] Links& links(Node node) noexcept {
        return is_row(node) ? chunks_[node / kChunk]->links[node % kChunk] : marks_[node - kMarks];
    }

    [[nodiscard]] const Links& links(Node node) const noexcept {
        return const_cast<OutTable*>(this)->links(node);
    }

    void make_room(Row row);
    void insert_before(Node node, Node place);
    void unlink(Node node);
    void forget(Row row);
    void count_out(Row row);
    [[nodiscard]] Row reclaimable() const;
    [[nodiscard]] Row step(Node mark, Node end);
    [[nodiscard]] Row row_behind(Node mark, Node end) const;

    std::vector<std::unique_ptr<Chunk>> chunks_;
    std::vector<Links> marks_;
    std::vector<Cursor> free_cursors_;
    std::vector<std::uint32_t> by_source_;
    std::size_t announced_ = 0;
};

}  // namespace vr::bgp
