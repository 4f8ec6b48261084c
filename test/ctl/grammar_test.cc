// Rows of (command line, request) and of (command line, what the person is told).
// SPDX-License-Identifier: Apache-2.0
#include "ctl/grammar.h"

#include <gtest/gtest.h>

#include <chrono>
#include <sstream>
#include <string>
#include <variant>
#include <vector>

#include "ctl/kinds.h"
#include "policy/model.h"

namespace vr::ctl::grammar_test {
namespace {

std::vector<std::string> split(const std::string& line) {
    std::istringstream stream{line};
    std::vector<std::string> words;
    for (std::string word; stream >> word;) {
        words.push_back(word);
    }
    return words;
}

/// Files that exist in these tests: their content is their name in brackets.
Result<std::string> read(const std::string& name) {
    if (name == "absent.yaml") {
        return fail("cannot read absent.yaml: No such file or directory");
    }
    return "[" + name + "]";
}

std::variant<Invocation, Notice> parsed(const std::string& line) {
    return parse(split(line), "/default.sock", read);
}

struct RequestRow {
    const char* name;
    const char* line;
    const char* request;  ///< protobuf's short text form
};

class Requests : public testing::TestWithParam<RequestRow> {};

TEST_P(Requests, AreMadeFromWords) {
    const auto result = parsed(GetParam().line);
    const auto* invocation = std::get_if<Invocation>(&result);
    ASSERT_NE(invocation, nullptr) << std::get<Notice>(result).text;
    EXPECT_EQ(invocation->request.ShortDebugString(), GetParam().request);
}

INSTANTIATE_TEST_SUITE_P(
    Grammar,
    Requests,
    testing::Values(
        RequestRow{"ShowPorts", "show ports", "show_ports { }"},
        RequestRow{"ShowPort", "show ports eth0", "show_ports { port: \"eth0\" }"},
        RequestRow{"ShowEndpoint", "show endpoints a/b", "show_endpoints { endpoint: \"a/b\" }"},
        RequestRow{"ShowRoutes", "show routes", "show_routes { }"},
        RequestRow{
            "ShowRoutesInside4",
            "show routes 10.0.0.0/8",
            "show_routes { prefix: \"10.0.0.0/8\" }"},
        RequestRow{
            "ShowRoutesInside6", "show routes fd00::/64", "show_routes { prefix: \"fd00::/64\" }"},
        RequestRow{
            "ShowRouteOnLink",
            "show routes fe80::1%eth0",
            "show_routes { address: \"fe80::1%eth0\" }"},
        RequestRow{"ShowRouteOf", "show routes fd00::1", "show_routes { address: \"fd00::1\" }"},
        RequestRow{"ShowNeighbors", "show neighbors eth0", "show_neighbors { port: \"eth0\" }"},
        RequestRow{"ShowBgp", "show bgp 192.0.2.1", "show_bgp { neighbor: \"192.0.2.1\" }"},
        RequestRow{"ShowPolicy", "show policy a/b", "show_policy { endpoint: \"a/b\" }"},
        RequestRow{"ShowFlows", "show flows fd00::1", "show_flows { address: \"fd00::1\" }"},
        RequestRow{"ShowDrops", "show drops", "show_drops { }"},
        RequestRow{"ShowAllDrops", "show drops -a", "show_drops { all: true }"},
        RequestRow{"ShowControl", "show control", "show_control { }"},
        RequestRow{"ShowControlReset", "show control --reset", "show_control { reset: true }"},
        RequestRow{"ShowVersion", "show version", "version { }"},
        RequestRow{"ShowDatastore", "show datastore", "show_datastore { }"},
        RequestRow{"WaitInSync", "wait-ready --datastore", "show_datastore { }"},
        RequestRow{"WaitReady", "wait-ready --timeout 3", "version { }"},
        RequestRow{"IpamShow", "ipam show --host h1", "show_ipam { host: \"h1\" }"},
        RequestRow{
            "IpamAddresses",
            "ipam addresses fd00::/122",
            "show_ipam_addresses { prefix: \"fd00::/122\" }"},
        RequestRow{"IpamCheck", "ipam check", "check_ipam { }"},
        RequestRow{"IpamDryRun", "ipam gc --grace 0", "collect_ipam { grace_seconds: 0 }"},
        RequestRow{
            "IpamGc", "ipam gc --yes --wait 9", "collect_ipam { act: true wait_seconds: 9 }"},
        RequestRow{
            "IpamAllocate",
            "ipam allocate --handle n.1 --ipv4 1 --ipv6 2 --pool a --pool b --attribute pod=web",
            "allocate_ipam { handle: \"n.1\" count4: 1 count6: 2 pools: \"a\" pools: \"b\" "
            "attributes { key: \"pod\" value: \"web\" } }"},
        RequestRow{
            "IpamRelease",
            "ipam release --handle n.1 --address 10.0.0.1",
            "release_ipam { handle: \"n.1\" addresses: \"10.0.0.1\" }"},
        RequestRow{"GetKind", "get np", "get_resources { kind: \"NetworkPolicy\" }"},
        RequestRow{"GetAll", "get all", "get_resources { }"},
        RequestRow{
            "GetOne",
            "get NetworkPolicies web -n prod -o yaml",
            "get_resources { kind: \"NetworkPolicy\" namespace: \"prod\" name: \"web\" }"},
        RequestRow{
            "ApplyFiles",
            "apply -f a.yaml -f -",
            "apply_resources { files { name: \"a.yaml\" text: \"[a.yaml]\" } files { name: "
            "\"standard "
            "input\" text: \"[-]\" } }"},
        RequestRow{"DeleteOne", "delete tier t", "delete_resources { kind: \"Tier\" name: \"t\" }"},
        RequestRow{
            "DeleteFile",
            "delete -f a",
            "delete_resources { files { name: \"a\" text: \"[a]\" } }"},
        RequestRow{
            "TraceTcp",
            "trace --from a/b -s 10.0.0.1 -d 10.0.0.2 -p tcp --sport 1 --dport 80 --size 1500",
            "trace { from: \"a/b\" source: \"10.0.0.1\" destination: \"10.0.0.2\" protocol: 6 "
            "source_port: 1 destination_port: 80 size: 1500 }"},
        RequestRow{
            "TraceReply",
            "trace --from a/b -d 10.0.0.2 -p tcp --tcp-flags SA --source-mac 02:00:00:00:00:01",
            "trace { from: \"a/b\" destination: \"10.0.0.2\" protocol: 6 tcp_flags: \"SA\" "
            "source_mac: \"02:00:00:00:00:01\" }"},
        RequestRow{
            "TraceIcmp",
            "trace --from eth0 -d fd00::2 -p ICMPv6 --icmp-type 128 --icmp-code 1",
            "trace { from: \"eth0\" destination: \"fd00::2\" protocol: 58 icmp_type: 128 "
            "icmp_code: 1 }"},
        RequestRow{
            "TraceIcmpIsAnEchoRequest",
            "trace --from eth0 -d 10.0.0.2 -p icmp",
            "trace { from: \"eth0\" destination: \"10.0.0.2\" protocol: 1 icmp_type: 8 }"},
        RequestRow{"BgpSummary", "bgp summary", "show_bgp { }"},
        RequestRow{"BgpNeighbor", "bgp neighbor fd00::1", "show_bgp { neighbor: \"fd00::1\" }"},
        RequestRow{"BgpSpeaker", "bgp speaker", "show_bgp_speaker { }"},
        RequestRow{"BgpGracefulRestart", "bgp graceful-restart", "show_bgp { }"},
        RequestRow{"BgpRoutes", "bgp routes", "show_bgp_routes { }"},
        RequestRow{
            "BgpRoutesInside",
            "bgp routes 10.0.0.0/8 --best",
            "show_bgp_routes { prefix: \"10.0.0.0/8\" best_only: true }"},
        RequestRow{
            "BgpRoutesReceived",
            "bgp routes --received 192.0.2.1",
            "show_bgp_routes { received: \"192.0.2.1\" }"},
        RequestRow{
            "BgpRoutesAdvertised",
            "bgp routes --advertised 192.0.2.1",
            "show_bgp_routes { advertised: \"192.0.2.1\" }"},
        RequestRow{
            "BgpClear",
            "bgp clear 192.0.2.1",
            "set_bgp_neighbor { neighbor: \"192.0.2.1\" action: ACTION_CLEAR }"},
        RequestRow{
            "BgpClearSoftIn",
            "bgp clear all --soft in",
            "set_bgp_neighbor { neighbor: \"all\" action: ACTION_CLEAR_IN }"},
        RequestRow{
            "BgpClearSoftOut",
            "bgp clear all --soft out",
            "set_bgp_neighbor { neighbor: \"all\" action: ACTION_CLEAR_OUT }"},
        RequestRow{
            "BgpClearSoftBoth",
            "bgp clear all --soft both",
            "set_bgp_neighbor { neighbor: \"all\" action: ACTION_CLEAR_BOTH }"},
        RequestRow{
            "BgpShutdown",
            "bgp shutdown 192.0.2.1 maintenance",
            "set_bgp_neighbor { neighbor: \"192.0.2.1\" action: ACTION_SHUT_DOWN text: "
            "\"maintenance\" }"},
        RequestRow{
            "BgpEnable",
            "bgp enable 192.0.2.1",
            "set_bgp_neighbor { neighbor: \"192.0.2.1\" action: ACTION_ENABLE }"},
        RequestRow{"ClearBgp", "clear bgp all", "clear_bgp { neighbor: \"all\" }"},
        RequestRow{"ClearFlows", "clear flows", "clear_flows { }"}),
    [](const auto& row) { return std::string(row.param.name); });

struct UsageRow {
    const char* name;
    const char* line;
    const char* told;
};

class Usage : public testing::TestWithParam<UsageRow> {};

TEST_P(Usage, IsToldWithExitCodeTwo) {
    const auto result = parsed(GetParam().line);
    const auto* notice = std::get_if<Notice>(&result);
    ASSERT_NE(notice, nullptr);
    EXPECT_EQ(notice->exit, Exit::Usage);
    EXPECT_EQ(notice->text, std::string("vrouterctl: ") + GetParam().told + "\n");
}

INSTANTIATE_TEST_SUITE_P(
    Grammar,
    Usage,
    testing::Values(
        UsageRow{"Nothing", "", "a command is missing ('vrouterctl --help' tells more)"},
        UsageRow{
            "VerbAlone",
            "show",
            "show: a command is missing ('vrouterctl show --help' tells more)"},
        UsageRow{
            "UnknownVerb", "shwo", "'shwo' is not understood ('vrouterctl --help' tells more)"},
        UsageRow{
            "UnknownNoun",
            "show route",
            "show: 'route' is not understood ('vrouterctl show --help' tells more)"},
        UsageRow{
            "UnknownOption",
            "show ports --bogus",
            "show ports: '--bogus' is not understood ('vrouterctl show ports --help' tells more)"},
        UsageRow{
            "TooManyWords",
            "show ports a b",
            "show ports: 'b' is not understood ('vrouterctl show ports --help' tells more)"},
        UsageRow{
            "BadPrefix",
            "show routes 10.0.0.0/33",
            "show routes: PREFIX|ADDRESS: '10.0.0.0/33' is not a prefix (10.0.0.0/8, fd00::/64) or "
            "an address ('vrouterctl show routes --help' tells more)"},
        UsageRow{
            "BadPort",
            "trace --from a -d 10.0.0.1 -p tcp --dport 65536",
            "trace: --dport: '65536' is not a port number (0-65535) ('vrouterctl trace --help' "
            "tells more)"},
        UsageRow{
            "BadProtocol",
            "trace --from a -d 10.0.0.1 -p tpc",
            "trace: -p: 'tpc' is not a protocol (tcp, udp, icmp, icmpv6, sctp or 1-255) "
            "('vrouterctl trace --help' tells more)"},
        UsageRow{
            "BadTcpFlags",
            "trace --from a -d 10.0.0.1 -p tcp --tcp-flags SX",
            "trace: --tcp-flags: 'SX' is not TCP flags (letters of FSRPAU, like SA) ('vrouterctl "
            "trace --help' tells more)"},
        UsageRow{
            "IcmpOfTheOtherFamily",
            "trace --from a -d fd00::1 -p icmp",
            "trace: -p: icmp is IPv4's and icmpv6 is IPv6's ('vrouterctl trace --help' tells "
            "more)"},
        UsageRow{
            "TwoFamilies",
            "trace --from a -s 10.0.0.1 -d fd00::1 -p tcp",
            "trace: --source and --destination must be of one family ('vrouterctl trace --help' "
            "tells more)"},
        UsageRow{
            "MissingOption",
            "trace --from a -p tcp",
            "trace: --destination is required ('vrouterctl trace --help' tells more)"},
        UsageRow{
            "BadTimeout",
            "show ports --timeout 0",
            "show ports: --timeout: '0' is not a number of seconds (1-86400) ('vrouterctl show "
            "ports --help' tells more)"},
        UsageRow{
            "ShutdownTextThatIsNoText",
            "bgp shutdown all caf\xe9",
            "bgp shutdown: TEXT: 'caf?' is not a text of 1 to 255 octets in UTF-8 ('vrouterctl "
            "bgp shutdown --help' tells more)"},
        UsageRow{
            "OctetsAsJson",
            "bgp dump --json",
            "bgp dump: --json: what it writes is no text ('vrouterctl bgp dump --help' tells "
            "more)"},
        UsageRow{
            "NameThatIsNoText",
            "show ports m\xfcnchen",
            "show ports: NAME: 'm?nchen' is not a name in UTF-8 ('vrouterctl show ports --help' "
            "tells more)"},
        UsageRow{
            "AbsentFile",
            "apply -f absent.yaml",
            "apply: -f: cannot read absent.yaml: No such file or directory ('vrouterctl apply "
            "--help' tells more)"},
        UsageRow{
            "DeleteWithoutName",
            "delete np",
            "delete: say what to delete: KIND NAME, or -f FILE ('vrouterctl delete --help' tells "
            "more)"},
        UsageRow{
            "DeleteEverything",
            "delete all x",
            "delete: KIND: 'all' is not one kind of resource (workloadendpoint, networkpolicy, "
            "tier, ...) ('vrouterctl delete --help' tells more)"}),
    [](const auto& row) { return std::string(row.param.name); });

TEST(Grammar, TakesGlobalOptionsBeforeAndBehindTheCommand) {
    for (const auto* line : {"--json --socket /a show ports", "show ports --json --socket /a"}) {
        const auto invocation = std::get<Invocation>(parsed(line));
        EXPECT_TRUE(invocation.json);
        EXPECT_EQ(invocation.socket, "/a");
    }
}

TEST(Grammar, UsesTheDefaultSocketOtherwise) {
    EXPECT_EQ(std::get<Invocation>(parsed("show ports")).socket, "/default.sock");
}

TEST(Grammar, WhatIsDoneToItsEndIsWaitedForUnlessToldOtherwise) {
    const auto seconds = [](const std::string& line) {
        const auto invocation = std::get<Invocation>(parsed(line));
        return std::vector{invocation.timeout.count(), invocation.answer.count()};
    };
    using Seconds = std::vector<std::chrono::seconds::rep>;
    EXPECT_EQ(seconds("ipam check"), (Seconds{10, 10}));
    EXPECT_EQ(seconds("ipam gc --yes --wait 60"), (Seconds{10, 0}));
    EXPECT_EQ(seconds("ipam gc --yes --wait 60 --timeout 5"), (Seconds{5, 5}));
}

TEST(Grammar, TreatsOutputJsonAsTheGlobalOption) {
    EXPECT_TRUE(std::get<Invocation>(parsed("get np -o json")).json);
}

TEST(Grammar, HelpsOnEveryCommand) {
    for (const Command& command : commands()) {
        const auto result = parsed(std::string(command.words) + " --help");
        const auto* notice = std::get_if<Notice>(&result);
        ASSERT_NE(notice, nullptr) << command.words;
        EXPECT_EQ(notice->exit, Exit::Ok);
        EXPECT_TRUE(notice->text.starts_with(command.help)) << notice->text;
    }
}

TEST(Grammar, HelpListsTheKindsOfResources) {
    for (const auto* line : {"get --help", "delete --help"}) {
        const auto text = std::get<Notice>(parsed(line)).text;
        for (const Kind& kind : kKinds) {
            EXPECT_NE(text.find(kind.word), std::string::npos) << line << " " << kind.word;
        }
    }
}

TEST(Grammar, KnowsEveryKindOfObject) {
    for (const policy::KindRow& kind : policy::kinds()) {
        EXPECT_EQ(kind_of(kind.name), kind.name);
        EXPECT_EQ(kind_of(kind.plural), kind.name);
    }
}

TEST(Grammar, TellsItsVersion) {
    const auto notice = std::get<Notice>(parsed("--version"));
    EXPECT_EQ(notice.exit, Exit::Ok);
    EXPECT_EQ(notice.text, std::string(VROUTER_VERSION) + "\n");
}

TEST(Grammar, DocumentsItsExitCodes) {
    const auto text = std::get<Notice>(parsed("--help")).text;
    for (const auto& [code, meaning] : kExitMeanings) {
        EXPECT_NE(text.find(meaning), std::string::npos) << meaning;
    }
}

TEST(Completion, OffersEveryCommandAndOption) {
    const std::string script = bash_completion();
    for (const Command& command : commands()) {
        EXPECT_NE(script.find("|" + std::string(command.words) + "|"), std::string::npos);
        for (const Argument& argument : command.arguments) {
            const auto flag = argument.flags.substr(0, argument.flags.find(','));
            EXPECT_NE(script.find(flag), std::string::npos)
                << command.words << " " << argument.flags;
        }
    }
}

}  // namespace
}  // namespace vr::ctl::grammar_test
