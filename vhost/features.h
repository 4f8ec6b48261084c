// Which virtio feature bits a guest is offered, and the names of those that it took.
//
// No checksum or segmentation offload is offered: every frame that a guest sends is complete and fits
// the MTU, so the pipeline forwards it as it is.  No packed ring: after a router crash a hypervisor
// can rebuild the position of a split ring from guest memory, that of a packed ring it cannot.
// Everything else stays as the library offers it.  Pure: no rte_vhost call.
// References: virtio 1.1 sections 5.1.3 and 6; vhost-user protocol for bits 26 and 30.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace vr::vhost {

/// A set of feature bits, bit n of the standard is bit n here.
using Features = std::uint64_t;

/// Bits that rte_vhost must not offer to any guest.
[[nodiscard]] Features withheld_features() noexcept;

/// True when several queue pairs were negotiated (VIRTIO_NET_F_MQ).
[[nodiscard]] bool has_multiqueue(Features features) noexcept;

/// Names without their VIRTIO_ prefixes, lowest bit first; an unknown bit is "bit-<n>".
[[nodiscard]] std::vector<std::string> feature_names(Features features);

}  // namespace vr::vhost
