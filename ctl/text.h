// How the answers that are more than a table read on the terminal.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include <vrouter.pb.h>

#include "ctl/exit_code.h"

namespace vr::ctl {

// Columns made from several fields of a row.
[[nodiscard]] std::string link_text(const google::protobuf::Message& port);
[[nodiscard]] std::string limits_text(const google::protobuf::Message& endpoint);
[[nodiscard]] std::string next_hops_text(const google::protobuf::Message& route);
[[nodiscard]] std::string ipv4_prefixes_text(const google::protobuf::Message& bgp_neighbor);
[[nodiscard]] std::string ipv6_prefixes_text(const google::protobuf::Message& bgp_neighbor);
[[nodiscard]] std::string messages_text(const google::protobuf::Message& bgp_neighbor);
[[nodiscard]] std::string bgp_neighbor_text(const google::protobuf::Message& bgp_neighbor);
[[nodiscard]] std::string bgp_state_text(const google::protobuf::Message& bgp_neighbor);
[[nodiscard]] std::string bgp_uptime_text(const google::protobuf::Message& bgp_neighbor);
[[nodiscard]] std::string bgp_error_text(const google::protobuf::Message& bgp_neighbor);
[[nodiscard]] std::string restart_agreed_text(const google::protobuf::Message& bgp_neighbor);
[[nodiscard]] std::string restart_time_text(const google::protobuf::Message& bgp_neighbor);
[[nodiscard]] std::string restart_our_time_text(const google::protobuf::Message& bgp_neighbor);
[[nodiscard]] std::string restart_stale_text(const google::protobuf::Message& bgp_neighbor);
[[nodiscard]] std::string restart_wait_text(const google::protobuf::Message& bgp_neighbor);
[[nodiscard]] std::string bgp_route_text(const google::protobuf::Message& bgp_route);
[[nodiscard]] std::string bgp_route_neighbor_text(const google::protobuf::Message& bgp_route);
[[nodiscard]] std::string bgp_next_hop_text(const google::protobuf::Message& bgp_route);
[[nodiscard]] std::string rule_text(const google::protobuf::Message& policy_rule);
[[nodiscard]] std::string flow_source_text(const google::protobuf::Message& flow);
[[nodiscard]] std::string flow_destination_text(const google::protobuf::Message& flow);
[[nodiscard]] std::string flow_mapping_text(const google::protobuf::Message& flow);

// Whole frames.
[[nodiscard]] std::string resources_text(const pb::Response& frame);
[[nodiscard]] std::string datastore_text(const pb::Response& frame);
[[nodiscard]] std::string changes_text(const pb::Response& frame);
[[nodiscard]] std::string trace_text(const pb::Response& frame);
[[nodiscard]] std::string cleared_text(const pb::Response& frame);
[[nodiscard]] std::string bgp_changed_text(const pb::Response& frame);
[[nodiscard]] std::string bgp_reloaded_text(const pb::Response& frame);
[[nodiscard]] std::string bgp_dump_text(const pb::Response& frame);

// What a frame means for the exit code.
[[nodiscard]] Exit changes_exit(const pb::Response& frame);
[[nodiscard]] Exit trace_exit(const pb::Response& frame);

}  // namespace vr::ctl
