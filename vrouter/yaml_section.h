// YamlSection: a mapping of the config file of which every key must be asked for.
//
// Collects the first mistake with its file and line: wrong type, out of range, unknown key.  Readers ask
// key after key and look at error() once at the end, like wire.h's Reader.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <yaml-cpp/yaml.h>

#include "vrouter/net/log.h"
#include "vrouter/net/result.h"

namespace vr {

class YamlSection {
  public:
    /// Shared by all sections of one file.
    struct File {
        std::string name;
        std::optional<Error> error;
    };

    /// `path` names the section in messages: "ports[0]".
    YamlSection(std::shared_ptr<File> file, YAML::Node node, std::string path);

    /// The scalar at `key` through `parse`, which returns nothing for text it does not accept; `expected`
    /// says what it would accept.  Nothing when the key is absent.
    template <typename Parse>
    [[nodiscard]] auto value(const char* key, std::string_view expected, Parse parse)
        -> decltype(parse(std::string{})) {
        const auto node = scalar(key, expected);
        if (!node) {
            return std::nullopt;
        }
        auto parsed = parse(node->Scalar());
        if (!parsed) {
            refuse(*node, key, expected, node->Scalar());
        }
        return parsed;
    }

    [[nodiscard]] std::optional<std::string> text(const char* key);
    [[nodiscard]] std::optional<bool> boolean(const char* key);
    [[nodiscard]] std::optional<std::uint64_t> number(
        const char* key, std::uint64_t least, std::uint64_t most);

    /// Every element of the list at `key` through `parse`; a single scalar counts as a list of one.
    template <typename Parse>
    [[nodiscard]] auto list(const char* key, std::string_view expected, Parse parse)
        -> std::vector<typename decltype(parse(std::string{}))::value_type> {
        std::vector<typename decltype(parse(std::string{}))::value_type> values;
        for (const YAML::Node& item : items(key)) {
            if (!item.IsScalar()) {
                refuse(item, key, expected, "something else");
                return values;
            }
            auto parsed = parse(item.Scalar());
            if (!parsed) {
                refuse(item, key, expected, item.Scalar());
                return values;
            }
            values.push_back(std::move(*parsed));
        }
        return values;
    }

    /// Reads the mapping at `key`, if present, with `read`.
    void section(const char* key, const std::function<void(YamlSection&)>& read);

    /// Reads every mapping of the list at `key`.
    void sections(const char* key, const std::function<void(YamlSection&)>& read);

    /// Says that `key` must be there.
    void require(const char* key);

    /// The raw node at `key`, marked as known.
    [[nodiscard]] YAML::Node take(const char* key);

    /// A mistake about the section as a whole or about one of its keys.
    void refuse(std::string_view key, std::string_view what);

    /// To be called when all keys were asked for: refuses those that were not, and doubles.
    void finish();

    [[nodiscard]] bool ok() const { return !file_->error; }

  private:
    [[nodiscard]] std::optional<YAML::Node> scalar(const char* key, std::string_view expected);
    [[nodiscard]] std::vector<YAML::Node> items(const char* key);
    void refuse(
        const YAML::Node& at,
        std::string_view key,
        std::string_view expected,
        std::string_view found);
    void set_error(const YAML::Mark& at, std::string_view key, std::string text);

    std::shared_ptr<File> file_;
    YAML::Node node_;
    std::string path_;
    std::set<std::string> known_;
};

/// The key "level" of a section "log".
[[nodiscard]] std::optional<log::Level> read_log_level(YamlSection& section);

/// An absolute path that does not end with a slash; nothing when `text` is none.
[[nodiscard]] std::optional<std::string> absolute_path(const std::string& text);

/// The text of the config file at `path`.
[[nodiscard]] Result<std::string> read_config_file(const std::string& path);

}  // namespace vr
