// The attributes of a BGP path as a row of a listing: of the router's tables and of MRT files.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vrouter.pb.h>

#include "bgp/attributes.h"

namespace vr::ctl {

void fill_attributes(const bgp::Attributes& set, pb::BgpRoute& row);

}  // namespace vr::ctl
