// The attributes of a BGP path as a row of a listing: of the router's tables and of MRT files; and how a
// listing ends whose tables are gone; how much is loaded at once.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

#include <vrouter.pb.h>

#include "bgp/attributes.h"

namespace vr::ctl {

/// Routes of a `bgp load` request, at most: some of them take a third of a millisecond.
inline constexpr std::size_t kMostLoaded = 128;

void fill_attributes(const bgp::Attributes& set, pb::BgpRoute& row);

/// Makes `frame` the last of a listing, with an error; false, as a slice answers.
bool say_restarted(pb::Response& frame);

}  // namespace vr::ctl
