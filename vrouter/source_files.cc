// SPDX-License-Identifier: Apache-2.0
#include "vrouter/source_files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace vr {

namespace {

std::string system_error() {
    return std::generic_category().message(errno);
}

}  // namespace

std::optional<std::string> directory_problem(const std::string& path) {
    struct stat status{};
    if (::stat(path.c_str(), &status) != 0) {
        return fmt::format("cannot read '{}': {}", path, system_error());
    }
    if (!S_ISDIR(status.st_mode)) {
        return fmt::format("'{}' is no directory", path);
    }
    if (::faccessat(AT_FDCWD, path.c_str(), R_OK | X_OK, AT_EACCESS) != 0) {
        return fmt::format("cannot read '{}': {}", path, system_error());
    }
    return std::nullopt;
}

std::vector<std::string> tls_file_problems(std::string_view section, const TlsFiles& files) {
    auto problems = tls_file_problems(files);
    for (std::string& problem : problems) {
        problem = fmt::format("{}.{}", section, problem);
    }
    return problems;
}

std::vector<std::string> etcd_file_problems(const EtcdConfig& config) {
    auto problems =
        tls_file_problems("datastore.etcd", {config.ca, config.certificate, config.key});
    const std::string& password = config.password_file;
    if (!password.empty() && ::faccessat(AT_FDCWD, password.c_str(), R_OK, AT_EACCESS) != 0) {
        problems.push_back(fmt::format(
            "datastore.etcd.password_file: cannot read '{}': {}", password, system_error()));
    }
    return problems;
}

}  // namespace vr
