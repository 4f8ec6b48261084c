// SPDX-License-Identifier: Apache-2.0
#include "policy/etcd/state_file.h"

#include <fcntl.h>
#include <openssl/sha.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <system_error>
#include <utility>

#include "vrouter/net/wire.h"

namespace vr::policy::etcd {

namespace {

constexpr std::string_view kMagic = "vrouter etcd state 1\n";
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

template <std::unsigned_integral T>
void put(std::string& to, T value) {
    std::array<std::uint8_t, sizeof(T)> bytes{};
    store_be(bytes.data(), value);
    to += as_text(bytes);
}

void put(std::string& to, std::string_view text) {
    put(to, static_cast<std::uint32_t>(text.size()));
    to += text;
}

std::string get_text(Reader& reader) {
    const auto size = reader.u32();
    return std::string(as_text(reader.bytes(size)));
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

std::string encode_state(const Position& position, const std::vector<Objects::Good>& items) {
    std::string bytes(kMagic);
    put(bytes, position.cluster);
    put(bytes, static_cast<std::uint64_t>(position.revision));
    put(bytes, static_cast<std::uint8_t>(position.was_ready));
    put(bytes, static_cast<std::uint32_t>(items.size()));
    for (const auto& item : items) {
        put(bytes, std::string_view(item.key));
        put(bytes, std::string_view(*item.value));
        put(bytes, static_cast<std::uint64_t>(item.revision));
    }
    bytes += as_text(digest(bytes));
    return bytes;
}

Result<Stored> decode_state(std::string_view bytes) {
    if (!bytes.starts_with(kMagic)) {
        return fail("is no state file, or one of another version");
    }
    const std::size_t size = bytes.size() - std::min(bytes.size(), sizeof(Digest));
    if (size < kMagic.size() || as_text(digest(bytes.substr(0, size))) != bytes.substr(size)) {
        return fail("is damaged");
    }
    Reader reader(as_bytes(bytes.substr(0, size)));
    reader.skip(kMagic.size());
    Stored stored;
    stored.position.cluster = reader.get<std::uint64_t>();
    stored.position.revision = static_cast<std::int64_t>(reader.get<std::uint64_t>());
    stored.position.was_ready = reader.u8() != 0;
    const auto count = reader.u32();
    for (std::uint32_t i = 0; i < count && reader.ok(); ++i) {
        KeyValue item;
        item.key = get_text(reader);
        item.value = get_text(reader);
        item.mod_revision = static_cast<std::int64_t>(reader.get<std::uint64_t>());
        stored.items.push_back(std::move(item));
    }
    if (!reader.done()) {
        return fail("is damaged");
    }
    return stored;
}

Result<Stored> read_state(const std::string& path) {
    std::error_code error;
    const auto size = std::filesystem::file_size(path, error);
    if (error == std::errc::no_such_file_or_directory) {
        return Stored{};
    }
    if (error || size > kMaxSize) {
        return fail(path + ": " + (error ? error.message() : "is too large"));
    }
    const File file(path, O_RDONLY, 0);
    std::string bytes(size, '\0');
    if (!file.is_open() || !file.read_all(bytes)) {
        return fail(path + ": cannot be read");
    }
    auto stored = decode_state(bytes);
    return stored ? std::move(stored) : fail(std::move(stored).error(), path);
}

Result<void> write_state(const std::string& path, std::string_view bytes) {
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

}  // namespace vr::policy::etcd
