// SPDX-License-Identifier: Apache-2.0
#include "vrouter/daemon/secret.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <system_error>

namespace vr::daemon {

namespace {

/// TCP MD5 takes no more.
constexpr std::size_t kMostOctets = 80;

class Descriptor {
  public:
    explicit Descriptor(int number) : number_(number) {}

    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    Descriptor(Descriptor&&) = delete;
    Descriptor& operator=(Descriptor&&) = delete;

    ~Descriptor() {
        if (number_ >= 0) {
            ::close(number_);
        }
    }

    [[nodiscard]] int number() const { return number_; }

  private:
    int number_;
};

bool leads_out(const std::string& part) {
    return part.empty() || part == "." || part == ".." || part.find('/') != std::string::npos ||
           part.find('\0') != std::string::npos;
}

}  // namespace

Result<std::string> read_secret(const std::string& path) {
    const auto failed = [&](std::string_view why) {
        return fail("secret '" + path + "': " + std::string(why));
    };
    const Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
    struct stat status{};
    if (file.number() < 0 || ::fstat(file.number(), &status) != 0) {
        return failed(std::generic_category().message(errno));
    }
    if (!S_ISREG(status.st_mode)) {
        return failed("not a plain file");
    }
    if ((status.st_mode & (S_IROTH | S_IWOTH)) != 0) {
        return failed("everybody may read or write it: chmod o-rw first");
    }
    std::array<char, kMostOctets + 2> text{};
    const ssize_t size = ::read(file.number(), text.data(), text.size());
    if (size < 0) {
        return failed(std::generic_category().message(errno));
    }
    std::string secret(text.data(), static_cast<std::size_t>(size));
    if (secret.ends_with('\n')) {
        secret.pop_back();
    }
    if (secret.empty() || secret.size() > kMostOctets) {
        return failed("a password has 1 to 80 octets");
    }
    return secret;
}

Result<std::string> secret_path(
    const std::string& directory, const std::string& name, const std::string& key) {
    if (leads_out(name) || leads_out(key)) {
        return fail("secret '" + name + "' key '" + key + "': not a file name");
    }
    return directory + "/" + name + "/" + key;
}

}  // namespace vr::daemon
