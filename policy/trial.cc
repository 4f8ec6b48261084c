// SPDX-License-Identifier: Apache-2.0
#include "policy/trial.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <span>
#include <utility>

#include "policy/client_form.h"
#include "policy/field.h"
#include "policy/resource.h"
#include "vrouter/net/headers.h"

namespace vr::policy {

namespace {

constexpr std::uint8_t kEchoRequest4 = 8;
constexpr std::uint8_t kEchoRequest6 = 128;

/// A word and what it means; words may be written in any case.
template <typename T>
struct Word {
    std::string_view text;
    T value;
};

template <typename T, std::size_t N>
Result<void> parse_word(const Field& field, const std::array<Word<T>, N>& words, T& into) {
    const std::string& text = field.node().text;
    std::string expected;
    for (const auto& word : words) {
        if (std::ranges::equal(text, word.text, {}, tolower)) {
            into = word.value;
            return {};
        }
        expected += (expected.empty() ? "" : " or ") + std::string(word.text);
    }
    return field.error(fmt::format("'{}' is not {}", text, expected));
}

// --- packets --------------------------------------------------------------------------------

struct IcmpText {
    std::optional<std::uint8_t> type;
    std::uint8_t code = 0;
};

struct PacketText {
    std::optional<Protocol> protocol;
    std::optional<IpAddr> source;
    std::optional<IpAddr> destination;
    std::optional<L4Port> source_port;
    std::optional<L4Port> destination_port;
    std::optional<IcmpText> icmp;
};

Result<void> parse_address(const Field& field, std::optional<IpAddr>& into) {
    into = parse_ip(field.node().text);
    return into ? Result<void>{}
                : field.error(fmt::format(
                      "'{}' is not an address such as 10.0.0.1 or fd00::1", field.node().text));
}

Result<void> parse_port(const Field& field, std::optional<L4Port>& into) {
    const auto number = field.integer(0, 65535);
    if (!number) {
        return std::unexpected(number.error());
    }
    into = L4Port{static_cast<std::uint16_t>(*number)};
    return {};
}

Result<void> parse_icmp(const Field& field, std::optional<IcmpText>& into) {
    static constexpr std::array<FieldRow<IcmpText>, 2> kRows{{
        {"type", [](const Field& f, IcmpText& i) { return store(f.integer(0, 255), i.type); }},
        {"code", [](const Field& f, IcmpText& i) { return store(f.integer(0, 255), i.code); }},
    }};
    return parse_fields<IcmpText>(field, kRows, into.emplace(), Unknown::Refuse);
}

constexpr std::array<FieldRow<PacketText>, 6> kPacketRows{{
    {"protocol",
     [](const Field& f, PacketText& p) { return store(parse_protocol(f), p.protocol.emplace()); }},
    {"source", [](const Field& f, PacketText& p) { return parse_address(f, p.source); }},
    {"destination", [](const Field& f, PacketText& p) { return parse_address(f, p.destination); }},
    {"sourcePort", [](const Field& f, PacketText& p) { return parse_port(f, p.source_port); }},
    {"destinationPort",
     [](const Field& f, PacketText& p) { return parse_port(f, p.destination_port); }},
    {"icmp", [](const Field& f, PacketText& p) { return parse_icmp(f, p.icmp); }},
}};

/// What the fields must say together.
Result<void> check(const Field& field, const PacketText& packet) {
    if (!packet.protocol || packet.protocol->number == 0) {
        return field.error("a packet needs a protocol: TCP, UDP, ICMP, ICMPv6, SCTP or 1-255");
    }
    if (!packet.source || !packet.destination) {
        return field.error("a packet needs source and destination");
    }
    if (packet.source->index() != packet.destination->index()) {
        return field.error("source and destination must be of one family");
    }
    const std::uint8_t protocol = packet.protocol->number;
    const bool ip6 = std::holds_alternative<Ip6>(*packet.source);
    if (packet.protocol->by_name && protocol == (ip6 ? ipproto::kIcmp : ipproto::kIcmp6)) {
        return field.error(
            ip6 ? "IPv6 packets have protocol ICMPv6, not ICMP"
                : "IPv4 packets have protocol ICMP, not ICMPv6");
    }
    const bool has_ports =
        protocol == ipproto::kTcp || protocol == ipproto::kUdp || protocol == ipproto::kSctp;
    if (has_ports && !packet.destination_port) {
        return field.error("a TCP, UDP or SCTP packet needs a destinationPort");
    }
    if (!has_ports && (packet.source_port || packet.destination_port)) {
        return field.error("only TCP, UDP and SCTP packets have ports");
    }
    if (packet.icmp && protocol != (ip6 ? ipproto::kIcmp6 : ipproto::kIcmp)) {
        return field.error("icmp needs protocol ICMP, or ICMPv6 between IPv6 addresses");
    }
    return {};
}

Result<void> parse_packet(const Field& field, Sample& into) {
    PacketText text;
    if (auto parsed = parse_fields<PacketText>(field, kPacketRows, text, Unknown::Refuse);
        !parsed) {
        return parsed;
    }
    if (auto checked = check(field, text); !checked) {
        return checked;
    }
    into.source = *text.source;
    into.destination = *text.destination;
    into.protocol = text.protocol->number;
    into.has_ports = text.destination_port.has_value();
    into.source_port = text.source_port.value_or(L4Port{});
    into.destination_port = text.destination_port.value_or(L4Port{});
    const bool is_icmp = into.protocol == (into.is_ip6() ? ipproto::kIcmp6 : ipproto::kIcmp);
    if (is_icmp) {
        const IcmpText icmp = text.icmp.value_or(IcmpText{});
        into.icmp_type = icmp.type.value_or(into.is_ip6() ? kEchoRequest6 : kEchoRequest4);
        into.icmp_code = icmp.code;
    }
    return {};
}

// --- cases ----------------------------------------------------------------------------------

constexpr std::array<Word<Direction>, 2> kDirectionWords{
    {{"ingress", Direction::Ingress}, {"egress", Direction::Egress}}};
constexpr std::array<Word<Ruling>, 3> kRulings{
    {{"allow", Ruling::Allow}, {"deny", Ruling::Deny}, {"reject", Ruling::Reject}}};
constexpr std::array<Word<FlowState>, 2> kFlows{
    {{"new", FlowState::New}, {"established", FlowState::Established}}};
constexpr std::array<Word<HostPath>, 2> kPaths{
    {{"host", HostPath::Host}, {"forwarded", HostPath::Forwarded}}};

constexpr std::array<FieldRow<TrialCase>, 7> kCaseRows{{
    {"name", [](const Field& f, TrialCase& c) { return store(f.text(), c.name); }},
    {"endpoint", [](const Field& f, TrialCase& c) { return store(f.text(), c.endpoint); }},
    {"direction",
     [](const Field& f, TrialCase& c) { return parse_word(f, kDirectionWords, c.direction); }},
    {"expect", [](const Field& f, TrialCase& c) { return parse_word(f, kRulings, c.expected); }},
    {"flow", [](const Field& f, TrialCase& c) { return parse_word(f, kFlows, c.flow); }},
    {"path", [](const Field& f, TrialCase& c) { return parse_word(f, kPaths, c.path.emplace()); }},
    {"packet", [](const Field& f, TrialCase& c) { return parse_packet(f, c.packet); }},
}};

Result<void> parse_case(const Field& field, TrialCase& into) {
    into.line = field.node().line;
    if (auto parsed = parse_fields<TrialCase>(field, kCaseRows, into, Unknown::Refuse); !parsed) {
        return parsed;
    }
    for (const std::string_view needed : {"name", "endpoint", "direction", "expect", "packet"}) {
        if (!field.child(needed)) {
            return field.error(fmt::format(
                "a case needs name, endpoint, direction, expect and packet: no {}", needed));
        }
    }
    return {};
}

std::string folder_of(const std::string& file) {
    const std::size_t slash = file.rfind('/');
    return slash == std::string::npos ? std::string() : file.substr(0, slash + 1);
}

/// True when `address` is one that the endpoint may use.
bool owns(const WorkloadEndpoint& endpoint, const IpAddr& address) {
    return std::ranges::any_of(
               endpoint.networks, [&](const IpPrefix& net) { return contains(net, address); }) ||
           std::ranges::count(endpoint.floating, address, &FloatingAddress::external) != 0;
}

std::vector<IpAddr> addresses_of(const ClusterNode& node) {
    std::vector<IpAddr> all = node.addresses;
    if (node.address4) {
        all.emplace_back(*node.address4);
    }
    if (node.address6) {
        all.emplace_back(*node.address6);
    }
    return all;
}

/// The way of a packet that has `address` on the side of `host`; nothing: the objects do not tell.
std::optional<HostPath> path_at(
    std::span<const ResourcePtr> objects, const HostEndpoint& host, const IpAddr& address) {
    const auto stays_on_link = [](const auto& one) {
        return one.is_multicast() || one.is_broadcast() || one.is_link_local();
    };
    if (std::visit(stays_on_link, address)) {
        return HostPath::Host;
    }
    std::vector<IpAddr> own;
    for (const IpPrefix& expected : host.expected_ips) {
        own.push_back(std::visit([](const auto& net) { return IpAddr{net.address()}; }, expected));
    }
    bool of_others = false;
    bool node_known = false;  // else it may have further addresses
    for (const auto& object : objects) {
        if (const auto* workload = std::get_if<WorkloadEndpoint>(&object->spec)) {
            of_others |= owns(*workload, address);
        } else if (const auto* node = std::get_if<ClusterNode>(&object->spec)) {
            const auto addresses = addresses_of(*node);
            if (object->key.name == host.node) {
                own.insert(own.end(), addresses.begin(), addresses.end());
                node_known = true;
            } else {
                of_others |= std::ranges::count(addresses, address) != 0;
            }
        }
    }
    if (std::ranges::count(own, address) != 0) {
        return HostPath::Host;
    }
    const bool own_known = node_known && std::ranges::any_of(own, [&](const IpAddr& one) {
                               return one.index() == address.index();
                           });
    return of_others || own_known ? std::optional(HostPath::Forwarded) : std::nullopt;
}

/// What is tested is what `apply` would store.
void fill_in(ParsedObject& object) {
    if (const std::string text = client_form(object); text != *object.text) {
        object.resource = parse_file("object", text).value().objects.front().resource;
    }
}

class Reader {
  public:
    Reader(const std::string& file, const ReadSources& read) : read_(&read) { trial_.file = file; }

    Trial read(std::string_view text) {
        auto documents = parse_documents(trial_.file, text);
        if (!documents) {
            trial_.errors.push_back(std::move(documents).error().text);
        } else if (documents->size() != 1) {
            trial_.errors.push_back(
                trial_.file + ":1: expected one document with resources and cases");
        } else {
            read_root(Field(trial_.file, documents->front().root, trial_.warnings));
        }
        return std::move(trial_);
    }

  private:
    void read_root(const Field& root) {
        static constexpr std::array<FieldRow<Reader>, 2> kRows{{
            {"resources",
             [](const Field& f, Reader& r) {
                 return f.each([&](const Field& item) { return r.note(r.read_source(item)); });
             }},
            {"cases", nullptr},
        }};
        (void)note(parse_fields<Reader>(root, kRows, *this, Unknown::Refuse));
        // Behind all objects, wherever the two are written.
        const auto cases = root.child("cases");
        if (!cases) {
            (void)note(root.error("no cases"));
            return;
        }
        (void)note(cases->each([&](const Field& item) { return note(read_case(item)); }));
    }

    /// Remembers an error and goes on: one run tells them all.
    Result<void> note(const Result<void>& result) {
        if (!result) {
            trial_.errors.push_back(result.error().text);
        }
        return {};
    }

    Result<void> read_source(const Field& item) {
        if (item.node().type == Node::Type::Map) {
            return take(trial_.file, parse_root(trial_.file, item.node()));
        }
        const auto path = item.text();
        if (!path) {
            return item.error("expected an object, or the path of a file or directory of objects");
        }
        const auto files =
            (*read_)(path->starts_with('/') ? *path : folder_of(trial_.file) + *path);
        if (!files) {
            return item.error(files.error().text);
        }
        for (const auto& file : *files) {
            (void)note(take(file.name, parse_file(file.name, file.text)));
        }
        return {};
    }

    Result<void> take(const std::string& file, Result<ParsedFile> parsed) {
        if (!parsed) {
            return std::unexpected(std::move(parsed).error());
        }
        auto& warnings = trial_.warnings;
        warnings.insert(warnings.end(), parsed->ignored.begin(), parsed->ignored.end());
        for (auto& object : parsed->objects) {
            warnings.insert(warnings.end(), object.warnings.begin(), object.warnings.end());
            if (!object.resource) {
                (void)note(fail(object.error));
                continue;
            }
            fill_in(object);
            const std::string place = fmt::format("{}:{}", file, object.line);
            const auto [known, fresh] = index_.try_emplace(object.key, object.resource, place);
            if (fresh) {
                trial_.objects.push_back(std::move(object.resource));
            } else {
                (void)note(fail(fmt::format(
                    "{}: {} is defined in {} already",
                    place,
                    to_string(object.key),
                    known->second.second)));
            }
        }
        return {};
    }

    Result<void> read_case(const Field& item) {
        TrialCase made;
        if (auto parsed = parse_case(item, made); !parsed) {
            return parsed;
        }
        const ResourcePtr endpoint = find_endpoint(made);
        const Field where = *item.child("endpoint");
        if (!endpoint) {
            return where.error(fmt::format("no endpoint '{}' among the resources", made.endpoint));
        }
        if (const auto* host = std::get_if<HostEndpoint>(&endpoint->spec)) {
            find_path(where, *host, made);
        } else if (made.path) {
            return where.error("only what passes a HostEndpoint has a path");
        } else if (!owns(endpoint->as<WorkloadEndpoint>(), near_side(made))) {
            where.warn(fmt::format(
                "{} does not have the packet's {}", made.endpoint, word_of_near_side(made)));
        }
        trial_.cases.push_back(std::move(made));
        return {};
    }

    /// The address on the endpoint's side.
    static const IpAddr& near_side(const TrialCase& c) {
        return c.direction == Direction::Ingress ? c.packet.destination : c.packet.source;
    }

    static std::string_view word_of_near_side(const TrialCase& c) {
        return c.direction == Direction::Ingress ? "destination" : "source";
    }

    void find_path(const Field& where, const HostEndpoint& host, TrialCase& into) {
        if (into.path) {
            return;
        }
        into.path = path_at(trial_.objects, host, near_side(into));
        if (!into.path) {
            where.warn(fmt::format(
                "neither expectedIPs nor Node {} tells whether the packet's {} is the host's: "
                "taken as such; path: forwarded says otherwise",
                host.node,
                word_of_near_side(into)));
            into.path = HostPath::Host;
        }
    }

    /// NAMESPACE/NAME of a WorkloadEndpoint, or the name of a HostEndpoint.
    ResourcePtr find_endpoint(TrialCase& made) {
        const std::size_t slash = made.endpoint.find('/');
        if (slash == std::string::npos) {
            made.key = {Kind::HostEndpoint, {}, made.endpoint};
        } else {
            made.key = {
                Kind::WorkloadEndpoint,
                made.endpoint.substr(0, slash),
                made.endpoint.substr(slash + 1)};
        }
        const auto found = index_.find(made.key);
        return found == index_.end() ? nullptr : found->second.first;
    }

    const ReadSources* read_;
    Trial trial_;
    std::map<Key, std::pair<ResourcePtr, std::string>> index_;  ///< and where it is written
};

}  // namespace

Trial read_trial(const std::string& file, std::string_view text, const ReadSources& read) {
    return Reader(file, read).read(text);
}

}  // namespace vr::policy
