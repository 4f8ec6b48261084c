// PathSource: where a path came from, and Sources, which gives each a small number.
//
// A million paths name their source: by number that costs two octets each.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cassert>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "bgp/attributes.h"
#include "vrouter/net/addr.h"

namespace vr::bgp {

using SourceId = std::uint16_t;

/// Where a path came from; registered in Sources for as long as paths name it.
struct PathSource {
    PeerKind kind = PeerKind::Local;
    Ip4 identifier;  ///< the peer's BGP identifier
    IpAddr address;  ///< the peer's address
    /// iBGP: the peer is a client of this route reflector, RFC 4456 6.
    bool client = false;
    /// The peer's paths have path identifiers, RFC 7911.
    bool path_ids4 = false;
    bool path_ids6 = false;
    bool loaded = false;       ///< our own, as what an operator has loaded is
    SourceId id = 0;           ///< given by Sources
    std::uint64_t serial = 0;  ///< given by Sources, with all that is said here, and never again

    template <Family F>
    [[nodiscard]] bool path_ids() const noexcept {
        return std::is_same_v<F, V4> ? path_ids4 : path_ids6;
    }
};

class Sources {
  public:
    /// Most sources at a time; update groups keep a bit of the number for themselves.
    static constexpr std::size_t kMost = 0x7fff;

    [[nodiscard]] bool full() const noexcept { return free_.empty() && sources_.size() >= kMost; }

    /// Gives `source` its number; only when not full().
    void add(PathSource& source) {
        changed(source);
        if (free_.empty()) {
            assert(sources_.size() < kMost);
            source.id = static_cast<SourceId>(sources_.size());
            sources_.push_back(&source);
        } else {
            source.id = free_.back();
            free_.pop_back();
            sources_[source.id] = &source;
        }
    }

    /// `source` is not what it was, though it keeps its number.
    void changed(PathSource& source) { source.serial = next_serial_++; }

    /// No path names `source` any more.
    void remove(const PathSource& source) {
        sources_[source.id] = nullptr;
        free_.push_back(source.id);
    }

    [[nodiscard]] const PathSource& operator[](SourceId id) const noexcept { return *sources_[id]; }

  private:
    std::vector<const PathSource*> sources_;
    std::vector<SourceId> free_;
    std::uint64_t next_serial_ = 1;
};

}  // namespace vr::bgp
