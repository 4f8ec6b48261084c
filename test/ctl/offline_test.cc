// Offline commands as they are typed: what is printed, and the exit code for scripts.
// SPDX-License-Identifier: Apache-2.0
#include "ctl/offline.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <variant>
#include <vector>

#include <boost/json/parse.hpp>

#include "bgp/mrt_reader.h"
#include "ctl/bgp_row.h"
#include "ctl/grammar.h"
#include "ctl/table.h"

namespace vr::ctl::offline_test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

/// A table of one peer, 192.0.2.2 in AS 65001, and one route, 10.0.0.0/8.
const std::string kTable = [] {
    using namespace std::string_literals;
    return "\x66\0\0\0\0\x0d\0\x01\0\0\0\x13"s + "\xc0\0\x02\x01\0\0\0\x01\0"s +
           "\xc0\0\x02\x02\xc0\0\x02\x02\xfd\xe9"s + "\x66\0\0\0\0\x0d\0\x02\0\0\0\x24"s +
           "\0\0\0\0\x08\x0a\0\x01\0\0\x66\0\0\0\0\x14\x40\x01\x01\0"s +
           "\x40\x02\x06\x02\x01\0\0\xfd\xe9\x40\x03\x04\xc0\0\x02\x02"s;
}();

constexpr std::size_t kLargeRows = 5000;

/// The same route again and again.
std::string large_table() {
    constexpr std::size_t kPeers = 12 + 19;  // octets of the first record
    std::string table = kTable;
    for (std::size_t i = 1; i < kLargeRows; ++i) {
        table.append(kTable, kPeers);
    }
    return table;
}

std::string table_of(const std::vector<bgp::RouteSummary>& routes) {
    bgp::MrtDump dump{
        bgp::MrtPeer{},
        {{.address = *parse_ip("192.0.2.2")}, {.address = *parse_ip("192.0.2.3")}},
        0};
    Writer out;
    dump.write_peers(out);
    for (const bgp::RouteSummary& route : routes) {
        dump.write_route(route, out);
    }
    const auto octets = out.release();
    return {octets.begin(), octets.end()};
}

bgp::PathSummary path_by(std::string_view peer) {
    bgp::PathSummary path{.peer = parse_ip(peer)};
    path.attributes.next_hop = *parse_ip(peer);
    return path;
}

std::string two_paths() {
    return table_of(
        {{.prefix = *parse_prefix("10.0.0.0/8"),
          .paths = {path_by("192.0.2.2"), path_by("192.0.2.3")}}});
}

std::string many_prefixes() {
    std::vector<bgp::RouteSummary> routes;
    for (std::uint32_t i = 0; i < kLargeRows; ++i) {
        routes.push_back({.prefix = Prefix<V4>::host(Ip4{i}), .paths = {path_by("192.0.2.2")}});
    }
    return table_of(routes);
}

/// Files and directories by name.
const std::map<std::string, std::string>& disk() {
    static const std::map<std::string, std::string> kDisk{
        {"ci/good.yaml",
         "resources: [../p]\ncases:\n"
         "- {name: web, endpoint: a/vm, direction: ingress, expect: allow,\n"
         "   packet: {protocol: TCP, source: 192.0.2.1, destination: 10.0.0.1, destinationPort: "
         "80}}\n"},
        {"ci/failing.yaml",
         "resources: [../p]\ncases:\n"
         "- {name: web, endpoint: a/vm, direction: ingress, expect: reject,\n"
         "   packet: {protocol: TCP, source: 192.0.2.1, destination: 10.0.0.1, destinationPort: "
         "80}}\n"},
        {"ci/broken.yaml", "resources: [absent.yaml]\ncases: []\n"},
        {"ci/no_case.yaml", "resources: [../p]\ncases: []\n"},
        {"ci/../p/all.yaml",
         "apiVersion: projectcalico.org/v3\nkind: WorkloadEndpoint\n"
         "metadata: {name: vm, namespace: a}\n"
         "spec: {node: h, interfaceName: t, ipNetworks: [10.0.0.1]}\n"
         "---\napiVersion: projectcalico.org/v3\nkind: GlobalNetworkPolicy\n"
         "metadata: {name: web}\nspec: {types: [Ingress], ingress: [{action: Allow}]}\n"},
        {"bad/x.yaml",
         "apiVersion: projectcalico.org/v3\nkind: Tier\nmetadata: {name: t}\nspec: {order: x}\n"},
        {"good/x.yaml",
         "apiVersion: projectcalico.org/v3\nkind: Tier\nmetadata: {name: t}\nspec: {order: 1}\n"},
        {"table.mrt", kTable},
        {"cut.mrt", kTable.substr(0, kTable.size() - 1)},
        {"large.mrt", large_table()},
        {"two_paths.mrt", two_paths()},
        {"many.mrt", many_prefixes()},
        {"table.mrt.gz", "\x1f\x8b\x08\x1a what it was"},
        {"table.mrt.bz2", "BZh91AY&SY what it was"},
        {"cut_later.mrt", kTable + kTable.substr(31, 20)},
    };
    return kDisk;
}

Result<std::string> read(const std::string& name) {
    const auto found = disk().find(name);
    return found == disk().end() ? Result<std::string>(fail("cannot read " + name)) : found->second;
}

/// In pieces that end anywhere.
Result<ReadPiece> open(const std::string& name) {
    auto text = read(name);
    if (!text) {
        return fail(text.error().text);
    }
    return ReadPiece{[rest = *text](std::span<std::uint8_t> room) mutable -> Result<std::size_t> {
        const std::size_t size = std::min<std::size_t>({rest.size(), room.size(), 1000});
        std::copy_n(rest.begin(), size, room.begin());
        rest.erase(0, size);
        return size;
    }};
}

using Entries = std::vector<Files::Entry>;
using EntryType = Files::Entry::Type;

std::optional<Entries> list(const std::string& name) {
    if (name == "ci/../p") {
        return Entries{{".hidden.yaml"}, {"README"}, {"all.yaml"}};
    }
    if (name == "bad" || name == "good/") {
        return Entries{{"x.yaml"}};
    }
    if (name == "odd") {
        return Entries{
            {"gone.yaml"}, {"pipe.yaml", EntryType::Other}, {"within", EntryType::Directory}};
    }
    if (name == "above") {
        return Entries{{"README"}, {"within.yaml", EntryType::Directory}};
    }
    return std::nullopt;
}

struct Printed {
    std::string text;
    int exit = 0;
    int frames = 0;
    int longest = 0;  ///< rows of BGP in one frame
};

Printed run(const std::vector<std::string>& words) {
    const auto parsed = parse(words, "/default.sock", read);
    if (const auto* notice = std::get_if<Notice>(&parsed)) {
        return {notice->text, static_cast<int>(notice->exit)};
    }
    const auto& invocation = std::get<Invocation>(parsed);
    const Command& command = *invocation.command;
    const Files files{.read = read, .open = open, .list = list};
    Printed printed;
    JsonLines json{[&](std::string_view text) { printed.text += text; }};
    const auto show = [&](const pb::Response& frame) {
        if (invocation.json) {
            json.print(frame);
        } else {
            printed.text += command.text(frame);
        }
        printed.exit = std::max(printed.exit, static_cast<int>(command.exit(frame)));
        ++printed.frames;
        printed.longest = std::max(printed.longest, frame.bgp_routes().rows_size());
    };
    if (command.frames != nullptr) {
        const auto shown = command.frames(invocation.values, files, show);
        return shown ? printed : Printed{shown.error().text, static_cast<int>(Exit::Usage)};
    }
    const auto answer = command.answer(invocation.values, files);
    if (!answer) {
        return {answer.error().text, static_cast<int>(Exit::Usage)};
    }
    show(*answer);
    return printed;
}

struct Row {
    const char* name;
    std::vector<std::string> words;
    int exit;
    const char* text;
};

class Offline : public testing::TestWithParam<Row> {};

TEST_P(Offline, PrintsAndExits) {
    const Printed printed = run(GetParam().words);
    EXPECT_EQ(printed.exit, GetParam().exit) << printed.text;
    EXPECT_THAT(printed.text, HasSubstr(GetParam().text));
}

INSTANTIATE_TEST_SUITE_P(
    Selector,
    Offline,
    testing::Values(
        Row{"Matches", {"selector", "test", "role == 'web'", "role=web"}, 0, "matches\n"},
        Row{"DoesNotMatch", {"selector", "test", "has(role)"}, 1, "does not match\n"},
        Row{"Invalid",
            {"selector", "test", "role = 'web'"},
            2,
            "invalid at column 6: expected ==, !=, in, not in,"},
        Row{"TooLong",
            {"selector", "test", std::string(1025, 'x')},
            2,
            "invalid at column 1025: longer than 1024 characters"},
        Row{"BlankMeansAll", {"selector", "test", ""}, 0, "matches\n"},
        Row{"ValuesMayBeEmptyAndHoldAnything",
            {"selector", "test", "a == '' && b == 'x=y z'", "a=", "b=x=y z"},
            0,
            "matches\n"},
        Row{"Canonical",
            {"selector", "test", "--canonical", "a in {'y','x','y'}||has( b )", "a=x"},
            0,
            "matches\n(a in {\"x\", \"y\"} || has(b))\n"},
        Row{"Json",
            {"selector", "test", "a ==", "--json"},
            2,
            "{\"verdict\":\"invalid\",\"column\":5,"},
        Row{"LabelTwice", {"selector", "test", "a", "k=1", "k=2"}, 2, "label k is given twice"},
        Row{"NoLabel",
            {"selector", "test", "all()", "web"},
            2,
            "KEY=VALUE: 'web' is not a label (KEY=VALUE)"},
        Row{"NoExpression", {"selector", "test"}, 2, "expression is required"}),
    [](const auto& row) { return std::string(row.param.name); });

INSTANTIATE_TEST_SUITE_P(
    PolicyTest,
    Offline,
    testing::Values(
        Row{"Passes",
            {"policy", "test", "ci/good.yaml"},
            0,
            "ci/good.yaml:3: passed: web: allow by tier default, GlobalNetworkPolicy web rule 0\n"
            "1 cases: 1 passed, 0 failed\n"},
        Row{"Fails",
            {"policy", "test", "ci/good.yaml", "ci/failing.yaml"},
            1,
            "ci/failing.yaml:3: failed: web: allow by tier default, GlobalNetworkPolicy web rule "
            "0, "
            "expected reject\n2 cases: 1 passed, 1 failed\n"},
        Row{"Broken",
            {"policy", "test", "ci/broken.yaml"},
            2,
            "ci/broken.yaml:1: resources[0]: cannot read ci/absent.yaml\n"},
        Row{"NoCase",
            {"policy", "test", "ci/no_case.yaml"},
            2,
            "ci/no_case.yaml: no case: nothing would be tested\n"},
        Row{"AbsentFile", {"policy", "test", "x.yaml"}, 2, "cannot read x.yaml"},
        Row{"Json", {"policy", "test", "ci/good.yaml", "--json"}, 0, "\"passed\":1,\"failed\":0}"}),
    [](const auto& row) { return std::string(row.param.name); });

INSTANTIATE_TEST_SUITE_P(
    PolicyLint,
    Offline,
    testing::Values(
        Row{"NothingFound", {"policy", "lint", "good/"}, 0, "1 files: 0 problems\n"},
        Row{"Found",
            {"policy", "lint", "bad"},
            1,
            "bad/x.yaml:4: invalid: Tier t: spec.order: 'x' is not a number\n1 files: 1 "
            "problems\n"},
        Row{"WhatCannotBeReadIsToldBesideTheRest",
            {"policy", "lint", "odd"},
            1,
            "odd/gone.yaml: invalid: cannot read odd/gone.yaml\nodd/pipe.yaml: invalid: "
            "odd/pipe.yaml is no "
            "regular file\nodd/within: warning: a folder: a router does not look into it\n2 files: "
            "2 problems\n"},
        Row{"NothingToLookAt",
            {"policy", "lint", "above"},
            2,
            "'above' holds no file of objects (*.yaml, *.yml, *.json), only folders, into which "
            "neither this nor a router looks"},
        Row{"NoDirectory",
            {"policy", "lint", "ugly"},
            2,
            "'ugly' is not a directory that can be read"},
        Row{"Json",
            {"policy", "lint", "bad", "--json"},
            1,
            "\"kind\":\"invalid\",\"file\":\"bad/x.yaml\""}),
    [](const auto& row) { return std::string(row.param.name); });

TEST(Examples, AreInTheReadme) {
    const char* name = std::getenv("VROUTER_README");
    if (name == nullptr) {
        GTEST_SKIP() << "VROUTER_README does not name the README";
    }
    std::ifstream file(name);
    std::stringstream readme;
    readme << file.rdbuf();
    for (const Command& command : commands()) {
        EXPECT_THAT(readme.str(), HasSubstr(std::string(command.example))) << command.words;
    }
}

TEST(Examples, AreInTheHelp) {
    for (const Command& command : commands()) {
        const std::string words(command.words);
        const auto space = words.find(' ');
        std::vector<std::string> line{words.substr(0, space)};
        if (space != std::string::npos) {
            line.push_back(words.substr(space + 1));
        }
        line.emplace_back("--help");
        EXPECT_THAT(run(line).text, HasSubstr(std::string(command.example)));
    }
}

/// What a router hears of `bgp load` with these words; it refuses the request of number `refused`.
struct Heard {
    std::vector<std::string> requests;  ///< "PREFIX by NEXT-HOP" of each route
    Result<pb::Response> answer;
};

Heard load(const std::vector<std::string>& words, std::size_t refused = 1000) {
    std::vector<std::string> line{"bgp", "load"};
    line.insert(line.end(), words.begin(), words.end());
    const auto parsed = parse(line, "/default.sock", read);
    const auto& invocation = std::get<Invocation>(parsed);
    Heard heard;
    const auto ask = [&](const pb::Request& request) -> Result<pb::Response> {
        const std::string& mrt = request.load_bgp().mrt();
        const std::vector<std::uint8_t> octets(mrt.begin(), mrt.end());
        std::string routes;
        std::uint64_t count = 0;
        bgp::MrtReader reader{Bytes{octets}};
        while (reader.read(
            [&](const bgp::MrtPath& path) {
                routes += to_string(path.prefix) + " by " + to_string(path.attributes.next_hop);
                ++count;
            },
            [](const std::string& problem) { ADD_FAILURE() << problem; })) {
        }
        heard.requests.push_back(routes);
        EXPECT_LE(count, kMostLoaded);
        pb::Response response;
        if (heard.requests.size() == refused) {
            response.mutable_error()->set_text("no");
        } else {
            response.mutable_bgp_loaded()->set_routes(count);
        }
        return response;
    };
    const Files files{.read = read, .open = open, .list = list};
    heard.answer = invocation.command->conversation(invocation.values, files, ask);
    return heard;
}

TEST(BgpLoad, SendsTheFirstPathOfEachPrefix) {
    const Heard heard = load({"two_paths.mrt"});
    EXPECT_THAT(heard.requests, ElementsAre("10.0.0.0/8 by 192.0.2.2"));
    EXPECT_EQ(heard.answer->bgp_loaded().routes(), 1U);
    EXPECT_EQ(bgp_loaded_text(*heard.answer), "routes: 1\n");
    EXPECT_EQ(bgp_loaded_exit(*heard.answer), Exit::Ok);
}

TEST(BgpLoad, SendsWhatOnePeerSaid) {
    EXPECT_THAT(
        load({"two_paths.mrt", "--neighbor", "192.0.2.3"}).requests,
        ElementsAre("10.0.0.0/8 by 192.0.2.3"));
    const Heard heard = load({"two_paths.mrt", "--neighbor", "192.0.2.4"});
    EXPECT_TRUE(heard.requests.empty());
    EXPECT_EQ(bgp_loaded_text(*heard.answer), "routes: 0\nproblem: no path is of 192.0.2.4\n");
    EXPECT_EQ(bgp_loaded_exit(*heard.answer), Exit::Refused);
}

TEST(BgpLoad, SendsALargeTablePieceByPiece) {
    const Heard heard = load({"many.mrt"});
    EXPECT_EQ(heard.answer->bgp_loaded().routes(), kLargeRows);
    EXPECT_EQ(heard.requests.size(), (kLargeRows + kMostLoaded - 1) / kMostLoaded);
}

TEST(BgpLoad, EndsWhenTheRouterRefuses) {
    const Heard heard = load({"many.mrt"}, 2);
    EXPECT_EQ(heard.requests.size(), 2U);
    EXPECT_TRUE(heard.answer->has_error());
}

TEST(BgpLoad, SaysWhatItDoesNotUnderstandAndLoadsTheRest) {
    const Heard heard = load({"cut.mrt"});
    EXPECT_EQ(heard.answer->bgp_loaded().routes(), 0U);
    EXPECT_EQ(
        bgp_loaded_text(*heard.answer), "routes: 0\nproblem: record 2: the file ends within it\n");
    EXPECT_EQ(bgp_loaded_exit(*heard.answer), Exit::Refused);
    EXPECT_EQ(load({"cut_later.mrt"}).answer->bgp_loaded().routes(), 1U);
}

TEST(BgpLoad, TheFileMustBeThere) {
    EXPECT_FALSE(load({"absent.mrt"}).answer);
}

TEST(BgpLoad, TellsHowToUnpackAnArchive) {
    EXPECT_EQ(
        load({"table.mrt.bz2"}).answer.error().text,
        "table.mrt.bz2: it is compressed: 'bzip2 -dc FILE | vrouterctl bgp load -' unpacks it");
}

TEST(BgpRead, PrintsEveryPathOfATable) {
    const Printed printed = run({"bgp", "read", "table.mrt"});
    EXPECT_EQ(printed.exit, 0);
    EXPECT_EQ(
        printed.text,
        "2024-03-24T10:27:12Z recorded 10.0.0.0/8 by 192.0.2.2: origin igp, as-path 65001, "
        "next-hop "
        "192.0.2.2\n");
}

TEST(BgpRead, AsJson) {
    const Printed printed = run({"bgp", "read", "table.mrt", "--json"});
    EXPECT_THAT(printed.text, HasSubstr("\"state\":\"recorded\""));
    EXPECT_THAT(printed.text, HasSubstr("\"as_path\":\"65001\""));
}

/// However many there are, in pieces.
TEST(BgpRead, ShowsRowsWhileItReads) {
    const Printed printed = run({"bgp", "read", "large.mrt"});
    EXPECT_EQ(std::ranges::count(printed.text, '\n'), kLargeRows);
    EXPECT_GT(printed.frames, 10);
    EXPECT_LT(printed.longest, 1000);
}

TEST(BgpRead, SeveralFilesAreOneListing) {
    const Printed printed = run({"bgp", "read", "large.mrt", "table.mrt", "--json"});
    const auto rows = boost::json::parse(printed.text);
    EXPECT_EQ(rows.as_array().size(), kLargeRows + 1);
}

TEST(BgpRead, OfManyFilesFewAreOpen) {
    std::vector<std::string> words{"bgp", "read"};
    words.resize(1022, "table.mrt");
    const auto parsed = parse(words, "/default.sock", read);
    const auto& invocation = std::get<Invocation>(parsed);
    const auto token = std::make_shared<int>();
    long most = 0;
    const auto counted = [&](const std::string& name) -> Result<ReadPiece> {
        auto file = open(name);
        return ReadPiece{[read_on = *std::move(file), held = token, &most](auto room) mutable {
            most = std::max(most, held.use_count());
            return read_on(room);
        }};
    };
    const Files files{.read = read, .open = counted, .list = list};
    int rows = 0;
    const auto show = [&](const pb::Response& frame) { rows += frame.bgp_routes().rows_size(); };
    EXPECT_TRUE(invocation.command->frames(invocation.values, files, show));
    EXPECT_EQ(rows, 1020);
    EXPECT_LT(most, 300);
}

TEST(BgpRead, NothingIsAnEmptyListing) {
    EXPECT_EQ(run({"bgp", "read", "table.mrt", "--prefix", "11.0.0.0/8", "--json"}).text, "[]\n");
}

TEST(BgpRead, EveryFileMustBeThere) {
    const Printed printed = run({"bgp", "read", "table.mrt", "absent.mrt"});
    EXPECT_EQ(printed.exit, static_cast<int>(Exit::Usage));
    EXPECT_EQ(printed.text, "cannot read absent.mrt");
}

TEST(BgpRead, OnlyWhatIsWanted) {
    EXPECT_EQ(run({"bgp", "read", "table.mrt", "--prefix", "10.1.0.0/16"}).text, "");
    EXPECT_NE(run({"bgp", "read", "table.mrt", "--prefix", "10.1.0.0"}).text, "");
    EXPECT_NE(run({"bgp", "read", "table.mrt", "--prefix", "0.0.0.0/0"}).text, "");
}

TEST(BgpRead, TellsHowToUnpackAnArchive) {
    const Printed printed = run({"bgp", "read", "table.mrt.gz", "table.mrt"});
    EXPECT_EQ(printed.exit, 1);
    EXPECT_THAT(
        printed.text,
        HasSubstr("problem: table.mrt.gz: it is compressed: 'gzip -dc FILE | vrouterctl bgp read "
                  "-' unpacks it\n"));
    EXPECT_THAT(printed.text, HasSubstr("recorded 10.0.0.0/8"));
}

TEST(BgpRead, SaysWhatItDoesNotUnderstand) {
    const Printed printed = run({"bgp", "read", "cut.mrt", "good/x.yaml"});
    EXPECT_EQ(printed.exit, 1);
    EXPECT_THAT(printed.text, HasSubstr("problem: cut.mrt: record 2: the file ends within it\n"));
    EXPECT_THAT(printed.text, HasSubstr("problem: good/x.yaml: record 1:"));
}

}  // namespace
}  // namespace vr::ctl::offline_test
