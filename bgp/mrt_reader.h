// MrtReader: what an MRT file says, RFC 6396; pure.
//
// Read are tables (TABLE_DUMP_V2 of IPv4 and IPv6 unicast, also with path identifiers, RFC 8050) and the
// UPDATEs of recorded sessions (BGP4MP, BGP4MP_ET).  Files are of others: what cannot be understood is a
// fault that names the record, and reading goes on with the next one.  Each prefix that an UPDATE names is
// a row with all attributes of it: a record may cost the product of the two.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bgp/attributes.h"
#include "bgp/mrt.h"
#include "bgp/update.h"
#include "vrouter/net/prefix.h"
#include "vrouter/net/wire.h"

namespace vr::bgp {

/// One path as the file has it.
struct MrtPath {
    enum class Kind : std::uint8_t {
        Recorded,   ///< in a table
        Announced,  ///< by a message
        Withdrawn,  ///< by a message; there are no attributes
    };

    Kind kind = Kind::Recorded;
    std::uint32_t seconds = 0;  ///< since 1970
    IpPrefix prefix;
    MrtPeer peer;
    std::optional<std::uint32_t> path_id;
    Attributes attributes;
};

class MrtReader {
  public:
    using Visit = std::function<void(const MrtPath& path)>;
    using Fault = std::function<void(std::string text)>;

    /// A longer record is a fault: a table's prefix with all its paths takes some MiB at the very most.
    static constexpr std::size_t kMostRecord = std::size_t{64} * 1024 * 1024;

    /// `begin`: how the file begins; all of it, or the rest comes by feed().
    explicit MrtReader(Bytes begin = {}) { feed(begin); }

    /// The next octets of the file.  Only what belongs to a record that is not whole yet is kept.
    void feed(Bytes piece);

    /// Reads one record: calls `visit` for each path and `fault` for what is wrong; false when no whole
    /// record is left.
    [[nodiscard]] bool read(const Visit& visit, const Fault& fault);

    /// The file is over: what is left of it is a fault.
    void finish(const Fault& fault);

  private:
    struct Record {
        std::uint32_t seconds = 0;
        std::uint16_t type = 0;
        std::uint16_t subtype = 0;
        Reader body;
    };

    /// What is wrong with the record; empty: nothing.
    using Problem = std::string_view;

    [[nodiscard]] Problem read_table(Record& record, const Visit& visit, const Fault& fault);
    [[nodiscard]] Problem read_peers(Reader body);
    template <Family F>
    [[nodiscard]] Problem read_paths(
        Record& record, bool path_ids, const Visit& visit, const Fault& fault);
    [[nodiscard]] Problem read_message(Record& record, const Visit& visit, const Fault& fault);
    template <Family F>
    void visit_reach(const Reach<F>& reach, MrtPath path, const Visit& visit) const;
    void tell(const Fault& fault, std::string_view problem) const;

    std::vector<std::uint8_t> octets_;
    std::size_t done_ = 0;  ///< of them, those that were read
    std::size_t skip_ = 0;  ///< octets to come that belong to a record which is too long
    std::vector<MrtPeer> peers_;
    std::size_t number_ = 0;  ///< of the record, from 1
};

}  // namespace vr::bgp
