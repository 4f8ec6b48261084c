// SPDX-License-Identifier: Apache-2.0
#include "policy/directory.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <sstream>
#include <system_error>
#include <utility>

#include "policy/catalog.h"

namespace vr::policy {

namespace {

namespace fs = std::filesystem;

constexpr std::uintmax_t kMaxFileSize = 64U << 20U;

std::string system_error() {
    return std::error_code(errno, std::generic_category()).message();
}

}  // namespace

Directory::Identity Directory::identity() const {
    struct stat status{};
    return ::stat(path_.c_str(), &status) == 0 ? Identity{status.st_dev, status.st_ino}
                                               : Identity{};
}

Result<std::set<std::string>> Directory::files() const {
    std::set<std::string> files;
    std::error_code error;
    for (fs::directory_iterator at(path_, error), end; !error && at != end; at.increment(error)) {
        if (const std::string name = at->path().filename().string(); is_resource_file(name)) {
            files.insert(name);
        }
    }
    if (error) {
        return fail("it cannot be listed: " + error.message());
    }
    return files;
}

Result<Directory::LookPtr> Directory::look(const LookPtr& last) const {
    const auto all = files();
    if (!all) {
        return std::unexpected(all.error());
    }
    Look look;
    for (const std::string& file : *all) {
        struct stat status{};
        look[file] =
            ::stat((path_ / file).c_str(), &status) == 0
                ? Stamp{status.st_ino, status.st_size, status.st_ctim.tv_sec, status.st_ctim.tv_nsec}
                : Stamp{};
    }
    return last && *last == look ? last : std::make_shared<const Look>(std::move(look));
}

Result<std::string> Directory::text(const std::string& file) const {
    std::error_code error;
    const auto size = fs::file_size(path_ / file, error);
    if (error) {
        return fail("cannot be read: " + error.message());
    }
    if (size > kMaxFileSize) {
        return fail(fmt::format("larger than {} MiB", kMaxFileSize >> 20U));
    }
    std::ifstream stream(path_ / file, std::ios::binary);
    std::ostringstream text;
    text << stream.rdbuf();
    if (!stream) {
        return size == 0 ? Result<std::string>(std::string()) : fail("cannot be read");
    }
    return std::move(text).str();
}

Reading Directory::read(
    const std::string& file, const std::shared_ptr<const std::string>& known) const {
    auto read = text(file);
    if (!read) {
        return {fail(read.error().text), fail(read.error().text)};
    }
    if (known && *known == *read) {
        return {known, fail("as before")};
    }
    auto parsed = parse_file(file, *read);
    return {std::make_shared<const std::string>(*std::move(read)), std::move(parsed)};
}

Directory::Scan Directory::scan(const LookPtr& last, const std::set<std::string>& also) const {
    Scan scan{look(last), {}};
    if (!scan.look) {
        return scan;
    }
    for (const auto& [file, stamp] : **scan.look) {
        const bool is_same = last && last->contains(file) && last->at(file) == stamp;
        if (!is_same || also.contains(file)) {
            scan.read.emplace(file, read(file, nullptr));
        }
    }
    return scan;
}

std::uintmax_t Directory::size(const std::string& file) const {
    std::error_code error;
    const auto size = fs::file_size(path_ / file, error);
    return error ? 0 : size;
}

bool Directory::is_link(const std::string& file) const {
    const fs::path path = path_ / file;
    std::error_code error;
    return fs::is_symlink(path, error) ||
           (fs::is_regular_file(path, error) && fs::hard_link_count(path, error) > 1 && !error);
}

Result<void> Directory::write(const std::string& file, const std::string& text) const {
    const fs::path target = path_ / file;
    const fs::path draft = path_ / ("." + file + ".new");
    const int fd = open(draft.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0) {
        return fail(fmt::format("cannot write {}: {}", target.string(), system_error()));
    }
    const auto size = static_cast<ssize_t>(text.size());
    const bool written = ::write(fd, text.data(), text.size()) == size && fsync(fd) == 0;
    const bool closed = close(fd) == 0;
    if (!written || !closed || rename(draft.c_str(), target.c_str()) != 0) {
        const std::string reason = system_error();
        unlink(draft.c_str());
        return fail(fmt::format("cannot write {}: {}", target.string(), reason));
    }
    return {};
}

Result<void> Directory::remove(const std::string& file) const {
    if (unlink((path_ / file).c_str()) != 0) {
        return fail(fmt::format("cannot remove {}: {}", file, system_error()));
    }
    return {};
}

}  // namespace vr::policy
