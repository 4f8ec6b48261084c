// CompactVector: a std::vector that takes 16 octets instead of 24, for what exists by the ten thousand.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <boost/container/vector.hpp>

namespace vr::bgp {

template <typename T>
using CompactVector = boost::container::vector<
    T,
    void,
    boost::container::vector_options_t<boost::container::stored_size<std::uint32_t>>>;

static_assert(sizeof(CompactVector<std::uint32_t>) == 16);

}  // namespace vr::bgp
