// What the handlers of BGP answer, given a speaker without sockets.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

#include <boost/asio/io_context.hpp>

#include "bgp/mrt.h"
#include "bgp/speaker.h"
#include "ctl/handlers.h"
#include "ctl/text.h"

namespace vr::ctl::bgp_handlers_test {
namespace {

class NoRoutes final : public bgp::RouteSink {
  public:
    void update(const IpPrefix& /*prefix*/, const bgp::LearntRoute& /*route*/) override {}

    void withdraw(const IpPrefix& /*prefix*/) override {}
};

class BgpHandler : public testing::Test {
  protected:
    BgpHandler() {
        bgp::PeerConfig peer;
        peer.address = *parse_ip("192.0.2.2");
        peer.asn = Asn{64512};
        peer.passive = true;
        static_cast<void>(speaker->add_peer(peer));
        peer.address = *parse_ip("fd00::2");
        peer.asn = Asn{64999};
        static_cast<void>(speaker->add_peer(peer));
        const FindSpeaker find = [this]() -> const std::shared_ptr<bgp::Speaker>& {
            return speaker;
        };
        const auto restart = [this](BgpActions::Restarted done) {
            if (!why_no_restart.empty()) {
                return done(fail(why_no_restart));
            }
            speaker = make_speaker();
            done({});
        };
        const auto reload = [this](BgpActions::Reloaded done) { done(reloaded); };
        serve_bgp(dispatch, find, {.restart = restart, .reload = reload});
        serve_bgp_routes(dispatch, find);
        serve_bgp_dump(dispatch, find);
        serve_bgp_load(dispatch, find, false);
    }

    std::shared_ptr<bgp::Speaker> make_speaker() {
        return std::make_shared<bgp::Speaker>(loop, config(), sink, oracle);
    }

    static bgp::SpeakerConfig config() {
        bgp::SpeakerConfig config;
        config.asn = Asn{64512};
        config.router_id = *Ip4::parse("192.0.2.1");
        config.listen.clear();
        return config;
    }

    std::vector<pb::Response> ask(const pb::Request& request) {
        Slices slices;
        dispatch.answer(request, [&](Slices given) { slices = std::move(given); });
        while (!slices) {
            loop.restart();
            loop.run_one();
        }
        std::vector<pb::Response> frames(1);
        while (slices(frames.back())) {
            frames.emplace_back();
        }
        return frames;
    }

    pb::BgpNeighbor neighbor(const std::string& address) {
        pb::Request request;
        request.mutable_show_bgp()->set_neighbor(address);
        return ask(request).front().bgp().rows(0);
    }

    pb::Response set(
        const std::string& address,
        pb::SetBgpNeighbor::Action action,
        const std::string& text = {}) {
        pb::Request request;
        auto& set = *request.mutable_set_bgp_neighbor();
        set.set_neighbor(address);
        set.set_action(action);
        set.set_text(text);
        return ask(request).front();
    }

    std::vector<pb::BgpRoute> routes(const pb::ShowBgpRoutes& show) {
        pb::Request request;
        *request.mutable_show_bgp_routes() = show;
        std::vector<pb::BgpRoute> found;
        for (const pb::Response& frame : ask(request)) {
            EXPECT_LE(frame.bgp_routes().rows_size(), static_cast<int>(kRowsPerFrame));
            found.insert(
                found.end(), frame.bgp_routes().rows().begin(), frame.bgp_routes().rows().end());
        }
        return found;
    }

    std::vector<pb::BgpRoute> routes(const std::string& prefix) {
        pb::ShowBgpRoutes show;
        show.set_prefix(prefix);
        return routes(show);
    }

    void await(const std::string& link) {
        bgp::PeerSummary row;
        row.address = Ip6{};
        row.link = link;
        speaker->set_awaited({row});
    }

    void settle() {
        loop.restart();
        loop.poll();
    }

    boost::asio::io_context loop;
    NoRoutes sink;
    bgp::AnyNextHop oracle;
    std::shared_ptr<bgp::Speaker> speaker = make_speaker();
    std::string why_no_restart;
    Result<BgpChanges> reloaded;
    Dispatch dispatch;
};

TEST_F(BgpHandler, TellsTheSpeaker) {
    pb::Request request;
    request.mutable_show_bgp_speaker();
    const auto reply = ask(request).front().bgp_speaker();
    EXPECT_EQ(reply.asn(), 64512U);
    EXPECT_EQ(reply.router_id(), "192.0.2.1");
    EXPECT_EQ(reply.neighbors(), 2U);
    EXPECT_EQ(reply.established(), 0U);
}

TEST_F(BgpHandler, TellsTheFiltersInForce) {
    EXPECT_EQ(neighbor("192.0.2.2").import_filter(), "all");
    EXPECT_EQ(neighbor("fd00::2").import_filter(), "none: eBGP needs a filter (RFC 8212)");
}

TEST_F(BgpHandler, ShutDownLastsUntilEnabled) {
    EXPECT_EQ(
        set("192.0.2.2", pb::SetBgpNeighbor::ACTION_SHUT_DOWN, "new fans").cleared().count(), 1U);
    EXPECT_TRUE(neighbor("192.0.2.2").shut_down());
    EXPECT_EQ(neighbor("192.0.2.2").shutdown_text(), "new fans");
    EXPECT_EQ(neighbor("192.0.2.2").state(), pb::BgpNeighbor::STATE_IDLE);
    set("192.0.2.2", pb::SetBgpNeighbor::ACTION_CLEAR);
    EXPECT_EQ(neighbor("192.0.2.2").state(), pb::BgpNeighbor::STATE_IDLE);
    set("192.0.2.2", pb::SetBgpNeighbor::ACTION_ENABLE);
    EXPECT_FALSE(neighbor("192.0.2.2").shut_down());
    EXPECT_EQ(neighbor("192.0.2.2").state(), pb::BgpNeighbor::STATE_ACTIVE);
}

TEST_F(BgpHandler, ShutDownSurvivesAChangedConfiguration) {
    set("192.0.2.2", pb::SetBgpNeighbor::ACTION_SHUT_DOWN, "new fans");
    bgp::PeerConfig changed;
    changed.address = *parse_ip("192.0.2.2");
    changed.asn = Asn{64513};
    ASSERT_TRUE(speaker->set_peer(changed));
    EXPECT_EQ(neighbor("192.0.2.2").shutdown_text(), "new fans");
}

TEST_F(BgpHandler, ActsOnAll) {
    EXPECT_EQ(set("all", pb::SetBgpNeighbor::ACTION_CLEAR_BOTH).cleared().count(), 2U);
}

TEST_F(BgpHandler, ActsOnNobodyElse) {
    EXPECT_EQ(
        set("192.0.2.9", pb::SetBgpNeighbor::ACTION_SHUT_DOWN).error().code(),
        pb::Error::CODE_NOT_FOUND);
}

TEST_F(BgpHandler, AwaitedNeighborHasNoAddressButAnInterface) {
    await("uplink0");
    for (const char* name : {"uplink0", "%uplink0"}) {
        const pb::BgpNeighbor row = neighbor(name);
        EXPECT_EQ(row.address(), "") << name;
        EXPECT_EQ(row.interface(), "uplink0") << name;
    }
}

TEST_F(BgpHandler, AwaitedNeighborIsNotKnownYet) {
    await("uplink0");
    for (const auto action :
         {pb::SetBgpNeighbor::ACTION_CLEAR, pb::SetBgpNeighbor::ACTION_SHUT_DOWN}) {
        EXPECT_EQ(
            set("%uplink0", action).error().text(),
            "the BGP neighbor on '%uplink0' is not known yet: 'show bgp' says why");
    }
    EXPECT_EQ(
        set("uplink1", pb::SetBgpNeighbor::ACTION_CLEAR).error().text(),
        "no BGP neighbor 'uplink1': 'show bgp' lists them");
}

TEST_F(BgpHandler, RefusesATextThatIsTooLong) {
    EXPECT_EQ(
        set("all", pb::SetBgpNeighbor::ACTION_SHUT_DOWN, std::string(256, 'x')).error().code(),
        pb::Error::CODE_INVALID);
    EXPECT_FALSE(neighbor("192.0.2.2").shut_down());
}

TEST_F(BgpHandler, RefusesNoAction) {
    EXPECT_EQ(
        set("all", pb::SetBgpNeighbor::ACTION_UNSPECIFIED).error().code(), pb::Error::CODE_INVALID);
}

TEST_F(BgpHandler, ShowsPathsWithTheirAttributes) {
    bgp::Attributes own;
    own.communities = {0xfc000007};
    own.large_communities = {{1, 2, 3}};
    own.med = 5;
    speaker->originate(*parse_prefix("10.0.0.0/24"), own);
    settle();
    const auto rows = routes("");
    ASSERT_EQ(rows.size(), 1U);
    EXPECT_EQ(rows[0].prefix(), "10.0.0.0/24");
    EXPECT_EQ(rows[0].next_hop(), "") << "ours";
    EXPECT_EQ(rows[0].state(), pb::BgpRoute::STATE_BEST);
    EXPECT_EQ(rows[0].neighbor(), "");
    EXPECT_EQ(rows[0].kind(), "local");
    EXPECT_EQ(rows[0].med(), 5U);
    EXPECT_FALSE(rows[0].has_local_pref());
    EXPECT_EQ(rows[0].communities(0), "64512:7");
    EXPECT_EQ(rows[0].communities(1), "1:2:3");
}

TEST_F(BgpHandler, ShowsBothAddressesOfANextHop) {  // RFC 2545
    const auto row_of = [&](const char* global) {
        bgp::Attributes attributes;
        attributes.next_hop = *parse_ip(global);
        attributes.next_hop_link_local = Ip6::parse("fe80::1");
        speaker->originate(*parse_prefix("2001:db8::/32"), attributes);
        settle();
        return routes("").at(0);
    };
    const pb::BgpRoute both = row_of("2001:db8::1");
    EXPECT_EQ(both.next_hop(), "2001:db8::1");
    EXPECT_EQ(both.next_hop_link_local(), "fe80::1");
    EXPECT_EQ(bgp_next_hop_text(both), "2001:db8::1 fe80::1");
    const pb::BgpRoute one = row_of("::");
    EXPECT_EQ(one.next_hop(), "fe80::1");
    EXPECT_EQ(bgp_next_hop_text(one), "fe80::1");
}

TEST_F(BgpHandler, ShowsWhatIsInsideAPrefix) {
    for (const char* own : {"10.0.0.0/24", "10.0.1.0/24", "11.0.0.0/8", "fd00::/64"}) {
        speaker->originate(*parse_prefix(own));
    }
    settle();
    EXPECT_EQ(routes("10.0.0.0/8").size(), 2U);
    EXPECT_EQ(routes("fd00::/8").size(), 1U);
}

TEST_F(BgpHandler, ShowsTheRoutesToAnAddressMostSpecificFirst) {
    for (const char* own : {"0.0.0.0/0", "10.0.0.0/8", "10.0.0.0/24", "10.0.1.0/24"}) {
        speaker->originate(*parse_prefix(own));
    }
    settle();
    const auto rows = routes("10.0.0.7");
    ASSERT_EQ(rows.size(), 3U);
    EXPECT_EQ(rows[0].prefix(), "10.0.0.0/24");
    EXPECT_EQ(rows[2].prefix(), "0.0.0.0/0");
}

TEST_F(BgpHandler, ShowsALargeTableCompletely) {
    for (std::uint32_t i = 0; i < 5000; ++i) {
        speaker->originate(Prefix<V4>::host(Ip4{0x0a000000 + i}));
    }
    speaker->originate(*parse_prefix("fd00::/64"));
    settle();
    EXPECT_EQ(routes("").size(), 5001U);
    EXPECT_EQ(routes("10.0.0.0/30").size(), 4U);
}

TEST_F(BgpHandler, ShowsPathsInTheOrderOfPrefixes) {
    for (const char* own : {"11.0.0.0/8", "10.0.1.0/24", "fd00::/64", "10.0.0.0/24"}) {
        speaker->originate(*parse_prefix(own));
    }
    settle();
    std::vector<std::string> prefixes;
    for (const pb::BgpRoute& row : routes("")) {
        prefixes.push_back(row.prefix());
    }
    EXPECT_EQ(
        prefixes,
        (std::vector<std::string>{"10.0.0.0/24", "10.0.1.0/24", "11.0.0.0/8", "fd00::/64"}));
}

TEST_F(BgpHandler, LooksForFewRoutesInSlicesWhereManyWere) {
    constexpr std::uint32_t kWere = 50'000;
    for (std::uint32_t i = 0; i < kWere; ++i) {
        speaker->originate(Prefix<V4>::host(Ip4{0x0a000000 + i}));
    }
    settle();
    for (std::uint32_t i = 0; i + 1 < kWere; ++i) {
        speaker->withdraw(Prefix<V4>::host(Ip4{0x0a000000 + i}));
    }
    settle();
    pb::Request request;
    request.mutable_show_bgp_routes();
    const auto frames = ask(request);
    EXPECT_GT(frames.size(), 4U);
    EXPECT_EQ(frames.back().bgp_routes().rows_size(), 1);
}

TEST_F(BgpHandler, DumpsTheWholeTable) {
    for (std::uint32_t i = 0; i < 500; ++i) {
        speaker->originate(Prefix<V4>::host(Ip4{0x0a000000 + i}));
    }
    settle();
    pb::Request request;
    request.mutable_dump_bgp();
    std::string file;
    const auto frames = ask(request);
    for (const pb::Response& frame : frames) {
        file += frame.bgp_dump().mrt();
    }
    EXPECT_GT(frames.size(), 1U);
    std::size_t records = 0;
    for (std::size_t at = 0; at + 12 <= file.size(); ++records) {
        at += 12 + load_be<std::uint32_t>(file.data() + at + 8);
        EXPECT_LE(at, file.size());
    }
    EXPECT_EQ(records, 501U);
}

/// The octets of a file with a path to each prefix, by the peers given.
std::string mrt_of(
    const std::vector<std::string>& prefixes, std::string_view next_hop = "192.0.2.7") {
    bgp::MrtDump dump{bgp::MrtPeer{}, {}, 0};
    Writer out;
    dump.write_peers(out);
    for (const std::string& prefix : prefixes) {
        bgp::RouteSummary route{.prefix = *parse_prefix(prefix), .paths = {}};
        route.paths.emplace_back().attributes.next_hop = *parse_ip(next_hop);
        dump.write_route(route, out);
    }
    const auto octets = out.release();
    return {octets.begin(), octets.end()};
}

pb::Request load_request(const std::string& mrt) {
    pb::Request request;
    request.mutable_load_bgp()->set_mrt(mrt);
    return request;
}

TEST_F(BgpHandler, LoadsRoutesBesideItsOwnAndTakesThemBack) {
    speaker->originate(*parse_prefix("10.0.0.0/24"));
    EXPECT_EQ(
        ask(load_request(mrt_of({"10.0.0.0/24", "10.0.1.0/24"}))).front().bgp_loaded().routes(),
        2U);
    EXPECT_EQ(
        ask(load_request(mrt_of({"fd00::/64"}, "fd00::7"))).front().bgp_loaded().routes(), 1U);
    settle();
    const auto both = routes("10.0.0.0/24");
    ASSERT_EQ(both.size(), 2U);
    EXPECT_EQ(both[0].state(), pb::BgpRoute::STATE_BEST);
    EXPECT_EQ(both[0].next_hop(), "") << "its own";
    EXPECT_EQ(both[1].reason(), "loaded");
    ASSERT_EQ(routes("10.0.1.0/24").size(), 1U);
    EXPECT_EQ(routes("10.0.1.0/24")[0].next_hop(), "192.0.2.7");
    pb::Request unload;
    unload.mutable_unload_bgp();
    EXPECT_EQ(ask(unload).back().bgp_loaded().routes(), 3U);
    settle();
    EXPECT_EQ(routes("10.0.0.0/24").size(), 1U);
    EXPECT_EQ(routes("10.0.1.0/24").size(), 0U);
    EXPECT_EQ(routes("fd00::/64").size(), 0U);
    EXPECT_EQ(ask(unload).back().bgp_loaded().routes(), 0U);
}

TEST_F(BgpHandler, UnloadsInSlices) {
    std::vector<std::string> prefixes;
    for (unsigned i = 0; i < 128; ++i) {
        prefixes.push_back("10.0." + std::to_string(i) + ".0/24");
    }
    for (unsigned i = 0; i < 2000; ++i) {
        speaker->originate(Prefix<V4>::host(Ip4{0x0b000000 + i}));
    }
    EXPECT_EQ(ask(load_request(mrt_of(prefixes))).front().bgp_loaded().routes(), 128U);
    pb::Request unload;
    unload.mutable_unload_bgp();
    const auto frames = ask(unload);
    EXPECT_GT(frames.size(), 3U);
    EXPECT_EQ(frames.back().bgp_loaded().routes(), 128U);
}

TEST_F(BgpHandler, LoadsAllOfARequestOrNothing) {
    std::vector<std::string> many;
    for (unsigned i = 0; i < 129; ++i) {
        many.push_back("10.1." + std::to_string(i) + ".0/24");
    }
    const std::string good = mrt_of({"10.0.0.0/24"});
    const std::map<std::string, std::string> refused{
        {mrt_of(many), "too many routes for one request"},
        {good.substr(0, good.size() - 1), "record 2: the file ends within it"},
        {good + "x", "record 3: the file ends within it"},
        {"no such file at all", "record 1"}};
    for (const auto& [mrt, why] : refused) {
        const pb::Error error = ask(load_request(mrt)).front().error();
        EXPECT_EQ(error.code(), pb::Error::CODE_INVALID);
        EXPECT_NE(error.text().find(why), std::string::npos) << error.text();
    }
    settle();
    EXPECT_TRUE(routes("").empty());
}

TEST_F(BgpHandler, LoadsNothingWherePacketsWouldFollow) {
    Dispatch forwards;
    serve_bgp_load(
        forwards, [this]() -> const std::shared_ptr<bgp::Speaker>& { return speaker; }, true);
    Slices slices;
    forwards.answer(
        load_request(mrt_of({"10.0.0.0/24"})), [&](Slices given) { slices = std::move(given); });
    pb::Response frame;
    EXPECT_FALSE(slices(frame));
    EXPECT_EQ(frame.error().code(), pb::Error::CODE_REFUSED);
    settle();
    EXPECT_TRUE(routes("").empty());
}

TEST_F(BgpHandler, AListingEndsWithTheSpeakerThatItIsOf) {
    for (std::uint32_t i = 0; i < 5000; ++i) {
        speaker->originate(Prefix<V4>::host(Ip4{0x0a000000 + i}));
    }
    settle();
    pb::Request request;
    request.mutable_show_bgp_routes();
    Slices slices;
    dispatch.answer(request, [&](Slices given) { slices = std::move(given); });
    pb::Response frame;
    ASSERT_TRUE(slices(frame));
    pb::Request restart;
    restart.mutable_restart_bgp();
    EXPECT_TRUE(ask(restart).front().has_cleared());
    frame.Clear();
    EXPECT_FALSE(slices(frame));
    EXPECT_EQ(frame.error().code(), pb::Error::CODE_REFUSED);
}

TEST_F(BgpHandler, TellsWhyThereIsNoRestart) {
    why_no_restart = "the port is taken";
    pb::Request request;
    request.mutable_restart_bgp();
    EXPECT_EQ(ask(request).front().error().text(), why_no_restart);
}

TEST_F(BgpHandler, TellsWhatAReloadChanged) {
    pb::Request request;
    request.mutable_reload_bgp();
    reloaded = BgpChanges{.came = 3, .gone = 2, .changed = 1};
    EXPECT_EQ(
        bgp_reloaded_text(ask(request).front()),
        "neighbors and ranges: 3 came, 2 went, 1 changed\n");
    reloaded = fail("vrouter.yaml: bgp.as: 'x' is not a number");
    EXPECT_EQ(ask(request).front().error().code(), pb::Error::CODE_REFUSED);
    EXPECT_EQ(ask(request).front().error().text(), reloaded.error().text);
    reloaded = fail("vrouter.yaml: \xff\xfe is not YAML");
    EXPECT_EQ(ask(request).front().error().text(), "vrouter.yaml: ?? is not YAML");
}

TEST_F(BgpHandler, KnowsNoRoutesOfOthers) {
    pb::Request request;
    request.mutable_show_bgp_routes()->set_received("192.0.2.9");
    EXPECT_EQ(ask(request).front().error().code(), pb::Error::CODE_NOT_FOUND);
    request.mutable_show_bgp_routes()->set_received("192.0.2.2");
    EXPECT_EQ(ask(request).front().bgp_routes().rows_size(), 0);
}

TEST_F(BgpHandler, RefusesWhatIsNoPrefix) {
    pb::Request request;
    request.mutable_show_bgp_routes()->set_prefix("10.0.0.0/99");
    EXPECT_EQ(ask(request).front().error().code(), pb::Error::CODE_INVALID);
}

}  // namespace
}  // namespace vr::ctl::bgp_handlers_test
