// The rows, in the order of --help.
// SPDX-License-Identifier: Apache-2.0
#include "ctl/commands.h"

#include <algorithm>
#include <array>
#include <iterator>

#include "ctl/bgp_commands.h"
#include "ctl/command_parts.h"
#include "ctl/ipam_commands.h"
#include "ctl/kinds.h"
#include "ctl/offline.h"
#include "ctl/protocols.h"
#include "ctl/text.h"
#include "vrouter/net/addr.h"

namespace vr::ctl {

namespace {

constexpr Column kPortColumns[] = {
    field("PORT", "name"),
    field("KIND", "kind"),
    made("LINK", link_text),
    field("DRIVER", "driver"),
    field("MAC", "mac"),
    field("ADDRESSES", "addresses"),
    field("MTU", "mtu"),
    field("ENDPOINT", "endpoint"),
    field("RX-PACKETS", "rx_packets"),
    field("RX-BYTES", "rx_bytes"),
    field("TX-PACKETS", "tx_packets"),
    field("TX-BYTES", "tx_bytes"),
    field("DROPPED", "dropped"),
};
constexpr Column kEndpointColumns[] = {
    field("ENDPOINT", "name"),
    field("KIND", "kind"),
    field("STATE", "state"),
    field("PORT", "port"),
    field("MAC", "mac"),
    field("ADDRESSES", "addresses"),
    field("FLOATING", "floating"),
    field("MIGRATION", "migration"),
    made("LIMITS", limits_text),
    field("INGRESS-RULES", "ingress_rules"),
    field("EGRESS-RULES", "egress_rules"),
    field("PROBLEM", "problem"),
};
constexpr Column kRouteColumns[] = {
    field("PREFIX", "prefix"),
    field("SOURCE", "source"),
    field("ACTIVE", "active"),
    made("NEXT-HOPS", next_hops_text),
};
constexpr Column kNeighborColumns[] = {
    field("ADDRESS", "address"),
    field("PORT", "port"),
    field("MAC", "mac"),
    field("STATE", "state"),
    field("HELD", "held_packets"),
};
constexpr Column kPolicyColumns[] = {
    field("ENDPOINT", "endpoint"),
    field("DIRECTION", "direction"),
    field("HOOK", "hook"),
    field("#", "index"),
    field("ACTION", "action"),
    field("MATCH", "match"),
    field("TIER", "tier"),
    field("POLICY", "policy"),
    made("RULE", rule_text),
    field("HITS", "hits"),
};
constexpr Column kFlowColumns[] = {
    field("PROTOCOL", "protocol"),
    made("SOURCE", flow_source_text),
    made("DESTINATION", flow_destination_text),
    field("FLOATING", "floating"),
    made("MAPPING", flow_mapping_text),
    field("FROM", "from"),
    field("TO", "to"),
    field("STATE", "state"),
    field("IDLE-MS", "idle_ms"),
};
constexpr Column kDropColumns[] = {
    field("REASON", "reason"),
    field("PACKETS", "packets"),
    field("MEANING", "meaning"),
};
constexpr Column kControlColumns[] = {
    field("CLOCK", "clock"),
    field("TURNS", "turns"),
    field("P50-US", "p50_us"),
    field("P99-US", "p99_us"),
    field("P999-US", "p999_us"),
    field("MAX-US", "max_us"),
    field("OVER-2MS", "over_2ms"),
};
constexpr Column kResourceColumns[] = {
    field("KIND", "kind"),
    field("NAMESPACE", "namespace"),
    field("NAME", "name"),
    field("STATE", "state"),
    field("PROBLEM", "problem"),
    wide("ORIGIN", "origin"),
};

constexpr Argument kNamespace =
    option("namespace", "-n,--namespace", kName, "default: 'default' with NAME, else all");
constexpr Argument kFiles =
    option("file", "-f,--file", kFile, "a file of YAML documents, - for standard input");

void add_files(const Values& values, google::protobuf::RepeatedPtrField<pb::Documents>& files) {
    for (const File& file : values.files) {
        auto& documents = *files.Add();
        documents.set_name(file.name == "-" ? "standard input" : file.name);
        documents.set_text(file.text);
    }
}

Result<pb::Request> version_request(const Values& /*values*/) {
    pb::Request request;
    request.mutable_version();
    return request;
}

Result<pb::Request> datastore_request(const Values& /*values*/) {
    pb::Request request;
    request.mutable_show_datastore();
    return request;
}

Result<pb::Request> wait_request(const Values& values) {
    return values.has("datastore") ? datastore_request(values) : version_request(values);
}

bool is_ready(const pb::Response& frame) {
    return !frame.has_datastore() ||
           frame.datastore().state() == pb::DatastoreStatus::STATE_IN_SYNC;
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

/// A prefix, an address, or a link-local one with its port; the router knows which ports there are.
bool is_route_key(std::string_view text) {
    const auto percent = text.find('%');
    return percent == std::string_view::npos
               ? is_prefix(text)
               : is_address(text.substr(0, percent)) && is_neighbor(text.substr(percent + 1));
}

constexpr ArgumentType kRouteKey{
    .placeholder = "PREFIX|ADDRESS", .expects = kPrefixOrAddress.expects, .accepts = is_route_key};

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

Result<pb::Request> control_request(const Values& values) {
    pb::Request request;
    request.mutable_show_control()->set_reset(values.has("reset"));
    return request;
}

constexpr std::uint32_t kIcmp = 1;
constexpr std::uint32_t kIcmp6 = 58;

/// What ping sends; 0 for protocols without types.
std::uint32_t echo_request_type(std::uint32_t protocol) {
    return protocol == kIcmp ? 8 : protocol == kIcmp6 ? 128 : 0;
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
    if (destination && destination->index() == 0 ? trace.protocol() == kIcmp6
                                                 : trace.protocol() == kIcmp) {
        return fail("-p: icmp is IPv4's and icmpv6 is IPv6's");
    }
    trace.set_source_port(values.number("source-port"));
    trace.set_destination_port(values.number("destination-port"));
    const std::uint32_t echo = echo_request_type(trace.protocol());
    trace.set_icmp_type(values.has("icmp-type") ? values.number("icmp-type") : echo);
    trace.set_icmp_code(values.number("icmp-code"));
    trace.set_size(values.number("size"));
    trace.set_tcp_flags(values.text("tcp-flags"));
    trace.set_source_mac(values.text("source-mac"));
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

Layout as_format_says(const Values& values) {
    return values.text("output") == "yaml" ? Layout::Text : Layout::Table;
}

Layout as_waited_for(const Values& values) {
    return values.has("datastore") ? Layout::Text : Layout::Details;
}

std::vector<Command> show_rows() {
    return {
        {.words = "show ports",
         .help = "Ports: NICs, guests and the host's TAP, with their counters",
         .arguments = {positional("port", kName, "only this port")},
         .request = ports_request,
         .columns = kPortColumns},
        {.words = "show endpoints",
         .help = "Workload endpoints of this host, and whether they forward",
         .arguments = {positional("endpoint", kName, "only NAMESPACE/NAME")},
         .request = endpoints_request,
         .columns = kEndpointColumns},
        {.words = "show routes",
         .help = "Routes: all, those inside a prefix, or the one that an address takes",
         .arguments = {positional("prefix", kRouteKey, "which routes")},
         .request = routes_request,
         .columns = kRouteColumns},
        {.words = "show neighbors",
         .help = "Neighbours in ARP and ND: who answers behind which port",
         .arguments = {positional("port", kName, "only behind this port")},
         .request = neighbors_request,
         .columns = kNeighborColumns},
        show_bgp_row(),
        {.words = "show policy",
         .help = "Rules in force, in the order of evaluation",
         .arguments = {positional("endpoint", kName, "only of NAMESPACE/NAME")},
         .request = policy_request,
         .columns = kPolicyColumns},
        {.words = "show flows",
         .help = "Connections that policy has allowed",
         .arguments = {positional("address", kAddress, "only from or to it")},
         .request = flows_request,
         .columns = kFlowColumns},
        {.words = "show drops",
         .help = "Packets dropped, by reason",
         .arguments = {flag("all", "-a,--all", "also reasons that never occurred")},
         .request = drops_request,
         .columns = kDropColumns},
        {.words = "show control",
         .help = "How long the control thread was busy with one thing",
         .arguments = {flag("reset", "--reset", "count anew from now on")},
         .request = control_request,
         .columns = kControlColumns},
        {.words = "show datastore",
         .help = "Where resources come from: state, servers, numbers of objects",
         .request = datastore_request,
         .text = datastore_text},
        {.words = "show version",
         .help = "Version of the running vrouterd",
         .request = version_request,
         .layout = always_details},
    };
}

/// What needs no router: checks for users' own CI.
std::vector<Command> offline_rows() {
    return {
        {.words = "selector test",
         .help = "Whether a selector matches labels (exit code 0), does not (1), or is invalid (2)",
         .arguments =
             {required(positional("expression", kExpression, "the selector")),
              several(positional("labels", kLabel, "labels of an endpoint")),
              flag("canonical", "--canonical", "also print the selector's canonical form")},
         .answer = test_selector,
         .example = "vrouterctl selector test \"role == 'web' && !has(legacy)\" role=web",
         .text = selector_text,
         .exit = selector_exit},
        {.words = "policy test",
         .help = "Judge the cases of policy unit tests, by the classifier and by the reference",
         .arguments = {required(positional("files", kFile, "resources and cases"))},
         .answer = test_policy,
         .example = "vrouterctl policy test tests/*.yaml",
         .text = policy_test_text,
         .exit = policy_test_exit},
        {.words = "policy lint",
         .help = "Everything in a directory that is invalid, shadowed or matches nothing",
         .arguments = {required(positional("directory", kDirectory, "of resources"))},
         .answer = lint_policy,
         .example = "vrouterctl policy lint policies/",
         .text = policy_lint_text,
         .exit = policy_lint_exit},
        {.words = "bgp read",
         .help = "What MRT files say (RFC 6396): tables and UPDATEs; exit code 1 when not all is "
                 "understood",
         .arguments =
             {required(several(positional("files", kLargeFile, "MRT files"))),
              option(
                  "prefix",
                  "--prefix",
                  kPrefixOrAddress,
                  "only this prefix and all inside it, or all that an address is in")},
         .frames = read_mrt,
         .example = "vrouterctl bgp read table.mrt --json",
         .text = mrt_text,
         .exit = mrt_exit},
    };
}

std::vector<Command> resource_rows() {
    return {
        {.words = "get",
         .help = "Resources of a kind ('all': every kind), valid or not",
         .arguments =
             {required(positional("kind", kKind, "kind of resource")),
              positional("name", kName, "only this one"),
              kNamespace,
              option("output", "-o,--output", kFormat, "how to print it")},
         .request = get_request,
         .columns = kResourceColumns,
         .text = resources_text,
         .layout = as_format_says},
        {.words = "apply",
         .help = "Create or change resources",
         .arguments = {required(kFiles)},
         .request = apply_request,
         .text = changes_text,
         .exit = changes_exit},
        {.words = "delete",
         .help = "Delete a resource, or all that a file names",
         .arguments =
             {positional("kind", kOneKind, "kind of resource"),
              positional("name", kName, "which one"),
              kNamespace,
              kFiles},
         .request = delete_request,
         .text = changes_text,
         .exit = changes_exit},
    };
}

std::vector<Command> other_rows() {
    return {
        {.words = "trace",
         .help = "What would happen to a packet, and which rule or route decides",
         .arguments =
             {required(option("from", "--from", kName, "endpoint (NAMESPACE/NAME) or port")),
              option("source", "-s,--source", kAddress, "default: the endpoint's own"),
              required(option("destination", "-d,--destination", kAddress, "where to")),
              required(option("protocol", "-p,--protocol", kProtocol, "number or name")),
              option("source-port", "--sport,--source-port", kPortNumber, "default 0"),
              option("destination-port", "--dport,--destination-port", kPortNumber, "default 0"),
              option("icmp-type", "--icmp-type", kByte, "default: an echo request"),
              option("icmp-code", "--icmp-code", kByte, "default 0"),
              option("tcp-flags", "--tcp-flags", kTcpFlags, "default S: a new connection"),
              option("source-mac", "--source-mac", kMac, "default: the endpoint's own"),
              option("size", "--size", kSize, "of the IP packet, for the MTU")},
         .request = trace_request,
         .text = trace_text,
         .exit = trace_exit},
        {.words = "clear bgp",
         .help = "Close sessions and start them anew",
         .arguments = {required(positional("neighbor", kNeighborOrAll, "which"))},
         .request = clear_bgp_request,
         .text = cleared_text},
        {.words = "clear flows",
         .help = "Forget connections: their next packets are judged by policy again",
         .arguments = {positional("address", kAddress, "only from or to it")},
         .request = clear_flows_request,
         .text = cleared_text},
        {.words = "wait-ready",
         .help = "Wait (--timeout at most) until the router answers",
         .arguments = {flag("datastore", "--datastore", "... and is in sync with its datastore")},
         .request = wait_request,
         .text = datastore_text,
         .layout = as_waited_for,
         .waits = true,
         .ready = is_ready},
        {.words = "completion bash",
         .help = "Print the completion script for bash",
         .example = "source <(vrouterctl completion bash)"},
    };
}

}  // namespace

const std::vector<Command>& commands() {
    static const std::vector<Command> all = [] {
        auto rows = show_rows();
        std::ranges::move(bgp_rows(), std::back_inserter(rows));
        std::ranges::move(ipam_rows(), std::back_inserter(rows));
        std::ranges::move(resource_rows(), std::back_inserter(rows));
        std::ranges::move(other_rows(), std::back_inserter(rows));
        std::ranges::move(offline_rows(), std::back_inserter(rows));
        return rows;
    }();
    return all;
}

std::string_view verb_help(std::string_view verb) {
    struct Verb {
        std::string_view word;
        std::string_view help;
    };

    constexpr std::array kVerbs{
        Verb{.word = "show", .help = "Print the router's state"},
        Verb{.word = "bgp", .help = "Look at BGP, and act on its sessions"},
        Verb{.word = "ipam", .help = "Blocks of addresses: look at them, mend them, use them"},
        Verb{.word = "clear", .help = "Reset a part of the router's state"},
        Verb{.word = "selector", .help = "Check selectors; needs no router"},
        Verb{.word = "policy", .help = "Check policies before they are applied; needs no router"},
        Verb{.word = "completion", .help = "Print a script for a shell"},
    };
    for (const auto& [word, help] : kVerbs) {
        if (word == verb) {
            return help;
        }
    }
    return {};
}

const std::vector<Argument>& global_options() {
    static const std::vector<Argument> options{
        option(
            "socket",
            "--socket",
            kSocket,
            "control socket of vrouterd (default $VROUTER_SOCKET, else /run/vrouter/vrouter.sock)"),
        flag("json", "--json", "print JSON: keys and values are stable"),
        option("timeout", "--timeout", kSeconds, "wait at most so long (default 10)"),
    };
    return options;
}

Layout layout_of(const Command& command, const Values& values) {
    if (command.layout != nullptr) {
        return command.layout(values);
    }
    return command.text != nullptr ? Layout::Text : Layout::Table;
}

}  // namespace vr::ctl
