// Server and client over loopback: who is let in, who gets what, and what a lost server costs.
// SPDX-License-Identifier: Apache-2.0
#include "policy/policyd/server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>

#include "policy/policyd/client.h"
#include "policy/policyd/link.h"
#include "policy/policyd/lobby.h"
#include "policy/policyd/recording.h"
#include "policy/policyd/status.h"
#include "test/policyd/certificates.h"
#include "test/policyd/stream.h"

namespace vr::policyd::server_test {
namespace {

using boost::asio::ip::tcp;
using testing::HasSubstr;

std::string endpoint(std::string_view name, std::string_view node, std::string_view address) {
    return document(
        "WorkloadEndpoint",
        fmt::format("name: {}, namespace: n", name),
        fmt::format("node: {}, interfaceName: tap{}, ipNetworks: [{}]", node, name, address));
}

/// A server with one endpoint on each of the hosts a and b.
struct Replica {
    Replica(
        boost::asio::io_context& loop, const Credentials& credentials, ServerSettings settings = {})
        : io(loop) {
        set("a", endpoint("ea", "a", "10.0.0.1"));
        set("b", endpoint("eb", "b", "10.0.0.2"));
        cluster.on({0, {policy::InSync{}}});
        settings.listen = {"127.0.0.1:0"};
        settings.credentials = credentials;
        auto listening = Server::listen(io, settings, cluster);
        EXPECT_TRUE(listening) << (listening ? "" : listening.error().text);
        server = std::move(*listening);
        port = server->port().value();
    }

    void set(const std::string& file, const std::optional<std::string>& text) {
        cluster.on(documents.set(file, text));
        if (server) {
            (void)server->tell(policy::Slice());
        }
    }

    boost::asio::io_context& io;
    Documents documents;
    Cluster cluster;
    std::unique_ptr<Server> server;
    std::uint16_t port = 0;
};

/// A host with its graph.
struct Follower {
    Follower(
        boost::asio::io_context& io,
        const std::string& name,
        const std::vector<std::uint16_t>& ports,
        const Credentials& credentials,
        const std::string& state_file = {})
        : graph(name, sink, policy::MembersFrom::Stream),
          client(
              io,
              settings(name, ports, credentials, state_file),
              [this](const policy::Batch& batch) { graph.on(batch); }) {
        EXPECT_TRUE(client.start());
    }

    static ClientSettings settings(
        const std::string& name,
        const std::vector<std::uint16_t>& ports,
        const Credentials& credentials,
        const std::string& state_file) {
        ClientSettings made{name, {}, credentials, state_file};
        for (const auto port : ports) {
            made.servers.push_back({"127.0.0.1", port});
        }
        return made;
    }

    [[nodiscard]] bool has(const std::string& workload) const {
        return sink.workloads.contains(workload);
    }

    policy::RememberingSink sink;
    policy::Graph graph;
    Client client;
};

/// Says what it is given over TLS, whoever it is, and hears how that ends.
struct Speaker {
    Speaker(
        boost::asio::io_context& io,
        std::uint16_t port,
        std::shared_ptr<boost::asio::ssl::context> context,
        std::vector<std::string> hosts) {
        tcp::socket socket(io);
        socket.connect({boost::asio::ip::make_address("127.0.0.1"), port});
        link = std::make_shared<Link>(std::move(socket), std::move(context), kMaxFrame);
        link->start(
            boost::asio::ssl::stream_base::client,
            {.on_secured =
                 [this, hosts = std::move(hosts)] {
                     for (const auto& host : hosts) {
                         pb::FromHost message;
                         message.mutable_hello()->set_protocol(kProtocol);
                         message.mutable_hello()->set_host(host);
                         link->send(frame(message));
                     }
                 },
             .on_frame =
                 [this](Bytes content) {
                     const auto message = parse_from_server(content);
                     ASSERT_TRUE(message);
                     refusal += message->refused().reason();
                     batches += message->has_batch() ? 1 : 0;
                 },
             .on_sent = [] {},
             .on_end = [this](const std::string&) { ended = true; }});
    }

    Speaker(const Speaker&) = delete;
    Speaker& operator=(const Speaker&) = delete;
    Speaker(Speaker&&) = delete;
    Speaker& operator=(Speaker&&) = delete;

    ~Speaker() { link->close(); }

    std::shared_ptr<Link> link;
    std::string refusal;
    int batches = 0;
    bool ended = false;
};

class ServerTest : public testing::Test {
  protected:
    /// Runs the loop until `done`; the deadline is for a test that fails.
    [[nodiscard]] bool until(const std::function<bool()>& done) {
        const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
        while (!done() && std::chrono::steady_clock::now() < end) {
            io.run_one_for(std::chrono::milliseconds(50));
        }
        return done();
    }

    TemporaryDirectory directory;
    boost::asio::io_context io;
    Authority authority{directory.path, "authority"};
    Credentials of_server = authority.issue("policyd");
    Credentials of_a = authority.issue("a");
};

TEST_F(ServerTest, HostGetsItsOwnEndpointsAlone) {
    Replica replica(io, of_server);
    Follower host(io, "a", {replica.port}, of_a);
    ASSERT_TRUE(until([&] { return host.has("n/ea"); }));
    EXPECT_EQ(host.sink.workloads.size(), 1U);
    replica.set("more", endpoint("more", "a", "10.0.0.3"));
    EXPECT_TRUE(until([&] { return host.has("n/more"); }));
}

/// Half of a batch may be wider than both of its ends; meanwhile the connection is served.
TEST_F(ServerTest, HostIsToldNothingInTheMiddleOfABatch) {
    Replica replica(io, of_server);
    Follower host(io, "a", {replica.port}, of_a);
    ASSERT_TRUE(until([&] { return host.has("n/ea"); }));
    policy::Batch batch;
    for (const char* name : {"one", "two", "three"}) {
        auto part = replica.documents.set(name, endpoint(name, "a", "10.0.0.9"));
        batch.events.insert(batch.events.end(), part.events.begin(), part.events.end());
    }
    replica.cluster.add(std::move(batch));
    const policy::Slice one_step{std::chrono::microseconds{0}};
    while (!replica.cluster.go_on(one_step)) {
        (void)replica.server->tell(policy::Slice());
        io.poll();
        EXPECT_EQ(host.sink.workloads.size(), 1U);
    }
    (void)replica.server->tell(policy::Slice());
    EXPECT_TRUE(until([&] { return host.sink.workloads.size() == 4; }));
    EXPECT_EQ(replica.server->counters().lost, 0U);
}

TEST_F(ServerTest, HostThatComesInTheMiddleOfABatchIsToldAllBehindIt) {
    Replica replica(io, of_server);
    auto batch = replica.documents.set("more", endpoint("more", "a", "10.0.0.3"));
    replica.cluster.add(std::move(batch));
    ASSERT_FALSE(replica.cluster.go_on(policy::Slice{std::chrono::microseconds{0}}));
    Follower host(io, "a", {replica.port}, of_a);
    ASSERT_TRUE(until([&] { return replica.server->counters().snapshots == 1; }));
    io.poll();
    EXPECT_TRUE(host.sink.workloads.empty());
    while (!replica.cluster.go_on(policy::Slice())) {
    }
    (void)replica.server->tell(policy::Slice());
    EXPECT_TRUE(until([&] { return host.has("n/ea") && host.has("n/more"); }));
}

/// In turns, of which each host gets one.
TEST_F(ServerTest, HostsAreToldOneAfterTheOther) {
    Replica replica(io, of_server);
    Follower a(io, "a", {replica.port}, of_a);
    Follower b(io, "b", {replica.port}, authority.issue("b"));
    ASSERT_TRUE(until([&] { return a.has("n/ea") && b.has("n/eb"); }));
    replica.cluster.on(replica.documents.set("a", endpoint("na", "a", "10.0.0.3")));
    replica.cluster.on(replica.documents.set("b", endpoint("nb", "b", "10.0.0.4")));
    const auto before = replica.server->counters().parcels;
    const policy::Slice one_step{std::chrono::microseconds{0}};
    EXPECT_FALSE(replica.server->tell(one_step));
    EXPECT_EQ(replica.server->counters().parcels, before + 1);
    EXPECT_FALSE(replica.server->tell(one_step));
    EXPECT_EQ(replica.server->counters().parcels, before + 2);
    EXPECT_TRUE(replica.server->tell(one_step)) << "all were asked";
    EXPECT_TRUE(until([&] { return a.has("n/na") && b.has("n/nb"); }));
}

TEST_F(ServerTest, AHostThatLeavesWhileOthersAreToldIsNotMissed) {
    Replica replica(io, of_server);
    auto a = std::make_unique<Follower>(io, "a", std::vector{replica.port}, of_a);
    Follower b(io, "b", {replica.port}, authority.issue("b"));
    ASSERT_TRUE(until([&] { return a->has("n/ea") && b.has("n/eb"); }));
    replica.cluster.on(replica.documents.set("a", endpoint("na", "a", "10.0.0.3")));
    replica.cluster.on(replica.documents.set("b", endpoint("nb", "b", "10.0.0.4")));
    const policy::Slice one_step{std::chrono::microseconds{0}};
    EXPECT_FALSE(replica.server->tell(one_step));
    a.reset();
    ASSERT_TRUE(until([&] { return replica.server->counters().lost > 0; }));
    EXPECT_TRUE(replica.server->tell(policy::Slice()));
    EXPECT_TRUE(until([&] { return b.has("n/nb"); }));
}

TEST_F(ServerTest, StreamOfAnotherHostIsRefused) {
    Replica replica(io, of_server);
    Follower host(io, "b", {replica.port}, of_a);
    EXPECT_TRUE(until([&] { return replica.server->counters().refused > 0; }));
    EXPECT_TRUE(host.sink.workloads.empty());
    EXPECT_TRUE(replica.server->hosts().empty());
}

TEST_F(ServerTest, CertificateOfAnotherAuthorityIsRefused) {
    const Authority other(directory.path, "other");
    Credentials foreign = other.issue("a");
    foreign.ca = of_a.ca;
    Replica replica(io, of_server);
    Follower host(io, "a", {replica.port}, foreign);
    EXPECT_TRUE(until([&] { return replica.server->counters().lost > 0; }));
    EXPECT_TRUE(host.sink.workloads.empty());
}

TEST_F(ServerTest, ServerWithAnotherNameIsNotFollowed) {
    Replica replica(io, of_server);
    ClientSettings settings{"a", {{"localhost", replica.port}}, of_a, {}};
    Client client(io, settings, [](const policy::Batch&) { FAIL() << "nothing may be told"; });
    ASSERT_TRUE(client.start());
    EXPECT_TRUE(until([&] { return replica.server->counters().lost > 0; }));
}

TEST_F(ServerTest, CommonNameCountsWhereThereIsNoDnsName) {
    Replica replica(io, of_server);
    Follower host(io, "a", {replica.port}, authority.issue("cn", {"a", "IP:127.0.0.1"}));
    EXPECT_TRUE(until([&] { return host.has("n/ea"); }));
}

TEST_F(ServerTest, CertificateWithoutANameIsNobodys) {
    Replica replica(io, of_server);
    const auto nameless = tls_context(authority.issue("nameless", {{}, {}}), Side::Host);
    ASSERT_TRUE(nameless) << nameless.error().text;
    Speaker speaker(io, replica.port, *nameless, {"", ""});
    ASSERT_TRUE(until([&] { return speaker.ended; }));
    EXPECT_NE(speaker.refusal.find("may not read the stream of ''"), std::string::npos);
    EXPECT_TRUE(replica.server->hosts().empty());
}

TEST_F(ServerTest, SecondHelloIsRefused) {
    Replica replica(io, of_server);
    const auto context = tls_context(of_a, Side::Host);
    ASSERT_TRUE(context) << context.error().text;
    Speaker speaker(io, replica.port, *context, {"a", "a"});
    ASSERT_TRUE(until([&] { return speaker.ended; }));
    EXPECT_EQ(speaker.refusal, "a second Hello");
    EXPECT_TRUE(replica.server->hosts().at(0).address.empty()) << "it is gone";
}

TEST_F(ServerTest, ClientWithoutCertificateIsToldNothing) {
    Replica replica(io, of_server);
    using boost::asio::ssl::context;
    Speaker speaker(
        io, replica.port, std::make_shared<context>(context::tlsv13_client), {"a", "b"});
    ASSERT_TRUE(until([&] { return speaker.ended; }));
    EXPECT_EQ(speaker.batches, 0);
    EXPECT_TRUE(replica.server->hosts().empty());
}

TEST_F(ServerTest, ClientWithoutTlsIsToldNothing) {
    Replica replica(io, of_server);
    tcp::socket socket(io);
    socket.connect({boost::asio::ip::make_address("127.0.0.1"), replica.port});
    socket.send(boost::asio::buffer("GET / HTTP/1.0\r\n\r\n"));
    EXPECT_TRUE(until([&] { return replica.server->counters().lost > 0; }));
}

TEST_F(ServerTest, NextServerIsFollowedWithoutAChange) {
    auto first = std::make_unique<Replica>(io, of_server);
    Replica second(io, of_server);
    Follower host(io, "a", {first->port, second.port}, of_a);
    ASSERT_TRUE(until([&] { return host.has("n/ea"); }));
    const int calls = host.sink.calls;
    first.reset();
    ASSERT_TRUE(until([&] { return second.server->counters().snapshots == 1; }));
    second.set("more", endpoint("more", "a", "10.0.0.3"));
    ASSERT_TRUE(until([&] { return host.has("n/more"); }));
    EXPECT_EQ(host.sink.calls, calls + 1) << "the new endpoint";
}

TEST_F(ServerTest, SilentServerIsLeftForTheNext) {
    tcp::acceptor silent(io, {boost::asio::ip::make_address("127.0.0.1"), 0});
    Replica replica(io, of_server);
    Follower host(io, "a", {silent.local_endpoint().port(), replica.port}, of_a);
    EXPECT_TRUE(until([&] { return host.has("n/ea"); }));
}

TEST_F(ServerTest, ReturningHostGoesOnWhereItWas) {
    Replica replica(io, of_server);
    Follower host(io, "a", {replica.port}, of_a);
    ASSERT_TRUE(until([&] { return host.has("n/ea"); }));
    host.client.stop();
    replica.set("more", endpoint("more", "a", "10.0.0.3"));
    ASSERT_TRUE(host.client.start());
    ASSERT_TRUE(until([&] { return host.has("n/more"); }));
    EXPECT_EQ(replica.server->counters().resumed, 1U);
    EXPECT_EQ(replica.server->counters().snapshots, 1U);
}

TEST_F(ServerTest, RecordingPlaysWhatTheHostWasTold) {
    const std::string path = directory.path / "recording";
    Replica replica(io, of_server, {.recording = path});
    Follower host(io, "a", {replica.port}, of_a);
    ASSERT_TRUE(until([&] { return host.has("n/ea"); }));
    replica.set("more", endpoint("more", "a", "10.0.0.3"));
    ASSERT_TRUE(until([&] { return host.has("n/more"); }));
    StreamedHost played("a");
    (void)played.receiver.hello();
    std::string lines;
    ASSERT_TRUE(play(path, [&](const pb::Recorded& entry) -> Result<void> {
        EXPECT_EQ(entry.host(), "a");
        played.deliver(entry.message());
        lines += json_lines(entry).value_or("unreadable");
        return {};
    }));
    EXPECT_TRUE(Comparable(played.sink) == Comparable(host.sink));
    EXPECT_THAT(lines, HasSubstr(R"("sequence":1,"more":false,"update":"in sync"})"));
    EXPECT_THAT(
        lines, HasSubstr(R"("update":"object","object":"WorkloadEndpoint n/more","document":")"));
    std::filesystem::resize_file(path, std::filesystem::file_size(path) - 1);
    const auto cut = play(path, [](const pb::Recorded&) { return Result<void>{}; });
    ASSERT_FALSE(cut);
    EXPECT_EQ(cut.error().text, path + ": ends amid a message");
}

TEST_F(ServerTest, StatusNamesTheHostsThatAreConnected) {
    Replica replica(io, of_server);
    Follower host(io, "a", {replica.port}, of_a);
    ASSERT_TRUE(until([&] { return host.has("n/ea"); }));
    policy::SourceStatus source;
    source.source = "file";
    source.is(policy::SourceStatus::State::InSync, std::chrono::steady_clock::now());
    const std::vector<std::string> problems{"Tier t kept: t.yaml:5: spec.order: no"};
    const auto text =
        status_text(status_json(replica.cluster, source, problems, replica.server.get()));
    ASSERT_TRUE(text) << text.error().text;
    EXPECT_NE(text->find("\nproblem: " + problems[0] + "\n"), std::string::npos) << *text;
    EXPECT_NE(text->find("2 objects, 2 endpoints"), std::string::npos) << *text;
    EXPECT_NE(text->find("\na "), std::string::npos) << *text;
    EXPECT_TRUE(text->starts_with("file in sync for 0 s\n")) << *text;
}

// --- what hosts tell of themselves -----------------------------------------------------------

/// A host that tells this of itself.
struct Teller {
    Teller(
        boost::asio::io_context& io,
        std::uint16_t port,
        const Credentials& credentials,
        bool is_slow = false)
        : slow(is_slow), client(io, settings(port, credentials), [](const policy::Batch&) {}) {
        EXPECT_TRUE(client.start());
    }

    ClientSettings settings(std::uint16_t port, const Credentials& credentials) {
        ClientSettings made{"a", {{"127.0.0.1", port}}, credentials, {}};
        made.report = [this] {
            ++asked;
            return HostReport{{}, {{kEndpoint, status}}};
        };
        made.when_in_force = [this](std::function<void()> then) {
            if (slow) {
                queued.push_back(std::move(then));
            } else {
                then();
            }
        };
        return made;
    }

    /// What was told comes into force.
    void catch_up() {
        slow = false;
        for (const auto& then : std::exchange(queued, {})) {
            then();
        }
    }

    const policy::Key kEndpoint{policy::Kind::WorkloadEndpoint, "n", "ea"};
    int asked = 0;
    std::optional<std::string> status = "up";
    bool slow = false;  ///< what it is told waits until catch_up()
    std::vector<std::function<void()>> queued;
    Client client;
};

TEST_F(ServerTest, HostTellsHowItsEndpointsAre) {
    Replica replica(io, of_server);
    Teller host(io, replica.port, of_a);
    const auto told = [&] {
        return replica.server->hosts().empty() ? HostStatus{} : replica.server->hosts().front();
    };
    ASSERT_TRUE(until([&] { return told().up == 1; }));
    host.status = "error";
    ASSERT_TRUE(until([&] { return told().error == 1; }));
    EXPECT_EQ(told().up, 0U);
    host.client.stop();
    ASSERT_TRUE(until([&] { return told().address.empty(); }));
    EXPECT_EQ(told().error, 0U) << "nobody knows";
    host.status = "down";
    ASSERT_TRUE(host.client.start());
    EXPECT_TRUE(until([&] { return told().down == 1; }));
}

TEST_F(ServerTest, HostAcknowledgesAndReportsWhatIsInForce) {
    Replica replica(io, of_server);
    Teller host(io, replica.port, of_a, true);
    const auto told = [&] { return replica.server->hosts().front(); };
    ASSERT_TRUE(until([&] { return host.queued.size() == 1; }));
    EXPECT_EQ(told().unacknowledged, 1U);
    for (int i = 3; told().pending == 0; ++i) {
        ASSERT_LT(i, 9) << "no more than two are on their way";
        const std::string name = "e" + std::to_string(i);
        replica.set(name, endpoint(name, "a", "10.0.0." + std::to_string(i)));
    }
    ASSERT_TRUE(until([&] { return host.queued.size() == 2; }));
    EXPECT_EQ(told().unacknowledged, 2U);
    EXPECT_EQ(host.asked, 0);
    host.catch_up();
    EXPECT_TRUE(until([&] { return told().unacknowledged + told().pending == 0; }));
    EXPECT_TRUE(until([&] { return told().up == 1; }));
}

/// What was told on the connection before comes into force on this one.
TEST_F(ServerTest, HostThatReturnsWhileItIsSlowReportsWhenAllIsInForce) {
    Replica replica(io, of_server);
    Teller host(io, replica.port, of_a, true);
    ASSERT_TRUE(until([&] { return host.queued.size() == 1; }));
    host.client.stop();
    ASSERT_TRUE(host.client.start());
    ASSERT_TRUE(until([&] { return replica.server->counters().resumed == 1; }));
    EXPECT_EQ(host.asked, 0);
    host.catch_up();
    EXPECT_TRUE(until([&] { return replica.server->hosts().front().up == 1; }));
}

/// As it was before hosts told anything: what it does not know is a mistake to it.
struct OldServer {
    OldServer(boost::asio::io_context& io, std::shared_ptr<boost::asio::ssl::context> tls)
        : acceptor(io, {boost::asio::ip::make_address("127.0.0.1"), 0}), context(std::move(tls)) {
        acceptor.async_accept([this](boost::system::error_code error, tcp::socket socket) {
            ASSERT_FALSE(error);
            link = std::make_shared<Link>(std::move(socket), context, kMostFromHost);
            link->start(
                boost::asio::ssl::stream_base::server,
                {.on_secured = [] {},
                 .on_frame = [this](Bytes content) { on_frame(content); },
                 .on_sent = [] {},
                 .on_end = [this](const std::string&) { ended = true; }});
        });
    }

    void on_frame(Bytes content) {
        const auto message = parse_from_host(content);
        ASSERT_TRUE(message);
        reports += message->has_report() ? 1 : 0;
        pings += message->has_ping() ? 1 : 0;
        if (message->has_hello()) {
            pb::FromServer welcome;
            welcome.mutable_welcome()->set_protocol(kProtocol);
            welcome.mutable_welcome()->set_epoch("e");
            link->send(frame(welcome));
            pb::FromServer all;
            all.mutable_batch()->set_sequence_number(1);
            (void)all.mutable_batch()->add_updates()->mutable_in_sync();
            link->send(frame(all));
        } else {
            link->send(ping_frame<pb::FromServer>());
        }
    }

    tcp::acceptor acceptor;
    std::shared_ptr<boost::asio::ssl::context> context;
    std::shared_ptr<Link> link;
    int reports = 0;
    int pings = 0;
    bool ended = false;
};

TEST_F(ServerTest, ServerThatTakesNoReportsIsToldNone) {
    const auto context = tls_context(of_server, Side::Server);
    ASSERT_TRUE(context) << context.error().text;
    OldServer server(io, *context);
    Teller host(io, server.acceptor.local_endpoint().port(), of_a);
    ASSERT_TRUE(until([&] { return server.pings > 2 || server.ended; }));
    EXPECT_EQ(host.client.status().state, policy::SourceStatus::State::InSync);
    EXPECT_EQ(host.asked, 0);
    EXPECT_EQ(server.reports, 0);
    EXPECT_FALSE(server.ended);
    server.link->close();
}

// --- the last good state ---------------------------------------------------------------------

TEST_F(ServerTest, HostThatStartsWhileNoServerAnswersGoesOnAsItWas) {
    const std::string path = directory.path / "state" / "stream";
    auto replica = std::make_unique<Replica>(io, of_server);
    const std::uint16_t port = replica->port;
    {
        Follower before(io, "a", {port}, of_a, path);
        ASSERT_TRUE(until([&] { return before.has("n/ea"); }));
        EXPECT_EQ(before.client.status().state, policy::SourceStatus::State::InSync);
    }
    replica.reset();
    Follower after(io, "a", {port}, of_a, path);
    ASSERT_TRUE(until([&] { return after.has("n/ea"); }));
    const auto status = after.client.status();
    EXPECT_EQ(status.state, policy::SourceStatus::State::Unreachable);
    EXPECT_TRUE(status.in_force);
    EXPECT_NE(status.last_error.find(fmt::format("127.0.0.1:{}: ", port)), std::string::npos);
}

TEST_F(ServerTest, LastGoodStateWaitsUntilEveryServerWasAsked) {
    const std::string path = directory.path / "stream";
    Replica replica(io, of_server);
    {
        Follower before(io, "a", {replica.port}, of_a, path);
        ASSERT_TRUE(until([&] { return before.has("n/ea"); }));
    }
    replica.set("a", std::nullopt);
    replica.set("new", endpoint("new", "a", "10.0.0.9"));
    Follower after(io, "a", {replica.port}, of_a, path);
    ASSERT_TRUE(until([&] { return after.has("n/new"); }));
    Follower fresh(io, "a", {replica.port}, of_a);
    ASSERT_TRUE(until([&] { return fresh.has("n/new"); }));
    EXPECT_EQ(after.sink.calls, fresh.sink.calls) << "n/ea never was";
}

// --- callers ---------------------------------------------------------------------------------

tcp::socket call(boost::asio::io_context& io, std::uint16_t port) {
    tcp::socket socket(io);
    socket.connect({boost::asio::ip::make_address("127.0.0.1"), port});
    return socket;
}

TEST(Lobby, TheOldestFromAnAddressMakesRoomForTheNextFromThere) {
    Lobby lobby(2, 9);
    lobby.enter("x", 1);
    lobby.enter("y", 2);
    lobby.enter("y", 3);
    EXPECT_EQ(lobby.in_the_way("y"), 2U);
    EXPECT_EQ(lobby.in_the_way("x"), std::nullopt);
    lobby.leave("y", 2);
    EXPECT_EQ(lobby.in_the_way("y"), std::nullopt);
}

TEST(Lobby, TheOldestOfAllMakesRoomWhereItIsFull) {
    Lobby lobby(2, 2);
    lobby.enter("x", 1);
    lobby.enter("y", 2);
    EXPECT_EQ(lobby.in_the_way("z"), 1U);
}

TEST(Lobby, WhoHasLeftLeavesNoMore) {
    Lobby lobby(2, 9);
    lobby.enter("x", 1);
    lobby.leave("x", 1);
    lobby.leave("x", 1);
    EXPECT_EQ(lobby.size(), 0U);
}

TEST_F(ServerTest, IdleCallersFromItsAddressDoNotLockAHostOut) {
    Replica replica(io, of_server, {.most_callers_from_one = 2});
    const auto first = call(io, replica.port);
    const auto second = call(io, replica.port);
    ASSERT_TRUE(until([&] { return replica.server->counters().connections == 2; }));
    Follower host(io, "a", {replica.port}, of_a);
    EXPECT_TRUE(until([&] { return host.has("n/ea"); }));
    EXPECT_GE(replica.server->counters().refused, 1U);
}

TEST_F(ServerTest, TheOldestCallerMakesRoomForAHost) {
    Replica replica(io, of_server, {.most_callers = 1});
    const auto idle = call(io, replica.port);
    ASSERT_TRUE(until([&] { return replica.server->counters().connections == 1; }));
    Follower host(io, "a", {replica.port}, of_a);
    EXPECT_TRUE(until([&] { return host.has("n/ea"); }));
}

TEST_F(ServerTest, HostsBeyondTheMostAreRefusedAndMayComeLater) {
    Replica replica(io, of_server, {.most_connections = 1});
    Follower a(io, "a", {replica.port}, of_a);
    ASSERT_TRUE(until([&] { return a.has("n/ea"); }));
    Follower b(io, "b", {replica.port}, authority.issue("b"));
    ASSERT_TRUE(until([&] { return replica.server->counters().refused > 0; }));
    EXPECT_FALSE(b.has("n/eb"));
    a.client.stop();
    EXPECT_TRUE(until([&] { return b.has("n/eb"); }));
}

// --- certificates ----------------------------------------------------------------------------

TEST_F(ServerTest, RenewedCertificateCountsForTheNextCaller) {
    const Credentials own = authority.issue("renewed", {"x", "DNS:somebody.else"});
    Replica replica(io, own);
    Follower host(io, "a", {replica.port}, of_a);
    ASSERT_TRUE(until([&] { return replica.server->counters().lost > 0; }));
    EXPECT_FALSE(host.has("n/ea"));
    (void)authority.issue("renewed", {"x", "IP:127.0.0.1"});
    EXPECT_TRUE(until([&] { return host.has("n/ea"); }));
}

TEST_F(ServerTest, CertificateThatCannotBeReadCostsNoStream) {
    Replica replica(io, of_server);
    Follower a(io, "a", {replica.port}, of_a);
    ASSERT_TRUE(until([&] { return a.has("n/ea"); }));
    std::ofstream(of_server.certificate) << "no certificate";
    Follower b(io, "b", {replica.port}, authority.issue("b"));
    EXPECT_TRUE(until([&] { return b.has("n/eb"); })) << "with the certificate of before";
    EXPECT_NE(replica.server->tls_error().find("certificate"), std::string::npos);
    replica.set("more", endpoint("more", "a", "10.0.0.3"));
    EXPECT_TRUE(until([&] { return a.has("n/more"); }));
}

}  // namespace
}  // namespace vr::policyd::server_test
