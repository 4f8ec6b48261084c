// Directory: the resource files below a path, as they are now.  What they mean, and what follows from a change,
// is file_store.h's business.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "policy/resource.h"
#include "vrouter/net/result.h"

namespace vr::policy {

/// A file, read.
struct Reading {
    Result<std::shared_ptr<const std::string>> text;
    Result<ParsedFile> parsed;  ///< an error where `text` is one, or what was known
};

class Directory {
  public:
    explicit Directory(std::filesystem::path path) : path_(std::move(path)) {}

    /// Which directory the path leads to.
    struct Identity {
        dev_t device = 0;
        ino_t inode = 0;

        friend bool operator==(const Identity&, const Identity&) = default;
    };

    /// What changes with the content of a file, and with the rights to it.
    struct Stamp {
        ino_t inode = 0;
        off_t size = 0;
        std::int64_t seconds = 0;  ///< of the last change
        std::int64_t nanoseconds = 0;

        friend bool operator==(const Stamp&, const Stamp&) = default;
    };

    using Look = std::map<std::string, Stamp>;
    using LookPtr = std::shared_ptr<const Look>;

    [[nodiscard]] const std::filesystem::path& path() const { return path_; }

    [[nodiscard]] std::string name() const { return path_.string(); }

    [[nodiscard]] Identity identity() const;

    /// The resource files that there are, with what tells whether they change: `last`, which may be null, where
    /// nothing has.  Any thread.
    [[nodiscard]] Result<LookPtr> look(const LookPtr& last) const;

    [[nodiscard]] Result<std::string> text(const std::string& file) const;
    /// Where it holds what is `known` of it, which may be null, `text` is that.  May run on any thread.
    [[nodiscard]] Reading read(
        const std::string& file, const std::shared_ptr<const std::string>& known) const;

    /// The files that there are, and what those say whose stamp is not that in `last`, or which are of `also`.
    struct Scan {
        Result<LookPtr> look;
        std::map<std::string, Reading> read;
    };

    /// `last` may be null.  Any thread.
    [[nodiscard]] Scan scan(const LookPtr& last, const std::set<std::string>& also) const;

    /// 0 where it cannot be told.
    [[nodiscard]] std::uintmax_t size(const std::string& file) const;

    /// A link, of either kind, is complete when it is made; a file is read when it is closed.
    [[nodiscard]] bool is_link(const std::string& file) const;

    /// Puts `text` in the place of the file in one step, and on the disk.
    [[nodiscard]] Result<void> write(const std::string& file, const std::string& text) const;
    [[nodiscard]] Result<void> remove(const std::string& file) const;

  private:
    [[nodiscard]] Result<std::set<std::string>> files() const;

    std::filesystem::path path_;
};

}  // namespace vr::policy
