// What answers look like: columns, details, JSON, and the texts of single commands.
// SPDX-License-Identifier: Apache-2.0
#include "ctl/table.h"

#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "ctl/commands.h"
#include "ctl/text.h"

namespace vr::ctl::table_test {
namespace {

pb::Response response(const char* text) {
    pb::Response parsed;
    EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &parsed)) << text;
    return parsed;
}

const Command& command(std::string_view words) {
    return *std::ranges::find(commands(), words, &Command::words);
}

std::string as_table(std::string_view words, const pb::Response& frame, bool wide = false) {
    std::string text;
    Table table{command(words).columns, wide, [&](std::string_view piece) { text += piece; }};
    table.print(frame);
    return text;
}

std::string as_json(const pb::Response& frame) {
    std::string text;
    JsonLines lines{[&](std::string_view piece) { text += piece; }};
    lines.print(frame);
    return text;
}

TEST(Table, AlignsTextLeftAndNumbersRight) {
    EXPECT_EQ(
        as_table("show drops", response(R"(drops {
            rows { reason: "parse" packets: 7 meaning: "header is not sane" }
            rows { reason: "no-route" packets: 1234 meaning: "no prefix matches" } })")),
        "REASON    PACKETS  MEANING\n"
        "parse           7  header is not sane\n"
        "no-route     1234  no prefix matches\n");
}

TEST(Table, PrintsTitlesOfAnEmptyListing) {
    EXPECT_EQ(as_table("show drops", response("drops { }")), "REASON  PACKETS  MEANING\n");
}

TEST(Table, KeepsTheWidthsOfTheFirstFrame) {
    std::string text;
    Table table{
        command("show drops").columns, false, [&](std::string_view piece) { text += piece; }};
    table.print(response(R"(more: true drops { rows { reason: "parse" meaning: "m" } })"));
    table.print(response(R"(drops { rows { reason: "longer-than-it" packets: 1 } })"));
    EXPECT_EQ(
        text,
        "REASON  PACKETS  MEANING\n"
        "parse         0  m\n"
        "longer-than-it        1  -\n");
}

TEST(Table, JoinsNextHops) {
    EXPECT_EQ(
        as_table("show routes", response(R"(routes { rows {
            prefix: "fd00::/64" source: SOURCE_EBGP active: true action: ACTION_FORWARD
            next_hops { address: "fe80::1" port: "eth0" }
            next_hops { port: "eth1" } } })")),
        "PREFIX     SOURCE  ACTIVE  NEXT-HOPS\n"
        "fd00::/64  ebgp    yes     fe80::1 eth0, eth1\n");
}

TEST(Table, TellsWhatARouteWithoutNextHopDoes) {
    EXPECT_EQ(
        as_table("show routes", response(R"(routes {
            rows { prefix: "10.0.0.1/32" source: SOURCE_LOCAL action: ACTION_LOCAL active: true }
            rows { prefix: "10.0.0.0/8" source: SOURCE_STATIC action: ACTION_DISCARD } })")),
        "PREFIX       SOURCE  ACTIVE  NEXT-HOPS\n"
        "10.0.0.1/32  local   yes     local\n"
        "10.0.0.0/8   static  no      discard\n");
}

TEST(Table, CountsPrefixesOfNegotiatedFamiliesOnly) {
    EXPECT_EQ(
        as_table("show bgp", response(R"(bgp { rows {
            address: "192.0.2.1" remote_asn: 64512 state: STATE_ESTABLISHED uptime_seconds: 5
            ipv4 { negotiated: true received: 3 accepted: 2 advertised: 1 } ipv6 { } } })")),
        "NEIGHBOR     ASN  STATE        UPTIME-S  IPV4-IN/USED/OUT  IPV6-IN/USED/OUT  LAST-ERROR\n"
        "192.0.2.1  64512  established  5         3/2/1             -                 -\n");
}

TEST(Table, TellsHowLongRoutesAreKeptOnBothSides) {
    EXPECT_EQ(
        as_table("bgp graceful-restart", response(R"(bgp {
            rows { address: "192.0.2.1" state: STATE_ESTABLISHED restart {
                agreed: true time_seconds: 120 our_time_seconds: 90 our_long_lived_seconds: 3600 } }
            rows { address: "192.0.2.2" state: STATE_ACTIVE restart { } } })")),
        "NEIGHBOR   STATE        AGREED  KEPT-FOR-S  KEEPS-OURS-S  STALE-IPV4/IPV6  WAITS-FOR\n"
        "192.0.2.1  established  yes     120         90+3600       0/0              -\n"
        "192.0.2.2  active       no      -           -             0/0              -\n");
}

TEST(Table, TellsPathsOfOneNeighborApart) {
    EXPECT_EQ(
        as_table("bgp routes", response(R"(bgp_routes {
            rows { prefix: "10.0.0.0/24" state: STATE_BEST neighbor: "192.0.2.1" path_id: 0 }
            rows { prefix: "10.0.0.0/24" state: STATE_BEST neighbor: "192.0.2.2" } })")),
        "PREFIX       STATE  NEIGHBOR          NEXT-HOP  LOCAL-PREF  MED  AS-PATH  COMMUNITIES\n"
        "10.0.0.0/24  best   192.0.2.1 path 0  -                  -    -  -        -\n"
        "10.0.0.0/24  best   192.0.2.2         -                  -    -  -        -\n");
}

TEST(Table, AwaitedNeighborIsCalledByItsInterface) {
    EXPECT_EQ(
        as_table("show bgp", response(R"(bgp { rows {
            interface: "up0" state: STATE_IDLE last_error: "nobody there" ipv4 {} ipv6 {} } })")),
        "NEIGHBOR  ASN  STATE  UPTIME-S  IPV4-IN/USED/OUT  IPV6-IN/USED/OUT  LAST-ERROR\n"
        "%up0        0  idle   -         -                 -                 nobody there\n");
}

TEST(Table, WritesPortsBehindAddressesOfBothFamilies) {
    EXPECT_EQ(
        as_table("show flows", response(R"(flows {
            rows { protocol: "tcp" source: "10.0.0.1" source_port: 1 destination: "10.0.0.2"
                   destination_port: 80 from: "vm" state: "established" idle_ms: 250
                   floating: "10.9.9.9" }
            rows { protocol: "icmpv6" source: "fd00::1" destination: "fd00::2" }
            rows { protocol: "udp" source: "fd00::1" source_port: 5 destination: "fd00::2"
                   destination_port: 53 mapping: "fd02::1" mapping_port: 61000 } })")),
        "PROTOCOL  SOURCE       DESTINATION   FLOATING  MAPPING          FROM  TO  STATE        "
        "IDLE-MS\n"
        "tcp       10.0.0.1:1   10.0.0.2:80   10.9.9.9  -                vm    -   established     "
        " 250\n"
        "icmpv6    fd00::1      fd00::2       -         -                -     -   -               "
        "   0\n"
        "udp       [fd00::1]:5  [fd00::2]:53  -         [fd02::1]:61000  -     -   -               "
        "   0\n");
}

TEST(Table, ShowsWideColumnsOnRequestOnly) {
    const auto frame =
        response(R"(resources { rows { kind: "Tier" name: "t" origin: "t.yaml" } })");
    EXPECT_EQ(as_table("get", frame).find("ORIGIN"), std::string::npos);
    EXPECT_NE(as_table("get", frame, true).find("t.yaml"), std::string::npos);
}

TEST(Table, EveryColumnNamesAFieldOfSomeRow) {
    for (const Command& row : commands()) {
        for (const Column& column : row.columns) {
            EXPECT_EQ(column.field.empty(), column.text != nullptr) << row.words << column.title;
        }
    }
}

TEST(Json, PrintsAListingAsAnArrayOfRowsWithAllFields) {
    EXPECT_EQ(
        as_json(response(R"(routes {
            rows { prefix: "::/1" source: SOURCE_STATIC next_hops { address: "fd00::1" } }
            rows { prefix: "::/0" } })")),
        R"([
 {"prefix":"::/1","source":"static","active":false,"action":"unspecified",)"
        R"("next_hops":[{"address":"fd00::1","port":""}]},
 {"prefix":"::/0","source":"unspecified","active":false,"action":"unspecified","next_hops":[]}
]
)");
}

TEST(Json, PrintsAnEmptyListingAsAnEmptyArray) {
    EXPECT_EQ(as_json(response("ports { }")), "[]\n");
}

TEST(Json, PrintsLargeCountersAsNumbers) {
    EXPECT_EQ(
        as_json(response(R"(drops { rows { reason: "x" packets: 18446744073709551615 } })")),
        "[\n {\"reason\":\"x\",\"packets\":18446744073709551615,\"meaning\":\"\"}\n]\n");
}

TEST(Json, PrintsASingleAnswerAsAnObject) {
    EXPECT_EQ(as_json(response("cleared { count: 3 }")), "{\"count\":3}\n");
}

TEST(Json, SpansFrames) {
    std::string text;
    JsonLines lines{[&](std::string_view piece) { text += piece; }};
    lines.print(response(R"(more: true drops { rows { reason: "a" } })"));
    lines.print(response(R"(more: true drops { })"));
    lines.print(response(R"(drops { rows { reason: "b" } })"));
    EXPECT_EQ(
        text,
        "[\n {\"reason\":\"a\",\"packets\":0,\"meaning\":\"\"},\n"
        " {\"reason\":\"b\",\"packets\":0,\"meaning\":\"\"}\n]\n");
}

TEST(Json, LeavesOutWhatAListingSaysBesideItsRows) {
    const auto listing = response(R"(bgp_routes { rows { } problems: "a" problems: "b" })");
    EXPECT_EQ(problems_beside_rows(listing), (std::vector<std::string>{"a", "b"}));
    EXPECT_TRUE(problems_beside_rows(response("drops { }")).empty());
    EXPECT_TRUE(problems_beside_rows(response(R"(bgp_loaded { problems: "a" })")).empty())
        << "it has no rows: JSON has them all";
}

TEST(Json, TurnsAResourcesDocumentIntoJson) {
    EXPECT_EQ(
        as_json(response(
            R"(resources { rows { kind: "Tier" state: STATE_VALID
               document: "spec: {order: 10, on: true, share: 0.5, name: '10', none: ~, l: [a]}" } })")),
        "[\n "
        "{\"kind\":\"Tier\",\"namespace\":\"\",\"name\":\"\",\"state\":\"valid\",\"problem\":\"\","
        "\"warnings\":[],"
        "\"origin\":\"\",\"document\":{\"spec\":{\"order\":10,\"on\":true,\"share\":5E-1,"
        "\"name\":\"10\",\"none\":null,\"l\":[\"a\"]}}}\n]\n");
}

TEST(Json, KeepsADocumentThatIsNoYamlAsText) {
    EXPECT_NE(
        as_json(response(R"(resources { rows { document: "a: [b" } })")).find("\"a: [b\""),
        std::string::npos);
}

TEST(Details, PrintEveryFieldOnItsLine) {
    EXPECT_EQ(
        details(response(R"(version { version: "0.1.0" pid: 7 uptime_seconds: 60 })")),
        "version: 0.1.0\npid: 7\nuptime seconds: 60\n");
}

TEST(Details, NameTheFieldsOfEachFamily) {
    const std::string text = details(response(R"(bgp { rows {
        address: "192.0.2.1"
        ipv4 { negotiated: true received: 3 accepted: 2 advertised: 1 next_hop: "192.0.2.9" } } })"));
    EXPECT_NE(text.find("\nipv4 next hop: 192.0.2.9\n"), std::string::npos) << text;
    EXPECT_NE(
        text.find("ipv4 negotiated: yes\nipv4 received: 3\nipv4 accepted: 2\nipv4 advertised: 1\n"),
        std::string::npos)
        << text;
    EXPECT_NE(text.find("\nipv6 negotiated: no\n"), std::string::npos) << text;
}

TEST(Text, TellsATraceStepByStep) {
    const auto frame = response(R"(trace {
        steps { stage: "source check" outcome: OUTCOME_PASS detail: "10.0.0.1 is its own" }
        steps { stage: "egress policy" outcome: OUTCOME_DROP detail: "denied by p" tier: "default"
                policy: "NetworkPolicy prod/web" rule: 2 }
        verdict: VERDICT_DROPPED reason: "egress-policy" })");
    EXPECT_EQ(
        trace_text(frame),
        "source check   pass  10.0.0.1 is its own\n"
        "egress policy  drop  denied by p (tier default)\n"
        "verdict: dropped: egress-policy\n");
    EXPECT_EQ(trace_exit(frame), Exit::Dropped);
}

TEST(Text, TellsWhereADeliveredPacketLeaves) {
    const auto frame = response(R"(trace { verdict: VERDICT_DELIVERED output_port: "eth0" })");
    EXPECT_EQ(trace_text(frame), "verdict: delivered to port eth0\n");
    EXPECT_EQ(trace_exit(frame), Exit::Ok);
}

TEST(Text, TellsWhatBecameOfEachResource) {
    const auto frame = response(R"(changes {
        rows { kind: "Tier" name: "t" outcome: OUTCOME_APPLIED }
        rows { kind: "NetworkPolicy" namespace: "n" name: "p" outcome: OUTCOME_REFUSED
               problem: "line 3: unknown protocol tpc" } })");
    EXPECT_EQ(
        changes_text(frame),
        "Tier t: applied\n"
        "NetworkPolicy n/p: refused: line 3: unknown protocol tpc\n");
    EXPECT_EQ(changes_exit(frame), Exit::Refused);
}

TEST(Text, MarksRefusedResourcesAboveTheirDocument) {
    EXPECT_EQ(
        resources_text(response(R"(resources {
            rows { state: STATE_VALID document: "kind: Tier\n" }
            rows { state: STATE_STAND_IN problem: "no name" document: "kind: Tier" } })")),
        "---\nkind: Tier\n---\n# stand_in: no name\nkind: Tier\n");
}

}  // namespace
}  // namespace vr::ctl::table_test
