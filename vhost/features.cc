// SPDX-License-Identifier: Apache-2.0
#include "vhost/features.h"

#include <algorithm>
#include <array>
#include <bit>

namespace vr::vhost {

namespace {

enum class Offer : std::uint8_t { AsLibrary, Never };

struct FeatureRow {
    unsigned bit;
    std::string_view name;
    Offer offer;
};

// Sorted by bit.  Never: checksum and segmentation offloads in both directions, packed rings.
constexpr auto kFeatures = std::to_array<FeatureRow>({
    {0, "CSUM", Offer::Never},
    {1, "GUEST_CSUM", Offer::Never},
    {3, "MTU", Offer::AsLibrary},
    {5, "MAC", Offer::AsLibrary},
    {6, "GSO", Offer::Never},
    {7, "GUEST_TSO4", Offer::Never},
    {8, "GUEST_TSO6", Offer::Never},
    {9, "GUEST_ECN", Offer::Never},
    {10, "GUEST_UFO", Offer::Never},
    {11, "HOST_TSO4", Offer::Never},
    {12, "HOST_TSO6", Offer::Never},
    {13, "HOST_ECN", Offer::Never},
    {14, "HOST_UFO", Offer::Never},
    {15, "MRG_RXBUF", Offer::AsLibrary},
    {16, "STATUS", Offer::AsLibrary},
    {17, "CTRL_VQ", Offer::AsLibrary},
    {18, "CTRL_RX", Offer::AsLibrary},
    {19, "CTRL_VLAN", Offer::AsLibrary},
    {21, "GUEST_ANNOUNCE", Offer::AsLibrary},
    {22, "MQ", Offer::AsLibrary},
    {23, "CTRL_MAC_ADDR", Offer::AsLibrary},
    {26, "LOG_ALL", Offer::AsLibrary},
    {27, "ANY_LAYOUT", Offer::AsLibrary},
    {28, "INDIRECT_DESC", Offer::AsLibrary},
    {29, "EVENT_IDX", Offer::AsLibrary},
    {30, "PROTOCOL_FEATURES", Offer::AsLibrary},
    {32, "VERSION_1", Offer::AsLibrary},
    {33, "IOMMU_PLATFORM", Offer::AsLibrary},
    {34, "RING_PACKED", Offer::Never},
    {35, "IN_ORDER", Offer::AsLibrary},
});

static_assert(std::ranges::is_sorted(kFeatures, {}, &FeatureRow::bit));

constexpr unsigned kMultiqueueBit = 22;

}  // namespace

Features withheld_features() noexcept {
    Features withheld = 0;
    for (const FeatureRow& row : kFeatures) {
        if (row.offer == Offer::Never) {
            withheld |= Features{1} << row.bit;
        }
    }
    return withheld;
}

bool has_multiqueue(Features features) noexcept {
    return ((features >> kMultiqueueBit) & 1U) != 0;
}

std::vector<std::string> feature_names(Features features) {
    std::vector<std::string> names;
    for (Features rest = features; rest != 0; rest &= rest - 1) {
        const auto bit = static_cast<unsigned>(std::countr_zero(rest));
        const auto* row = std::ranges::find(kFeatures, bit, &FeatureRow::bit);
        names.push_back(
            row != kFeatures.end() ? std::string(row->name) : "bit-" + std::to_string(bit));
    }
    return names;
}

}  // namespace vr::vhost
