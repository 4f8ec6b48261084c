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
    {.bit = 0, .name = "CSUM", .offer = Offer::Never},
    {.bit = 1, .name = "GUEST_CSUM", .offer = Offer::Never},
    {.bit = 3, .name = "MTU", .offer = Offer::AsLibrary},
    {.bit = 5, .name = "MAC", .offer = Offer::AsLibrary},
    {.bit = 6, .name = "GSO", .offer = Offer::Never},
    {.bit = 7, .name = "GUEST_TSO4", .offer = Offer::Never},
    {.bit = 8, .name = "GUEST_TSO6", .offer = Offer::Never},
    {.bit = 9, .name = "GUEST_ECN", .offer = Offer::Never},
    {.bit = 10, .name = "GUEST_UFO", .offer = Offer::Never},
    {.bit = 11, .name = "HOST_TSO4", .offer = Offer::Never},
    {.bit = 12, .name = "HOST_TSO6", .offer = Offer::Never},
    {.bit = 13, .name = "HOST_ECN", .offer = Offer::Never},
    {.bit = 14, .name = "HOST_UFO", .offer = Offer::Never},
    {.bit = 15, .name = "MRG_RXBUF", .offer = Offer::AsLibrary},
    {.bit = 16, .name = "STATUS", .offer = Offer::AsLibrary},
    {.bit = 17, .name = "CTRL_VQ", .offer = Offer::AsLibrary},
    {.bit = 18, .name = "CTRL_RX", .offer = Offer::AsLibrary},
    {.bit = 19, .name = "CTRL_VLAN", .offer = Offer::AsLibrary},
    {.bit = 21, .name = "GUEST_ANNOUNCE", .offer = Offer::AsLibrary},
    {.bit = 22, .name = "MQ", .offer = Offer::AsLibrary},
    {.bit = 23, .name = "CTRL_MAC_ADDR", .offer = Offer::AsLibrary},
    {.bit = 26, .name = "LOG_ALL", .offer = Offer::AsLibrary},
    {.bit = 27, .name = "ANY_LAYOUT", .offer = Offer::AsLibrary},
    {.bit = 28, .name = "INDIRECT_DESC", .offer = Offer::AsLibrary},
    {.bit = 29, .name = "EVENT_IDX", .offer = Offer::AsLibrary},
    {.bit = 30, .name = "PROTOCOL_FEATURES", .offer = Offer::AsLibrary},
    {.bit = 32, .name = "VERSION_1", .offer = Offer::AsLibrary},
    {.bit = 33, .name = "IOMMU_PLATFORM", .offer = Offer::AsLibrary},
    {.bit = 34, .name = "RING_PACKED", .offer = Offer::Never},
    {.bit = 35, .name = "IN_ORDER", .offer = Offer::AsLibrary},
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
