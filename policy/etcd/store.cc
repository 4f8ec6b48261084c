// SPDX-License-Identifier: Apache-2.0
#include "policy/etcd/store.h"

#include <fmt/format.h>

#include <algorithm>
#include <concepts>
#include <iterator>
#include <ranges>
#include <utility>

#include <boost/asio/post.hpp>

#include "policy/client_form.h"
#include "policy/document.h"
#include "policy/etcd/state_file.h"
#include "policy/etcd/status.h"
#include "policy/json_document.h"
#include "policy/resource.h"
#include "vrouter/net/log.h"

namespace vr::policy::etcd {

namespace {

/// How long a start waits for etcd before the last good state counts.
constexpr std::chrono::seconds kFirstWait{3};

/// Of mistakes that may be many.
constexpr std::size_t kToldOfAKind = 16;

/// A key as it can be shown: it may hold any byte.
std::string legible(std::string key) {
    std::ranges::replace_if(key, [](char c) { return c < ' ' || c > '~'; }, '?');
    return key;
}

/// What ends a freeze is the same whatever began it.
std::string stays_in_force(const std::string& frozen) {
    return frozen +
           "; the last good state stays in force until ClusterInformation says datastoreReady: "
           "true, to be written when all else is there (`vrouterctl apply` does)";
}

const Node* find(const Node& node, std::string_view a, std::string_view b) {
    const Node* inner = node.find(a);
    return inner != nullptr ? inner->find(b) : nullptr;
}

/// The object as etcd keeps it: one line of JSON, with what identifies it as before.
Result<std::string> stored_form(const std::string& yaml, const std::string* before) {
    auto documents = parse_documents("object", yaml);
    if (!documents) {
        return std::unexpected(std::move(documents).error());
    }
    Node& root = documents->front().root;
    const auto old = before != nullptr ? parse_json("object", *before) : fail("");
    for (const std::string_view field : {"uid", "creationTimestamp"}) {
        const Node* kept = old ? find(*old, "metadata", field) : nullptr;
        for (Member& member : root.fields) {
            if (member.key == "metadata" && kept != nullptr &&
                member.value.find(field) == nullptr) {
                member.value.fields.push_back({std::string(field), *kept});
            }
        }
    }
    return to_json(root);
}

}  // namespace

Store::Store(
    boost::asio::any_io_executor executor, EtcdConfig config, Listener listener, WhenRoom when_room)
    : executor_(executor),
      config_(std::move(config)),
      listener_(std::move(listener)),
      when_room_(std::move(when_room)),
      keys_(config_.prefix),
      // From the claims on, which come before the resources: one range, and so one watch, for both.
      sync_(
          IpamKeys(config_.prefix).claims(),
          prefix_end(keys_.resources()),
          keys_.cluster_information()),
      objects_(keys_),
      claims_(IpamKeys(config_.prefix)),
      backoff_(config_.endpoints.size()),
      connect_timer_(executor),
      wait_timer_(executor),
      random_(std::random_device{}()),
      saver_(
          executor,
          config_.state_file,
          "etcd",
          [this] {
              return [position = read_, items = good_.take()] {
                  return encode_state(position, items());
              };
          }),
      intake_(
          executor,
          keys_,
          [this](Intake::Told told, Readings readings) {
              take(std::move(told), std::move(readings));
          }),
      inbox_(executor, [this](Inbox::Message message) { on_message(std::move(message)); }) {
    health_.source = "etcd";
    health_.state_file = config_.state_file;
    for (const EtcdEndpoint& endpoint : config_.endpoints) {
        health_.places.push_back(to_string(endpoint));
    }
}

Store::~Store() {
    stop();
}

void Store::start() {
    running_ = std::make_shared<const bool>(true);
    if (auto stored = read_state(config_.state_file)) {
        sync_.restore(*std::move(stored));
    } else {
        log::error("etcd: last good state: {}", stored.error().text);
    }
    if (!config_.username.empty() &&
        std::ranges::any_of(config_.endpoints, [](const auto& e) { return !e.tls; })) {
        log::warning("etcd: the password of {} travels in the clear", config_.username);
    }
    // Not all hosts at the first endpoint.
    next_endpoint_ = random_() % config_.endpoints.size();
    wait_timer_.expires_after(kFirstWait);
    wait_timer_.async_wait(
        [this, alive = std::weak_ptr(running_)](boost::system::error_code error) {
            if (!error && !alive.expired()) {
                handle(sync_.give_up_waiting());
            }
        });
    connect();
}

void Store::stop() {
    if (!running_) {
        return;
    }
    running_.reset();
    connect_timer_.cancel();
    wait_timer_.cancel();
    intake_.stop();
    inbox_.clear();
    if (session_) {
        std::exchange(session_, nullptr)->close();
    }
    saver_.stop();
}

// --- sessions -------------------------------------------------------------------------------

void Store::connect() {
    const EtcdEndpoint& endpoint = config_.endpoints[next_endpoint_++ % config_.endpoints.size()];
    Session::Events events;
    events.watched = [this](std::string_view line) { inbox_.add_line(line); };
    events.ended = [this](const std::string& why) { on_ended(why); };
    events.when_room = [this](std::function<void()> then) {
        inbox_.when_empty([this, then = std::move(then)] { when_room_(then); });
    };
    session_ =
        std::make_shared<Session>(executor_, endpoint, config_, Patience{}, std::move(events));
    session_->start(keys_.cluster_information());
    handle(sync_.connected());
}

void Store::on_ended(const std::string& why) {
    if (!session_) {
        return;
    }
    trouble_ = to_string(session_->endpoint()) + ": " + why;
    const auto session = std::exchange(session_, nullptr);
    inbox_.clear();
    live_ = false;
    const double chance = std::uniform_real_distribution<>(0, 1)(random_);
    connect_timer_.expires_after(backoff_.failed(chance));
    connect_timer_.async_wait(
        [this, alive = std::weak_ptr(running_)](boost::system::error_code error) {
            if (!error && !alive.expired()) {
                connect();
            }
        });
    tell_state();
    if (backoff_.tried_all()) {
        handle(sync_.give_up_waiting());
    }
    session->give_up(why);
}

void Store::handle(Step step) {
    // The next page travels while this one is worked off.
    ask(step.ask);
    Intake::Told told{std::move(step.changes), sync_.position(), step.in_sync};
    told.more = !sync_.is_whole();
    if (sync_.can_go_on()) {
        told.then = [this] { go_on_later(); };  // one part after the other
    }
    intake_.add(std::move(told));
    if (!sync_.has_to_tell()) {
        for (auto& then : std::exchange(when_told_, {})) {
            intake_.add({{}, sync_.position(), false, std::move(then), !sync_.is_whole()});
        }
    }
    if (sync_.is_watching() && session_) {
        backoff_.succeeded();
        trouble_.clear();
    }
    settle_later();
}

/// What is left of a picture, or the next one.
void Store::go_on_later() {
    if (!std::exchange(going_on_, true)) {
        boost::asio::post(executor_, [this, alive = std::weak_ptr(running_)] {
            if (!alive.expired()) {
                going_on_ = false;
                handle(sync_.go_on());
            }
        });
    }
}

/// Takes all that was told.
void Store::catch_up() {
    while (sync_.has_to_tell()) {
        handle(sync_.go_on());
    }
    intake_.catch_up();
}

/// What else was received together goes into one batch.
void Store::settle_later() {
    if (!std::exchange(settling_, true)) {
        boost::asio::post(executor_, [this, alive = std::weak_ptr(running_)] {
            if (!alive.expired()) {
                settle();
            }
        });
    }
}

/// Hands out what has come together and looks where we are.
void Store::settle() {
    settling_ = false;
    if (!whole_) {
        return;  // once more at its end
    }
    deliver(std::exchange(in_sync_, false));
    if (!intake_.is_empty()) {
        return;  // not all that etcd has is in force
    }
    tell_state();
    if (!std::exchange(live_, is_live()) && live_ && on_live_) {
        on_live_();
    }
}

void Store::ask(const Ask& ask) {
    if (!session_) {
        return;
    }
    if (const auto* range = std::get_if<RangeRequest>(&ask)) {
        session_->call(
            kRangePath, encode(*range), [this](auto body) { on_range(std::move(body)); });
    } else if (const auto* watch = std::get_if<WatchRequest>(&ask)) {
        session_->watch(encode(*watch));
    } else if (const auto* reconnect = std::get_if<Reconnect>(&ask)) {
        on_ended(reconnect->why);
    }
}

void Store::on_range(std::expected<std::string, Session::Failure> body) {
    if (!body) {
        if (body.error().too_large) {
            handle(sync_.on_too_large());
        } else if (!body.error().lost) {
            handle(sync_.on_refused(body.error().refusal));
        }
        return;
    }
    inbox_.add_range(*std::move(body));
}

void Store::on_message(Inbox::Message message) {
    std::visit(
        [this](auto& reply) {
            if (!reply) {
                on_ended(reply.error().text);
            } else if constexpr (std::same_as<decltype(reply), Result<RangeReply>&>) {
                handle(sync_.on_range(*std::move(reply)));
            } else {
                handle(sync_.on_watch(*std::move(reply)));
            }
        },
        message);
}

/// Logs what an operator looks for, once for each change of it.
void Store::tell_state() {
    const std::string frozen = sync_.is_watching() ? sync_.frozen() : std::string();
    note_state(frozen);
    std::string state = !trouble_.empty()     ? "unreachable"
                        : !frozen.empty()     ? "frozen: " + frozen
                        : sync_.is_watching() ? "in sync"
                                              : "connecting";
    if (state == told_ || (state == "connecting" && !told_.empty())) {
        return;
    }
    told_ = std::move(state);
    if (!trouble_.empty()) {
        log::warning("etcd {}; the last state stays in force", trouble_);
    } else if (!frozen.empty()) {
        log::error("etcd: {}", stays_in_force(frozen));
    } else if (sync_.is_watching()) {
        log::info(
            "etcd {}: in sync at revision {}, {} objects",
            to_string(session_->endpoint()),
            sync_.position().revision,
            objects_.size());
    }
}

void Store::note_state(const std::string& frozen) {
    using State = SourceStatus::State;
    const auto now = std::chrono::steady_clock::now();
    if (!trouble_.empty()) {
        health_.fails(State::Unreachable, trouble_, now);
    } else if (!frozen.empty()) {
        health_.fails(State::Frozen, frozen, now);
    } else if (sync_.is_watching()) {
        health_.is(State::InSync, now);
    } else if (!sync_.is_in_sync()) {
        health_.is(State::Waiting, now);
    }
}

SourceStatus Store::status() const {
    SourceStatus status = health_;
    status.in_force = complete_;
    status.place = session_ ? to_string(session_->endpoint()) : std::string();
    status.revision = static_cast<std::uint64_t>(read_.revision);
    return status;
}

bool Store::is_live() const {
    return session_ && sync_.is_watching() && sync_.frozen().empty();
}

std::string Store::why_not_live() const {
    const std::string frozen = sync_.is_watching() ? sync_.frozen() : std::string();
    return !trouble_.empty() ? trouble_ : !frozen.empty() ? frozen : "not in sync yet";
}

// --- objects --------------------------------------------------------------------------------

/// Reads what has changed.  What follows from that is handed out in another turn of the loop: both together
/// would take too long where a value is large.
void Store::take(Intake::Told told, Readings readings) {
    if (told.more && whole_) {
        deliver(
            std::exchange(in_sync_, false));  // what came before does not wait for the end of this
    }
    whole_ = !told.more;
    in_sync_ = in_sync_ || told.in_sync;
    const std::string felix = keys_.felix_configuration("");
    const std::string resources = keys_.resources();
    const std::string claims = IpamKeys(config_.prefix).claims();
    std::vector<std::string> keys;
    std::vector<Key> touched;
    for (const Change& change : told.changes) {
        // What lies between claims and resources is nobody's business here, and may change all the time.
        changed_ = changed_ || change.key.starts_with(resources);
        if (change.key.starts_with(felix)) {
            const std::string name = change.key.substr(felix.size());
            if (change.value) {
                wants_reports_[name] = etcd::wants_reports(*change.value);
            } else {
                wants_reports_.erase(name);
            }
        }
        if (auto key = keys_.resource(change.key)) {
            keys.push_back(change.key);
            touched.push_back(*std::move(key));
        } else if (change.key.starts_with(claims)) {
            keys.push_back(change.key);
        } else if (!change.value) {
            misnamed_.erase(change.key);
        } else if (const auto kind = keys_.misnamed(change.key)) {
            misnamed_[change.key] = *kind;
        }
    }
    changed_ = claims_.apply(told.changes) || changed_;
    std::ranges::move(
        objects_.apply(std::move(told.changes), std::move(readings)), std::back_inserter(events_));
    note_good(keys);
    if (whole_) {
        read_ = told.position;
        good_.commit();
    }
    for (const Key& key : touched) {
        if (objects_.is_clean(key)) {
            kept_.set(key, {});
        } else {
            report(key);
        }
    }
    settle_later();
}

void Store::deliver(bool in_sync) {
    complete_ = complete_ || in_sync;
    Batch batch;
    if (complete_) {
        batch.blocks = claims_.take_confirmed();
    }
    batch.events = std::exchange(events_, {});
    if (in_sync) {
        batch.events.emplace_back(InSync{});
    }
    batch.kept = kept_.take_changes();
    if ((std::exchange(changed_, false) || in_sync) && complete_) {
        saver_.changed();
    }
    if (!batch.events.empty() || !batch.blocks.empty() || !batch.kept.empty()) {
        batch.revision = ++batches_;
        listener_(std::move(batch));
    }
}

void Store::report(const Key& key) {
    const auto status = objects_.find(key);
    kept_.set(key, status->state == ObjectState::Kept ? status->reason : std::string());
    if (status->state != ObjectState::Valid) {
        log::error("etcd: {} {}: {}", to_string(key), to_string(status->state), status->reason);
    }
    for (const auto& warning : status->warnings) {
        log::debug("etcd: {}", warning);
    }
}

std::vector<ObjectStatus> Store::list(const Key& from, std::size_t count) const {
    return objects_.list(from, count);
}

std::vector<std::string> Store::problems() const {
    std::vector<std::string> all;
    if (!trouble_.empty()) {
        all.push_back("etcd " + trouble_);
    }
    if (const std::string frozen = sync_.frozen(); sync_.is_watching() && !frozen.empty()) {
        all.push_back("etcd: " + stays_in_force(frozen));
    }
    if (!saver_.error().empty()) {
        all.push_back("etcd: last good state: " + saver_.error());
    }
    for (const auto& [key, kind] : misnamed_ | std::views::take(kToldOfAKind)) {
        all.push_back(fmt::format("etcd: {} {}", legible(key), misnamed(kind)));
    }
    if (misnamed_.size() > kToldOfAKind) {
        all.push_back(fmt::format("etcd: {} more such keys", misnamed_.size() - kToldOfAKind));
    }
    return all;
}

// --- writing --------------------------------------------------------------------------------

void Store::call(std::string_view path, std::string body, Session::Done done) {
    if (session_) {
        session_->call(path, std::move(body), std::move(done));
    } else {
        done(std::unexpected(Session::Failure{false, true, {0, trouble_}}));
    }
}

Result<std::vector<Write>> Store::plan(
    std::string_view file, std::string_view yaml, std::vector<Key>& keys) const {
    auto parsed = parse_file(file, yaml);
    if (!parsed) {
        return std::unexpected(std::move(parsed).error());
    }
    if (!parsed->ignored.empty()) {
        return fail(parsed->ignored.front());
    }
    std::vector<Write> writes;
    for (const ParsedObject& object : parsed->objects) {
        if (!object.resource) {
            return fail(object.error);
        }
        if (std::ranges::count(keys, object.key) > 0) {
            return fail(to_string(object.key) + " is given twice");
        }
        const std::string path = keys_.of(object.key);
        const std::int64_t revision = sync_.revision_of(path);
        const auto before = revision == 0 ? nullptr : objects_.value(object.key);
        auto value = stored_form(client_form(object), before.get());
        if (!value) {
            return std::unexpected(std::move(value).error());
        }
        writes.push_back({path, *std::move(value), revision});
        keys.push_back(object.key);
    }
    return writes;
}

void Store::put(std::string_view file, std::string_view yaml, PutDone done) {
    // Held against all that etcd has told, also what waits to be read.
    catch_up();
    std::vector<Key> keys;
    auto writes = plan(file, yaml, keys);
    if (!writes) {
        done(std::unexpected(std::move(writes).error()));
        return;
    }
    const auto shared = std::make_shared<PutDone>(std::move(done));
    commit(*std::move(writes), 0, [shared, keys = std::move(keys)](Result<void> result) {
        if (result) {
            (*shared)(keys);
        } else {
            (*shared)(std::unexpected(std::move(result).error()));
        }
    });
}

void Store::remove(const Key& key, RemoveDone done) {
    const std::string path = keys_.of(key);
    const std::int64_t revision = sync_.revision_of(path);
    if (revision == 0) {
        done(fail(to_string(key) + " does not exist"));
        return;
    }
    const auto shared = std::make_shared<RemoveDone>(std::move(done));
    commit({{path, std::nullopt, revision}}, 0, [shared](Result<void> result) {
        (*shared)(std::move(result));
    });
}

void Store::write(Write write, std::function<void(Result<void>)> done) {
    commit({std::move(write)}, 0, std::move(done));
}

/// Whether these are of what ends a freeze alone: all that etcd has is known then, too.
bool Store::may_thaw(const std::vector<Write>& writes) const {
    return session_ && sync_.is_watching() && writes.size() == 1 &&
           writes.front().key == keys_.cluster_information();
}

/// Writes from number `from` on, in as many transactions as are needed.
void Store::commit(
    std::vector<Write> writes, std::size_t from, std::function<void(Result<void>)> done) {
    if (from >= writes.size()) {
        done({});
        return;
    }
    if (!is_live() && !may_thaw(writes)) {
        done(fail("etcd is not written to: " + why_not_live()));
        return;
    }
    const std::size_t to = std::min(from + kMaxWrites, writes.size());
    const std::vector<Write> part(
        writes.begin() + static_cast<std::ptrdiff_t>(from),
        writes.begin() + static_cast<std::ptrdiff_t>(to));
    call(
        kTransactionPath,
        encode_transaction(part),
        [this, part, writes = std::move(writes), to, done = std::move(done)](
            std::expected<std::string, Session::Failure> body) {
            if (!body) {
                done(fail("etcd: " + body.error().refusal.text));
                return;
            }
            const auto reply = decode_transaction(*body);
            if (!reply) {
                done(std::unexpected(reply.error()));
            } else if (!reply->succeeded) {
                done(fail("somebody else changed it at the same time: try again"));
            } else {
                // Who has written reads it.
                when_told_.emplace_back([this, writes, to, done] { commit(writes, to, done); });
                handle(sync_.written(part, reply->header));
            }
        });
}

// --- the last good state --------------------------------------------------------------------

/// What is to be saved of them.
void Store::note_good(const std::vector<std::string>& keys) {
    for (const std::string& key : keys) {
        auto good = objects_.good(key);
        good_.note(key, good ? std::move(good) : claims_.good(key));
    }
}

}  // namespace vr::policy::etcd
