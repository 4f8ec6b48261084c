// AsPath: the AS_PATH attribute, RFC 4271 4.3 and 5.1.2, RFC 6793.
//
// Kept flat (one word per segment head, one per AS number), so that a path is one allocation and
// compares quickly.  Confederation segments are refused (RFC 5065 5: a speaker outside any
// confederation), and so is AS 0 (RFC 7607).
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>

#include "bgp/compact_vector.h"
#include "vrouter/net/ids.h"
#include "vrouter/net/wire.h"

namespace vr::bgp {

/// Stands for a 4-octet AS number towards 2-octet speakers, RFC 6793.
inline constexpr Asn kAsTrans{23456};

/// How wide AS numbers are on one session.
enum class AsWidth : std::uint8_t { Two = 2, Four = 4 };

class AsPath {
  public:
    enum class Segment : std::uint8_t { Set = 1, Sequence = 2 };

    AsPath() = default;

    /// One AS_SEQUENCE, first the neighbour's AS.
    [[nodiscard]] static AsPath sequence(std::initializer_list<std::uint32_t> numbers);

    /// Segments of a confederation: malformed in AS_PATH, left out of AS4_PATH (RFC 6793 6).
    enum class Confederations : std::uint8_t { Refused, LeftOut };

    /// The whole of `in`; nothing when it is malformed (RFC 7606 7.2).
    [[nodiscard]] static std::optional<AsPath> decode(
        Reader in, AsWidth width, Confederations confederations = Confederations::Refused);

    /// Numbers that do not fit two octets become AS_TRANS.
    void encode(AsWidth width, Writer& out) const;

    /// Adds a segment at the far end.
    void append(Segment type, std::span<const std::uint32_t> numbers);

    /// The path with `asn` in front, `times` times.
    [[nodiscard]] AsPath prepended(Asn asn, unsigned times = 1) const;

    /// Hops as the decision counts them: a set is one, RFC 4271 9.1.2.2 a.
    [[nodiscard]] unsigned length() const noexcept;

    /// How often `asn` appears: loop detection, RFC 4271 9.1.2.
    [[nodiscard]] unsigned count(Asn asn) const noexcept;

    /// The neighbour's AS: first number of a leading sequence.
    [[nodiscard]] std::optional<Asn> first() const noexcept;

    /// True when the leading sequence, of however many segments, begins with `numbers`.
    [[nodiscard]] bool begins_with(std::span<const Asn> numbers) const noexcept;

    /// The path with every `from` turned into `to` (as-override).
    [[nodiscard]] AsPath replaced(Asn from, Asn to) const;

    /// The path without private AS numbers, RFC 6996.
    [[nodiscard]] AsPath without_private() const;

    /// True when a number needs four octets: AS4_PATH must go along to a 2-octet speaker.
    [[nodiscard]] bool needs_four_octets() const noexcept;

    [[nodiscard]] bool empty() const noexcept { return words_.empty(); }

    /// The real path out of what a 2-octet speaker sent, RFC 6793 4.2.3.
    [[nodiscard]] static AsPath merged(const AsPath& path, const AsPath& as4_path);

    /// For hashing: equal paths have equal words.
    [[nodiscard]] std::span<const std::uint32_t> words() const noexcept {
        return {words_.data(), words_.size()};
    }

    /// "65001 65002 {65003 65004}".
    [[nodiscard]] std::string text() const;

    friend bool operator==(const AsPath&, const AsPath&) = default;

  private:
    /// Calls visit(type, numbers) per segment.
    template <typename Visit>
    void for_each_segment(Visit visit) const;

    CompactVector<std::uint32_t> words_;  ///< per segment: type << 16 | count, then the numbers
};

}  // namespace vr::bgp
