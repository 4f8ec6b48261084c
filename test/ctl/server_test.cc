// Server and Client over a real socket in a temporary directory, with handlers of the test's own.
// SPDX-License-Identifier: Apache-2.0
#include "ctl/server.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include "ctl/client.h"
#include "ctl/dispatch.h"

namespace vr::ctl::server_test {
namespace {

using namespace std::chrono_literals;

/// A directory that goes with the test.
class Directory {
  public:
    Directory() {
        std::string pattern = (std::filesystem::temp_directory_path() / "ctl-XXXXXX").string();
        path_ = ::mkdtemp(pattern.data());
    }

    Directory(const Directory&) = delete;
    Directory& operator=(const Directory&) = delete;
    Directory(Directory&&) = delete;
    Directory& operator=(Directory&&) = delete;

    ~Directory() { std::filesystem::remove_all(path_); }

    [[nodiscard]] std::string socket() const { return path_ / "run" / "vrouter.sock"; }

  private:
    std::filesystem::path path_;
};

constexpr std::size_t kManyRows = 20000;

/// The control thread with one server on it.
class ServerTest : public testing::Test {
  protected:
    /// Runs `task` on the control thread and waits for it.
    template <typename Task>
    auto on_thread(Task task) {
        std::packaged_task<decltype(task())()> packaged{std::move(task)};
        auto done = packaged.get_future();
        boost::asio::post(io_, [&] { packaged(); });
        return done.get();
    }

    ServerTest() {
        dispatch_.on(pb::Request::kVersion, [](const pb::Request&) {
            pb::Response response;
            response.mutable_version()->set_version("test");
            return response;
        });
        dispatch_.on(pb::Request::kShowBgp, [](const pb::Request& request) {
            return Failure{
                pb::Error::CODE_NOT_FOUND, "no neighbor " + request.show_bgp().neighbor()};
        });
        dispatch_.on(pb::Request::kShowDrops, [this](const pb::Request&) {
            return Slices{[this, slice = 0](pb::Response& frame) mutable {
                ++slices_;
                auto& row = *frame.mutable_drops()->add_rows();
                row.set_meaning(std::string(100'000, 'x'));
                return ++slice < 1000;
            }};
        });
        dispatch_.on(pb::Request::kShowPorts, [](const pb::Request&) {
            return listing<&pb::Response::mutable_ports>(
                std::vector<std::uint32_t>(kManyRows),
                [](std::uint32_t id, pb::Port& row) { row.set_id(id); });
        });
    }

    ServerTest(const ServerTest&) = delete;
    ServerTest& operator=(const ServerTest&) = delete;
    ServerTest(ServerTest&&) = delete;
    ServerTest& operator=(ServerTest&&) = delete;

    ~ServerTest() override {
        on_thread([this] { server_.reset(); });
        work_.reset();
        thread_.join();
    }

    void start(ServerConfig config = {}) {
        config.path = directory_.socket();
        auto server = Server::listen(io_, config, dispatch_);
        ASSERT_TRUE(server) << server.error().text;
        on_thread([&] { server_ = std::move(*server); });
    }

    [[nodiscard]] Client client() const {
        auto connected = Client::connect(directory_.socket(), 10s, 10s);
        EXPECT_TRUE(connected) << connected.error().text;
        return std::move(*connected);
    }

    /// All frames of the answer to `request`.
    static std::vector<pb::Response> ask(Client& client, const pb::Request& request) {
        std::vector<pb::Response> frames;
        const auto called =
            client.call(request, [&](const pb::Response& frame) { frames.push_back(frame); });
        EXPECT_TRUE(called) << called.error().text;
        return frames;
    }

    static pb::Request version() {
        pb::Request request;
        request.mutable_version();
        return request;
    }

    void wait_for_clients(std::size_t wanted) {
        const auto end = std::chrono::steady_clock::now() + 10s;
        while (on_thread([this] { return server_->clients(); }) != wanted) {
            ASSERT_LT(std::chrono::steady_clock::now(), end);
        }
    }

    Directory directory_;
    Dispatch dispatch_;
    std::atomic<int> slices_ = 0;
    boost::asio::io_context io_;
    boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_{
        io_.get_executor()};
    std::unique_ptr<Server> server_;
    std::thread thread_{[this] { io_.run(); }};
};

TEST_F(ServerTest, AnswersSeveralRequestsOfOneClient) {
    start();
    auto asking = client();
    for (int i = 0; i < 3; ++i) {
        const auto frames = ask(asking, version());
        ASSERT_EQ(frames.size(), 1U);
        EXPECT_EQ(frames[0].version().version(), "test");
    }
}

TEST_F(ServerTest, AnswersManyClientsAtOnce) {
    start();
    std::vector<Client> clients;
    for (int i = 0; i < 20; ++i) {
        clients.push_back(client());
    }
    for (Client& asking : clients) {
        EXPECT_EQ(ask(asking, version()).size(), 1U);
    }
}

TEST_F(ServerTest, SendsAFailureAsAnError) {
    start();
    auto asking = client();
    pb::Request request;
    request.mutable_show_bgp()->set_neighbor("192.0.2.1");
    const auto frames = ask(asking, request);
    ASSERT_EQ(frames.size(), 1U);
    EXPECT_EQ(frames[0].error().code(), pb::Error::CODE_NOT_FOUND);
    EXPECT_EQ(frames[0].error().text(), "no neighbor 192.0.2.1");
}

TEST_F(ServerTest, SaysWhichCommandItDoesNotKnow) {
    start();
    auto asking = client();
    const auto frames = ask(asking, pb::Request{});
    ASSERT_EQ(frames.size(), 1U);
    EXPECT_EQ(frames[0].error().code(), pb::Error::CODE_UNSUPPORTED);
}

TEST_F(ServerTest, StreamsAListingInFramesOfBoundedRows) {
    start();
    auto asking = client();
    pb::Request request;
    request.mutable_show_ports();
    const auto frames = ask(asking, request);
    EXPECT_EQ(frames.size(), (kManyRows + kRowsPerFrame - 1) / kRowsPerFrame);
    std::size_t rows = 0;
    for (const auto& frame : frames) {
        EXPECT_LE(frame.ports().rows_size(), static_cast<int>(kRowsPerFrame));
        EXPECT_EQ(frame.more(), &frame != &frames.back());
        rows += static_cast<std::size_t>(frame.ports().rows_size());
    }
    EXPECT_EQ(rows, kManyRows);
}

TEST_F(ServerTest, MakesNoFrameThatASlowClientHasNotTakenYet) {
    start();
    pb::Request request;
    request.mutable_show_drops();
    auto slow = client();
    auto quick = client();
    int received = 0;
    const auto called = slow.call(request, [&](const pb::Response&) {
        if (++received == 1) {
            // While this client does not read, another is served, and only what fits into the
            // kernel's buffers of the first has been made.
            for (int i = 0; i < 50; ++i) {
                EXPECT_EQ(ask(quick, version()).size(), 1U);
            }
            EXPECT_LT(slices_, 100);
        }
    });
    EXPECT_TRUE(called);
    EXPECT_EQ(received, 1000);
}

TEST_F(ServerTest, ClosesAClientThatDoesNotReadItsAnswer) {
    start({.path = {}, .max_clients = 64, .patience = 50ms});
    pb::Request request;
    request.mutable_show_drops();
    auto stuck = client();
    bool first = true;
    const auto called = stuck.call(request, [&](const pb::Response&) {
        if (std::exchange(first, false)) {
            wait_for_clients(0);
        }
    });
    EXPECT_FALSE(called);
}

/// Sends `bytes` as they are and returns true when the server closes the connection.
bool closes_on(const std::string& path, const std::string& bytes) {
    const int socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(static_cast<char*>(address.sun_path), path.size());
    const auto* generic = reinterpret_cast<const sockaddr*>(&address);
    EXPECT_EQ(::connect(socket, generic, sizeof(address)), 0);
    EXPECT_EQ(::send(socket, bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
    std::array<char, 16> rest{};
    const ssize_t n = ::recv(socket, rest.data(), rest.size(), 0);
    ::close(socket);
    return n <= 0;
}

TEST_F(ServerTest, ClosesAClientThatSendsGarbageAndNoOther) {
    start();
    auto asking = client();
    EXPECT_TRUE(closes_on(directory_.socket(), "GET / HTTP/1.1\r\n\r\n"));
    EXPECT_TRUE(closes_on(directory_.socket(), std::string("\0\0\0\3\xff\xff\xff", 7)));
    EXPECT_EQ(ask(asking, version()).size(), 1U);
    wait_for_clients(1);
}

TEST_F(ServerTest, RefusesMoreClientsThanAllowed) {
    start({.path = {}, .max_clients = 1, .patience = 10s});
    auto first = client();
    EXPECT_EQ(ask(first, version()).size(), 1U);
    auto second = client();
    EXPECT_FALSE(second.call(version(), [](const pb::Response&) {}));
}

TEST_F(ServerTest, RefusesASecondInstanceOnItsSocket) {
    start();
    ServerConfig config;
    config.path = directory_.socket();
    const auto second = Server::listen(io_, config, dispatch_);
    ASSERT_FALSE(second);
    EXPECT_NE(second.error().text.find("another program listens on"), std::string::npos);
    auto asking = client();
    EXPECT_EQ(ask(asking, version()).size(), 1U);
}

TEST_F(ServerTest, ReplacesALeftOverSocket) {
    std::filesystem::create_directories(std::filesystem::path(directory_.socket()).parent_path());
    const int crashed = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    directory_.socket().copy(static_cast<char*>(address.sun_path), sizeof(address.sun_path) - 1);
    const auto* generic = reinterpret_cast<const sockaddr*>(&address);
    ASSERT_EQ(::bind(crashed, generic, sizeof(address)), 0);
    ::close(crashed);
    start();
    auto asking = client();
    EXPECT_EQ(ask(asking, version()).size(), 1U);
}

TEST_F(ServerTest, LeavesAFileThatIsNoSocketAlone) {
    std::filesystem::create_directories(std::filesystem::path(directory_.socket()).parent_path());
    std::ofstream{directory_.socket()} << "precious";
    ServerConfig config;
    config.path = directory_.socket();
    EXPECT_FALSE(Server::listen(io_, config, dispatch_));
    EXPECT_EQ(std::filesystem::file_size(directory_.socket()), 8U);
}

TEST_F(ServerTest, IsOpenToOwnerAndGroupOnly) {
    start();
    struct stat status{};
    ASSERT_EQ(::stat(directory_.socket().c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777U, 0660U);
}

TEST_F(ServerTest, RemovesItsSocketWhenItEnds) {
    start();
    on_thread([this] { server_.reset(); });
    EXPECT_FALSE(std::filesystem::exists(directory_.socket()));
}

TEST_F(ServerTest, RefusesAPathThatDoesNotFitIntoASocketAddress) {
    ServerConfig config;
    config.path = "/tmp/" + std::string(200, 'x');
    EXPECT_FALSE(Server::listen(io_, config, dispatch_));
}

TEST_F(ServerTest, EndsTheCallsOfItsClientsWhenItEnds) {
    start();
    auto asking = client();
    EXPECT_EQ(ask(asking, version()).size(), 1U);
    on_thread([this] { server_.reset(); });
    EXPECT_FALSE(asking.call(version(), [](const pb::Response&) {}));
}

TEST(Client, ARouterThatTakesNobodyIsNotWaitedForHoweverLongItsAnswerMayTake) {
    const Directory directory;
    std::filesystem::create_directories(std::filesystem::path(directory.socket()).parent_path());
    const int stuck = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    directory.socket().copy(static_cast<char*>(address.sun_path), sizeof(address.sun_path) - 1);
    const auto* generic = reinterpret_cast<const sockaddr*>(&address);
    ASSERT_EQ(::bind(stuck, generic, sizeof(address)), 0);
    ASSERT_EQ(::listen(stuck, 0), 0);
    const auto first = Client::connect(directory.socket(), 10s, 0s);
    EXPECT_TRUE(first);  // its queue holds one
    EXPECT_FALSE(Client::connect(directory.socket(), 10ms, 0s));
    ::close(stuck);
}

TEST(Client, SaysWhatToDoWhenNobodyListens) {
    const Directory directory;
    const auto connected = Client::connect(directory.socket(), 1s, 1s);
    ASSERT_FALSE(connected);
    EXPECT_EQ(
        connected.error().text,
        "cannot reach vrouterd at " + directory.socket() +
            ": No such file or directory (is it running? --socket chooses another)");
}

}  // namespace
}  // namespace vr::ctl::server_test
