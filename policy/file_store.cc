// SPDX-License-Identifier: Apache-2.0
#include "policy/file_store.h"

#include <fmt/format.h>
#include <sys/inotify.h>

#include <algorithm>
#include <chrono>
#include <string_view>
#include <utility>

#include <boost/asio/post.hpp>

#include "vrouter/net/log.h"

namespace vr::policy {

namespace {

namespace fs = std::filesystem;

constexpr std::chrono::milliseconds kGrace{100};

/// That a directory stands still is known a moment after the start.
constexpr std::string_view kInTheMaking = "it may be in the making";

}  // namespace

FileStore::FileStore(
    boost::asio::any_io_executor executor,
    std::filesystem::path directory,
    Listener listener,
    FileStoreOptions options)
    : executor_(executor),
      watch_(executor),
      look_timer_(executor),
      grace_timer_(executor),
      directory_(std::move(directory)),
      listener_(std::move(listener)),
      options_(std::move(options)),
      beside_(executor),
      looks_(executor) {
    health_.source = "file";
    health_.places = {directory_.name()};
    health_.state_file = options_.state_file;
    if (!options_.state_file.empty()) {
        saver_.emplace(executor, options_.state_file, "policy", [this] {
            saved_.commit();
            return [directory = directory_.name(), files = saved_.take()] {
                return encode_files(directory, files());
            };
        });
        catalog_.on_good(
            [this](const std::string& file) { saved_.note(file, catalog_.good(file)); });
    }
}

Result<void> FileStore::start() {
    if (auto watched = watch(); !watched) {
        return watched;
    }
    watching_ = std::make_shared<const bool>(true);
    if (saver_) {
        if (auto good = read_good_texts(options_.state_file, directory_.name())) {
            good_ = *std::move(good);
        } else {
            log::error("policy: last good state: {}", good.error().text);
        }
    }
    (void)stands_still(directory_.look(nullptr));
    scan();
    read_ = list_error_.empty() && options_.beginning == Beginning::AsFound;
    loaded_ = found_;
    deliver();
    read_events();
    look_again_later();
    return {};
}

void FileStore::stop() {
    watching_.reset();
    beside_.cancel();
    looks_.cancel();
    watch_.close();
    look_timer_.cancel();
    grace_timer_.cancel();
    if (saver_) {
        saver_->stop();
    }
}

// --- watching -------------------------------------------------------------------------------

Result<void> FileStore::watch() {
    ++watches_;
    reading_.clear();
    beside_.cancel();
    events_wait_ = false;
    if (auto opened = watch_.open(directory_.path()); !opened) {
        return opened;
    }
    watched_ = directory_.identity();
    return {};
}

void FileStore::read_events() {
    watch_.wait([this] { go_through_events(0); });
}

/// Those that are left; `seen` are the kinds of those before.  Where many files came at once, or a large one,
/// it goes on in another turn of the loop.
void FileStore::go_through_events(std::uint32_t seen) {
    const auto end = std::chrono::steady_clock::now() + options_.turn;
    do {
        const auto event = watch_.next();
        if (!event) {
            break;
        }
        seen |= event->mask;
        on_event(event->mask, event->name);
    } while (reading_.empty() && !must_scan_ && std::chrono::steady_clock::now() < end);
    deliver();
    const auto go_on = [this, alive = std::weak_ptr(watching_), watch = watches_, seen] {
        if (!alive.expired() && watch == watches_) {
            go_through_events(seen);
        }
    };
    events_wait_ = !reading_.empty() || must_scan_ || watch_.has_next();
    if (!reading_.empty()) {
        load_beside(go_on);
    } else if (must_scan_) {
        after_scan_ = go_on;
        look_again_later();
    } else if (events_wait_) {
        go_on_later(go_on);
    } else if ((seen & DirectoryWatch::kLost) != 0) {
        on_directory_lost();
    } else {
        events_wait_ = true;  // perhaps, and it may be long until they are read
        options_.when_room([this, alive = std::weak_ptr(watching_), watch = watches_] {
            if (!alive.expired() && watch == watches_) {
                events_wait_ = false;
                read_events();
            }
        });
    }
}

/// In another turn, once there is room for what it finds.
void FileStore::go_on_later(std::function<void()> go_on) {
    options_.when_room([executor = executor_, go_on = std::move(go_on)]() mutable {
        boost::asio::post(executor, std::move(go_on));
    });
}

void FileStore::on_event(std::uint32_t mask, const std::string& name) {
    if (!doubt_.empty()) {
        stirred_ = true;  // the looks at it find what happens to a directory in doubt
        return;
    }
    // Configuration maps are replaced by renaming a hidden link that all files go through.
    if ((mask & IN_Q_OVERFLOW) != 0 || name.starts_with("..")) {
        must_scan_ = true;
        return;
    }
    if (!is_resource_file(name)) {
        return;
    }
    if ((mask & (IN_CLOSE_WRITE | IN_MOVED_TO)) != 0 ||
        ((mask & IN_CREATE) != 0 && directory_.is_link(name))) {
        vanished_.erase(name);
        outrun(name);
        if (is_large(name)) {
            reading_ = name;
        } else {
            load(name);
        }
    } else if ((mask & (IN_DELETE | IN_MOVED_FROM)) != 0) {
        outrun(name);
        vanished_.insert(name);
        forget_vanished_later();
    }
}

void FileStore::forget_vanished_later() {
    grace_timer_.expires_after(kGrace);
    grace_timer_.async_wait(
        [this, alive = std::weak_ptr(watching_)](boost::system::error_code error) {
            if (!error && !alive.expired()) {
                forget_vanished();
                deliver();
            }
        });
}

void FileStore::forget_vanished() {
    forget(std::exchange(vanished_, {}));
}

/// Those that do not exist, some of many in a turn.
void FileStore::forget(std::set<std::string> files) {
    if (!doubt_.empty()) {
        vanished_.merge(files);
        return;
    }
    if (directory_.identity() != watched_) {
        on_directory_lost();
        return;
    }
    if (events_wait_) {  // one of them may tell where the objects are now
        vanished_.merge(files);
        forget_vanished_later();
        return;
    }
    // What follows when they are delivered takes longer than this.
    const auto end = std::chrono::steady_clock::now() + options_.turn / 2;
    while (!files.empty()) {
        const std::string file = std::move(files.extract(files.begin()).value());
        std::error_code error;
        const bool exists = fs::exists(directory_.path() / file, error);
        if (error) {
            vanished_.insert(file);  // nobody knows
        } else if (!exists) {
            outrun(file);
            forget_kept(file);
            auto events = catalog_.remove_file(file);
            log::info("policy: {} removed", file);
            std::ranges::move(events, std::back_inserter(pending_));
            save();
        }
        if (!files.empty() && std::chrono::steady_clock::now() >= end) {
            go_on_later(
                [this, alive = std::weak_ptr(watching_), files = std::move(files)]() mutable {
                    if (!alive.expired()) {
                        forget(std::move(files));
                        deliver();
                    }
                });
            return;
        }
    }
}

// --- reading --------------------------------------------------------------------------------

/// Sets list_error_.
void FileStore::note_listed(const Result<LookPtr>& seen) {
    const std::string before = std::exchange(list_error_, seen ? std::string() : seen.error().text);
    if (!seen && list_error_ != before) {
        log::error("policy: {}: {}", directory_.name(), list_error_);
    }
}

void FileStore::scan() {
    const auto seen = directory_.look(nullptr);
    note_listed(seen);
    if (!seen) {
        read_ = false;
        return;
    }
    scanned_.clear();
    for (const auto& [file, stamp] : **seen) {
        load(file);
    }
    good_.clear();  // what was removed meanwhile, and comes back, is new
    note_vanished(**seen);
}

/// Files that are held and not among `present`.
void FileStore::note_vanished(const Directory::Look& present) {
    std::erase_if(vanished_, [&](const auto& file) {
        return present.contains(file) && !outrun_.contains(file);
    });
    auto at = present.begin();
    catalog_.each_file([&](const std::string& file) {
        while (at != present.end() && at->first < file) {
            ++at;
        }
        if (at == present.end() || at->first != file) {
            vanished_.insert(file);
        }
    });
    if (!vanished_.empty()) {
        forget_vanished_later();
    }
}

/// Whether reading it now would hold up all else.
bool FileStore::is_large(const std::string& file) const {
    return directory_.size(file) >= options_.large && good_.empty();
}

/// Reads `reading_` on the other thread, takes over what it says, and goes on with `then` in another turn.
void FileStore::load_beside(std::function<void()> then) {
    beside_.read(
        [directory = directory_, file = reading_, known = catalog_.shared_text(reading_)] {
            return directory.read(file, known);
        },
        [this, file = reading_, then = std::move(then)](Reading reading) {
            const bool counts = std::exchange(reading_, {}) == file && doubt_.empty();
            if (counts && directory_.identity() != watched_) {
                on_directory_lost();
            } else if (counts) {
                take(file, std::move(reading));
                deliver();
            }
            go_on_later(then);
        });
}

void FileStore::load(const std::string& file) {
    outrun(file);
    Reading reading = directory_.read(file, catalog_.shared_text(file));
    if (auto good = good_.extract(file)) {
        auto text = std::make_shared<const std::string>(std::move(good.mapped()));
        if (!reading.text || **reading.text != *text) {
            auto parsed = parse_file(file, *text);
            set_text(file, std::move(text), std::move(parsed));
        }
    }
    take(file, std::move(reading));
}

/// `file` is told of from here on: an answer of the other thread would be older.
void FileStore::outrun(const std::string& file) {
    if (reading_ == file) {
        reading_.clear();
    }
    if (looking_) {
        outrun_.insert(file);
    }
}

void FileStore::take(const std::string& file, Reading reading) {
    const std::string error_before = catalog_.file_error(file);
    if (!reading.text) {
        catalog_.set_unreadable(file, reading.text.error().text);
        if (catalog_.file_error(file) != error_before) {
            log::error("policy: {}", catalog_.file_error(file));
        }
        note_kept(file);
        return;
    }
    if (*reading.text == catalog_.shared_text(file)) {
        return;
    }
    set_text(file, *std::move(reading.text), std::move(reading.parsed));
    save();
    report(file);
}

void FileStore::set_text(
    const std::string& file, std::shared_ptr<const std::string> text, Result<ParsedFile> parsed) {
    forget_kept(file);
    auto events = catalog_.set_file(file, std::move(text), std::move(parsed));
    std::ranges::move(events, std::back_inserter(pending_));
    note_kept(file);
}

/// Which objects that `file` defines count in their last valid version.
void FileStore::note_kept(const std::string& file) {
    for (auto& object : catalog_.faults(file)) {
        if (object.state == ObjectState::Kept) {
            kept_.set(object.key, std::move(object.reason));
        }
    }
}

/// What `file` defined may come to be defined elsewhere.
void FileStore::forget_kept(const std::string& file) {
    if (kept_.is_empty()) {
        return;
    }
    for (const auto& object : catalog_.list_file(file)) {
        if (object.state != ObjectState::Shadowed) {
            kept_.set(object.key, {});
        }
    }
}

/// What is in force now is to outlive the process; what was there before all is known is not.
void FileStore::save() {
    if (saver_ && in_sync_) {
        saver_->changed();
    }
}

void FileStore::report(const std::string& file) const {
    if (const std::string error = catalog_.file_error(file); !error.empty()) {
        log::error(
            "policy: {} ({})",
            error,
            catalog_.list_file(file).empty() ? "it has no effect"
                                             : "its last good objects stay in force");
        return;
    }
    for (const auto& object : catalog_.faults(file)) {
        if (object.state != ObjectState::Valid) {
            log::error(
                "policy: {} {}: {}", to_string(object.key), to_string(object.state), object.reason);
        }
        for (const auto& warning : object.warnings) {
            log::warning("policy: {}", warning);
        }
    }
}

std::string FileStore::missing() const {
    if (!list_error_.empty()) {
        return list_error_;
    }
    if (!doubt_.empty()) {
        return "it " + doubt_;
    }
    if (options_.beginning == Beginning::Whole) {
        if (const std::string error = catalog_.first_error(); !error.empty()) {
            return error;
        }
        if (holds_no_object()) {
            return "it holds no object";
        }
    }
    return read_ ? std::string() : std::string(kInTheMaking);
}

/// What vanished is not held any more, though it may be in force still.
bool FileStore::holds_no_object() const {
    return std::ranges::all_of(catalog_.files(), [this](const auto& file) {
        return vanished_.contains(file) || catalog_.list_file(file).empty();
    });
}

/// Says InSync when it is time.
void FileStore::begin() {
    if (in_sync_) {
        return;
    }
    const std::string lack = missing();
    if (lack.empty()) {
        in_sync_ = true;
        pending_.emplace_back(InSync{});
        save();
        return;
    }
    if (lack != waited_for_) {
        const auto line =
            fmt::format("policy: {} is not taken for everything yet: {}", directory_.name(), lack);
        if (lack == kInTheMaking) {
            log::info("{}", line);  // so it is at every start
        } else {
            log::warning("{}", line);
        }
        waited_for_ = lack;
        health_.fails(
            SourceStatus::State::Waiting,
            directory_.name() + ": " + lack,
            std::chrono::steady_clock::now());
    }
}

void FileStore::deliver() {
    if (!scanned_.empty()) {
        return;  // half of it may be wider than both ends
    }
    begin();
    const bool becomes_understood =
        !understood_ && in_sync_ && doubt_.empty() && catalog_.first_error().empty();
    understood_ = understood_ || becomes_understood;
    if (in_sync_ && doubt_.empty()) {
        health_.is(SourceStatus::State::InSync, std::chrono::steady_clock::now());
    }
    auto kept = kept_.take_changes();
    if (!pending_.empty() || becomes_understood || !kept.empty()) {
        Batch batch{++revision_, std::exchange(pending_, {})};
        batch.understood = understood_;
        batch.kept = std::move(kept);
        listener_(std::move(batch));
    }
}

}  // namespace vr::policy
