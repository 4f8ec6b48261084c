// SPDX-License-Identifier: Apache-2.0
#include "bgp/out_table.h"

#include <cassert>

namespace vr::bgp {
namespace {

const AttributesRef kNothing;

}  // namespace

OutTable::OutTable()
    : marks_{Links{kAnnouncedEnd, kAnnouncedEnd}, Links{kWithdrawnEnd, kWithdrawnEnd}} {}

auto OutTable::state(Row row) const noexcept -> State {
    const std::size_t chunk = row / kChunk;
    if (chunk >= chunks_.size() || !chunks_[chunk] ||
        chunks_[chunk]->links[row % kChunk].next == kNone) {
        return State::Absent;
    }
    return chunks_[chunk]->told[row % kChunk] ? State::Announced : State::Withdrawn;
}

const AttributesRef& OutTable::told(Row row) const noexcept {
    return state(row) == State::Absent ? kNothing : chunks_[row / kChunk]->told[row % kChunk];
}

SourceId OutTable::source(Row row) const noexcept {
    return static_cast<SourceId>(chunks_[row / kChunk]->source[row % kChunk] & ~kOtherSource);
}

bool OutTable::had_other_source(Row row) const noexcept {
    return (chunks_[row / kChunk]->source[row % kChunk] & kOtherSource) != 0;
}

bool OutTable::dismantle() {
    if (!chunks_.empty()) {
        chunks_.pop_back();
    }
    return !chunks_.empty();
}

bool OutTable::announce(Row row, const AttributesRef& attributes, SourceId source) {
    const State before = state(row);
    make_room(row);
    Chunk& chunk = *chunks_[row / kChunk];
    const std::size_t at = row % kChunk;
    if (before == State::Announced && chunk.told[at] == attributes && this->source(row) == source) {
        return false;
    }
    SourceId mark = 0;
    if (before != State::Absent) {
        mark = this->source(row) != source || had_other_source(row) ? kOtherSource : SourceId{0};
        count_out(row);
        unlink(row);
    }
    chunk.told[at] = attributes;
    chunk.source[at] = static_cast<SourceId>(source | mark);
    insert_before(row, kAnnouncedEnd);
    if (by_source_.size() <= source) {
        by_source_.resize(source + 1U);
    }
    ++by_source_[source];
    ++announced_;
    return before == State::Absent;
}

void OutTable::withdraw(Row row) {
    assert(state(row) == State::Announced);
    count_out(row);
    unlink(row);
    chunks_[row / kChunk]->told[row % kChunk] = {};
    insert_before(row, kWithdrawnEnd);
}

/// An announced row is counted no more.
void OutTable::count_out(Row row) {
    if (chunks_[row / kChunk]->told[row % kChunk]) {
        --by_source_[source(row)];
        --announced_;
    }
}

void OutTable::forget(Row row) {
    count_out(row);
    unlink(row);
    chunks_[row / kChunk]->told[row % kChunk] = {};
}

OutTable::Row OutTable::reclaimable() const {
    const Node first = links(kWithdrawnEnd).next;
    return is_row(first) ? first : kNone;
}

OutTable::Cursor OutTable::add_cursor() {
    Cursor cursor = 0;
    if (free_cursors_.empty()) {
        cursor = static_cast<Cursor>((marks_.size() - 2) / 2);
        marks_.resize(marks_.size() + 2);
    } else {
        cursor = free_cursors_.back();
        free_cursors_.pop_back();
    }
    insert_before(announced_mark(cursor), links(kAnnouncedEnd).next);
    insert_before(withdrawn_mark(cursor), kWithdrawnEnd);
    return cursor;
}

OutTable::Cursor OutTable::clone(Cursor cursor) {
    const Cursor copy = add_cursor();
    for (const auto& [mine, its] :
         {std::pair{announced_mark(copy), announced_mark(cursor)},
          std::pair{withdrawn_mark(copy), withdrawn_mark(cursor)}}) {
        unlink(mine);
        insert_before(mine, its);
    }
    return copy;
}

void OutTable::remove_cursor(Cursor cursor) {
    unlink(announced_mark(cursor));
    unlink(withdrawn_mark(cursor));
    free_cursors_.push_back(cursor);
}

void OutTable::rewind(Cursor cursor) {
    unlink(announced_mark(cursor));
    insert_before(announced_mark(cursor), links(kAnnouncedEnd).next);
}

OutTable::Row OutTable::next_withdrawn(Cursor cursor) {
    return step(withdrawn_mark(cursor), kWithdrawnEnd);
}

OutTable::Row OutTable::next_announced(Cursor cursor) {
    return step(announced_mark(cursor), kAnnouncedEnd);
}

bool OutTable::at_end(Cursor cursor) const {
    return row_behind(withdrawn_mark(cursor), kWithdrawnEnd) == kNone &&
           row_behind(announced_mark(cursor), kAnnouncedEnd) == kNone;
}

bool OutTable::same_place(Cursor a, Cursor b) const {
    return row_behind(announced_mark(a), kAnnouncedEnd) ==
               row_behind(announced_mark(b), kAnnouncedEnd) &&
           row_behind(withdrawn_mark(a), kWithdrawnEnd) ==
               row_behind(withdrawn_mark(b), kWithdrawnEnd);
}

OutTable::Row OutTable::step(Node mark, Node end) {
    const Row row = row_behind(mark, end);
    if (row != kNone) {
        unlink(mark);
        insert_before(mark, links(row).next);
    }
    return row;
}

OutTable::Row OutTable::row_behind(Node mark, Node end) const {
    Node node = links(mark).next;
    while (!is_row(node) && node != end) {
        node = links(node).next;
    }
    return is_row(node) ? node : kNone;
}

void OutTable::make_room(Row row) {
    const std::size_t chunk = row / kChunk;
    if (chunk >= chunks_.size()) {
        chunks_.resize(chunk + 1);
    }
    if (!chunks_[chunk]) {
        chunks_[chunk] = std::make_unique<Chunk>();
    }
}

void OutTable::insert_before(Node node, Node place) {
    const Node previous = links(place).previous;
    links(node) = Links{.next = place, .previous = previous};
    links(previous).next = node;
    links(place).previous = node;
}

void OutTable::unlink(Node node) {
    const Links from = links(node);
    links(from.previous).next = from.next;
    links(from.next).previous = from.previous;
    links(node) = Links{};
}

}  // namespace vr::bgp
