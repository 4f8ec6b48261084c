// SPDX-License-Identifier: Apache-2.0
#include "policy/qos_spec.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <string>
#include <string_view>
#include <vector>

namespace vr::policy {

namespace {

constexpr std::string_view kAnnotations = "qos.projectcalico.org/";
constexpr std::string_view kDscp = "dscp";
constexpr std::uint64_t kDefaultBurst = 4294967296;  // bits
constexpr std::uint64_t kDefaultPacketBurst = 5;

/// One limit of one direction, and what it may be.
struct LimitRow {
    std::string_view name;  ///< behind "ingress" or "egress"
    std::uint64_t RateLimits::* limit;
    double least;
    double most;
    double most_of_calico;  ///< beyond it an object means nothing to Calico's own data planes
};

constexpr std::array kLimits{
    LimitRow{"Bandwidth", &RateLimits::bandwidth, 1e3, 1e15, 1e15},
    LimitRow{"Burst", &RateLimits::burst, 1, 34359738360, 34359738360},
    LimitRow{"Peakrate", &RateLimits::peak_rate, 1010, 1.01e15, 1.01e15},
    LimitRow{"Minburst", &RateLimits::min_burst, 1, 1e8, 1e8},
    LimitRow{"PacketRate", &RateLimits::packet_rate, 1, 1e9, 1e4},
    LimitRow{"PacketBurst", &RateLimits::packet_burst, 1, 1e9, 1e4},
    LimitRow{"MaxConnections", &RateLimits::connections, 1, 4294967295, 4294967295},
};

/// Kubernetes' own, which Calico's precede.
struct KubernetesRow {
    std::string_view annotation;
    RateLimits QosControls::* direction;
};

constexpr std::array kKubernetes{
    KubernetesRow{"kubernetes.io/ingress-bandwidth", &QosControls::ingress},
    KubernetesRow{"kubernetes.io/egress-bandwidth", &QosControls::egress},
};

struct DirectionRow {
    std::string_view name;
    RateLimits QosControls::* limits;
};

constexpr std::array kQosDirections{
    DirectionRow{"ingress", &QosControls::ingress},
    DirectionRow{"egress", &QosControls::egress},
};

/// A limit by its whole name: "ingressBandwidth".
struct Limit {
    const LimitRow* row = nullptr;
    RateLimits QosControls::* direction = nullptr;

    [[nodiscard]] std::uint64_t& in(QosControls& qos) const { return qos.*direction.*(row->limit); }
};

std::optional<Limit> find_limit(std::string_view name) {
    for (const auto& direction : kQosDirections) {
        for (const auto& row : kLimits) {
            if (name.starts_with(direction.name) &&
                name.substr(direction.name.size()) == row.name) {
                return Limit{&row, direction.limits};
            }
        }
    }
    return std::nullopt;
}

/// Every name, and the mark's.
std::vector<std::string> qos_names() {
    std::vector<std::string> all{std::string(kDscp)};
    for (const auto& direction : kQosDirections) {
        for (const auto& row : kLimits) {
            all.push_back(std::string(direction.name) + std::string(row.name));
        }
    }
    return all;
}

Result<void> refuse_unknown(const Field& field, std::string_view name) {
    const std::vector<std::string> all = qos_names();
    const std::vector<std::string_view> known(all.begin(), all.end());
    return unknown_key(field, name, known, Unknown::RefuseSimilar);
}

/// A number as Kubernetes writes quantities: 1000000, 1e6, 1M, 977Ki.
std::optional<double> parse_quantity(std::string_view text) {
    constexpr std::array<std::pair<std::string_view, double>, 16> kSuffixes{
        {{"", 1},
         {"n", 1e-9},
         {"u", 1e-6},
         {"m", 1e-3},
         {"k", 1e3},
         {"M", 1e6},
         {"G", 1e9},
         {"T", 1e12},
         {"P", 1e15},
         {"E", 1e18},
         {"Ki", 0x1p10},
         {"Mi", 0x1p20},
         {"Gi", 0x1p30},
         {"Ti", 0x1p40},
         {"Pi", 0x1p50},
         {"Ei", 0x1p60}}};
    double number = 0;
    const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (failed != std::errc{} || !std::isfinite(number)) {
        return std::nullopt;
    }
    const std::string_view suffix(end, static_cast<std::size_t>(text.data() + text.size() - end));
    const auto found =
        std::ranges::find(kSuffixes, suffix, [](const auto& row) { return row.first; });
    if (found == kSuffixes.end()) {
        return std::nullopt;
    }
    return number * found->second;
}

Result<std::uint64_t> read_limit(const Field& field, const LimitRow& row) {
    const std::string& text = field.node().text;
    const auto number = parse_quantity(text);
    if (field.node().type != Node::Type::Scalar || !number) {
        return field.error(fmt::format("'{}' is not a quantity such as 1000000 or 1M", text));
    }
    // As Kubernetes does, parts of a unit count as a whole one.
    const double whole = std::ceil(*number);
    if (whole < row.least || whole > row.most) {
        return field.error(
            fmt::format("'{}' is not from {:.0f} to {:.0f}", text, row.least, row.most));
    }
    if (whole > row.most_of_calico) {
        field.warn(fmt::format(
            "Calico's own data planes take at most {:.0f}; obeyed here", row.most_of_calico));
    }
    return static_cast<std::uint64_t>(whole);
}

/// 0 to 63, or a name of RFC 2474, 2597 or 3246: DF, EF, AF11 to AF43, CS0 to CS7.
std::optional<std::uint8_t> parse_dscp(std::string_view text) {
    std::string name(text);
    std::ranges::transform(
        name, name.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
    const auto digit = [&](std::size_t at, char least, char most) {
        return name[at] >= least && name[at] <= most;
    };
    if (name == "DF") {
        return std::uint8_t{0};
    }
    if (name == "EF") {
        return std::uint8_t{46};
    }
    if (name.size() == 3 && name.starts_with("CS") && digit(2, '0', '7')) {
        return static_cast<std::uint8_t>((name[2] - '0') * 8);
    }
    if (name.size() == 4 && name.starts_with("AF") && digit(2, '1', '4') && digit(3, '1', '3')) {
        return static_cast<std::uint8_t>((name[2] - '0') * 8 + (name[3] - '0') * 2);
    }
    unsigned value = 0;
    const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
    const bool read = failed == std::errc{} && end == text.data() + text.size() && value <= 63;
    return read ? std::optional(static_cast<std::uint8_t>(value)) : std::nullopt;
}

Result<void> read_dscp(const Field& field, std::optional<std::uint8_t>& into) {
    into = field.node().type == Node::Type::Scalar ? parse_dscp(field.node().text) : std::nullopt;
    return into ? Result<void>{}
                : field.error(
                      "'" + field.node().text +
                      "' is no DSCP, expected 0 to 63, DF, EF, AF11 to AF43 or CS0 to CS7");
}

/// A field of the spec, or an annotation, called `name` there.
Result<void> read_qos(const Field& field, std::string_view name, QosControls& into) {
    if (name == kDscp) {
        return read_dscp(field, into.dscp);
    }
    const auto limit = find_limit(name);
    if (!limit) {
        return refuse_unknown(field, name);
    }
    return store(read_limit(field, *limit->row), limit->in(into));
}

/// Where an annotation speaks of what the spec says as well, the spec counts.
void prefer_spec(const QosControls& spec, QosControls& annotated) {
    for (const auto& direction : kQosDirections) {
        for (const auto& row : kLimits) {
            if (const std::uint64_t written = spec.*direction.limits.*(row.limit); written != 0) {
                annotated.*direction.limits.*(row.limit) = written;
            }
        }
    }
    if (spec.dscp) {
        annotated.dscp = spec.dscp;
    }
}

Result<void> read_qos_annotations(const Field& annotations, QosControls& into) {
    for (const auto& [key, value] : annotations.node().fields) {
        const auto row = std::ranges::find(kKubernetes, key, &KubernetesRow::annotation);
        if (row != kKubernetes.end()) {
            auto& bandwidth = (into.*(row->direction)).bandwidth;
            if (auto done = store(read_limit(annotations.child(key, value), kLimits[0]), bandwidth);
                !done) {
                return done;
            }
        }
    }
    for (const auto& [key, value] : annotations.node().fields) {
        const std::string_view name = key;
        if (name.starts_with(kAnnotations)) {
            if (auto done =
                    read_qos(annotations.child(key, value), name.substr(kAnnotations.size()), into);
                !done) {
                return done;
            }
        }
    }
    return {};
}

/// A burst without its rate limits nothing, which cannot be what was meant.
Result<void> complete_limits(const Field& spec, std::string_view direction, RateLimits& limits) {
    const auto lacks = [&](std::uint64_t burst, std::uint64_t rate) {
        return burst != 0 && rate == 0;
    };
    const auto needs = [&](std::string_view burst, std::string_view rate) {
        return spec.error(fmt::format("qosControls: {0}{1} needs {0}{2}", direction, burst, rate));
    };
    if (lacks(limits.burst, limits.bandwidth)) {
        return needs("Burst", "Bandwidth");
    }
    if (lacks(limits.min_burst, limits.peak_rate)) {
        return needs("Minburst", "Peakrate");
    }
    if (lacks(limits.packet_burst, limits.packet_rate)) {
        return needs("PacketBurst", "PacketRate");
    }
    if (limits.peak_rate != 0 && limits.peak_rate <= limits.bandwidth) {
        spec.warn(fmt::format(
            "qosControls: {0}Peakrate is not above {0}Bandwidth: the lower of both is the limit",
            direction));
    }
    if (limits.bandwidth != 0 && limits.burst == 0) {
        limits.burst = kDefaultBurst;
    }
    if (limits.packet_rate != 0 && limits.packet_burst == 0) {
        limits.packet_burst = kDefaultPacketBurst;
    }
    return {};
}

}  // namespace

Result<void> parse_qos(const Field& field, QosControls& into) {
    if (auto map = field.expect_map(); !map) {
        return map;
    }
    for (const auto& [key, value] : field.node().fields) {
        // Go writes what is not set as 0, if at all.
        const bool unset = (value.type == Node::Type::Null && !value.quoted) ||
                           (value.type == Node::Type::Scalar && value.text == "0" && key != kDscp);
        if (unset && (key == kDscp || find_limit(key))) {
            continue;
        }
        if (auto done = read_qos(field.child(key, value), key, into); !done) {
            return done;
        }
    }
    return {};
}

Result<void> parse_host_dscp(
    const std::optional<Field>& metadata, std::optional<std::uint8_t>& into) {
    const auto annotations = metadata ? metadata->child("annotations") : std::nullopt;
    if (!annotations) {
        return {};
    }
    for (const auto& [key, value] : annotations->node().fields) {
        const std::string_view name = key;
        if (!name.starts_with(kAnnotations)) {
            continue;
        }
        const Field annotation = annotations->child(key, value);
        if (name.substr(kAnnotations.size()) != kDscp) {
            annotation.warn("host endpoints have no limits, ignored");
        } else if (auto done = read_dscp(annotation, into); !done) {
            return done;
        }
    }
    return {};
}

Result<void> complete_qos(
    const Field& spec, const std::optional<Field>& metadata, QosControls& into) {
    const auto annotations = metadata ? metadata->child("annotations") : std::nullopt;
    if (annotations) {
        QosControls annotated;
        if (auto done = read_qos_annotations(*annotations, annotated); !done) {
            return done;
        }
        prefer_spec(into, annotated);
        into = annotated;
    }
    for (const auto& direction : kQosDirections) {
        if (auto done = complete_limits(spec, direction.name, into.*direction.limits); !done) {
            return done;
        }
    }
    return {};
}

}  // namespace vr::policy
