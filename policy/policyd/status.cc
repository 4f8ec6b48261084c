// SPDX-License-Identifier: Apache-2.0
#include "policy/policyd/status.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <iterator>
#include <utility>

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <boost/json.hpp>

#include "policy/policyd/cluster.h"
#include "policy/policyd/server.h"
#include "vrouter/net/log.h"

namespace vr::policyd {

namespace asio = boost::asio;
namespace json = boost::json;
using asio::local::stream_protocol;
using boost::system::error_code;

std::string status_json(const Cluster& cluster, const Server* server) {
    json::array hosts;
    for (const auto& host : server == nullptr ? std::vector<HostStatus>{} : server->hosts()) {
        hosts.push_back(
            {{"host", host.host},
             {"address", host.address},
             {"connected", !host.address.empty()},
             {"sequence", host.sequence},
             {"unacknowledged", host.unacknowledged},
             {"pending", host.pending},
             {"needs", host.needs}});
    }
    const ServerCounters counters = server == nullptr ? ServerCounters{} : server->counters();
    const json::value status{
        {"version", VROUTER_VERSION},
        {"in_sync", cluster.is_in_sync()},
        {"objects", cluster.objects()},
        {"endpoints", cluster.endpoints()},
        {"sets", cluster.sets()},
        {"counters",
         {{"connections", counters.connections},
          {"refused", counters.refused},
          {"snapshots", counters.snapshots},
          {"resumed", counters.resumed},
          {"lost", counters.lost},
          {"parcels", counters.parcels},
          {"bytes", counters.bytes}}},
        {"hosts", std::move(hosts)}};
    return json::serialize(status) + "\n";
}

Result<std::string> status_text(const std::string& text) {
    error_code error;
    const json::value status = json::parse(text, error);
    const json::object* root = error ? nullptr : status.if_object();
    const auto number = [](const json::object& of, const char* key) {
        const json::value* value = of.if_contains(key);
        return value != nullptr && value->is_int64() ? value->get_int64() : 0;
    };
    const json::value* hosts = root == nullptr ? nullptr : root->if_contains("hosts");
    const json::value* counters = root == nullptr ? nullptr : root->if_contains("counters");
    if (hosts == nullptr || !hosts->is_array() || counters == nullptr || !counters->is_object()) {
        return fail("the answer is no status of vrouter-policyd");
    }
    std::string out = fmt::format(
        "{} objects, {} endpoints, {} sets\n",
        number(*root, "objects"),
        number(*root, "endpoints"),
        number(*root, "sets"));
    for (const auto& [name, value] : counters->get_object()) {
        fmt::format_to(
            std::back_inserter(out), "{} {}\n", std::string_view(name), json::serialize(value));
    }
    fmt::format_to(
        std::back_inserter(out),
        "\n{:<24} {:<28} {:>9} {:>9} {:>9}\n",
        "HOST",
        "ADDRESS",
        "NEEDS",
        "PENDING",
        "SEQUENCE");
    for (const auto& value : hosts->get_array()) {
        const json::object* host = value.if_object();
        if (host == nullptr) {
            continue;
        }
        const auto word = [&](const char* key) {
            const json::value* found = host->if_contains(key);
            return found != nullptr && found->is_string() ? std::string(found->get_string())
                                                          : std::string();
        };
        fmt::format_to(
            std::back_inserter(out),
            "{:<24} {:<28} {:>9} {:>9} {:>9}\n",
            word("host"),
            word("address").empty() ? "-" : word("address"),
            number(*host, "needs"),
            number(*host, "pending"),
            number(*host, "sequence"));
    }
    return out;
}

struct StatusSocket::State : std::enable_shared_from_this<StatusSocket::State> {
    State(asio::io_context& io, std::string at, std::function<std::string()> answer)
        : acceptor(io), path(std::move(at)), tell(std::move(answer)) {}

    Result<void> listen() {
        error_code error;
        stream_protocol::socket probe(acceptor.get_executor());
        probe.connect(stream_protocol::endpoint(path), error);
        if (!error) {
            return fail("another vrouter-policyd answers there");
        }
        struct stat status{};
        if (::lstat(path.c_str(), &status) == 0) {
            if (!S_ISSOCK(status.st_mode)) {
                return fail("that is no socket");
            }
            ::unlink(path.c_str());
        }
        acceptor.open(stream_protocol{}, error);
        if (!error) {
            acceptor.bind(stream_protocol::endpoint(path), error);
        }
        // Before listen(): nobody can connect while the permissions are still the umask's.
        if (!error && ::chmod(path.c_str(), S_IRUSR | S_IWUSR | S_IRGRP | S_IWGRP) != 0) {
            error.assign(errno, boost::system::generic_category());
        }
        if (!error) {
            acceptor.listen(16, error);
        }
        return error ? Result<void>(fail(error.message())) : Result<void>();
    }

    void accept() {
        acceptor.async_accept(
            [weak = weak_from_this()](error_code error, stream_protocol::socket socket) {
                const auto self = weak.lock();
                if (!self || error) {
                    return;  // out of descriptors, at worst: the status is not told any more
                }
                const auto client = std::make_shared<stream_protocol::socket>(std::move(socket));
                const auto text = std::make_shared<const std::string>(self->tell());
                asio::async_write(
                    *client, asio::buffer(*text), [client, text](error_code, std::size_t) {});
                self->accept();
            });
    }

    stream_protocol::acceptor acceptor;
    std::string path;
    std::function<std::string()> tell;
};

StatusSocket::StatusSocket(std::shared_ptr<State> state) : state_(std::move(state)) {}

StatusSocket::~StatusSocket() {
    error_code ignored;
    state_->acceptor.close(ignored);
    ::unlink(state_->path.c_str());
}

Result<std::unique_ptr<StatusSocket>> StatusSocket::listen(
    asio::io_context& io, const std::string& path, std::function<std::string()> tell) {
    const auto state = std::make_shared<State>(io, path, std::move(tell));
    if (auto listening = state->listen(); !listening) {
        return fail(std::move(listening).error(), "control socket " + path);
    }
    state->accept();
    return std::unique_ptr<StatusSocket>(new StatusSocket(state));
}

Result<std::string> ask_status(const std::string& path) {
    asio::io_context io;
    stream_protocol::socket socket(io);
    error_code error;
    socket.connect(stream_protocol::endpoint(path), error);
    if (error) {
        return fail("no vrouter-policyd answers on " + path + ": " + error.message());
    }
    std::string text;
    asio::read(socket, asio::dynamic_buffer(text), error);
    if (error != asio::error::eof) {
        return fail(path + ": " + error.message());
    }
    return text;
}

}  // namespace vr::policyd
