// SPDX-License-Identifier: Apache-2.0
#include "policy/policyd/status.h"

#include <fmt/format.h>

#include <chrono>
#include <iterator>
#include <utility>

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <boost/json.hpp>

#include "policy/policyd/cluster.h"
#include "policy/policyd/server.h"
#include "vrouter/local_listener.h"

namespace vr::policyd {

namespace asio = boost::asio;
namespace json = boost::json;
using asio::local::stream_protocol;
using boost::system::error_code;

namespace {

json::object source_json(const policy::SourceStatus& source) {
    const auto age = std::chrono::steady_clock::now() - source.since;
    json::array places(source.places.begin(), source.places.end());
    return {
        {"source", source.source},
        {"state", policy::to_string(source.state)},
        {"state_seconds", std::chrono::duration_cast<std::chrono::seconds>(age).count()},
        {"places", std::move(places)},
        {"place", source.place},
        {"revision", source.revision},
        {"last_error", source.last_error}};
}

}  // namespace

std::vector<std::string> problems_of(const policy::Datastore& datastore) {
    std::vector<std::string> all = datastore.problems();
    for (const auto& [kind, count] : datastore.counts()) {
        if (count.invalid == 0) {
            continue;  // a listing copies every object
        }
        for (const auto& object : datastore.list({kind, {}, {}}, count.objects)) {
            if (object.state != policy::ObjectState::Valid) {
                all.push_back(fmt::format(
                    "{} {}: {}",
                    policy::to_string(object.key),
                    policy::to_string(object.state),
                    object.reason));
            }
        }
    }
    return all;
}

std::string status_json(
    const Cluster& cluster,
    const policy::SourceStatus& source,
    std::span<const std::string> problems,
    const Server* server) {
    json::array hosts;
    for (const auto& host : server == nullptr ? std::vector<HostStatus>{} : server->hosts()) {
        hosts.push_back(
            {{"host", host.host},
             {"address", host.address},
             {"connected", !host.address.empty()},
             {"sequence", host.sequence},
             {"unacknowledged", host.unacknowledged},
             {"pending", host.pending},
             {"needs", host.needs},
             {"up", host.up},
             {"down", host.down},
             {"error", host.error}});
    }
    const ServerCounters counters = server == nullptr ? ServerCounters{} : server->counters();
    const json::value status{
        {"version", VROUTER_VERSION},
        {"in_sync", cluster.is_in_sync()},
        {"source", source_json(source)},
        {"problems", json::array(problems.begin(), problems.end())},
        {"tls_error", server == nullptr ? std::string() : server->tls_error()},
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
    const auto text_in = [](const json::object& of, const char* key) {
        const json::value* found = of.if_contains(key);
        return found != nullptr && found->is_string() ? std::string(found->get_string())
                                                      : std::string();
    };
    std::string out;
    if (const json::value* of = root->if_contains("source"); of != nullptr && of->is_object()) {
        const json::object& source = of->get_object();
        const std::string last = text_in(source, "last_error");
        out = fmt::format(
            "{} {} for {} s{}{}\n",
            text_in(source, "source"),
            text_in(source, "state"),
            number(source, "state_seconds"),
            last.empty() ? "" : "; last error: ",
            last);
    }
    if (const json::value* of = root->if_contains("problems"); of != nullptr && of->is_array()) {
        for (const json::value& problem : of->get_array()) {
            if (const auto* words = problem.if_string()) {
                out += fmt::format("problem: {}\n", std::string_view(*words));
            }
        }
    }
    if (const std::string why = text_in(*root, "tls_error"); !why.empty()) {
        out += fmt::format("certificates: {}\n", why);
    }
    out += fmt::format(
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
        "\n{:<24} {:<28} {:>9} {:>9} {:>9} {:>6} {:>6} {:>6}\n",
        "HOST",
        "ADDRESS",
        "NEEDS",
        "PENDING",
        "SEQUENCE",
        "UP",
        "DOWN",
        "ERROR");
    for (const auto& value : hosts->get_array()) {
        const json::object* host = value.if_object();
        if (host == nullptr) {
            continue;
        }
        const std::string address = text_in(*host, "address");
        fmt::format_to(
            std::back_inserter(out),
            "{:<24} {:<28} {:>9} {:>9} {:>9} {:>6} {:>6} {:>6}\n",
            text_in(*host, "host"),
            address.empty() ? "-" : address,
            number(*host, "needs"),
            number(*host, "pending"),
            number(*host, "sequence"),
            number(*host, "up"),
            number(*host, "down"),
            number(*host, "error"));
    }
    return out;
}

StatusSocket::StatusSocket(std::unique_ptr<LocalListener> listener)
    : listener_(std::move(listener)) {}

StatusSocket::~StatusSocket() = default;

Result<std::unique_ptr<StatusSocket>> StatusSocket::listen(
    asio::io_context& io, const std::string& path, std::function<std::string()> tell) {
    auto listening =
        LocalListener::listen(io, path, [tell = std::move(tell)](LocalListener::Socket socket) {
            const auto client = std::make_shared<LocalListener::Socket>(std::move(socket));
            const auto text = std::make_shared<const std::string>(tell());
            asio::async_write(
                *client, asio::buffer(*text), [client, text](error_code, std::size_t) {});
        });
    if (!listening) {
        return std::unexpected(std::move(listening).error());
    }
    return std::unique_ptr<StatusSocket>(new StatusSocket(std::move(*listening)));
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
