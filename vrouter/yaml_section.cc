// SPDX-License-Identifier: Apache-2.0
#include "vrouter/yaml_section.h"

#include <charconv>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace vr {

YamlSection::YamlSection(std::shared_ptr<File> file, YAML::Node node, std::string path)
    : file_(std::move(file)), node_(std::move(node)), path_(std::move(path)) {
    if (!node_.IsMap() && !node_.IsNull()) {
        set_error(node_.Mark(), "", "expected a mapping of keys to values");
    }
}

std::optional<std::string> YamlSection::text(const char* key) {
    return value(key, "text", [](const std::string& s) {
        return s.empty() ? std::nullopt : std::optional{s};
    });
}

std::optional<bool> YamlSection::boolean(const char* key) {
    return value(key, "true or false", [](const std::string& s) -> std::optional<bool> {
        if (s == "true" || s == "yes" || s == "on") {
            return true;
        }
        if (s == "false" || s == "no" || s == "off") {
            return false;
        }
        return std::nullopt;
    });
}

std::optional<std::uint64_t> YamlSection::number(
    const char* key, std::uint64_t least, std::uint64_t most) {
    const std::string expected =
        "a number from " + std::to_string(least) + " to " + std::to_string(most);
    return value(key, expected, [&](const std::string& s) -> std::optional<std::uint64_t> {
        std::uint64_t number = 0;
        const auto [end, error] = std::from_chars(s.data(), s.data() + s.size(), number);
        if (error != std::errc{} || end != s.data() + s.size() || number < least || number > most) {
            return std::nullopt;
        }
        return number;
    });
}

void YamlSection::section(const char* key, const std::function<void(YamlSection&)>& read) {
    const YAML::Node node = take(key);
    if (!ok() || !node.IsDefined()) {
        return;
    }
    YamlSection inner{file_, node, path_.empty() ? key : path_ + "." + key};
    if (inner.ok()) {
        read(inner);
        inner.finish();
    }
}

void YamlSection::sections(const char* key, const std::function<void(YamlSection&)>& read) {
    std::size_t index = 0;
    for (const YAML::Node& item : items(key)) {
        const std::string name = std::string(key) + "[" + std::to_string(index++) + "]";
        YamlSection inner{file_, item, path_.empty() ? name : path_ + "." + name};
        if (!inner.ok()) {
            return;
        }
        read(inner);
        inner.finish();
    }
}

void YamlSection::require(const char* key) {
    if (ok() && !(node_.IsMap() && node_[key].IsDefined())) {
        set_error(node_.Mark(), "", std::string("key '") + key + "' is missing");
    }
}

YAML::Node YamlSection::take(const char* key) {
    known_.insert(key);
    if (!node_.IsMap()) {
        return YAML::Node{YAML::NodeType::Undefined};
    }
    return const_cast<const YAML::Node&>(node_)[key];
}

void YamlSection::refuse(std::string_view key, std::string_view what) {
    const YAML::Node node = node_.IsMap() ? node_[std::string(key)] : node_;
    set_error(node.IsDefined() ? node.Mark() : node_.Mark(), key, std::string(what));
}

void YamlSection::finish() {
    if (!ok() || !node_.IsMap()) {
        return;
    }
    std::set<std::string> seen;
    for (const auto& entry : node_) {
        const std::string key = entry.first.IsScalar() ? entry.first.Scalar() : "?";
        if (!seen.insert(key).second) {
            set_error(entry.first.Mark(), key, "the key is given twice");
            return;
        }
        if (!known_.contains(key)) {
            std::string keys;
            for (const std::string& name : known_) {
                keys += (keys.empty() ? "" : ", ") + name;
            }
            set_error(entry.first.Mark(), key, "unknown key; known here: " + keys);
            return;
        }
    }
}

std::optional<YAML::Node> YamlSection::scalar(const char* key, std::string_view expected) {
    const YAML::Node node = take(key);
    if (!ok() || !node.IsDefined()) {
        return std::nullopt;
    }
    if (!node.IsScalar()) {
        refuse(node, key, expected, node.IsNull() ? "nothing" : "a list or mapping");
        return std::nullopt;
    }
    return node;
}

std::vector<YAML::Node> YamlSection::items(const char* key) {
    const YAML::Node node = take(key);
    std::vector<YAML::Node> found;
    if (!ok() || !node.IsDefined() || node.IsNull()) {
        return found;
    }
    if (!node.IsSequence()) {
        if (node.IsScalar()) {
            return {node};
        }
        refuse(node, key, "a list", "a mapping");
        return found;
    }
    for (const auto& item : node) {
        found.push_back(item);
    }
    return found;
}

void YamlSection::refuse(
    const YAML::Node& at, std::string_view key, std::string_view expected, std::string_view found) {
    set_error(
        at.Mark(),
        key,
        "expected " + std::string(expected) + ", found '" + std::string(found) + "'");
}

void YamlSection::set_error(const YAML::Mark& at, std::string_view key, std::string text) {
    if (file_->error) {
        return;
    }
    std::string where = file_->name + ":" + std::to_string(at.is_null() ? 1 : at.line + 1) + ": ";
    std::string name = path_;
    if (!key.empty()) {
        name += (name.empty() ? "" : ".") + std::string(key);
    }
    file_->error = Error{where + (name.empty() ? "" : name + ": ") + text};
}

std::optional<log::Level> read_log_level(YamlSection& section) {
    using log::Level;
    return section.value("level", "debug, info, warning or error", [](const std::string& level) {
        return level == "debug"     ? std::optional{Level::Debug}
               : level == "info"    ? std::optional{Level::Info}
               : level == "warning" ? std::optional{Level::Warning}
               : level == "error"   ? std::optional{Level::Error}
                                    : std::nullopt;
    });
}

std::optional<std::string> absolute_path(const std::string& text) {
    return text.starts_with('/') && !text.ends_with('/') ? std::optional{text} : std::nullopt;
}

Result<std::string> read_config_file(const std::string& path) {
    const auto cannot = [&](const std::string& why) {
        return fail("cannot read config file '" + path + "': " + why);
    };
    std::error_code unknown;
    if (std::filesystem::is_directory(path, unknown)) {
        return cannot("it is a directory");
    }
    std::ifstream in{path};
    if (!in) {
        return cannot("no such file, or no permission");
    }
    std::ostringstream text;
    text << in.rdbuf();
    return text.str();
}

}  // namespace vr
