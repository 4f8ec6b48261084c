// SPDX-License-Identifier: Apache-2.0
#include "policy/policyd/receiver.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <iterator>
#include <utility>

#include <policyd.pb.h>

#include "policy/sealed_file.h"

namespace vr::policyd {

using policy::Batch;
using policy::Key;
using policy::SetUpdate;

namespace {

constexpr std::string_view kMagic = "vrouter policyd state 1\n";

/// Of a frame in the file of the last good state, about.
constexpr std::size_t kFrameBytes = std::size_t{1} << 20U;

/// What an update takes until it is applied, at least.
std::size_t memory_of(const Update& update) {
    std::size_t bytes = sizeof(Update);
    if (const auto* set = std::get_if<SetUpdate>(&update)) {
        bytes += set->name.selector.size() + set->name.port.size() +
                 (set->added.size() + set->removed.size()) * sizeof(policy::PortMember);
    } else if (const auto* came = std::get_if<ObjectCame>(&update)) {
        bytes += came->key.ns.size() + came->key.name.size() + came->document.size() +
                 came->reason.size();
    } else if (const auto* went = std::get_if<ObjectWent>(&update)) {
        bytes += went->key.ns.size() + went->key.name.size();
    } else if (const auto* own = std::get_if<OwnBlocks>(&update)) {
        bytes += own->blocks.size() * sizeof(IpPrefix);
    }
    return bytes;
}

/// True if `more` is a further part of the set that `first` replaces: what the graph is told to replace a set is
/// the whole.
bool continues(const SetUpdate& first, const SetUpdate& more) {
    return first.name == more.name && first.how == SetUpdate::How::Replace &&
           more.how == SetUpdate::How::Change && more.removed.empty();
}

/// What is to be written down, apart from the receiver.
struct Picture {
    std::string host;
    std::vector<std::pair<policy::SetName, std::shared_ptr<const std::set<policy::PortMember>>>>
        sets;
    std::vector<ObjectCame> objects;
    std::set<IpPrefix> blocks;
    std::shared_ptr<std::atomic<bool>> written = std::make_shared<std::atomic<bool>>(false);

    [[nodiscard]] std::string encode() const {
        std::string file(kMagic);
        policy::put_number(file, kProtocol);
        policy::put_text(file, host);
        std::vector<Chunk> chunks;
        std::size_t bytes = 0;
        std::uint64_t sequence = 0;
        const auto end_frame = [&](bool more) {
            const Envelope envelope = batch_frame(chunks, ++sequence, more);
            file += envelope.head;
            for (const auto& chunk : std::exchange(chunks, {})) {
                file += *chunk;
            }
            file += envelope.tail;
            bytes = 0;
        };
        const auto add = [&](Chunk chunk) {
            bytes += chunk->size();
            chunks.push_back(std::move(chunk));
            if (bytes >= kFrameBytes) {
                end_frame(true);
            }
        };
        for (const auto& [name, members] : sets) {
            add(set_update(
                {name, SetUpdate::How::Replace, {members->begin(), members->end()}, {}}));
        }
        for (const auto& [key, text, reason] : objects) {
            add(object_update(key, text, reason));
        }
        if (!blocks.empty()) {
            add(own_blocks(blocks));
        }
        chunks.push_back(vr::policyd::in_sync());
        end_frame(false);
        // Released, acquired by to_change(): members are read no more.
        written->store(true, std::memory_order_release);
        policy::seal(file);
        return file;
    }
};

}  // namespace

pb::Hello Receiver::hello() {
    assert(!applying_);
    welcome_ = false;
    snapshot_ = false;
    told_all_ = false;
    pending_.clear();
    pending_bytes_ = 0;
    pb::Hello hello;
    hello.set_protocol(kProtocol);
    hello.set_host(host_);
    hello.set_epoch(epoch_);
    hello.set_sequence(applied_);
    return hello;
}

Result<void> Receiver::on(const pb::FromServer& message) {
    assert(!applying_);
    switch (message.content_case()) {
        case pb::FromServer::kWelcome:
            return on_welcome(message.welcome());
        case pb::FromServer::kRefused:
            return fail("refused: " + message.refused().reason());
        case pb::FromServer::kBatch:
            return on_batch(message.batch());
        case pb::FromServer::kPing:
        case pb::FromServer::CONTENT_NOT_SET:
            break;
    }
    return {};
}

Result<void> Receiver::on_welcome(const pb::Welcome& welcome) {
    if (welcome_) {
        return fail("the server says welcome twice");
    }
    if (welcome.protocol() != kProtocol) {
        return fail(
            fmt::format("the server speaks protocol {}, not {}", welcome.protocol(), kProtocol));
    }
    if (welcome.resumed() && (welcome.epoch() != epoch_ || welcome.epoch().empty())) {
        return fail("the server resumes a stream that was never begun");
    }
    welcome_ = true;
    snapshot_ = !welcome.resumed();
    server_epoch_ = welcome.epoch();
    received_ = welcome.sequence();
    return {};
}

Result<void> Receiver::on_batch(const pb::Batch& batch) {
    if (!welcome_) {
        return fail("the server sends changes before its welcome");
    }
    if (batch.sequence_number() != received_ + 1) {
        return fail(
            fmt::format("batch {} comes after batch {}", batch.sequence_number(), received_));
    }
    received_ = batch.sequence_number();
    for (const auto& message : batch.updates()) {
        auto update = read_update(message);
        if (!update) {
            return std::unexpected(std::move(update).error());
        }
        if (std::holds_alternative<AllTold>(*update)) {
            told_all_ = true;
        } else {
            pending_bytes_ += memory_of(*update);
            pending_.push_back(*std::move(update));
        }
        if (pending_bytes_ > most_bytes_) {
            return fail(fmt::format("a batch that takes more than {} bytes", most_bytes_));
        }
    }
    if (!batch.more() && (!snapshot_ || told_all_)) {
        begin();
    }
    return {};
}

// --- a batch, slice by slice -----------------------------------------------------------------

void Receiver::begin() {
    applying_ = true;
    complaints_.clear();
    batch_ = {.revision = ++revision_};
    blocks_before_ = blocks_;
    if (std::exchange(snapshot_, false)) {
        lacking_objects_ = std::exchange(objects_, {});
        lacking_sets_ = std::exchange(sets_, {});
        own({});
    }
}

std::optional<Batch> Receiver::go_on(const policy::Slice& slice) {
    while (!pending_.empty()) {
        Update update = std::move(pending_.front());
        pending_.pop_front();
        apply(std::move(update));
        if (slice.is_over()) {
            return std::nullopt;
        }
    }
    const auto take = [this](const auto& object) { take_out(object.value()); };
    const auto forget = [this](auto& set) {
        free_later(set.mapped());
        batch_.sets.push_back({std::move(set.key()), SetUpdate::How::Forget, {}, {}});
    };
    if (!slice.drain(lacking_objects_, take) || !slice.drain(lacking_sets_, forget)) {
        return std::nullopt;
    }
    for (; !freed_.empty(); freed_.pop_back()) {
        if (!slice.drain(freed_.back(), [](const auto& /*member*/) {})) {
            return std::nullopt;
        }
    }
    return finish();
}

void Receiver::apply(Update update) {
    if (auto* set = std::get_if<SetUpdate>(&update)) {
        change(*set);
    } else if (const auto* came = std::get_if<ObjectCame>(&update)) {
        put(*came);
    } else if (const auto* went = std::get_if<ObjectWent>(&update)) {
        take_out(went->key);
    } else if (auto* blocks = std::get_if<OwnBlocks>(&update)) {
        own(std::move(blocks->blocks));
    }
}

Batch Receiver::finish() {
    applying_ = false;
    pending_bytes_ = 0;
    if (blocks_ == blocks_before_) {
        batch_.blocks.erase(host_);  // went and came again
    }
    if (told_all_ && !std::exchange(in_sync_, true)) {
        batch_.events.emplace_back(policy::InSync{});
    }
    epoch_ = server_epoch_;
    applied_ = received_;
    return std::exchange(batch_, {});
}

/// Members that no file is being made of: a copy if need be.
Receiver::Members& Receiver::Set::to_change() {
    if (written && !written->load(std::memory_order_acquire)) {
        members = std::make_shared<Members>(*members);
    }
    written.reset();
    return *members;
}

void Receiver::change(SetUpdate& update) {
    if (auto before = lacking_sets_.extract(update.name)) {
        sets_.insert(std::move(before));
    }
    if (update.how == SetUpdate::How::Forget) {
        if (const auto set = sets_.find(update.name); set != sets_.end()) {
            free_later(set->second);
            sets_.erase(set);
        }
    } else {
        Set& set = sets_[update.name];
        if (update.how == SetUpdate::How::Replace) {
            free_later(set);
            set = {};
        }
        Members& members = set.to_change();
        members.insert(update.added.begin(), update.added.end());
        for (const auto& member : update.removed) {
            members.erase(member);
        }
    }
    tell(update);
}

void Receiver::tell(SetUpdate& update) {
    if (!batch_.sets.empty() && continues(batch_.sets.back(), update)) {
        auto& added = batch_.sets.back().added;
        added.insert(added.end(), update.added.begin(), update.added.end());
        return;
    }
    // All parts at once: to grow would copy a million members in one turn.
    std::size_t count = update.added.size();
    for (const auto& next : pending_) {
        const auto* more = std::get_if<SetUpdate>(&next);
        if (more == nullptr || !continues(update, *more)) {
            break;
        }
        count += more->added.size();
    }
    update.added.reserve(count);
    batch_.sets.push_back(std::move(update));
}

/// Members that a file is being made of go with the last who holds them, on the saver's thread.
void Receiver::free_later(Set& set) {
    if (!set.written || set.written->load(std::memory_order_acquire)) {
        freed_.push_back(std::move(*set.members));
    }
}

void Receiver::own(std::set<IpPrefix> blocks) {
    if (blocks != blocks_) {
        blocks_ = std::move(blocks);
        batch_.blocks[host_] = blocks_;
    }
}

void Receiver::put(const ObjectCame& came) {
    const auto& [key, document, reason] = came;
    const std::string name = to_string(key);
    lacking_objects_.erase(key);
    objects_.insert(key);
    if (reason.empty()) {
        kept_.erase(key);
    } else {
        kept_[key] = reason;
    }
    if (catalog_.is_current(name, document)) {
        return;
    }
    const auto add = [this](policy::Events events) {
        std::ranges::move(events, std::back_inserter(batch_.events));
    };
    add(catalog_.set_file(name, document));
    const std::string error = catalog_.file_error(name);
    const auto written = catalog_.list_file(name);
    if (!error.empty() || written.size() != 1 || written.front().key != key) {
        // Nothing here may stay as it was, or hold another object than the one that was told.
        add(catalog_.set_stand_in(
            name,
            document,
            key,
            host_,
            error.empty() ? "the document defines something else" : error));
    } else if (written.front().state == policy::ObjectState::Kept) {
        // The server tells the last valid version itself; this is what it has instead of one.
        add(catalog_.remove_file(name));
        add(catalog_.set_file(name, document));
    }
    for (const auto& object : catalog_.list_file(name)) {
        if (object.state != policy::ObjectState::Valid) {
            complaints_.push_back(
                fmt::format("{} {}: {}", name, to_string(object.state), object.reason));
        }
    }
}

void Receiver::take_out(const Key& key) {
    lacking_objects_.erase(key);
    objects_.erase(key);
    kept_.erase(key);
    auto events = catalog_.remove_file(to_string(key));
    std::ranges::move(events, std::back_inserter(batch_.events));
}

std::vector<policy::ObjectStatus> Receiver::list(const policy::Key& from, std::size_t count) const {
    auto all = catalog_.list(from, count);
    for (auto& object : all) {
        const auto kept = kept_.find(object.key);
        if (kept != kept_.end() && object.state == policy::ObjectState::Valid) {
            object.state = policy::ObjectState::Kept;
            object.reason = kept->second;
        }
    }
    return all;
}

std::map<policy::Kind, policy::KindCount> Receiver::counts() const {
    auto all = catalog_.counts();
    for (const auto& [key, reason] : kept_) {
        const auto here = catalog_.list_file(to_string(key));
        const bool counted = !here.empty() && here.front().state != policy::ObjectState::Valid;
        all[key.kind].invalid += counted ? 0 : 1;
    }
    return all;
}

// --- the last good state ---------------------------------------------------------------------

std::function<std::string()> Receiver::last_good() {
    if (applying_) {
        return nullptr;
    }
    if (!in_sync_) {
        return [] { return std::string(); };
    }
    Picture picture{.host = host_, .blocks = blocks_};
    picture.sets.reserve(sets_.size());
    for (auto& [name, set] : sets_) {
        (void)set.to_change();  // of two files at once each has its own
        set.written = picture.written;
        picture.sets.emplace_back(name, set.members);
    }
    picture.objects.reserve(objects_.size());
    for (const auto& key : objects_) {
        const auto kept = kept_.find(key);
        picture.objects.emplace_back(
            key,
            std::string(catalog_.text(to_string(key))),
            kept == kept_.end() ? std::string() : kept->second);
    }
    return [picture = std::move(picture)] { return picture.encode(); };
}

Result<void> Receiver::restore(std::string_view file) {
    const auto content = policy::unseal(kMagic, file);
    if (!content) {
        return std::unexpected(content.error());
    }
    Reader reader(*content);
    if (reader.u32() != kProtocol) {
        return fail("is of another version of the protocol");
    }
    if (const std::string host = policy::get_text(reader); host != host_) {
        return fail("is of host '" + host + "'");
    }
    (void)hello();
    pb::Welcome welcome;
    welcome.set_protocol(kProtocol);
    (void)on_welcome(welcome);
    FrameDecoder decoder;
    decoder.feed(reader.rest());
    while (reader.ok()) {
        const auto frame = decoder.next();
        if (!frame || !*frame) {
            break;
        }
        const auto message = parse_from_server(**frame);
        if (!message) {
            break;
        }
        if (!on(*message)) {
            break;
        }
        if (applying_) {
            return {};
        }
    }
    return fail("is damaged");
}

}  // namespace vr::policyd
