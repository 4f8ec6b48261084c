// SPDX-License-Identifier: Apache-2.0
#include "policy/sealed_file.h"

#include <fcntl.h>
#include <openssl/sha.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

namespace vr::policy {

namespace {

constexpr std::uintmax_t kMaxSize = 1U << 30U;

using Digest = std::array<std::uint8_t, SHA256_DIGEST_LENGTH>;

Bytes as_bytes(std::string_view text) {
    return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

std::string_view as_text(Bytes bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

Digest digest(std::string_view bytes) {
    Digest result{};
    SHA256(as_bytes(bytes).data(), bytes.size(), result.data());
    return result;
}

std::string system_error() {
    return std::error_code(errno, std::generic_category()).message();
}

/// A file descriptor that closes itself.
class File {
  public:
    File(const std::string& path, int flags, mode_t mode)
        : fd_(open(path.c_str(), flags | O_CLOEXEC, mode)) {}  // NOLINT(*-vararg): open is one

    File(const File&) = delete;
    File& operator=(const File&) = delete;
    File(File&&) = delete;
    File& operator=(File&&) = delete;

    ~File() {
        if (fd_ >= 0) {
            close(fd_);
        }
    }

    [[nodiscard]] bool is_open() const { return fd_ >= 0; }

    [[nodiscard]] bool write_all(std::string_view bytes) const {
        while (!bytes.empty()) {
            const ssize_t written = ::write(fd_, bytes.data(), bytes.size());
            if (written < 0 && errno == EINTR) {
                continue;
            }
            if (written <= 0) {
                return false;
            }
            bytes.remove_prefix(static_cast<std::size_t>(written));
        }
        return true;
    }

    [[nodiscard]] bool read_all(std::string& into) const {
        std::size_t at = 0;
        while (at < into.size()) {
            const ssize_t got = ::read(fd_, into.data() + at, into.size() - at);
            if (got < 0 && errno == EINTR) {
                continue;
            }
            if (got <= 0) {
                return false;
            }
            at += static_cast<std::size_t>(got);
        }
        return true;
    }

    [[nodiscard]] bool sync() const { return fsync(fd_) == 0; }

  private:
    int fd_;
};

}  // namespace

template <std::unsigned_integral T>
void put_number(std::string& to, T value) {
    std::array<std::uint8_t, sizeof(T)> bytes{};
    store_be(bytes.data(), value);
    to += as_text(bytes);
}

template void put_number(std::string& to, std::uint8_t value);
template void put_number(std::string& to, std::uint32_t value);
template void put_number(std::string& to, std::uint64_t value);

void put_text(std::string& to, std::string_view text) {
    put_number(to, static_cast<std::uint32_t>(text.size()));
    to += text;
}

std::string get_text(Reader& reader) {
    const auto size = reader.u32();
    return std::string(as_text(reader.bytes(size)));
}

void seal(std::string& bytes) {
    bytes += as_text(digest(bytes));
}

Result<Bytes> unseal(std::string_view magic, std::string_view bytes) {
    if (!bytes.starts_with(magic)) {
        return fail("is no state file, or one of another version");
    }
    const std::size_t size = bytes.size() - std::min(bytes.size(), sizeof(Digest));
    if (size < magic.size() || as_text(digest(bytes.substr(0, size))) != bytes.substr(size)) {
        return fail("is damaged");
    }
    return as_bytes(bytes.substr(magic.size(), size - magic.size()));
}

Result<std::optional<std::string>> read_whole(const std::string& path) {
    std::error_code error;
    const auto size = std::filesystem::file_size(path, error);
    if (error == std::errc::no_such_file_or_directory) {
        return std::nullopt;
    }
    if (error || size > kMaxSize) {
        return fail(path + ": " + (error ? error.message() : "is too large"));
    }
    const File file(path, O_RDONLY, 0);
    std::string bytes(size, '\0');
    if (!file.is_open() || !file.read_all(bytes)) {
        return fail(path + ": cannot be read");
    }
    return bytes;
}

Result<void> write_whole(const std::string& path, std::string_view bytes) {
    if (bytes.size() > kMaxSize) {
        return fail(path + ": cannot be written: it would be larger than what is read back");
    }
    const std::filesystem::path target(path);
    std::error_code error;
    if (target.has_parent_path()) {
        std::filesystem::create_directories(target.parent_path(), error);
    }
    const std::string draft = path + ".new";
    const auto failed = [&](std::string reason) {
        unlink(draft.c_str());
        return fail(path + ": cannot be written: " + std::move(reason));
    };
    {
        const File file(draft, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        if (!file.is_open() || !file.write_all(bytes) || !file.sync()) {
            return failed(system_error());
        }
    }
    if (rename(draft.c_str(), path.c_str()) != 0) {
        return failed(system_error());
    }
    const File directory(
        target.has_parent_path() ? target.parent_path().string() : ".", O_RDONLY, 0);
    if (directory.is_open() && !directory.sync()) {
        return fail(path + ": its directory cannot be synchronised: " + system_error());
    }
    return {};
}

}  // namespace vr::policy
