// SPDX-License-Identifier: Apache-2.0
#include "policy/file_store.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <fstream>
#include <sstream>
#include <utility>

#include <boost/asio/post.hpp>

#include "policy/client_form.h"
#include "policy/resource.h"
#include "vrouter/net/log.h"

namespace vr::policy {

namespace {

namespace fs = std::filesystem;

constexpr std::uintmax_t kMaxFileSize = 64U << 20U;
constexpr std::chrono::milliseconds kGrace{100};
constexpr std::uint32_t kFileEvents =
    IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_CREATE;
constexpr std::uint32_t kLost = IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED | IN_UNMOUNT;

std::string system_error() {
    return std::error_code(errno, std::generic_category()).message();
}

Result<std::string> read_file(const fs::path& path) {
    std::error_code error;
    const auto size = fs::file_size(path, error);
    if (error) {
        return fail("cannot be read: " + error.message());
    }
    if (size > kMaxFileSize) {
        return fail(fmt::format("larger than {} MiB", kMaxFileSize >> 20U));
    }
    std::ifstream stream(path, std::ios::binary);
    std::ostringstream text;
    text << stream.rdbuf();
    if (!stream) {
        return size == 0 ? Result<std::string>(std::string()) : fail("cannot be read");
    }
    return std::move(text).str();
}

/// A link, of either kind, is complete when it is made; a file is read when it is closed.
bool is_link(const fs::path& path) {
    std::error_code error;
    return fs::is_symlink(path, error) ||
           (fs::is_regular_file(path, error) && fs::hard_link_count(path, error) > 1 && !error);
}

std::string file_name(const Key& key) {
    std::string name(row_of(key.kind).name);
    std::ranges::transform(name, name.begin(), tolower);
    name += key.ns.empty() ? "." : "." + key.ns + ".";
    return name + key.name + ".yaml";
}

}  // namespace

FileStore::FileStore(
    boost::asio::any_io_executor executor,
    std::filesystem::path directory,
    Listener listener,
    FileStoreOptions options)
    : inotify_(executor),
      look_timer_(executor),
      grace_timer_(executor),
      directory_(std::move(directory)),
      listener_(std::move(listener)),
      options_(std::move(options)) {
    health_.source = "file";
    health_.places = {directory_.string()};
    health_.state_file = options_.state_file;
    if (!options_.state_file.empty()) {
        saver_.emplace(executor, options_.state_file, "policy", [this] {
            return [directory = directory_.string(), files = catalog_.good()] {
                return encode_files(directory, files);
            };
        });
    }
}

Result<void> FileStore::start() {
    if (auto watched = watch(); !watched) {
        return watched;
    }
    watching_ = std::make_shared<const bool>(true);
    if (saver_) {
        if (auto good = read_good_texts(options_.state_file, directory_.string())) {
            good_ = *std::move(good);
        } else {
            log::error("policy: last good state: {}", good.error().text);
        }
    }
    (void)stands_still(look(directory_, nullptr));
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
    boost::system::error_code ignored;
    inotify_.close(ignored);
    look_timer_.cancel();
    grace_timer_.cancel();
    if (saver_) {
        saver_->stop();
    }
}

// --- watching -------------------------------------------------------------------------------

Result<void> FileStore::watch() {
    const int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (fd < 0) {
        return fail("inotify: " + system_error());
    }
    boost::system::error_code ignored;
    inotify_.close(ignored);
    inotify_.assign(fd);
    ++watches_;
    reading_.clear();
    events_wait_ = false;
    if (inotify_add_watch(fd, directory_.c_str(), kFileEvents | kLost | IN_ONLYDIR) < 0) {
        return fail(fmt::format("cannot watch {}: {}", directory_.string(), system_error()));
    }
    watched_ = identity();
    return {};
}

FileStore::Identity FileStore::identity() const {
    struct stat status{};
    return ::stat(directory_.c_str(), &status) == 0 ? Identity{status.st_dev, status.st_ino}
                                                    : Identity{};
}

void FileStore::read_events() {
    inotify_.async_read_some(
        boost::asio::buffer(buffer_),
        [this, alive = std::weak_ptr(watching_), watch = watches_](
            boost::system::error_code error, std::size_t size) {
            if (!error && !alive.expired() && watch == watches_) {
                go_through_events(0, size, 0);
            }
        });
}

/// Those of the buffer from `at` on; `seen` are the kinds of those before.  Where many files came at once, or
/// a large one, it goes on in another turn of the loop.
void FileStore::go_through_events(std::size_t at, std::size_t size, std::uint32_t seen) {
    const auto end = std::chrono::steady_clock::now() + options_.turn;
    bool in_time = true;
    while (in_time && reading_.empty() && at + sizeof(inotify_event) <= size) {
        inotify_event event{};
        std::memcpy(&event, buffer_.data() + at, sizeof(event));
        at += sizeof(event);
        // The name is padded with zero bytes up to event.len.
        const std::size_t length = std::min<std::size_t>(event.len, size - at);
        const std::string name(buffer_.data() + at, strnlen(buffer_.data() + at, length));
        at += length;
        seen |= event.mask;
        on_event(event.mask, name);
        in_time = std::chrono::steady_clock::now() < end;
    }
    deliver();
    const auto go_on = [this, alive = std::weak_ptr(watching_), watch = watches_, at, size, seen] {
        if (!alive.expired() && watch == watches_) {
            go_through_events(at, size, seen);
        }
    };
    events_wait_ = !reading_.empty() || at + sizeof(inotify_event) <= size;
    if (!reading_.empty()) {
        load_beside(go_on);
    } else if (events_wait_) {
        boost::asio::post(inotify_.get_executor(), go_on);
    } else if ((seen & kLost) != 0) {
        on_directory_lost();
    } else {
        read_events();
    }
}

void FileStore::on_event(std::uint32_t mask, const std::string& name) {
    if (!doubt_.empty()) {
        return;  // what happens to a directory in doubt is found by the looks at it
    }
    // Configuration maps are replaced by renaming a hidden link that all files go through.
    if ((mask & IN_Q_OVERFLOW) != 0 || name.starts_with("..")) {
        scan();
        return;
    }
    if (!is_resource_file(name)) {
        return;
    }
    if ((mask & (IN_CLOSE_WRITE | IN_MOVED_TO)) != 0 ||
        ((mask & IN_CREATE) != 0 && is_link(directory_ / name))) {
        vanished_.erase(name);
        if (is_large(name)) {
            reading_ = name;
        } else {
            load(name);
        }
    } else if ((mask & (IN_DELETE | IN_MOVED_FROM)) != 0) {
        vanished_.insert(name);
        forget_vanished_later();
    }
}

void FileStore::on_directory_lost() {
    vanished_.clear();
    found_.reset();
    doubt("is gone");
}

void FileStore::doubt(const std::string& why) {
    if (doubt_ != why) {
        doubt_ = why;
        log::error("policy: {} {}: the last state stays in force", directory_.string(), doubt_);
    }
    health_.fails(
        in_sync_ ? SourceStatus::State::Frozen : SourceStatus::State::Waiting,
        directory_.string() + " " + doubt_,
        std::chrono::steady_clock::now());
}

/// Not everything is told: another directory may come to lie behind the path, rights may be given.
void FileStore::look_again_later() {
    look_timer_.expires_after(options_.look_interval);
    look_timer_.async_wait(
        [this, alive = std::weak_ptr(watching_)](boost::system::error_code error) {
            if (!error && !alive.expired()) {
                look_again();
            }
        });
}

void FileStore::look_again() {
    if (doubt_.empty() && identity() != watched_) {
        on_directory_lost();
    }
    if (!doubt_.empty()) {
        if (watch()) {
            read_events();
            look_beside();
            return;
        }
        on_directory_lost();
    } else if (!understood_ || !read_) {
        look_beside();
        return;
    } else if (!vanished_.empty()) {
        forget_vanished_later();
    }
    deliver();
    look_again_later();
}

/// Looks at the directory on the other thread and goes on with what was seen: thousands of files take longer
/// than a turn.
void FileStore::look_beside() {
    const auto taken = [this, alive = std::weak_ptr(watching_)](const Result<LookPtr>& seen) {
        if (!alive.expired()) {
            reread(seen);
            deliver();
            look_again_later();
        }
    };
    boost::asio::post(
        reader_,
        [directory = directory_, last = found_, loop = inotify_.get_executor(), taken]() mutable {
            auto seen = look(directory, std::exchange(last, nullptr));
            boost::asio::post(loop, [taken, seen = std::move(seen)] { taken(seen); });
        });
}

/// The resource files that there are.
Result<std::set<std::string>> FileStore::list(const fs::path& directory) {
    std::set<std::string> files;
    std::error_code error;
    for (fs::directory_iterator at(directory, error), end; !error && at != end;
         at.increment(error)) {
        if (const std::string name = at->path().filename().string(); is_resource_file(name)) {
            files.insert(name);
        }
    }
    return error ? fail("it cannot be listed: " + error.message())
                 : Result<std::set<std::string>>(std::move(files));
}

/// Any thread.
Result<FileStore::LookPtr> FileStore::look(const fs::path& directory, const LookPtr& last) {
    auto files = list(directory);
    if (!files) {
        return std::unexpected(std::move(files).error());
    }
    Look seen;
    for (const std::string& file : *files) {
        struct stat status{};
        seen[file] =
            ::stat((directory / file).c_str(), &status) == 0
                ? Stamp{status.st_ino, status.st_size, status.st_ctim.tv_sec, status.st_ctim.tv_nsec}
                : Stamp{};
    }
    return last && *last == seen ? last : std::make_shared<const Look>(std::move(seen));
}

/// Reads what was not understood, or was lost, once it stands still.
void FileStore::reread(const Result<LookPtr>& seen) {
    const bool settled = stands_still(seen);
    const bool doubted = !doubt_.empty();
    if (!list_error_.empty()) {
        if (doubted) {
            doubt(list_error_);
        }
        return;
    }
    if (!settled) {
        if (doubted) {
            doubt("came back and is being filled");
        }
        return;
    }
    if (doubted && is_emptied()) {
        doubt("came back empty");
        return;
    }
    if (!doubted && read_ && loaded_ == found_) {
        return;
    }
    scan();
    if (!list_error_.empty()) {
        return;
    }
    read_ = true;
    loaded_ = found_;
    if (doubted) {
        doubt_.clear();
        log::info("policy: {} is back", directory_.string());
        forget_vanished();
    }
}

/// Whether this look found what the last one found.
bool FileStore::stands_still(const Result<LookPtr>& seen) {
    note_listed(seen);
    const LookPtr last = std::exchange(found_, seen ? *seen : nullptr);
    return found_ && found_ == last;
}

/// Whether objects were held, and what the last look found holds none.
bool FileStore::is_emptied() const {
    const auto brings = [this](const auto& found) {
        const auto text = read_file(directory_ / found.first);
        const auto parsed = text ? parse_file(found.first, *text) : fail(text.error().text);
        return parsed && !parsed->objects.empty();
    };
    return !holds_no_object() && std::ranges::none_of(*found_, brings);
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
    if (identity() != watched_) {
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
        const bool exists = fs::exists(directory_ / file, error);
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
            boost::asio::post(
                inotify_.get_executor(),
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
template <typename Listed>
void FileStore::note_listed(const Result<Listed>& listed) {
    const std::string before =
        std::exchange(list_error_, listed ? std::string() : listed.error().text);
    if (!listed && list_error_ != before) {
        log::error("policy: {}: {}", directory_.string(), list_error_);
    }
}

void FileStore::scan() {
    const auto files = list(directory_);
    note_listed(files);
    if (!files) {
        read_ = false;
        return;
    }
    for (const auto& file : *files) {
        vanished_.erase(file);
        load(file);
    }
    good_.clear();  // what was removed meanwhile, and comes back, is new
    for (const auto& file : catalog_.files()) {
        if (!files->contains(file)) {
            vanished_.insert(file);
        }
    }
    if (!vanished_.empty()) {
        forget_vanished_later();
    }
}

/// Whether reading it now would hold up all else.
bool FileStore::is_large(const std::string& file) const {
    std::error_code error;
    const auto size = fs::file_size(directory_ / file, error);
    return !error && size >= options_.large && good_.empty();
}

FileStore::Reading FileStore::read(const fs::path& path) {
    auto text = read_file(path);
    auto parsed = text ? parse_file(path.filename().string(), *text) : fail(text.error().text);
    return {std::move(text), std::move(parsed)};
}

/// Reads `reading_` on the other thread, takes over what it says, and goes on with `then` in another turn.
void FileStore::load_beside(std::function<void()> then) {
    const auto taken = [this,
                        file = reading_,
                        alive = std::weak_ptr(watching_),
                        watch = watches_,
                        then = std::move(then)](Reading reading) {
        if (alive.expired() || watch != watches_) {
            return;
        }
        const bool counts = std::exchange(reading_, {}) == file && doubt_.empty();
        if (counts && identity() != watched_) {
            on_directory_lost();
        } else if (counts) {
            take(file, std::move(reading));
            deliver();
        }
        boost::asio::post(inotify_.get_executor(), then);
    };
    boost::asio::post(
        reader_, [path = directory_ / reading_, loop = inotify_.get_executor(), taken] {
            boost::asio::post(
                loop, [taken, reading = read(path)]() mutable { taken(std::move(reading)); });
        });
}

void FileStore::load(const std::string& file) {
    outrun(file);
    auto text = read_file(directory_ / file);
    if (const auto good = good_.extract(file); good && (!text || *text != good.mapped())) {
        set_text(file, good.mapped(), parse_file(file, good.mapped()));
    }
    const bool is_news = text && !catalog_.is_current(file, *text);
    auto parsed = is_news ? parse_file(file, *text) : fail("");
    take(file, {std::move(text), std::move(parsed)});
}

/// `file` is told of from here on: an answer of the other thread would be older.
void FileStore::outrun(const std::string& file) {
    if (reading_ == file) {
        reading_.clear();
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
    if (catalog_.is_current(file, *reading.text)) {
        return;
    }
    set_text(file, *reading.text, std::move(reading.parsed));
    save();
    report(file);
}

void FileStore::set_text(
    const std::string& file, const std::string& text, Result<ParsedFile> parsed) {
    forget_kept(file);
    auto events = catalog_.set_file(file, text, std::move(parsed));
    std::ranges::move(events, std::back_inserter(pending_));
    note_kept(file);
}

/// Which objects that `file` defines count in their last valid version.
void FileStore::note_kept(const std::string& file) {
    for (auto& object : catalog_.list_file(file)) {
        if (object.state == ObjectState::Kept) {
            kept_.set(object.key, std::move(object.reason));
        }
    }
}

/// What `file` defined may come to be defined elsewhere.
void FileStore::forget_kept(const std::string& file) {
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
        log::error("policy: {} (its last good objects stay in force)", error);
        return;
    }
    for (const auto& object : catalog_.list_file(file)) {
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
    return read_ ? std::string() : "it may be in the making";
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
        log::warning("policy: {} is not taken for everything yet: {}", directory_.string(), lack);
        waited_for_ = lack;
        health_.fails(
            SourceStatus::State::Waiting,
            directory_.string() + ": " + lack,
            std::chrono::steady_clock::now());
    }
}

void FileStore::deliver() {
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
        batch.kept = std::move(kept);
        listener_(batch);
    }
}

// --- objects --------------------------------------------------------------------------------

std::vector<ObjectStatus> FileStore::list(const Key& from, std::size_t count) const {
    return catalog_.list(from, count);
}

std::vector<std::string> FileStore::problems() const {
    auto all = catalog_.problems();
    if (!doubt_.empty()) {
        all.push_back(directory_.string() + " " + doubt_ + "; the last state stays in force");
    }
    if (saver_ && !saver_->error().empty()) {
        all.push_back("last good state: " + saver_->error());
    }
    return all;
}

SourceStatus FileStore::status() const {
    SourceStatus status = health_;
    status.in_force = in_sync_;
    status.place = doubt_.empty() ? directory_.string() : std::string();
    status.revision = revision_;
    return status;
}

/// What is written is held against all that is there, also what waits to be read.
void FileStore::catch_up() {
    if (events_wait_ && doubt_.empty()) {
        scan();
    }
}

Result<std::vector<Key>> FileStore::put(std::string_view file, std::string_view yaml) {
    catch_up();
    auto parsed = parse_file(file, yaml);
    if (!parsed) {
        return std::unexpected(std::move(parsed).error());
    }
    if (!parsed->ignored.empty()) {
        return fail(parsed->ignored.front());
    }
    std::vector<Write> writes;
    for (const auto& object : parsed->objects) {
        auto planned = plan(object);
        if (!planned) {
            return std::unexpected(std::move(planned).error());
        }
        if (std::ranges::count(writes, object.key, &Write::key) > 0) {
            return fail(to_string(object.key) + " is given twice");
        }
        writes.push_back(*std::move(planned));
    }
    std::vector<Key> keys;
    for (const auto& planned : writes) {
        if (auto written = write(planned); !written) {
            deliver();
            return std::unexpected(std::move(written).error());
        }
        vanished_.erase(planned.file);
        load(planned.file);
        keys.push_back(planned.key);
    }
    deliver();
    return keys;
}

Result<FileStore::Write> FileStore::plan(const ParsedObject& object) const {
    if (!object.resource) {
        return fail(object.error);
    }
    Write planned{object.key, file_name(object.key), client_form(object)};
    if (const auto place = catalog_.find(object.key)) {
        if (place->objects_in_file > 1) {
            return fail(fmt::format(
                "{} is defined in {}:{}, edit it there",
                to_string(object.key),
                place->file,
                place->line));
        }
        planned.file = place->file;
    } else if (!catalog_.list_file(planned.file).empty()) {
        return fail(fmt::format("{} exists and holds other objects", planned.file));
    }
    return planned;
}

Result<void> FileStore::is_writable() const {
    if (!doubt_.empty() || identity() != watched_) {
        return fail(directory_.string() + " is not the directory that was read");
    }
    return {};
}

Result<void> FileStore::write(const Write& write) const {
    if (auto writable = is_writable(); !writable) {
        return writable;
    }
    const fs::path target = directory_ / write.file;
    const fs::path draft = directory_ / ("." + write.file + ".new");
    const int fd = open(draft.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0) {
        return fail(fmt::format("cannot write {}: {}", target.string(), system_error()));
    }
    const auto size = static_cast<ssize_t>(write.text.size());
    const bool written =
        ::write(fd, write.text.data(), write.text.size()) == size && fsync(fd) == 0;
    const bool closed = close(fd) == 0;
    if (!written || !closed || rename(draft.c_str(), target.c_str()) != 0) {
        const std::string reason = system_error();
        unlink(draft.c_str());
        return fail(fmt::format("cannot write {}: {}", target.string(), reason));
    }
    return {};
}

Result<void> FileStore::remove(const Key& key) {
    catch_up();
    const auto place = catalog_.find(key);
    if (!place) {
        return fail(to_string(key) + " does not exist");
    }
    if (place->objects_in_file > 1) {
        return fail(fmt::format(
            "{} is defined in {}:{}, edit it there", to_string(key), place->file, place->line));
    }
    if (auto writable = is_writable(); !writable) {
        return writable;
    }
    if (unlink((directory_ / place->file).c_str()) != 0) {
        return fail(fmt::format("cannot remove {}: {}", place->file, system_error()));
    }
    outrun(place->file);
    auto events = catalog_.remove_file(place->file);
    std::ranges::move(events, std::back_inserter(pending_));
    save();
    deliver();
    return {};
}

}  // namespace vr::policy
