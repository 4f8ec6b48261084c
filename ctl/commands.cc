// The rows, in the order of --help.
// SPDX-License-Identifier: Apache-2.0
#include "ctl/commands.h"

#include <array>

#include "ctl/kinds.h"
#include "ctl/protocols.h"
#include "ctl/text.h"
#include "vrouter/net/addr.h"

namespace vr::ctl {

namespace {

constexpr Column kPortColumns[] = {
    {"PORT", "name"},
    {"LINK", "", link_text},
    {"DRIVER", "driver"},
    {"MAC", "mac"},
    {"MTU", "mtu"},
    {"ENDPOINT", "endpoint"},
    {"RX-PACKETS", "rx_packets"},
    {"RX-BYTES", "rx_bytes"},
    {"TX-PACKETS", "tx_packets"},
    {"TX-BYTES", "tx_bytes"},
    {"TX-DROPPED", "tx_dropped"},
    {"ADDRESSES", "addresses"},
};
constexpr Column kEndpointColumns[] = {
    {"ENDPOINT", "name"},
    {"STATE", "state"},
    {"PORT", "port"},
    {"MAC", "mac"},
    {"ADDRESSES", "addresses"},
    {"INGRESS-RULES", "ingress_rules"},
    {"EGRESS-RULES", "egress_rules"},
    {"DETAIL", "detail"},
};
constexpr Column kRouteColumns[] = {
    {"PREFIX", "prefix"},
    {"SOURCE", "source"},
    {"SELECTED", "selected"},
    {"NEXT-HOPS", "", next_hops_text},
    {"ENDPOINT", "endpoint"},
};
constexpr Column kNeighborColumns[] = {
    {"ADDRESS", "address"},
    {"PORT", "port"},
    {"MAC", "mac"},
    {"STATE", "state"},
    {"HELD", "held_packets"},
};
constexpr Column kBgpColumns[] = {
    {"NEIGHBOR", "address"},
    {"ASN", "remote_asn"},
    {"STATE", "state"},
    {"SECONDS", "state_seconds"},
    {"RECEIVED", "received_prefixes"},
    {"ACCEPTED", "accepted_prefixes"},
    {"ADVERTISED", "advertised_prefixes"},
    {"LAST-ERROR", "last_error"},
};
constexpr Column kPolicyColumns[] = {
    {"ENDPOINT", "endpoint"},
    {"DIRECTION", "direction"},
    {"#", "index"},
    {"ACTION", "action"},
    {"MATCH", "match"},
    {"TIER", "tier"},
    {"POLICY", "policy"},
    {"RULE", "", rule_text},
};
constexpr Column kFlowColumns[] = {
    {"PROTOCOL", "protocol"},
    {"SOURCE", "", flow_source_text},
    {"DESTINATION", "", flow_destination_text},
    {"FROM", "from"},
    {"TO", "to"},
    {"STATE", "state"},
    {"IDLE-MS", "idle_ms"},
};
constexpr Column kDropColumns[] = {
    {"REASON", "reason"},
    {"PACKETS", "packets"},
    {"MEANING", "meaning"},
};
constexpr Column kResourceColumns[] = {
    {"KIND", "kind"},
    {"NAMESPACE", "namespace"},
    {"NAME", "name"},
    {"VALID", "valid"},
    {"PROBLEM", "problem"},
    {"ORIGIN", "origin", nullptr, true},
};

constexpr Argument kNamespace{
    "namespace", Form::Option, "-n,--namespace", &kName, "only in this namespace"};
constexpr Argument kFiles{
    "file", Form::Option, "-f,--file", &kFile, "a file of YAML documents, - for standard input"};

void add_files(const Values& values, google::protobuf::RepeatedPtrField<pb::Documents>& files) {
    for (const File& file : values.files) {
        auto& documents = *files.Add();
        documents.set_name(file.name);
        documents.set_text(file.text);
    }
}

Result<pb::Request> version_request(const Values& /*values*/) {
    pb::Request request;
    request.mutable_version();
    return request;
}

Result<pb::Request> ports_request(const Values& values) {
    pb::Request request;
    request.mutable_show_ports()->set_port(values.text("port"));
    return request;
}

Result<pb::Request> endpoints_request(const Values& values) {
    pb::Request request;
    request.mutable_show_endpoints()->set_endpoint(values.text("endpoint"));
    return request;
}

Result<pb::Request> routes_request(const Values& values) {
    pb::Request request;
    auto& show = *request.mutable_show_routes();
    const std::string text = values.text("prefix");
    if (text.find('/') == std::string::npos) {
        show.set_address(text);
    } else {
        show.set_prefix(text);
    }
    return request;
}

Result<pb::Request> neighbors_request(const Values& values) {
    pb::Request request;
    request.mutable_show_neighbors()->set_port(values.text("port"));
    return request;
}

Result<pb::Request> bgp_request(const Values& values) {
    pb::Request request;
    request.mutable_show_bgp()->set_neighbor(values.text("neighbor"));
    return request;
}

Result<pb::Request> policy_request(const Values& values) {
    pb::Request request;
    request.mutable_show_policy()->set_endpoint(values.text("endpoint"));
    return request;
}

Result<pb::Request> flows_request(const Values& values) {
    pb::Request request;
    request.mutable_show_flows()->set_address(values.text("address"));
    return request;
}

Result<pb::Request> drops_request(const Values& values) {
    pb::Request request;
    request.mutable_show_drops()->set_all(values.has("all"));
    return request;
}

Result<pb::Request> trace_request(const Values& values) {
    pb::Request request;
    auto& trace = *request.mutable_trace();
    const auto destination = parse_ip(values.text("destination"));
    const auto source = parse_ip(values.text("source"));
    if (source && destination && source->index() != destination->index()) {
        return fail("--source and --destination must be of one family");
    }
    trace.set_from(values.text("from"));
    trace.set_source(values.text("source"));
    trace.set_destination(values.text("destination"));
    trace.set_protocol(parse_protocol(values.text("protocol")).value_or(0));
    trace.set_source_port(values.number("source-port"));
    trace.set_destination_port(values.number("destination-port"));
    trace.set_icmp_type(values.number("icmp-type"));
    trace.set_icmp_code(values.number("icmp-code"));
    trace.set_size(values.number("size"));
    return request;
}

Result<pb::Request> get_request(const Values& values) {
    pb::Request request;
    auto& get = *request.mutable_get_resources();
    get.set_kind(std::string(kind_of(values.text("kind")).value_or("")));
    get.set_namespace_(values.text("namespace"));
    get.set_name(values.text("name"));
    return request;
}

Result<pb::Request> apply_request(const Values& values) {
    pb::Request request;
    add_files(values, *request.mutable_apply_resources()->mutable_files());
    return request;
}

Result<pb::Request> delete_request(const Values& values) {
    pb::Request request;
    auto& remove = *request.mutable_delete_resources();
    const std::string kind(kind_of(values.text("kind")).value_or(""));
    if (values.files.empty() && (kind.empty() || !values.has("name"))) {
        return fail("say what to delete: KIND NAME, or -f FILE");
    }
    if (!values.files.empty() && values.has("kind")) {
        return fail("KIND NAME and -f exclude each other");
    }
    remove.set_kind(kind);
    remove.set_namespace_(values.text("namespace"));
    remove.set_name(values.text("name"));
    add_files(values, *remove.mutable_files());
    return request;
}

Result<pb::Request> clear_bgp_request(const Values& values) {
    pb::Request request;
    request.mutable_clear_bgp()->set_neighbor(values.text("neighbor"));
    return request;
}

Result<pb::Request> clear_flows_request(const Values& values) {
    pb::Request request;
    request.mutable_clear_flows()->set_address(values.text("address"));
    return request;
}

Layout details_of_one_neighbor(const Values& values) {
    return values.has("neighbor") ? Layout::Details : Layout::Table;
}

Layout as_format_says(const Values& values) {
    return values.text("output") == "yaml" ? Layout::Text : Layout::Table;
}

Layout always_details(const Values& /*values*/) {
    return Layout::Details;
}

std::vector<Command> rows() {
    return {
        {.words = "show ports",
         .help = "Ports: NICs, guests and the host's TAP, with their counters",
         .arguments = {{"port", Form::Positional, "", &kName, "only this port"}},
         .request = ports_request,
         .columns = kPortColumns},
        {.words = "show endpoints",
         .help = "Workload endpoints of this host, and whether they forward",
         .arguments = {{"endpoint", Form::Positional, "", &kName, "only NAMESPACE/NAME"}},
         .request = endpoints_request,
         .columns = kEndpointColumns},
        {.words = "show routes",
         .help = "Routes: all, those inside a prefix, or the one that an address takes",
         .arguments = {{"prefix", Form::Positional, "", &kPrefixOrAddress, "which routes"}},
         .request = routes_request,
         .columns = kRouteColumns},
        {.words = "show neighbors",
         .help = "Neighbours in ARP and ND: who answers behind which port",
         .arguments = {{"port", Form::Positional, "", &kName, "only behind this port"}},
         .request = neighbors_request,
         .columns = kNeighborColumns},
        {.words = "show bgp",
         .help = "BGP neighbours; one of them in detail",
         .arguments = {{"neighbor", Form::Positional, "", &kAddress, "only this neighbour"}},
         .request = bgp_request,
         .columns = kBgpColumns,
         .layout = details_of_one_neighbor},
        {.words = "show policy",
         .help = "Rules in force, in the order of evaluation",
         .arguments = {{"endpoint", Form::Positional, "", &kName, "only of NAMESPACE/NAME"}},
         .request = policy_request,
         .columns = kPolicyColumns},
        {.words = "show flows",
         .help = "Connections that policy has allowed",
         .arguments = {{"address", Form::Positional, "", &kAddress, "only from or to it"}},
         .request = flows_request,
         .columns = kFlowColumns},
        {.words = "show drops",
         .help = "Packets dropped, by reason",
         .arguments = {{"all", Form::Flag, "-a,--all", &kName, "also reasons that never occurred"}},
         .request = drops_request,
         .columns = kDropColumns},
        {.words = "show version",
         .help = "Version of the running vrouterd",
         .request = version_request,
         .layout = always_details},
        {.words = "get",
         .help = "Resources of a kind ('all': every kind), valid or not",
         .arguments =
             {{"kind", Form::Positional, "", &kKind, "kind of resource", true},
              {"name", Form::Positional, "", &kName, "only this one"},
              kNamespace,
              {"output", Form::Option, "-o,--output", &kFormat, "yaml, json or wide"}},
         .request = get_request,
         .columns = kResourceColumns,
         .text = resources_text,
         .layout = as_format_says},
        {.words = "apply",
         .help = "Create or change resources",
         .arguments = {{kFiles.name, kFiles.form, kFiles.flags, kFiles.type, kFiles.help, true}},
         .request = apply_request,
         .text = changes_text,
         .exit = changes_exit},
        {.words = "delete",
         .help = "Delete a resource, or all that a file names",
         .arguments =
             {{"kind", Form::Positional, "", &kKind, "kind of resource"},
              {"name", Form::Positional, "", &kName, "which one"},
              kNamespace,
              kFiles},
         .request = delete_request,
         .text = changes_text,
         .exit = changes_exit},
        {.words = "trace",
         .help = "What would happen to a packet, and which rule or route decides",
         .arguments =
             {{"from", Form::Option, "--from", &kName, "endpoint (NAMESPACE/NAME) or port", true},
              {"source", Form::Option, "-s,--source", &kAddress, "default: the endpoint's own"},
              {"destination", Form::Option, "-d,--destination", &kAddress, "where to", true},
              {"protocol", Form::Option, "-p,--protocol", &kProtocol, "which protocol", true},
              {"source-port", Form::Option, "--sport,--source-port", &kPortNumber, "default 0"},
              {"destination-port",
               Form::Option,
               "--dport,--destination-port",
               &kPortNumber,
               "default 0"},
              {"icmp-type", Form::Option, "--icmp-type", &kByte, "default 0"},
              {"icmp-code", Form::Option, "--icmp-code", &kByte, "default 0"},
              {"size", Form::Option, "--size", &kSize, "of the IP packet, for the MTU"}},
         .request = trace_request,
         .text = trace_text,
         .exit = trace_exit},
        {.words = "clear bgp",
         .help = "Close sessions and start them anew",
         .arguments = {{"neighbor", Form::Positional, "", &kAddressOrAll, "which", true}},
         .request = clear_bgp_request,
         .text = cleared_text},
        {.words = "clear flows",
         .help = "Forget connections: their next packets are judged by policy again",
         .arguments = {{"address", Form::Positional, "", &kAddress, "only from or to it"}},
         .request = clear_flows_request,
         .text = cleared_text},
        {.words = "wait-ready",
         .help = "Wait (--timeout at most) until the router answers",
         .request = version_request,
         .layout = always_details,
         .waits = true},
        {.words = "completion bash", .help = "Print the completion script for bash"},
    };
}

}  // namespace

const std::vector<Command>& commands() {
    static const std::vector<Command> kCommands = rows();
    return kCommands;
}

std::string_view verb_help(std::string_view verb) {
    struct Verb {
        std::string_view word;
        std::string_view help;
    };

    constexpr std::array kVerbs{
        Verb{"show", "Print the router's state"},
        Verb{"clear", "Reset a part of the router's state"},
        Verb{"completion", "Print a script for a shell"},
    };
    for (const auto& [word, help] : kVerbs) {
        if (word == verb) {
            return help;
        }
    }
    return {};
}

const std::vector<Argument>& global_options() {
    static const std::vector<Argument> kOptions{
        {"socket",
         Form::Option,
         "--socket",
         &kName,
         "control socket of vrouterd (default $VROUTER_SOCKET, else /run/vrouter/vrouter.sock)"},
        {"json", Form::Flag, "--json", &kName, "print JSON: keys and values are stable"},
        {"timeout", Form::Option, "--timeout", &kSeconds, "wait at most so long (default 10)"},
    };
    return kOptions;
}

Layout layout_of(const Command& command, const Values& values) {
    if (command.layout != nullptr) {
        return command.layout(values);
    }
    return command.text != nullptr ? Layout::Text : Layout::Table;
}

}  // namespace vr::ctl
