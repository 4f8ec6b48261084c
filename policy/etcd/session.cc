// SPDX-License-Identifier: Apache-2.0
#include "policy/etcd/session.h"

#include <fstream>
#include <sstream>
#include <utility>

#include <boost/asio/post.hpp>

namespace vr::policy::etcd {

namespace {

/// What an answer, or a line of a watch, may take in memory.
constexpr std::size_t kMaxAnswer = 64U << 20U;
constexpr unsigned kOk = 200;

/// The password alone: files end with a line break.
Result<std::string> read_password(const std::string& path) {
    std::ifstream stream(path);
    std::string password;
    if (!stream || !std::getline(stream, password)) {
        return fail("password_file " + path + ": cannot be read, or is empty");
    }
    return password;
}

}  // namespace

Session::Session(
    boost::asio::any_io_executor executor,
    EtcdEndpoint endpoint,
    const EtcdConfig& config,
    Patience patience,
    Events events)
    : executor_(std::move(executor)),
      endpoint_(std::move(endpoint)),
      config_(config),
      patience_(patience),
      events_(std::move(events)),
      probe_timer_(executor_) {}

void Session::start(std::string probe_key) {
    probe_key_ = std::move(probe_key);
    if (!config_.username.empty()) {
        authenticate();
    }
    probe_later();
}

void Session::call(std::string_view path, std::string body, Done done) {
    calls_.push_back({path, std::move(body), std::move(done)});
    next();
}

void Session::watch(std::string body) {
    watch_body_ = std::move(body);
    open_watch();
}

void Session::close() {
    ended_ = true;
    calls_.clear();
    probe_timer_.cancel();
    for (const auto& connection : {calls_connection_, watch_connection_}) {
        if (connection) {
            connection->close();
        }
    }
}

void Session::give_up(const std::string& why) {
    const auto self = shared_from_this();
    auto calls = std::exchange(calls_, {});
    close();
    for (Call& call : calls) {
        call.done(std::unexpected(Failure{false, true, {0, why}}));
    }
}

/// Tells everyone once.
void Session::end(const std::string& why) {
    if (ended_) {
        return;
    }
    const auto self = shared_from_this();
    give_up(why);
    events_.ended(why);
}

/// Not from within start(), call() or watch(): whoever calls them holds on to the session, which its
/// end takes away.
void Session::end_later(std::string why) {
    boost::asio::post(
        executor_, [self = shared_from_this(), text = std::move(why)] { self->end(text); });
}

bool Session::make(std::shared_ptr<Connection>& connection) {
    auto made = Connection::make(executor_, endpoint_, config_);
    if (!made) {
        end_later(made.error().text);
        return false;
    }
    connection = std::move(*made);
    return true;
}

// --- calls ----------------------------------------------------------------------------------

/// Puts the question for a token before everything else.
void Session::authenticate() {
    auto password = read_password(config_.password_file);
    if (!password) {
        end_later(password.error().text);
        return;
    }
    authenticating_ = true;
    const auto on_token = [this](std::expected<std::string, Failure> body) {
        authenticating_ = false;
        if (!body) {
            end("authentication of " + config_.username + ": " + body.error().refusal.text);
            return;
        }
        auto token = decode_authenticate(*body);
        if (!token) {
            end(token.error().text);
            return;
        }
        token_ = *std::move(token);
    };
    token_.clear();
    calls_.push_front(
        {kAuthenticatePath, encode_authenticate(config_.username, *password), on_token});
    next();
}

void Session::next() {
    if (busy_ || ended_ || calls_.empty()) {
        return;
    }
    if ((!calls_connection_ || calls_connection_->is_closed()) && !make(calls_connection_)) {
        return;
    }
    busy_ = true;
    Connection::Request request;
    request.path = calls_.front().path;
    request.body = calls_.front().body;
    request.token = token_;
    request.patience = patience_.answer;
    request.max_body = kMaxAnswer;
    const auto self = weak_from_this();
    Connection::Events events;
    events.done = [self](unsigned status, std::string body) {
        if (const auto here = self.lock(); here && !here->ended_) {
            here->on_answer(status, std::move(body));
        }
    };
    events.failed = [self](Connection::Trouble trouble, const std::string& why) {
        if (const auto here = self.lock(); here && !here->ended_) {
            here->on_trouble(trouble, why);
        }
    };
    calls_connection_->send(std::move(request), std::move(events));
}

void Session::on_answer(unsigned status, std::string body) {
    const auto self = shared_from_this();
    busy_ = false;
    Call call = std::move(calls_.front());
    calls_.pop_front();
    if (status == kOk) {
        call.done(std::move(body));
    } else {
        Refusal refusal = decode_refusal(status, body);
        const bool stale = refusal.code == Refusal::kUnauthenticated ||
                           refusal.text.find("revision of auth store is old") != std::string::npos;
        if (stale && !config_.username.empty() && !call.repeated && !authenticating_) {
            call.repeated = true;
            calls_.push_front(std::move(call));
            authenticate();
        } else {
            call.done(std::unexpected(Failure{false, false, std::move(refusal)}));
        }
    }
    next();
}

void Session::on_trouble(Connection::Trouble trouble, const std::string& why) {
    busy_ = false;
    if (trouble == Connection::Trouble::TooLarge) {
        const auto self = shared_from_this();
        const Call call = std::move(calls_.front());
        calls_.pop_front();
        call.done(std::unexpected(Failure{true, false, {0, why}}));
        next();
        return;
    }
    end(why);
}

// --- watch ----------------------------------------------------------------------------------

void Session::open_watch() {
    if (watch_connection_) {
        watch_connection_->close();
    }
    line_.clear();
    if (ended_ || !make(watch_connection_)) {
        return;
    }
    Connection::Request request;
    request.path = kWatchPath;
    request.body = watch_body_;
    request.token = token_;
    request.patience = patience_.answer;
    request.endless = true;
    const auto self = weak_from_this();
    Connection::Events events;
    events.data = [self](std::string_view part) {
        if (const auto here = self.lock(); here && !here->ended_) {
            here->on_watched(part);
        }
    };
    events.done = [self](unsigned status, const std::string& body) {
        if (const auto here = self.lock(); here && !here->ended_) {
            here->end(
                status == kOk ? "the watch ended"
                              : "watch refused: " + decode_refusal(status, body).text);
        }
    };
    events.failed = [self](Connection::Trouble /*trouble*/, const std::string& why) {
        if (const auto here = self.lock(); here && !here->ended_) {
            here->end(why);
        }
    };
    events.when_room = events_.when_room;
    watch_connection_->send(std::move(request), std::move(events));
}

/// Cuts the stream into lines.
void Session::on_watched(std::string_view part) {
    const auto self = shared_from_this();
    const auto connection = watch_connection_;
    while (!part.empty()) {
        const std::size_t end_of_line = part.find('\n');
        if (end_of_line == std::string_view::npos) {
            line_ += part;
            if (line_.size() > kMaxAnswer) {
                end("a line of the watch is too large");
            }
            return;
        }
        line_ += part.substr(0, end_of_line);
        part.remove_prefix(end_of_line + 1);
        const std::string line = std::exchange(line_, {});
        if (!line.empty()) {
            events_.watched(line);
        }
        // The line may have been the last that was wanted.
        if (ended_ || watch_connection_ != connection) {
            return;
        }
    }
}

// --- probe ----------------------------------------------------------------------------------

void Session::probe_later() {
    probe_timer_.expires_after(patience_.probe);
    probe_timer_.async_wait([self = weak_from_this()](boost::system::error_code error) {
        const auto here = self.lock();
        if (error || !here || here->ended_) {
            return;
        }
        if (here->calls_.empty()) {
            here->call(
                kRangePath,
                encode(RangeRequest{here->probe_key_, {}, 0, 1}),
                [](const std::expected<std::string, Failure>& /*body*/) {});
        }
        here->probe_later();
    });
}

}  // namespace vr::policy::etcd
