// SPDX-License-Identifier: Apache-2.0
#include "bgp/interface_indices.h"

#include <linux/rtnetlink.h>
#include <net/if.h>

namespace vr::bgp {

InterfaceIndices::InterfaceIndices() : news_(RTMGRP_LINK) {}

void InterfaceIndices::refresh() {
    if (news_.any()) {
        known_.clear();
    }
}

unsigned InterfaceIndices::of(const std::string& interface) {
    const auto [at, asked] = known_.try_emplace(interface);
    if (asked) {
        at->second = ::if_nametoindex(interface.c_str());
    }
    return at->second;
}

}  // namespace vr::bgp
