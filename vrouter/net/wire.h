// Bounded reading and writing of wire data.
//
// Reader never leaves its range and remembers failure: decoders read field after field and ask ok()
// once at the end.  take() hands out sub-readers for TLVs, so an inner length cannot reach beyond its
// own element.  Writer appends to a vector and can patch lengths written before their content.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "vrouter/net/byte_order.h"

namespace vr {

using Bytes = std::span<const std::uint8_t>;

class Reader {
  public:
    constexpr explicit Reader(Bytes bytes) noexcept : bytes_(bytes) {}

    /// The next integer in network order; 0 once the reader has failed.
    template <std::unsigned_integral T>
    [[nodiscard]] T get() noexcept {
        const Bytes field = bytes(sizeof(T));
        return ok_ ? load_be<T>(field.data()) : T{0};
    }

    [[nodiscard]] std::uint8_t u8() noexcept { return get<std::uint8_t>(); }

    [[nodiscard]] std::uint16_t u16() noexcept { return get<std::uint16_t>(); }

    [[nodiscard]] std::uint32_t u32() noexcept { return get<std::uint32_t>(); }

    /// The next `count` bytes; empty (and failed) when fewer are left.
    [[nodiscard]] Bytes bytes(std::size_t count) noexcept {
        if (!ok_ || count > bytes_.size()) {
            ok_ = false;
            return {};
        }
        const Bytes field = bytes_.first(count);
        bytes_ = bytes_.subspan(count);
        return field;
    }

    /// A reader over the next `count` bytes, which are consumed here.
    [[nodiscard]] Reader take(std::size_t count) noexcept {
        Reader inner{bytes(count)};
        inner.ok_ = ok_;
        return inner;
    }

    /// All that is left; consumes it.
    [[nodiscard]] Bytes rest() noexcept { return bytes(bytes_.size()); }

    void skip(std::size_t count) noexcept { static_cast<void>(bytes(count)); }

    [[nodiscard]] std::size_t remaining() const noexcept { return ok_ ? bytes_.size() : 0; }

    [[nodiscard]] bool empty() const noexcept { return remaining() == 0; }

    /// False once any read went beyond the end; stays false.
    [[nodiscard]] bool ok() const noexcept { return ok_; }

    /// True when every byte was read and no read went beyond the end.
    [[nodiscard]] bool done() const noexcept { return ok_ && bytes_.empty(); }

    /// Lets a decoder mark a semantic failure the same way as a short read.
    void set_failed() noexcept { ok_ = false; }

  private:
    Bytes bytes_;
    bool ok_ = true;
};

class Writer {
  public:
    template <std::unsigned_integral T>
    void put(T value) {
        const std::size_t at = out_.size();
        out_.resize(at + sizeof(T));
        store_be(out_.data() + at, value);
    }

    void u8(std::uint8_t value) { out_.push_back(value); }

    void u16(std::uint16_t value) { put(value); }

    void u32(std::uint32_t value) { put(value); }

    void bytes(Bytes content) { out_.insert(out_.end(), content.begin(), content.end()); }

    void text(std::string_view content) { out_.insert(out_.end(), content.begin(), content.end()); }

    void zeros(std::size_t count) { out_.resize(out_.size() + count); }

    /// Overwrites an integer at `at`, which must have been written before.
    template <std::unsigned_integral T>
    void patch(std::size_t at, T value) {
        store_be(out_.data() + at, value);
    }

    [[nodiscard]] std::size_t size() const noexcept { return out_.size(); }

    [[nodiscard]] Bytes view() const noexcept { return out_; }

    /// Gives the bytes away; the writer is empty afterwards.
    [[nodiscard]] std::vector<std::uint8_t> release() noexcept { return std::move(out_); }

  private:
    std::vector<std::uint8_t> out_;
};

}  // namespace vr
