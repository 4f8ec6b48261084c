// SPDX-License-Identifier: Apache-2.0
#include "ctl/bgp_commands.h"

#include <algorithm>
#include <iterator>

#include "ctl/command_parts.h"
#include "ctl/offline.h"
#include "ctl/text.h"

namespace vr::ctl {

namespace {

constexpr Column kBgpColumns[] = {
    made("NEIGHBOR", bgp_neighbor_text),
    field("ASN", "remote_asn"),
    made("STATE", bgp_state_text),
    made("UPTIME-S", bgp_uptime_text),
    made("IPV4-IN/USED/OUT", ipv4_prefixes_text),
    made("IPV6-IN/USED/OUT", ipv6_prefixes_text),
    made("LAST-ERROR", bgp_error_text),
};
constexpr Column kBgpSummaryColumns[] = {
    made("NEIGHBOR", bgp_neighbor_text),
    field("ASN", "remote_asn"),
    field("KIND", "kind"),
    made("STATE", bgp_state_text),
    made("UPTIME-S", bgp_uptime_text),
    made("IPV4-IN/USED/OUT", ipv4_prefixes_text),
    made("IPV6-IN/USED/OUT", ipv6_prefixes_text),
    made("MESSAGES-IN/OUT", messages_text),
    field("SESSIONS", "sessions"),
    field("DESCRIPTION", "description"),
};
constexpr Column kBgpRestartColumns[] = {
    made("NEIGHBOR", bgp_neighbor_text),
    made("STATE", bgp_state_text),
    made("AGREED", restart_agreed_text),
    made("KEPT-FOR-S", restart_time_text),
    made("KEEPS-OURS-S", restart_our_time_text),
    made("STALE-IPV4/IPV6", restart_stale_text),
    made("WAITS-FOR", restart_wait_text),
};
constexpr Column kBgpRouteColumns[] = {
    field("PREFIX", "prefix"),
    made("STATE", bgp_route_text),
    made("NEIGHBOR", bgp_route_neighbor_text),
    made("NEXT-HOP", bgp_next_hop_text),
    field("LOCAL-PREF", "local_pref"),
    field("MED", "med"),
    field("AS-PATH", "as_path"),
    field("COMMUNITIES", "communities"),
};

Result<pb::Request> bgp_request(const Values& values) {
    pb::Request request;
    request.mutable_show_bgp()->set_neighbor(values.text("neighbor"));
    return request;
}

Result<pb::Request> bgp_speaker_request(const Values& /*values*/) {
    pb::Request request;
    request.mutable_show_bgp_speaker();
    return request;
}

Result<pb::Request> bgp_routes_request(const Values& values) {
    pb::Request request;
    auto& show = *request.mutable_show_bgp_routes();
    show.set_prefix(values.text("prefix"));
    show.set_received(values.text("received"));
    show.set_advertised(values.text("advertised"));
    show.set_best_only(values.has("best"));
    const int views = (values.has("received") ? 1 : 0) + (values.has("advertised") ? 1 : 0) +
                      (values.has("best") ? 1 : 0);
    if (views > 1) {
        return fail("--received, --advertised and --best exclude each other");
    }
    return request;
}

Result<pb::Request> bgp_dump_request(const Values& /*values*/) {
    pb::Request request;
    request.mutable_dump_bgp();
    return request;
}

pb::Request bgp_neighbor_action(const Values& values, pb::SetBgpNeighbor::Action action) {
    pb::Request request;
    auto& set = *request.mutable_set_bgp_neighbor();
    set.set_neighbor(values.text("neighbor"));
    set.set_action(action);
    set.set_text(values.text("text"));
    return request;
}

Result<pb::Request> bgp_clear_request(const Values& values) {
    using Set = pb::SetBgpNeighbor;
    const std::string soft = values.text("soft");
    return bgp_neighbor_action(
        values,
        soft == "in"     ? Set::ACTION_CLEAR_IN
        : soft == "out"  ? Set::ACTION_CLEAR_OUT
        : soft == "both" ? Set::ACTION_CLEAR_BOTH
                         : Set::ACTION_CLEAR);
}

Result<pb::Request> bgp_shutdown_request(const Values& values) {
    return bgp_neighbor_action(values, pb::SetBgpNeighbor::ACTION_SHUT_DOWN);
}

Result<pb::Request> bgp_enable_request(const Values& values) {
    return bgp_neighbor_action(values, pb::SetBgpNeighbor::ACTION_ENABLE);
}

Result<pb::Request> bgp_restart_request(const Values& /*values*/) {
    pb::Request request;
    request.mutable_restart_bgp();
    return request;
}

Result<pb::Request> bgp_reload_request(const Values& /*values*/) {
    pb::Request request;
    request.mutable_reload_bgp();
    return request;
}

Result<pb::Request> bgp_unload_request(const Values& /*values*/) {
    pb::Request request;
    request.mutable_unload_bgp();
    return request;
}

Layout details_of_one_neighbor(const Values& values) {
    return values.has("neighbor") ? Layout::Details : Layout::Table;
}

std::vector<Command> shown_rows() {
    return {
        {.words = "bgp summary",
         .help = "Neighbours, with sessions, prefixes and messages",
         .request = bgp_request,
         .columns = kBgpSummaryColumns},
        {.words = "bgp speaker",
         .help = "The speaker as a whole: AS, router id, sizes of its tables",
         .request = bgp_speaker_request,
         .layout = always_details},
        {.words = "bgp neighbor",
         .help = "Everything about a neighbour, or about all",
         .arguments = {positional("neighbor", kNeighbor, "only this neighbour")},
         .request = bgp_request,
         .layout = always_details},
        {.words = "bgp graceful-restart",
         .help = "What is kept of neighbours that restart, what they keep of us, and for how long",
         .request = bgp_request,
         .columns = kBgpRestartColumns},
    };
}

std::vector<Command> table_rows() {
    return {
        {.words = "bgp routes",
         .help = "Paths to prefixes, and why those that are not best are not",
         .arguments =
             {positional(
                  "prefix",
                  kPrefixOrAddress,
                  "this prefix and all inside it, or all that an address is in"),
              option("received", "--received", kNeighbor, "what this neighbour sent"),
              option("advertised", "--advertised", kNeighbor, "what this neighbour was told"),
              flag("best", "--best", "best paths only")},
         .request = bgp_routes_request,
         .columns = kBgpRouteColumns},
        {.words = "bgp dump",
         .help = "The whole table as an MRT file (RFC 6396), to standard output",
         .request = bgp_dump_request,
         .example = "vrouterctl bgp dump > table.mrt",
         .text = bgp_dump_text,
         .octets = true},
        {.words = "bgp load",
         .help = "Tell the table of an MRT file, too: a path for each prefix, its first; not after "
                 "'bgp restart'",
         .arguments =
             {required(positional("file", kLargeFile, "such as 'bgp dump' makes")),
              option("neighbor", "--neighbor", kAddress, "only what this peer of the file said")},
         .conversation = load_mrt,
         .example = "vrouterctl bgp load table.mrt",
         .text = bgp_loaded_text,
         .exit = bgp_loaded_exit},
        {.words = "bgp unload",
         .help = "Tell no more of what was loaded",
         .request = bgp_unload_request,
         .text = bgp_loaded_text},
    };
}

std::vector<Command> action_rows() {
    const auto neighbor = required(positional("neighbor", kNeighborOrAll, "which"));
    return {
        {.words = "bgp clear",
         .help = "Start a session anew, or exchange its routes again",
         .arguments =
             {neighbor,
              option("soft", "--soft", kClearing, "keep the session: routes in, out or both")},
         .request = bgp_clear_request,
         .text = bgp_changed_text},
        {.words = "bgp shutdown",
         .help = "Close a session and keep it closed until 'bgp enable'",
         .arguments = {neighbor, positional("text", kShutdownText, "what the neighbour is told")},
         .request = bgp_shutdown_request,
         .text = bgp_changed_text},
        {.words = "bgp enable",
         .help = "Let a session that was shut down come up again",
         .arguments = {neighbor},
         .request = bgp_enable_request,
         .text = bgp_changed_text},
        {.words = "bgp reload",
         .help = "Take up what the config file says of BGP now; what has not changed goes on",
         .request = bgp_reload_request,
         .text = bgp_reloaded_text},
        {.words = "bgp restart",
         .help = "Begin all of BGP anew, forwarding on: for neighbours with graceful_restart: full",
         .request = bgp_restart_request,
         .text = bgp_changed_text},
    };
}

}  // namespace

Command show_bgp_row() {
    return {
        .words = "show bgp",
        .help = "BGP neighbours; one of them in detail",
        .arguments = {positional("neighbor", kNeighbor, "only this neighbour")},
        .request = bgp_request,
        .columns = kBgpColumns,
        .layout = details_of_one_neighbor};
}

std::vector<Command> bgp_rows() {
    auto rows = shown_rows();
    std::ranges::move(table_rows(), std::back_inserter(rows));
    std::ranges::move(action_rows(), std::back_inserter(rows));
    return rows;
}

}  // namespace vr::ctl
