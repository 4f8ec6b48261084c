// SPDX-License-Identifier: Apache-2.0
#include "bgp/as_path.h"

#include <algorithm>
#include <iterator>

namespace vr::bgp {
namespace {

constexpr std::size_t kMaxSegment = 255;

constexpr std::uint32_t head(AsPath::Segment type, std::size_t count) {
    return static_cast<std::uint32_t>(type) << 16U | static_cast<std::uint32_t>(count);
}

/// RFC 6996.
constexpr bool is_private(std::uint32_t number) {
    return (number >= 64512 && number <= 65534) || (number >= 4200000000U && number <= 4294967294U);
}

}  // namespace

template <typename Visit>
void AsPath::for_each_segment(Visit visit) const {
    const std::span<const std::uint32_t> all{words_};
    for (std::size_t at = 0; at < all.size();) {
        const std::size_t count = all[at] & 0xffffU;
        visit(static_cast<Segment>(all[at] >> 16U), all.subspan(at + 1, count));
        at += 1 + count;
    }
}

AsPath AsPath::sequence(std::initializer_list<std::uint32_t> numbers) {
    AsPath path;
    path.append(Segment::Sequence, {numbers.begin(), numbers.size()});
    return path;
}

std::optional<AsPath> AsPath::decode(Reader in, AsWidth width, Confederations confederations) {
    AsPath path;
    path.words_.reserve(in.remaining() / static_cast<std::size_t>(width) + 1);
    while (!in.empty()) {
        const std::uint8_t type = in.u8();
        const std::uint8_t count = in.u8();
        const bool of_confederation = type == 3 || type == 4;
        if (in.ok() && count != 0 && of_confederation &&
            confederations == Confederations::LeftOut) {
            in.skip(count * static_cast<std::size_t>(width));
            continue;
        }
        if (!in.ok() || count == 0 || (type != 1 && type != 2)) {
            return std::nullopt;
        }
        path.words_.push_back(head(static_cast<Segment>(type), count));
        for (unsigned i = 0; i < count; ++i) {
            const std::uint32_t number = width == AsWidth::Four ? in.u32() : in.u16();
            if (!in.ok() || number == 0) {
                return std::nullopt;
            }
            path.words_.push_back(number);
        }
    }
    if (!in.ok()) {
        return std::nullopt;
    }
    return path;
}

void AsPath::encode(AsWidth width, Writer& out) const {
    for_each_segment([&](Segment type, std::span<const std::uint32_t> numbers) {
        out.u8(static_cast<std::uint8_t>(type));
        out.u8(static_cast<std::uint8_t>(numbers.size()));
        for (const std::uint32_t number : numbers) {
            if (width == AsWidth::Four) {
                out.u32(number);
            } else {
                out.u16(static_cast<std::uint16_t>(number > 0xffffU ? kAsTrans.value() : number));
            }
        }
    });
}

void AsPath::append(Segment type, std::span<const std::uint32_t> numbers) {
    while (!numbers.empty()) {
        const auto part = numbers.first(std::min(numbers.size(), kMaxSegment));
        words_.push_back(head(type, part.size()));
        words_.insert(words_.end(), part.begin(), part.end());
        numbers = numbers.subspan(part.size());
    }
}

AsPath AsPath::prepended(Asn asn, unsigned times) const {
    AsPath path;
    if (times == 0) {
        return *this;
    }
    path.words_.reserve(words_.size() + times + 1);
    std::size_t joined = 0;  // words of the old first segment that move into the new one
    std::size_t count = times;
    if (!words_.empty() && static_cast<Segment>(words_[0] >> 16U) == Segment::Sequence &&
        (words_[0] & 0xffffU) + times <= kMaxSegment) {
        joined = 1;
        count += words_[0] & 0xffffU;
    }
    path.words_.push_back(head(Segment::Sequence, count));
    path.words_.insert(path.words_.end(), times, asn.value());
    path.words_.insert(
        path.words_.end(), words_.begin() + static_cast<std::ptrdiff_t>(joined), words_.end());
    return path;
}

unsigned AsPath::length() const noexcept {
    unsigned length = 0;
    for_each_segment([&](Segment type, std::span<const std::uint32_t> numbers) {
        length += type == Segment::Set ? 1U : static_cast<unsigned>(numbers.size());
    });
    return length;
}

unsigned AsPath::count(Asn asn) const noexcept {
    unsigned count = 0;
    for_each_segment([&](Segment, std::span<const std::uint32_t> numbers) {
        count += static_cast<unsigned>(std::ranges::count(numbers, asn.value()));
    });
    return count;
}

std::optional<Asn> AsPath::first() const noexcept {
    if (words_.empty() || static_cast<Segment>(words_[0] >> 16U) != Segment::Sequence) {
        return std::nullopt;
    }
    return Asn{words_[1]};
}

bool AsPath::begins_with(std::span<const Asn> numbers) const noexcept {
    if (numbers.empty()) {
        return true;
    }
    std::span<const Asn> rest = numbers;
    bool equal = true;
    for_each_segment([&](Segment type, std::span<const std::uint32_t> segment) {
        // Where one sequence ends and the next begins says nothing about the way.
        const auto part = rest.first(std::min(rest.size(), segment.size()));
        equal = equal && (part.empty() || type == Segment::Sequence) &&
                std::ranges::equal(part, segment.first(part.size()), {}, &Asn::value);
        rest = rest.subspan(part.size());
    });
    return equal && rest.empty();
}

AsPath AsPath::replaced(Asn from, Asn to) const {
    AsPath path;
    for_each_segment([&](Segment type, std::span<const std::uint32_t> numbers) {
        std::vector<std::uint32_t> changed(numbers.begin(), numbers.end());
        std::ranges::replace(changed, from.value(), to.value());
        path.append(type, changed);
    });
    return path;
}

AsPath AsPath::without_private() const {
    AsPath path;
    for_each_segment([&](Segment type, std::span<const std::uint32_t> numbers) {
        std::vector<std::uint32_t> kept;
        std::ranges::remove_copy_if(numbers, std::back_inserter(kept), is_private);
        path.append(type, kept);
    });
    return path;
}

bool AsPath::needs_four_octets() const noexcept {
    bool needs = false;
    for_each_segment([&](Segment, std::span<const std::uint32_t> numbers) {
        needs = needs || std::ranges::any_of(numbers, [](std::uint32_t n) { return n > 0xffffU; });
    });
    return needs;
}

AsPath AsPath::merged(const AsPath& path, const AsPath& as4_path) {
    const unsigned whole = path.length();
    const unsigned known = as4_path.length();
    if (known > whole) {
        return path;  // RFC 6793 4.2.3: such an AS4_PATH is ignored
    }
    unsigned leading = whole - known;  // hops that only the 2-octet speakers added
    AsPath result;
    std::vector<std::uint32_t> sequence;  // what follows one another without a set is one segment
    const auto end_sequence = [&] {
        result.append(Segment::Sequence, sequence);
        sequence.clear();
    };
    const auto add = [&](Segment type, std::span<const std::uint32_t> numbers) {
        if (type == Segment::Sequence) {
            sequence.insert(sequence.end(), numbers.begin(), numbers.end());
        } else {
            end_sequence();
            result.append(type, numbers);
        }
    };
    path.for_each_segment([&](Segment type, std::span<const std::uint32_t> numbers) {
        if (leading == 0) {
            return;
        }
        const auto part = type == Segment::Set
                              ? numbers
                              : numbers.first(std::min<std::size_t>(leading, numbers.size()));
        leading -= type == Segment::Set ? 1U : static_cast<unsigned>(part.size());
        add(type, part);
    });
    as4_path.for_each_segment(add);
    end_sequence();
    return result;
}

std::string AsPath::text() const {
    std::string text;
    for_each_segment([&](Segment type, std::span<const std::uint32_t> numbers) {
        std::string part;
        for (const std::uint32_t number : numbers) {
            part += (part.empty() ? "" : " ") + std::to_string(number);
        }
        text += (text.empty() ? "" : " ") + (type == Segment::Set ? "{" + part + "}" : part);
    });
    return text;
}

}  // namespace vr::bgp
